"""Attacks on the whole views of guest and host: they fail on sealed trees, and the same attacks succeed on open ones
and on builds that open more."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from protocols._native import PlainVec
from protocols.binning.quantile import Binned
from protocols.boosting import leaves, prepare, product, rings
from protocols.boosting.blocks import Layout
from protocols.boosting.levels import segments, unpack_bits
from protocols.boosting.open import NodeRows, OwnWins
from protocols.boosting.sealed import Blocks
from protocols.boosting.sealed_parts import GUEST
from protocols.cipher import Keyring
from tests.harness import Sent
from tests.promises.attacks.trees.attacks import Bits, Fact, Floats, gain, matched, ordered, own, solved
from tests.promises.attacks.trees.guessing import HOST, Run, Sums, directions, opened_sums, run
from tests.promises.attacks.trees.labelling import Nodes, Told, guessed_labels
from tests.unit.protocols.boosting.world import joined

MOST = 0.02  # by which an attack may beat what its party has anyway
FOUND = 0.95
SMALL = (300, 4, 25, 4)
LARGE = [
    pytest.param(size, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])
    for size in ((1000, 4, 100, 5), (10_000, 10, 100, 5))
]  # rows, columns, trees, depth
OPEN = [(300, 4, 40, 4), *LARGE]


@pytest.fixture(scope="module", params=[SMALL, *LARGE], ids=str)
def sealed(request: pytest.FixtureRequest) -> Run:
    return small() if request.param == SMALL else run(*request.param)


@cache
def small() -> Run:
    return run(*SMALL)


@lru_cache(1)
def opened(size: tuple[int, int, int, int]) -> tuple[Run, Sums]:
    """A training of open trees."""
    with opened_sums() as sums:
        return run(*size, membership="open"), sums


def columns_gained(r: Run, lines: Bits) -> Floats:
    """By how much the guest knows each host column better: correlations beyond those by its own columns and the
    label."""
    return gain(lines, own(r.mine, r.y), r.truth)


def by_chance(r: Run, lines: Bits) -> float:
    """The most that the same attack gains in 20 tries with the rows of its numbers shuffled: in few rows, one column in
    twenty is gained by chance."""
    rng = np.random.default_rng(1)
    return max(float(columns_gained(r, lines[:, rng.permutation(len(r.y))]).max()) for _ in range(20))


def signs(values: Floats) -> Bits:
    return np.asarray(values > np.median(values, axis=1, keepdims=True))


def guessed_directions(r: Run, bit: int) -> list[Fact]:
    """At every node that a split of the host won, a bit of the guest's own share of the left child, for all rows."""
    return [
        (r.rows, (level.lefts.u[k] >> np.uint64(bit) & np.uint64(1)).astype(np.bool_))
        for level in r.levels
        for k in np.flatnonzero(level.owners == HOST)
    ]


