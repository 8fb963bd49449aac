"""A party stopped before any of its messages: all go on from the last mark that all keep, send the same bytes again, and end as if nothing had been."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from protocols import alignment, glm, resume, woe, woe_bins
from protocols.alignment import lists
from protocols.boosting import hidden, packing, scoring, shared
from protocols.boosting.ensemble import Rounds
from protocols.boosting.params import Params
from protocols.channel import Channel, Count, MemoryNetwork
from protocols.checkpoint import ANYWHERE, END, START, Position, serves
from protocols.cipher import Identity, Keyring, Paillier, Scheme
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import Penalty
from protocols.session import Roles, Session
from tests.boosting.world import bin_blocks, roles_of, train
from tests.harness import TOY
from tests.protocols.interrupted import RUN, Interrupted, Killed, MemoryKeeper
from tests.search import world
from vfl.programs import glm as regressions

Programs = dict[str, Callable[[Session], Any]]


def ids(rows: range) -> list[bytes]:
    return [b"id %d" % row for row in rows]


def regression(
    hosts: int, passes: int = 2, models: int = 1, stopping: glm.Stopping | None = None, sgd: glm.Sgd | None = None
) -> tuple[Roles, Programs, Scheme]:
    """Alignment and logistic regression with the exact link; the tables overlap in part."""
    roles = roles_of(hosts)
    rng = np.random.default_rng(hosts)
    terms = glm.Terms(LOGISTIC_LINKS["exact"], Penalty(1.0), passes, stopping=stopping, sgd=sgd)
    programs: Programs = {}
    for k, party in enumerate(roles.data_parties):
        own, x = ids(range(k, 24)), rng.normal(size=(24 - k, 2)).clip(-3, 3)
        y = rng.integers(0, 2, size=(models, 24)).astype(np.float64)

        def data_party(session: Session, own: list[bytes] = own, x: Any = x, y: Any = y) -> bytes:
            found = alignment.align(session, own, 1)
            if session.me == "guest":
                name = session.seed("model id").secret[:16]
                return glm.guest(session, x[found.rows], y[:, found.rows], terms, name).weights.tobytes() + name
            weights, name, _ = glm.host(session, x[found.rows], terms)
            return weights.tobytes() + name

        programs[party] = data_party

    def arbiter(session: Session) -> bytes:
        key = session.scheme.generate(session.me, session.seed("key"))
        alignment.serve(session, 1)
        return glm.arbiter(session, key, terms)

    return roles, programs | {"arbiter": arbiter}, TOY


def long_lists(rows: tuple[int, ...], keys: int = 1, size_only: bool = False) -> tuple[Roles, Programs, Scheme]:
    """An alignment alone, of lists of several blocks (`small_blocks`); the arbiter does not know how many where there is one host."""
    roles = roles_of(len(rows) - 1)
    programs: Programs = {}
    for party, count in zip(roles.data_parties, rows, strict=True):
        own = tuple(alignment.Ids.of([b"key %d, row %d" % (key, row + key) for row in range(count)]) for key in range(keys))

        def data_party(session: Session, own: Any = own) -> tuple[Any, ...]:
            found = alignment.align(session, own, 1, size_only=size_only)
            return found.rows.tolist(), found.keys.tolist(), found.sizes, found.by_key

        programs[party] = data_party

    def arbiter(session: Session) -> None:
        alignment.serve(session, 1, keys=keys, size_only=size_only)

    return roles, programs | {"arbiter": arbiter}, TOY


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Marks two points apart, where the lists are called long."""
    if "long" in request.node.name:
        monkeypatch.setattr(lists, "CHUNK", 2)
        monkeypatch.setattr(lists, "BLOCK", 1)


