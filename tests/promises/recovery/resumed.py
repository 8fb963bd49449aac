"""Jobs that are interrupted and go on: every kind of run whose steps are marked, small."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from protocols import alignment, glm
from protocols.binning import by_label as woe
from protocols.binning import merging as woe_bins
from protocols.boosting import open, scoring
from protocols.boosting.ensemble import Ensemble, HostSplits, Rounds
from protocols.boosting.params import Params
from protocols.boosting.sealed_parts import ArbiterTrees, GuestTrees
from protocols.cipher import Identity, Paillier, Scheme
from protocols.glm import scoring as glm_scoring
from protocols.glm.block import fixed_point
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import Penalty
from protocols.session import Roles, Session
from tests.harness import KNOWN, TOY
from tests.unit.protocols.boosting.world import bin_blocks, names_of, roles_of, sealed_programs, train
from tests.unit.vfl.steps import world

Programs = dict[str, Callable[[Session], Any]]


def ids(rows: range) -> list[bytes]:
    return [b"id %d" % row for row in rows]


def regression(
    hosts: int,
    passes: int = 2,
    models: int = 1,
    stopping: glm.Stopping | None = None,
    sgd: glm.Sgd | None = None,
    settles: bool = False,
) -> tuple[Roles, Programs, Scheme]:
    """Alignment and logistic regression with the exact link; the tables overlap in part."""
    roles = roles_of(hosts)
    rng = np.random.default_rng(hosts)
    terms = glm.Terms(LOGISTIC_LINKS["exact"], Penalty(1.0), passes, stopping=stopping, sgd=sgd, settles=settles)
    programs: Programs = {}
    for k, party in enumerate(roles.data_parties):
        own, x = ids(range(k, 24)), rng.normal(size=(24 - k, 2)).clip(-3, 3)
        y = rng.integers(0, 2, size=(models, 24)).astype(np.float64)

        def data_party(session: Session, own: list[bytes] = own, x: Any = x, y: Any = y) -> bytes:
            found = alignment.align(session, own, 1)
            if session.me == "guest":
                name = session.seed("model id").secret[:16]
                trained = glm.guest(session, x[found.rows], y[:, found.rows], terms, name)
                return scored(session, x[found.rows], trained)
            return scored(session, x[found.rows], glm.host(session, x[found.rows], terms))

        programs[party] = data_party

    def arbiter(session: Session) -> bytes:
        key = session.scheme.generate(session.me, session.seed("key"))
        alignment.serve(session, 1)
        kept = glm.arbiter(session, key, terms)
        moved = glm_scoring.arbiter(session, key, kept.model_id, kept.shares)
        return b"".join(one.name + one.words.tobytes() for one in moved.values())

    wide = Paillier(1024) if stopping is not None else TOY  # with room for the factor that hides a difference of losses
    return roles, programs | {"arbiter": arbiter}, wide


def scored(session: Session, x: Any, trained: glm.Trained) -> bytes:
    """Scores the rows that a model was trained on from its shares: the shares from then on, and at the guest the
    scores."""
    guests = session.me == session.roles.guest
    values = fixed_point(x, guests)
    own = glm_scoring.Own(
        trained.model_id,
        values,
        trained.shares,
        True,
        None if guests else np.ones(trained.shares.latest.shape[:1], np.int64) + np.zeros((len(x), 1), np.int64),
    )
    found, moved = glm_scoring.guest(session, own) if guests else (np.zeros(0), glm_scoring.host(session, own))
    assert moved is not None
    return moved.name + moved.words.tobytes() + found.tobytes()


def long_lists(rows: tuple[int, ...], keys: int = 1, size_only: bool = False) -> tuple[Roles, Programs, Scheme]:
    """An alignment alone, of lists of several blocks (`small_blocks`); the arbiter does not know how many where there
    is one host."""
    roles = roles_of(len(rows) - 1)
    programs: Programs = {}
    for party, count in zip(roles.data_parties, rows, strict=True):
        own = tuple(
            alignment.Ids.of([b"key %d, row %d" % (key, row + key) for row in range(count)]) for key in range(keys)
        )

        def data_party(session: Session, own: Any = own) -> tuple[Any, ...]:
            found = alignment.align(session, own, 1, size_only=size_only)
            return found.rows.tolist(), found.keys.tolist(), found.sizes, found.by_key

        programs[party] = data_party

    def arbiter(session: Session) -> None:
        alignment.serve(session, 1, keys=keys, size_only=size_only)

    return roles, programs | {"arbiter": arbiter}, TOY


def of_guest(part: Ensemble | GuestTrees) -> bytes:
    own = part.own if isinstance(part, GuestTrees) else part
    fields = [
        getattr(t, name).tobytes() for t in own.trees for name in ("owner", "feature", "cut", "left", "gain", "value")
    ]
    if isinstance(part, GuestTrees):
        fields += [v.tobytes() for v in (part.shape.owner, part.shape.order, part.feature, part.cut, part.missing_left)]
    return b"".join(fields) + part.model_id


def of_host(part: HostSplits) -> str:
    return repr((part.feature, part.cut, part.missing_left, part.seat, part.trees, part.score_key, part.model_id))


def of_arbiter(part: ArbiterTrees | None) -> bytes:
    return (
        b""
        if part is None
        else part.value.tobytes() + part.shape.owner.tobytes() + part.shape.order.tobytes() + part.model_id
    )


def told(program: Callable[[Session], Any], of: Callable[[Any], bytes | str], session: Session) -> bytes | str:
    return of(program(session))


def trees(membership: str, hosts: int = 1, first: int = 0, **changes: Any) -> tuple[Roles, Programs, Scheme]:
    """first: how many rounds a model has that is continued."""
    given: dict[str, Any] = {
        "n_estimators": 3,
        "max_depth": 2,
        "max_bin": 4,
        "membership": membership,
        "min_bin_rows": 1,
    }
    p = Params(**(given | changes))
    rows = 120 if p.early_stopping_rounds else 40
    rng = np.random.default_rng(1)
    blocks = bin_blocks([rng.normal(size=(rows, 2)) for _ in range(hosts + 1)], p)
    if p.monotone_constraints:
        blocks = [block.constrained([1, -1]) for block in blocks]
    y = rng.integers(0, p.num_class if p.num_class > 1 else 2, rows).astype(np.float64)
    held_out = np.arange(rows) % 4 == 0 if p.early_stopping_rounds else np.zeros(rows, np.bool_)
    roles, model = roles_of(hosts), None
    if first:
        start = dataclasses.replace(p, n_estimators=first, guest_only_trees=min(first, p.guest_only_trees))
        model = train(
            blocks,
            y,
            dataclasses.replace(start, guest_only_trees=p.guest_only_trees) if p.sealed else start,
            Identity(1024),
        )
    if p.sealed:
        programs = sealed_programs(roles, blocks, y, p, model, held_out=held_out)
        of: dict[str, Callable[[Any], bytes | str]] = {"guest": of_guest, "arbiter": of_arbiter}
        return roles, {party: partial(told, one, of.get(party, of_host)) for party, one in programs.items()}, TOY

    def guest(session: Session) -> bytes:
        started = None
        if model:
            started = model.ensemble, scoring.guest(session, blocks[0], model.ensemble, names_of(rows))
        return of_guest(
            open.guest(session, blocks[0], p, Rounds(p, y, held_out=held_out, before=started), b"another name ...")
        )

    def host(session: Session, k: int) -> str:
        if model:
            scoring.host(session, blocks[k], model.hosts[k - 1], 0)
        return of_host(open.host(session, blocks[k], p, held_out, model.hosts[k - 1] if model else None))

    return roles, {"guest": guest} | {h: partial(host, k=k) for k, h in enumerate(roles.hosts, 1)}, Paillier(1024)


def binned(hosts: int, tell: bool) -> tuple[Roles, Programs, Scheme]:
    """Binning by the label, then a regression: the guest's bins, and what a host is told, are as if nothing had
    been."""
    roles, rows = roles_of(hosts), 24
    rng = np.random.default_rng(3)
    rule, y = woe_bins.BinningRule(min_bin_rows=2), rng.integers(0, 2, rows)
    terms = glm.Terms(LOGISTIC_LINKS["taylor"], Penalty(1.0), 1, reveal=KNOWN)

    def fine(k: int) -> woe.FineBins:
        bins = np.random.default_rng(k).permuted(np.tile(np.arange(rows) % 4, (2, 1)), axis=1).T
        return woe.FineBins(bins, (4, 4), (1, 0), (True, False))

    def guest(session: Session) -> bytes:
        own, theirs = woe.guest(session, y, fine(0), rule, tell=tell, open_names=True)
        name = session.seed("model id").secret[:16]
        weights = glm.guest(session, rng_x(0), y[np.newaxis].astype(np.float64), terms, name).weights
        columns = {
            p: [(c.name, c.apart, c.merged.group.tolist(), c.merged.events.tolist()) for c in t]
            for p, t in theirs.items()
        }
        return repr(([m.events.tolist() for m in own], columns)).encode() + weights.tobytes()

    def host(session: Session, k: int) -> bytes:
        merged = woe.host(session, fine(k), rule, tell=tell, names=["a", "b"])
        told = None if merged is None else [(m.group.tolist(), m.rows.tolist(), m.events.tolist()) for m in merged]
        return repr(told).encode() + glm.host(session, rng_x(k), terms).weights.tobytes()

    def arbiter(session: Session) -> bytes:
        key = session.scheme.generate(session.me, session.seed("key"))
        woe.arbiter(session)
        return glm.arbiter(session, key, terms).model_id

    def rng_x(k: int) -> Any:
        return np.random.default_rng(k).normal(size=(rows, 2)).clip(-3, 3)

    programs: Programs = (
        {"guest": guest} | {h: partial(host, k=k) for k, h in enumerate(roles.hosts, 1)} | {"arbiter": arbiter}
    )
    return roles, programs, TOY


def searched(kind: str) -> tuple[Roles, Programs, Scheme]:
    """Two candidates on two folds, and the better one on all rows: the same scores, the same choice, the same model."""
    data = world.frames(24, hosts=2 if kind == "trees" else 1)
    roles, programs = (
        world.trees(data, n_estimators=1) if kind == "trees" else world.regression(data, link="taylor", max_iter=5)
    )

    def told(program: Any, session: Session) -> bytes:
        found = program(session)
        if isinstance(found, glm.Kept):
            return found.model_id + b"".join(one.latest.tobytes() for one in found.shares.values())
        if not hasattr(found, "searched"):
            return repr(found).encode()
        part, scores = found.part, found.searched.scores
        own = part.shares.latest.tobytes() if kind == "regression" else repr(part.splits and part.splits.seat).encode()
        return own + part.model_id + repr((found.searched.best, None if scores is None else scores.tolist())).encode()

    return roles, {p: partial(told, program) for p, program in programs.items()}, Identity(1024)


CASES: dict[str, Callable[[], tuple[Roles, Programs, Scheme]]] = {
    "logistic regression": partial(regression, 1),
    "logistic regression, two hosts": partial(regression, 2),
    "long lists": partial(long_lists, (5, 6)),
    "a long and a short list": partial(long_lists, (9, 2)),
    "a short and a long list, two keys": partial(long_lists, (2, 7), 2),
    "long lists of three, two keys": partial(long_lists, (3, 5, 1), 2),
    "long lists of three, the size alone": partial(long_lists, (3, 2, 5), 1, True),
    "one against the rest": partial(regression, 1, passes=1, models=2),
    "regressions that stop by their loss": partial(regression, 1, passes=5, models=2, stopping=glm.Stopping(9.0, 1)),
    "a regression that settles": partial(regression, 1, passes=22, settles=True),
    "mini-batches": partial(regression, 2, sgd=glm.Sgd(16)),
    "bins that a host is told": partial(binned, 1, True),
    "bins of two hosts for the guest": partial(binned, 2, False),
    "a search": partial(searched, "regression"),
    "a search of trees": partial(searched, "trees"),
    "open trees": partial(trees, "open", 2),
    "open trees that stop early": partial(trees, "open", n_estimators=7, early_stopping_rounds=3, guest_only_trees=2),
    "the guest's open trees that stop early": partial(
        trees, "open", n_estimators=7, early_stopping_rounds=1, guest_only_trees=5, learning_rate=1.0
    ),
    "open trees with constraints": partial(trees, "open", n_estimators=2, monotone_constraints=True),
    "sealed trees with constraints": partial(trees, "sealed", n_estimators=2, monotone_constraints=True),
    "open trees that are continued": partial(trees, "open", first=2, n_estimators=4),
    "sealed trees": partial(trees, "sealed", gradient_bits=16, max_depth=3),
    "sealed trees of two hosts": partial(trees, "sealed", 2, n_estimators=5, guest_only_trees=1),
    "sealed trees that stop early": partial(
        trees, "sealed", n_estimators=5, early_stopping_rounds=2, learning_rate=1.0
    ),
    "sealed trees that are continued": partial(trees, "sealed", 2, first=2, n_estimators=4, subsample=0.8),
    "sealed trees of three classes": partial(
        trees,
        "sealed",
        n_estimators=3,
        objective="multi:softprob",
        num_class=3,
        guest_only_trees=1,
        colsample_bytree=0.7,
    ),
}