def guessed_sums(r: Run) -> Floats:
    """The sums attack on what looks most like sums: masked leaf values, as if they were sums of the gradients that the
    guest expects from its own columns."""
    known = own(r.mine, r.y)[:, :-4]
    expected = known @ np.linalg.lstsq(known, r.y, rcond=None)[0]
    masked = [m for m in r.guest.messages if isinstance(m, leaves.MaskedLeaves)]
    parts = own_parts(r)
    rows = [np.where(part == v, expected - r.y, 0.0) for part in parts for v in range(part.max() + 1)]
    numbers = [
        rings.signed(rings.from_bytes(m.values, (len(m.values) // rings.BYTES,), "arbiter")) / 2.0**47 for m in masked
    ]
    sums = [values[v] for part, values in zip(parts, numbers, strict=True) for v in range(part.max() + 1)]
    return np.vstack([solved(np.array(rows), np.array([np.roll(sums, k)]), np.array([0.5])) for k in range(8)])


def own_parts(r: Run) -> list[np.ndarray]:
    """Of each tree, how the guest's own splits alone part the rows, down to the host's first: its wins, on rows."""
    parts = []
    for tree in joined(r.trained):
        at = np.zeros(len(r.y), dtype=np.int64)
        for v in np.flatnonzero(tree.owner == GUEST):
            here = np.flatnonzero(at == v)
            left = r.blocks[GUEST].goes_left(
                r.order[here], int(tree.feature[v]), int(tree.cut[v]), bool(tree.missing_left[v])
            )
            at[here] = np.where(left, tree.left[v], tree.left[v] + 1)
        parts.append(np.unique(at, return_inverse=True)[1])
    return parts


def test_nothing_in_the_guests_view_tells_more_of_a_hosts_columns_than_its_own(sealed: Run) -> None:
    """Sums, directions, wins, and every number that it received or computed, alone and together."""
    wins = np.array([part == v for part in own_parts(sealed) for v in range(part.max() + 1)])
    found = {
        "view": sealed.guest.lines(),
        "directions": np.vstack(
            [
                signs(ordered(guessed_directions(sealed, bit), len(sealed.y), sealed.bins.shape[1], turns=8))
                for bit in (0, 47)
            ]
        ),
        "sums": signs(guessed_sums(sealed)),
        "wins": wins,
    }
    found["together"] = np.vstack(list(found.values()))
    for name, lines in found.items():
        gained = columns_gained(sealed, lines)
        print(
            f"{len(sealed.y)} rows, guest, {name}: {len(lines)} columns of bits, gained "
            f"{np.round(gained, 4)}, mean {gained.mean():.4f}"
        )
        assert len(lines) > 7
        assert gained.mean() <= MOST
        assert gained.max() <= max(MOST, by_chance(sealed, lines) if gained.max() > MOST else 0.0)


def test_nothing_in_a_hosts_view_tells_more_of_labels_than_its_own_columns(sealed: Run) -> None:
    for name, lines in (("view", sealed.host.lines()), ("wins", sealed.splits(HOST))):
        gained = label_gained(sealed, np.vstack([lines, sealed.splits(HOST)]))
        print(f"{len(sealed.y)} rows, host, {name}: {len(lines)} columns of bits, AUC gained {gained:.4f}")
        assert gained <= MOST


def standard(x: Floats) -> Floats:
    return np.asarray((x - x.mean(axis=0)) / x.std(axis=0))


def label_gained(r: Run, lines: Bits) -> float:
    """By how much the host knows labels better: AUC beyond that by its own columns, their squares and products."""
    x = standard(r.theirs)
    known = np.hstack([x, *(x * x[:, [k]] for k in range(x.shape[1]))])
    return float(gain(lines, known, r.y[:, None], lambda found, truth: float(roc_auc_score(truth, found)))[0])


# -- the same attacks where more is opened


@pytest.mark.parametrize("size", OPEN, ids=str)
def test_the_attacks_find_every_column_of_open_trees(size: tuple[int, int, int, int]) -> None:
    r, sums = opened(size)
    by_directions = matched(ordered(directions(r), len(r.y), size[1]), r.bins)
    print(f"open, directions: {np.round(by_directions, 3)}, mean {by_directions.mean():.3f}")
    assert by_directions.mean() >= FOUND
    if size[0] <= 1000:  # as many equations as rows
        by_sums = matched(sums.columns(r.blocks[HOST]), r.bins)
        print(f"open, sums: {np.round(by_sums, 3)}")
        assert by_sums.mean() >= FOUND


def test_the_attack_finds_every_column_of_a_sealed_build_that_opens_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the host's share of its directions is no random number, so that the guest's is the direction."""
    honest = product.Level.share_of_bits
    monkeypatch.setattr(
        product.Level, "share_of_bits", lambda self, seed, places: np.zeros_like(honest(self, seed, places))
    )
    r = run(*SMALL)
    told, true = np.unique(r.guest.lines(), axis=0), {bits.tobytes() for bits in r.splits(HOST)}
    found = matched(ordered([(r.rows, bits) for bits in told if bits.tobytes() in true], len(r.y), 4), r.bins)
    print(f"planted, directions: {np.round(found, 3)}")
    assert found.mean() >= FOUND
    assert columns_gained(r, r.guest.lines()).mean() > 10 * MOST


@pytest.mark.parametrize(("part", "seen"), [(0.4, True), (0.0, False)])
def test_how_little_the_referee_sees(part: float, seen: bool) -> None:
    """Its power: among all that the guest has, the directions of two rows in five are found; of none, nothing is."""
    rng, splits = np.random.default_rng(0), small().splits(HOST)
    planted = np.where(rng.random(splits.shape) < part, splits, rng.random(splits.shape) < 0.5)
    gained = columns_gained(small(), np.vstack([small().guest.lines(), planted]))
    print(f"directions of {part:.0%} of the rows: gained {np.round(gained, 3)}")
    assert (gained.mean() > MOST) == seen


# -- labels, from the nodes that a host is told


TENTH, TWO_THIRDS = 0.1, 2 / 3


def labels_read(r: Run, told: Told, granted: float = TWO_THIRDS) -> tuple[float, float]:
    """AUC of the attack of labelling.py, and of the host's own columns alone, on rows whose label the host has not;
    granted: the part of rows whose label it has."""
    known, x = np.random.default_rng(3).random(len(r.y)) < granted, standard(r.theirs)
    with threadpool_limits(1):
        prior = LogisticRegression().fit(x[known], r.y[known]).decision_function(x)
    found = guessed_labels(told, r.bins, r.trained.part.params, prior, known, r.y)
    return float(roc_auc_score(r.y[~known], found[~known])), float(roc_auc_score(r.y[~known], prior[~known]))


def test_nodes_that_hosts_of_sealed_trees_could_guess_tell_no_label(sealed: Run) -> None:
    """It knows the node of a split that won at the root.  Those of the others are guessed from bits of what it
    received."""
    won, lines = sealed.trained.hosts[0].seat, sealed.host.lines()
    every, roots = [list[Nodes]() for _ in joined(sealed.trained)], [list[Nodes]() for _ in joined(sealed.trained)]
    for k, ((tree, level, _), left) in enumerate(zip(won, by_handle(sealed), strict=True)):
        inside = lines[k * len(lines) // len(won)] | (level == 0)
        for found in (every, roots) if level == 0 else (every,):
            found[tree].append(Nodes(inside.astype(np.int64) - 1, left))
    for name, told in (("all wins", every), ("wins at roots", roots)):
        read, own_columns = labels_read(sealed, told)
        print(f"{len(sealed.y)} rows, host, {name}: AUC {read:.3f}, own columns {own_columns:.3f}")
        assert sum(map(len, told)) > 4
        assert read <= own_columns + MOST


@pytest.mark.parametrize("size", OPEN, ids=str)
def test_a_host_of_open_trees_reads_labels(size: tuple[int, int, int, int]) -> None:
    """It is told the rows of each node; one label in ten shows which class is which."""
    r, _ = opened(size)
    read, own_columns = labels_read(r, open_nodes(r), TENTH)
    print(f"open, {size[0]} rows, host: AUC {read:.3f}, own columns {own_columns:.3f}")
    assert read >= FOUND


def test_a_host_of_a_sealed_build_without_pads_reads_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: what hosts add up is not hidden, so that it shows who is in a left child.  Of the numbers themselves no
    use is made."""
    monkeypatch.setattr(prepare, "part_pads", lambda seed, block, tree, level, part: PlainVec.zeros(len(part)))
    sent: list[Sent] = []
    r = run(*SMALL, recorded=sent)
    read, own_columns = labels_read(r, unpadded_nodes(r, sent))
    print(f"planted, host: AUC {read:.3f}, own columns {own_columns:.3f}")
    assert read >= FOUND


def by_handle(r: Run) -> list[Bits]:
    """The rows that go left at each of the host's splits, in the order in which they won."""
    block = Binned(r.blocks[HOST].binner, r.bins)
    return [r.trained.hosts[0].goes_left(block, r.rows, k) for k in range(len(r.trained.hosts[0]))]


def open_nodes(r: Run) -> Told:
    """From NodeRows, and at the last level from the host's own wins."""
    messages, left, won = iter([m for m in r.host.messages if isinstance(m, NodeRows | OwnWins)]), by_handle(r), 0
    trees, p = list[list[Nodes]](), r.trained.part.params
    for _ in range(p.n_estimators):
        nodes, level = list[Nodes](), [r.rows]
        for number in range(p.max_depth):
            wins = next(messages)
            assert isinstance(wins, OwnWins)
            own = dict(zip(wins.nodes.tolist(), left[won:], strict=False))
            won += len(own)
            if number + 1 == p.max_depth:
                nodes.append(side_by_side([(level[k], goes[level[k]]) for k, goes in own.items()], len(r.y)))
                break
            message = next(messages)
            assert isinstance(message, NodeRows)
            parents = [
                node for node, s in zip(level, unpack_bits(message.split, len(level), "guest"), strict=True) if s
            ]
            parts = segments(
                unpack_bits(message.left, sum(map(len, parents)), "guest"), [len(parent) for parent in parents]
            )
            nodes.append(side_by_side(list(zip(parents, parts, strict=True)), len(r.y)))
            level = [
                child for parent, goes in zip(parents, parts, strict=True) for child in (parent[goes], parent[~goes])
            ]
            if not level:
                break
        trees.append(nodes)
    return trees


def side_by_side(nodes: list[Fact], rows: int) -> Nodes:
    found = Nodes(np.full(rows, -1), np.zeros(rows, dtype=np.bool_))
    for k, (here, goes) in enumerate(nodes):
        found.place[here], found.left[here] = k, goes
    return found


def unpadded_nodes(r: Run, sent: list[Sent]) -> Told:
    """Down to the last level but one, from who is in the left children of each level; which node is whose child shows
    in the rows."""
    scale, p = r.trained.opened.scale, r.trained.part.params
    assert scale is not None
    numbers, trees = [s.message(Keyring()).xi for s in sent if s.kind is Blocks], list[list[Nodes]]()  # type: ignore[attr-defined]
    for first in range(0, len(numbers), p.max_depth):
        nodes, at = list[Nodes](), np.zeros(len(r.y), dtype=np.int64)
        for level in range(1, p.max_depth):
            children = [
                (g != 0) | (h != 0)
                for g, h in zip(*scale.slots.split(numbers[first + level], Layout.nodes(level)), strict=True)
            ]
            parents = [(np.flatnonzero(at == at[child.argmax()]), child) for child in children if child.any()]
            nodes.append(
                side_by_side([(here, child[here]) for here, child in parents if not child[here].all()], len(r.y))
            )
            at = 2 * at + ~np.any(children, axis=0)
        trees.append(nodes)
    return trees