def trees(membership: str, hosts: int = 1, **changes: Any) -> tuple[Roles, Programs, Scheme]:
    given: dict[str, Any] = {"n_estimators": 3, "max_depth": 2, "max_bin": 4, "membership": membership, "min_bin_rows": 1}
    p = Params(**(given | changes))
    rng = np.random.default_rng(1)
    blocks = bin_blocks([rng.normal(size=(40, 2)) for _ in range(hosts + 1)], p)
    y = rng.integers(0, p.num_class if p.num_class > 1 else 2, 40).astype(np.float64)
    held_out = np.arange(40) % 4 == 0 if p.early_stopping_rounds else np.zeros(40, np.bool_)
    roles, profile = roles_of(hosts), hidden if membership == "hidden" else shared

    def guest(session: Session) -> bytes:
        ensemble = profile.guest(session, blocks[0], p, Rounds(p, y, held_out=held_out), bytes(16))
        parts = [getattr(t, name).tobytes() for t in ensemble.trees for name in ("owner", "feature", "cut", "left", "gain", "value")]
        return b"".join(parts) + b"".join(seat.tobytes() for seat in ensemble.seats)

    def host(session: Session, block: Any) -> str:
        found = profile.host(session, block, p, held_out)
        return repr((found.feature, found.cut, found.missing_left, found.seat))

    programs: Programs = {"guest": guest} | {h: partial(host, block=b) for h, b in zip(roles.hosts, blocks[1:], strict=True)}
    if membership == "hidden":
        programs["arbiter"] = partial(hidden.arbiter, p=p)
    return roles, programs, Paillier(1024)


def continued(membership: str, rounds: int = 2, **changes: Any) -> tuple[Roles, Programs, Scheme]:
    """`rounds` rounds more for a model that has two; what scoring hears before them is heard again."""
    p = Params(n_estimators=2 + rounds, max_depth=2, max_bin=4, membership=membership, min_bin_rows=1, **changes)  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    blocks, y = bin_blocks([rng.normal(size=(40, 2)) for _ in range(2)], p), rng.integers(0, 2, 40).astype(np.float64)
    first = dataclasses.replace(p, n_estimators=2, guest_only_trees=min(2, p.guest_only_trees))
    model, profile = train(blocks, y, first, Identity()), hidden if membership == "hidden" else shared

    def guest(session: Session) -> bytes:
        started = model.ensemble, scoring.guest(session, blocks[0], model.ensemble)
        ensemble = profile.guest(session, blocks[0], p, Rounds(p, y, before=started), b"another name ...")
        assert len(ensemble.trees) == 2 + rounds
        return b"".join(getattr(t, name).tobytes() for t in ensemble.trees for name in ("owner", "feature", "cut", "left", "gain", "value"))

    def host(session: Session) -> str:
        scoring.host(session, blocks[1], model.hosts[0], p.max_depth if membership == "hidden" else 0)
        found = profile.host(session, blocks[1], p, None, model.hosts[0])
        return repr((found.feature, found.cut, found.missing_left, found.seat))

    def arbiter(session: Session) -> None:
        scoring.arbiter(session)
        hidden.arbiter(session, p, continues=True)

    programs: Programs = {"guest": guest, "host1": host} | ({"arbiter": arbiter} if membership == "hidden" else {})
    return roles_of(1), programs, Paillier(1024)


def binned(hosts: int, tell: bool) -> tuple[Roles, Programs, Scheme]:
    """Binning by the label, then a regression: the guest's bins, and what a host is told, are as if nothing had been."""
    roles, rows = roles_of(hosts), 24
    rng = np.random.default_rng(3)
    rule, y = woe_bins.BinningRule(min_bin_rows=2), rng.integers(0, 2, rows)
    terms = glm.Terms(LOGISTIC_LINKS["taylor"], Penalty(1.0), 1)

    def fine(k: int) -> woe.FineBins:
        bins = np.random.default_rng(k).permuted(np.tile(np.arange(rows) % 4, (2, 1)), axis=1).T
        return woe.FineBins(bins, (4, 4), (1, 0), (True, False))

    def guest(session: Session) -> bytes:
        own, theirs = woe.guest(session, y, fine(0), rule, tell=tell, open_names=True)
        name = session.seed("model id").secret[:16]
        weights = glm.guest(session, rng_x(0), y[np.newaxis].astype(np.float64), terms, name).weights
        columns = {p: [(c.name, c.apart, c.merged.group.tolist(), c.merged.events.tolist()) for c in t] for p, t in theirs.items()}
        return repr(([m.events.tolist() for m in own], columns)).encode() + weights.tobytes()

    def host(session: Session, k: int) -> bytes:
        merged = woe.host(session, fine(k), rule, tell=tell, names=["a", "b"])
        told = None if merged is None else [(m.group.tolist(), m.rows.tolist(), m.events.tolist()) for m in merged]
        return repr(told).encode() + glm.host(session, rng_x(k), terms)[0].tobytes()

    def arbiter(session: Session) -> bytes:
        key = session.scheme.generate(session.me, session.seed("key"))
        woe.arbiter(session)
        return glm.arbiter(session, key, terms)

    def rng_x(k: int) -> Any:
        return np.random.default_rng(k).normal(size=(rows, 2)).clip(-3, 3)

    programs: Programs = {"guest": guest} | {h: partial(host, k=k) for k, h in enumerate(roles.hosts, 1)} | {"arbiter": arbiter}
    return roles, programs, TOY


