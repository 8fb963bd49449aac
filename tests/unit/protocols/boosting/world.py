"""Trains and scores trees at protocol level, on tables that are aligned already."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.binning.quantile import Binned, Binner
from protocols.boosting import gradients, open, scoring, sealed_arbiter, sealed_guest, sealed_host, twin
from protocols.boosting.ensemble import Ensemble, HostSplits, Rounds
from protocols.boosting.gradients import Pair
from protocols.boosting.levels import own_columns
from protocols.boosting.packing import Quantised
from protocols.boosting.params import Params
from protocols.boosting.scale import Scale
from protocols.boosting.sealed_parts import GUEST, NO_SPLIT, ArbiterTrees, GuestTrees
from protocols.boosting.split import Choice
from protocols.boosting.tree import LEAF, Tree
from protocols.channel import Tap
from protocols.cipher import Scheme
from protocols.local import run_local
from protocols.randomness import Randomness
from protocols.session import Roles, Session

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NAME = b"0123456789abcdef"
FIELDS = ("owner", "feature", "cut", "missing_left", "left", "gain", "value")
TAKEN = ("owner", "feature", "cut", "missing_left", "left", "value")


@dataclass
class Opened:
    """What nobody in the protocol sees, put together by the test: of each round the rounded g and h (classes, rows),
    rows in the order of the tables."""

    scale: Scale | None = None
    order: Ints | None = None
    shares: dict[tuple[str, str], tuple[Any, Any]] = field(default_factory=dict)

    def rounded(self, number: int, rows: int, sampled: NDArray[np.bool_]) -> tuple[Ints, Ints]:
        """(classes, rows) g and h; sampled (rows,): in the order of training."""
        assert self.scale is not None
        assert self.order is not None
        (g_a, h_a), (g_b, h_b) = (self.shares[party, f"round {number}"] for party in ("guest", "arbiter"))
        here = self.order[np.flatnonzero(sampled)]
        found = []
        for a, b in ((g_a, g_b), (h_a, h_b)):
            whole = a if b is None else (a + b).mod_2_128()
            values = whole.to_i64().reshape(-1, len(here))
            every = np.zeros((len(values), rows), dtype=np.int64)
            every[:, here] = values
            found.append(every)
        return found[0], found[1]


@dataclass
class Trained:
    """A training and what each party keeps; opened: of sealed trees."""

    part: Ensemble | GuestTrees
    hosts: list[HostSplits]
    arbiter: ArbiterTrees | None
    rounds: Rounds
    roles: Roles
    opened: Opened

    @property
    def sealed(self) -> GuestTrees:
        assert isinstance(self.part, GuestTrees)
        return self.part

    @property
    def ensemble(self) -> Ensemble:
        assert isinstance(self.part, Ensemble)
        return self.part


def bin_blocks(
    blocks: Sequence[Floats], p: Params, categorical: Sequence[Collection[int]] | None = None
) -> list[Binned]:
    """The guest's bins, then the hosts'; categorical: for each its columns of categories."""
    binned = []
    for k, x in enumerate(blocks):
        named = categorical[k] if categorical else ()
        binned.append(Binner.fit(x, p.max_bin, p.min_bin_rows if k else 1, named).transform(x))
    return binned


def roles_of(hosts: int) -> Roles:
    return Roles("guest", tuple(f"host{k}" for k in range(1, hosts + 1)), "arbiter")


@contextmanager
def opening(opened: Opened) -> Iterator[None]:
    """Within it the shares of rounded gradients are kept at both holders."""

    def kept(party: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(session: Session, keys: Any, scale: Scale, label: str, *rest: Any) -> Any:
            result = function(session, keys, scale, label, *rest)
            pair: Pair = result if party == "guest" else result[0]
            opened.scale = scale
            opened.shares[party, label] = (pair.g.whole(), None if pair.h is None else pair.h.whole())
            return result

        return wrapped

    def ordered(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            columns, order = function(*args)
            opened.order = order[:]
            return columns, order

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradients, "guest", kept("guest", gradients.guest))
        patch.setattr(gradients, "arbiter", kept("arbiter", gradients.arbiter))
        patch.setattr(sealed_guest, "start_guest", ordered(sealed_guest.start_guest))
        yield


def train(
    blocks: Sequence[Binned],
    y: Floats,
    p: Params,
    scheme: Scheme,
    taps: Mapping[str, Sequence[Tap]] | None = None,
    after: Trained | None = None,
    randomness: Mapping[str, Randomness] | None = None,
    **more: Any,
) -> Trained:
    """Sealed or open trees.  after: a training that this one continues."""
    roles, opened = roles_of(len(blocks) - 1), Opened()
    if p.sealed:
        programs = sealed_programs(roles, blocks, y, p, after, **more)
        with opening(opened):
            results = run_local(roles, programs, scheme, taps=taps, randomness=randomness, deadline=300.0)
        rounds = Rounds(p, y, **more)
        return Trained(results["guest"], [results[h] for h in roles.hosts], results["arbiter"], rounds, roles, opened)
    if after:
        more["before"] = (after.ensemble, score(after, blocks, scheme))
    rounds = Rounds(p, y, **more)
    programs = {
        "guest": partial(open.guest, binned=blocks[0], p=p, rounds=rounds, model_id=NAME),
        "arbiter": lambda session: None,
    }
    for k, (name, block) in enumerate(zip(roles.hosts, blocks[1:], strict=True)):
        programs[name] = partial(
            open.host, binned=block, p=p, held_out=rounds.held_out, before=after.hosts[k] if after else None
        )
    results = run_local(roles, programs, scheme, taps=taps, randomness=randomness, deadline=300.0)
    return Trained(results["guest"], [results[h] for h in roles.hosts], None, rounds, roles, opened)


def sealed_programs(
    roles: Roles,
    blocks: Sequence[Binned],
    y: Floats,
    p: Params,
    after: Trained | None = None,
    *,
    weight: Floats | None = None,
    held_out: NDArray[np.bool_] | None = None,
) -> dict[str, Callable[[Session], Any]]:
    weighted = weight is not None

    def guest(session: Session) -> GuestTrees:
        return sealed_guest.guest(session, blocks[0], p, y, NAME, weight, held_out, after.sealed if after else None)

    def arbiter(session: Session) -> ArbiterTrees:
        return sealed_arbiter.arbiter(session, p, after.arbiter if after else None, weighted=weighted)

    def host(session: Session, k: int) -> HostSplits:
        return sealed_host.host(
            session, blocks[k + 1], p, held_out, after.hosts[k] if after else None, weighted=weighted
        )

    return {"guest": guest, "arbiter": arbiter} | {name: partial(host, k=k) for k, name in enumerate(roles.hosts)}


def names_of(rows: int) -> list[bytes]:
    return [f"customer {k}".encode() for k in range(rows)]


def score(
    trained: Trained,
    blocks: Sequence[Binned],
    scheme: Scheme,
    taps: Mapping[str, Sequence[Tap]] | None = None,
    names: Sequence[bytes] | None = None,
) -> Floats:
    """Margins (rows, outputs) by the protocol."""
    p, names = trained.part.params, names or names_of(len(blocks[0]))
    programs: dict[str, Callable[[Session], Any]] = {
        "guest": partial(scoring.guest, binned=blocks[0], part=trained.part, names=names),
        "arbiter": partial(scoring.arbiter, part=trained.arbiter) if trained.arbiter else lambda session: None,
    }
    for name, block, part in zip(trained.roles.hosts, blocks[1:], trained.hosts, strict=True):
        programs[name] = partial(scoring.host, binned=block, part=part, depth=p.max_depth if p.sealed else 0)
    return np.asarray(run_local(trained.roles, programs, scheme, taps=taps, deadline=300.0)["guest"])


def twin_trees(blocks: Sequence[Binned], y: Floats, p: Params, **more: Any) -> tuple[list[Tree], Rounds]:
    rounds = Rounds(p, y, **more)
    return twin.train(blocks, p, rounds), rounds


def sealed_twin(
    trained: Trained, blocks: Sequence[Binned], y: Floats, held_out: NDArray[np.bool_] | None = None, before: int = 0
) -> tuple[list[Tree], Ints]:
    """The joint trees from all tables in one place, given the rounded gradients and how ties were drawn; and (outputs,
    rows) what they add to the margins.
    before: how many joint rounds belong to a model that was continued; they are left out."""
    p, opened = trained.sealed.params, trained.opened
    if not len(trained.sealed.shape):
        return [], np.zeros((p.num_class, len(y)), dtype=np.int64)
    assert opened.scale is not None
    assert opened.order is not None
    columns, mine = [b.columns for b in blocks], joined(trained)
    held = np.zeros(len(y), dtype=np.bool_) if held_out is None else held_out
    trees, margin = list[Tree](), np.zeros((p.num_class, len(y)), dtype=np.int64)
    first = len(mine) // p.num_class
    for number in range(p.guest_only_trees + before, p.guest_only_trees + first):
        if ("guest", f"round {number}") not in opened.shares:
            raise ValueError("the twin is given all rounds, or none")
        g, h = opened.rounded(number, len(y), ~held[opened.order])
        candidates = [b.candidates(own_columns(p, number, columns, k)) for k, b in enumerate(blocks)]
        units = opened.scale.units
        for k in range(p.num_class):
            tree = mine[(number - p.guest_only_trees) * p.num_class + k]
            q = Quantised(units.g_unit, units.h_unit, g[k], h[k])
            grown, step = twin.grow_rounded(
                blocks, candidates, p, q, opened.scale.margin_unit, partial(drawn, tree, candidates)
            )
            trees.append(grown)
            margin[k] += step
    return trees, margin


def drawn(tree: Tree, candidates: Sequence[Any], level: int, place: int, choice: Choice) -> int:
    """Which of the candidates that tie the protocol took; the first if it took none of them, which the comparison then
    shows."""
    node = 0
    for bit in range(level - 1, -1, -1):
        node = int(tree.left[node]) + (place >> bit & 1) if tree.left[node] >= 0 else -1
        if node < 0:
            return int(choice.ties[0])
    found = candidates[choice.party]
    for c in choice.ties.tolist():
        if (tree.owner[node], tree.feature[node], tree.cut[node], tree.missing_left[node]) == (
            choice.party,
            found.feature[c],
            found.cut[c],
            found.missing_left[c],
        ):
            return int(c)
    return int(choice.ties[0])


def joined(trained: Trained) -> list[Tree]:
    """The joint trees with every handle replaced by the column and cut that it stands for, and with their leaf values:
    what no party has."""
    return sealed_joined(trained) if isinstance(trained.part, GuestTrees) else open_joined(trained)


def open_joined(trained: Trained) -> list[Tree]:
    trees = []
    for tree in trained.ensemble.trees:
        feature, cut, missing_left = tree.feature.copy(), tree.cut.copy(), tree.missing_left.copy()
        for node in np.flatnonzero(tree.owner > 0):
            part, handle = trained.hosts[tree.owner[node] - 1], int(tree.feature[node])
            feature[node], cut[node], missing_left[node] = (
                part.feature[handle],
                part.cut[handle],
                part.missing_left[handle],
            )
        trees.append(Tree(tree.owner, feature, cut, missing_left, tree.left, tree.gain, tree.value))
    return trees


def sealed_joined(trained: Trained) -> list[Tree]:
    part, arbiter = trained.sealed, trained.arbiter
    assert arbiter is not None
    handles = [{where: k for k, where in enumerate(splits.seat)} for splits in trained.hosts]
    trees = []
    for t in range(len(part.shape)):
        owner, feature, cut, missing, left, value = [LEAF], [-1], [-1], [False], [-1], [0.0]
        at = {0: (0, True)}  # seat of this level -> node, and whether rows can be there
        for level in range(part.shape.depth):
            owners, _ = part.shape.level(level)
            natural: dict[int, tuple[int, bool]] = {}
            for seat in sorted(at, key=lambda s: at[s][0]):
                node, alive = at[seat]
                who = int(owners[t, seat])
                if who == NO_SPLIT or not alive:
                    assert who == NO_SPLIT
                    natural[2 * seat], natural[2 * seat + 1] = (node, alive), (-1, False)
                    continue
                at_node = (1 << level) - 1 + seat
                if who == GUEST:
                    found = (part.feature[t, at_node], part.cut[t, at_node], part.missing_left[t, at_node])
                else:
                    splits, handle = trained.hosts[who - 1], handles[who - 1][t, level, seat]
                    found = (splits.feature[handle], splits.cut[handle], splits.missing_left[handle])
                owner[node], (feature[node], cut[node], missing[node]), left[node] = who, found, len(owner)
                natural[2 * seat], natural[2 * seat + 1] = (len(owner), True), (len(owner) + 1, True)
                for column, empty in (
                    (owner, LEAF),
                    (feature, -1),
                    (cut, -1),
                    (missing, False),
                    (left, -1),
                    (value, 0.0),
                ):
                    column += [empty, empty]
            if level + 1 == part.shape.depth:
                for leaf, (node, alive) in natural.items():
                    if alive:
                        value[node] = float(arbiter.value[t, leaf])
                break
            order = part.shape.level(level + 1)[1][t]
            at = {s: natural[int(child)] for s, child in enumerate(order)}
        trees.append(level_order(owner, feature, cut, missing, left, value))
    return trees


def level_order(owner: Any, feature: Any, cut: Any, missing: Any, left: Any, value: Any) -> Tree:
    """Nodes numbered level by level, from the left."""
    order = [0]
    for node in order:
        if left[node] >= 0:
            order += [left[node], left[node] + 1]
    place = {node: k for k, node in enumerate(order)}
    new = [place[left[n]] if left[n] >= 0 else -1 for n in order]
    columns = [np.array([column[n] for n in order]) for column in (owner, feature, cut, missing)]
    return Tree(
        *columns, np.array(new), np.zeros(len(order)), np.array([value[n] if left[n] < 0 else 0.0 for n in order])
    )


def same(a: Sequence[Tree], b: Sequence[Tree], names: Sequence[str] = FIELDS) -> bool:
    """Bit for bit."""
    return len(a) == len(b) and all(
        np.array_equal(getattr(s, name), getattr(t, name)) for s, t in zip(a, b, strict=True) for name in names
    )


def leaves(trees: Sequence[Tree]) -> int:
    return sum(int((t.owner == LEAF).sum()) for t in trees)