def searched(kind: str) -> tuple[Roles, Programs, Scheme]:
    """Two candidates on two folds, and the better one on all rows: the same scores, the same choice, the same model."""
    data = world.frames(24, hosts=2 if kind == "trees" else 1)
    roles, programs = world.trees(data, n_estimators=1) if kind == "trees" else world.regression(data, link="taylor", max_iter=2)

    def told(program: Any, session: Session) -> bytes:
        found = program(session)
        if not hasattr(found, "searched"):
            return repr(found).encode()
        part, scores = found.part, found.searched.scores
        own = part.weights.tobytes() if kind == "regression" else repr(part.splits and part.splits.seat).encode()
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
    "mini-batches": partial(regression, 2, sgd=glm.Sgd(16)),
    "bins that a host is told": partial(binned, 1, True),
    "bins of two hosts for the guest": partial(binned, 2, False),
    "a search": partial(searched, "regression"),
    "a search of trees": partial(searched, "trees"),
    "shared trees": partial(trees, "shared", 2),
    "hidden trees": partial(trees, "hidden"),
    "trees that stop early": partial(trees, "hidden", n_estimators=7, early_stopping_rounds=3, guest_only_trees=2),
    "the guest's trees that stop early": partial(
        trees, "hidden", n_estimators=7, early_stopping_rounds=1, guest_only_trees=5, learning_rate=1.0
    ),
    "shared trees that are continued": partial(continued, "shared"),
    "hidden trees that are continued, the guest's first": partial(continued, "hidden", 3, guest_only_trees=3),
    "trees of three classes": partial(trees, "hidden", n_estimators=2, objective="multi:softprob", num_class=3, guest_only_trees=1),
}


MOST = {"a search": 2, "a search of trees": 2}  # what opens the next training comes between two stages, whose ends are never forgotten


def check_every(case: str, every: int) -> None:
    roles, programs, scheme = CASES[case]()
    undisturbed = Interrupted(roles, programs, scheme)
    expected = undisturbed.attempt()
    assert expected is not None
    assert undisturbed.goals == [START]
    messages = {party: killer.seen for party, killer in undisturbed.killers.items()}
    gone_on = 0
    for turn, party in enumerate(programs):
        for at in range(1 + turn % every, messages[party] + 1, every):
            run = Interrupted(roles, programs, scheme)
            assert run.attempt(party, at) is None
            before = copy.deepcopy(run.keepers)
            assert run.attempt() == expected, (party, at)
            assert run.hashes == undisturbed.hashes, (party, at)
            assert max(repeated(keeper, run.goals[-1]) for keeper in before.values()) <= MOST.get(case, 1), (party, at, run.goals)
            gone_on += run.goals[-1] > START
    assert gone_on > 0


SLOW = (
    "shared trees",
    "shared trees that are continued",
    "hidden trees that are continued, the guest's first",
    "trees of three classes",
    "a search of trees",
    "long lists of three, two keys",
    "regressions that stop by their loss",
    "mini-batches",
    "trees that stop early",
)


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.slow) if case in SLOW else case for case in CASES])
def test_a_party_stopped_before_a_mark_is_one_step_behind_at_most(case: str) -> None:
    """It has sent all of the step: the others go on, as far as they can without it."""
    roles, programs, scheme = CASES[case]()
    undisturbed = Interrupted(roles, programs, scheme)
    expected = undisturbed.attempt()
    for party in programs:
        for mark in every_mark(undisturbed.keepers[party]):
            run = Interrupted(roles, programs, scheme, keepers={party: MemoryKeeper(stops_at=mark)})
            assert run.attempt() is None
            run.keepers[party].stops_at = None
            before = copy.deepcopy(run.keepers)
            assert run.attempt() == expected, (party, mark)
            assert run.hashes == undisturbed.hashes, (party, mark)
            assert max(repeated(keeper, run.goals[-1]) for keeper in before.values()) <= 1, (party, mark, run.goals)


def every_mark(keeper: MemoryKeeper) -> list[Position]:
    """All of the last stage of a party, forgotten ones too, and the parts of lists."""
    lists = [p for p in keeper.marks if sum(p.stage == other.stage for other in keeper.marks) > 2]
    return lists + [Position(p.stage, item) for p in sorted(keeper.marks)[-1:] if p.item != ANYWHERE for item in range(p.item + 1)]


def repeated(keeper: MemoryKeeper, goal: Position) -> int:
    """How many steps with messages a party had done after `goal`."""
    own = serves(keeper.marks, goal)
    done = keeper.at(own).messages if own else 0
    return len({mark.messages for mark, _ in keeper.marks.values() if mark.messages > done})


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.slow) if case == "a search of trees" else case for case in CASES])
def test_a_party_stopped_at_a_message_changes_nothing(case: str) -> None:
    few, many = "the guest's trees that stop early", ("regressions that stop by their loss", "mini-batches")
    check_every(case, 2 if case == few else 41 if case in many else 13)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_party_stopped_at_any_message_changes_nothing(case: str) -> None:
    check_every(case, 7 if case == "a search of trees" else 1)  # which has very many


@pytest.mark.parametrize("membership", [pytest.param("shared", marks=pytest.mark.slow), "hidden"])
def test_a_party_stopped_while_classes_share_ciphertexts_changes_nothing(membership: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks and all: with so few rows it would not pay, so encryption is made dear."""
    monkeypatch.setattr(packing, "ENCRYPTION", 1e9)
    monkeypatch.setitem(CASES, "shared ciphertexts", partial(trees, membership, n_estimators=2, objective="multi:softprob", num_class=3))
    check_every("shared ciphertexts", 37)


def test_an_arbiter_that_dies_while_it_makes_the_key_lets_nobody_align_again(monkeypatch: pytest.MonkeyPatch) -> None:
    roles, programs = world.programs(world.frames(24), regressions, job=regressions.GlmJob(max_iter=2))
    run, make = Interrupted(roles, programs, Identity(1024)), Identity.generate

    def dies(*given: Any) -> Any:
        give_up = time.monotonic() + 30
        while not all(Position(1, 1) in run.keepers[party].marks for party in roles.data_parties) and time.monotonic() < give_up:
            time.sleep(0.01)
        raise Killed

    monkeypatch.setattr(Identity, "generate", dies)
    assert run.attempt() is None
    monkeypatch.setattr(Identity, "generate", make)
    before = copy.deepcopy(run.keepers)
    assert run.attempt() is not None
    assert max(repeated(keeper, run.goals[-1]) for keeper in before.values()) <= 1, run.goals


def test_a_party_stopped_again_and_again_gets_there() -> None:
    roles, programs, scheme = CASES["logistic regression"]()
    expected = Interrupted(roles, programs, scheme).attempt()
    run = Interrupted(roles, programs, scheme)
    for at, party in ((5, "guest"), (17, "host1"), (9, "arbiter"), (12, "host1"), (22, "guest")):
        run.attempt(party, at)
    assert run.attempt() == expected
    assert sorted(run.goals) == run.goals


def test_a_party_that_comes_back_with_another_seed_is_found_out() -> None:
    roles, programs, scheme = CASES["logistic regression"]()
    run = Interrupted(roles, programs, scheme)
    assert run.attempt("guest", 22) is None
    run.seeds["host1"] = bytes(32)
    with pytest.raises(AssertionError, match="another content"):
        run.attempt()


def test_a_state_that_was_changed_is_found_out() -> None:
    roles, programs, scheme = CASES["logistic regression"]()
    run = Interrupted(roles, programs, scheme)
    assert run.attempt("guest", 22) is None
    keeper = run.keepers["arbiter"]
    goal = max(set.intersection(*(set(k.marks) for k in run.keepers.values())))
    assert goal.stage == 2
    mark, packed = keeper.marks[goal]
    keeper.marks[goal] = dataclasses.replace(mark, draws=mark.draws + 1), packed
    with pytest.raises(AssertionError, match="another content"):
        run.attempt()


def test_a_journal_that_lacks_or_adds_a_message_is_found_out() -> None:
    for change, words in (
        (lambda messages: messages.pop(), "more than it did"),
        (lambda messages: messages.append(b""), "does not repeat"),
    ):
        roles, programs, scheme = CASES["logistic regression"]()
        run = Interrupted(roles, programs, scheme)
        assert run.attempt("guest", 22) is None
        change(run.keepers["host1"].journal[2]["arbiter"])
        with pytest.raises(LocalProtocolError, match=words):
            run.attempt()


def pair() -> tuple[Channel, Channel]:
    network = MemoryNetwork(("guest", "host"))
    return Channel(network.wires("guest")["host"], Keyring(), (), 1), Channel(network.wires("host")["guest"], Keyring(), (), 1)


MARKS = [Position(0, 1), Position(1, 0), Position(1, 1), END]


@pytest.mark.parametrize(
    ("own", "guests", "theirs", "hosts", "expected"),
    [
        (RUN, MARKS, RUN, MARKS, (RUN, END)),
        (RUN, MARKS, RUN, MARKS[:3], (RUN, Position(1, 1))),
        (RUN, MARKS[:2], RUN, MARKS[2:], (RUN, START)),
        (RUN, [], RUN, [], (RUN, START)),
        (RUN, MARKS, b"", [], (bytes(16), START)),
        (b"", [], RUN, MARKS, (bytes(16), START)),
        (RUN, MARKS, RUN[::-1], MARKS, (bytes(16), START)),
        (b"", [], b"", [], (bytes(16), START)),
        (RUN, MARKS[:3], RUN, [Position(1, ANYWHERE)], (RUN, Position(1, 1))),
        (RUN, MARKS, RUN, [Position(1, ANYWHERE)], (RUN, Position(1, 1))),
        (RUN, MARKS[:1], RUN, [Position(1, ANYWHERE)], (RUN, START)),
    ],
)
def test_the_latest_mark_that_all_keep_of_the_same_run(
    own: bytes, guests: list[Position], theirs: bytes, hosts: list[Position], expected: tuple[bytes, Position]
) -> None:
    here, there = pair()
    there.send(resume.Standing(theirs, *(np.array([m[k] for m in hosts], np.int32) for k in (0, 1))))
    assert resume.decide([here], own, guests, bytes(16)) == expected
    assert resume.follow(there, theirs, hosts) == (expected[0], serves([START, *hosts], expected[1]))


@pytest.mark.parametrize("answer", [(RUN, 1, 7), (RUN[::-1], 0, 1), (b"short", -1, 0)])
def test_a_guest_that_names_a_step_that_is_not_kept(answer: tuple[bytes, int, int]) -> None:
    here, there = pair()
    here.send(resume.Agreed(*answer))
    with pytest.raises(RemoteProtocolError, match="does not keep"):
        resume.follow(there, RUN, MARKS)


def test_a_message_that_crosses_a_mark_is_found_out() -> None:
    here, there = pair()
    there.send(resume.Counted(3, 5))
    resume.compare({"host": here}, {"host": Count(5, 3)})
    there.send(resume.Counted(3, 4))
    with pytest.raises(LocalProtocolError, match="count their messages differently"):
        resume.compare({"host": here}, {"host": Count(5, 3)})
