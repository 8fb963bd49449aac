"""Scores of sealed trees: rounded once and for all by customer, model and columns; nothing finer comes out, however
often a row is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from protocols.binning.quantile import Binned
from protocols.boosting import rounding, walk
from protocols.boosting.exact_cut import CutOpening
from protocols.boosting.params import Params
from protocols.boosting.rounding import BELOW, MaskedNumbers
from protocols.boosting.sealed_parts import alone
from protocols.cipher import Identity, Keyring
from protocols.glm.sealed_link import UNIT
from protocols.parts import Part, parts
from protocols.randomness import Seed
from tests.harness import Recording, Sent
from tests.unit.protocols.boosting.samples import check_scores, exact, grid, sealed_and_its_twin, small, tables
from tests.unit.protocols.boosting.world import Floats, Ints, Trained, names_of, score

ROWS = 120
GRID = 10  # score_bits
SCHEME = Identity(1024)
KEY = b"k" * 32


@pytest.fixture(scope="module", params=["binary:logistic", "reg:squarederror", "count:poisson", "multi:softprob"])
def model(request: pytest.FixtureRequest) -> tuple[Trained, list[Binned], list[Any]]:
    """With two hosts, and columns that no tree splits on."""
    p = small(
        objective=request.param,
        num_class=3 if request.param == "multi:softprob" else 1,
        guest_only_trees=1,
        n_estimators=3,
    )
    blocks, y = tables(p, [4, 4, 4], seed=7, rows=ROWS)
    return sealed_and_its_twin(p, blocks, y, SCHEME)[0], blocks, joined_trees(p, blocks, y)


def joined_trees(p: Params, blocks: list[Binned], y: Floats) -> list[Any]:
    return sealed_and_its_twin(p, blocks, y, SCHEME)[1]


def part_of(blocks: list[Binned], rows: Ints) -> list[Binned]:
    return [Binned(b.binner, b.bins[rows]) for b in blocks]


def named(rows: Ints) -> list[bytes]:
    return [names_of(ROWS)[k] for k in rows]


def test_the_same_rows_have_the_same_bits_alone_and_in_any_batch_and_order(
    model: tuple[Trained, list[Binned], list[Any]],
) -> None:
    trained, blocks, trees = model
    every = score(trained, blocks, SCHEME)
    check_scores(trained, blocks, trees, SCHEME)
    assert np.array_equal(score(trained, blocks, SCHEME), every)
    rng = np.random.default_rng(0)
    for rows in (rng.permutation(ROWS), np.array([17]), rng.permutation(ROWS)[:9], np.arange(0)):
        assert np.array_equal(score(trained, part_of(blocks, rows), SCHEME, names=named(rows)), every[rows])


def in_sevens(rows: int, outputs: int, score_bits: int) -> list[Part]:
    return [Part(k, -(-rows // 7), 7 * k, min(7 * k + 7, rows)) for k in range(-(-rows // 7))]


def test_blocks_of_rows_change_nothing(
    model: tuple[Trained, list[Binned], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, blocks, _ = model
    every = score(trained, blocks, SCHEME)
    monkeypatch.setattr(walk, "BLOCK", 7 * len(trained.sealed.shape) << trained.sealed.shape.depth)
    assert [len(rows) for rows in walk.blocks(ROWS, len(trained.sealed.shape), trained.sealed.shape.depth)] == [
        7
    ] * 17 + [1]
    monkeypatch.setattr(rounding, "blocks", in_sevens)
    assert np.array_equal(score(trained, blocks, SCHEME), every)
    assert parts(10**6, 256)[0].last == 1 << 14


def test_rounding_is_unbiased_and_below_one_step(model: tuple[Trained, list[Binned], list[Any]]) -> None:
    """Up with the probability of the fraction: over many customers with the same columns the mean is the margin."""
    trained, blocks, trees = model
    row, many = np.zeros(1500, dtype=np.int64), names_of(1500)
    same = part_of(blocks, row)
    off = (score(trained, same, SCHEME, names=many) - exact(trained, same, trees)) / grid(trained)
    assert np.abs(off).max() < 1
    assert all(len(set(column)) <= 2 for column in off.round(6).T)
    assert np.abs(off.mean(axis=0)).max() < 0.06


def changed(blocks: list[Binned], party: int, used: set[tuple[int, int]]) -> list[Binned]:
    """Another bin in a column of a party that no tree splits on: the margins stay."""
    column = next(c for c in range(blocks[party].columns) if (party, c) not in used)
    bins = blocks[party].bins.copy()
    bins[:, column] += 1
    return [replace(b, bins=bins) if k == party else b for k, b in enumerate(blocks)]


def test_a_changed_column_of_the_guests_changes_the_rounding() -> None:
    """The margin is the same, as no tree splits on the column: the row is rounded anew, and so is another customer with
    the same columns.  Columns of hosts change nothing."""
    p = small(max_depth=2, n_estimators=2)
    blocks, y = tables(p, [4, 4, 2], seed=7, rows=ROWS)
    trained, trees = sealed_and_its_twin(p, blocks, y, SCHEME)
    used = {(int(o), int(f)) for t in trees for o, f in zip(t.owner, t.feature, strict=True)}
    before = score(trained, blocks, SCHEME)
    for party, least, most in ((0, 0.2, 0.8), (1, 0, 0)):
        other = changed(blocks, party, used)
        assert np.array_equal(exact(trained, other, trees), exact(trained, blocks, trees))
        assert least <= (before != score(trained, other, SCHEME)).mean() <= most
    assert 0.2 < (score(trained, blocks, SCHEME, names=[n + b"'" for n in names_of(ROWS)]) != before).mean() < 0.8


def test_another_model_rounds_anew() -> None:
    p = small(max_depth=2, n_estimators=2)
    blocks, y = tables(p, [2, 2], seed=7, rows=ROWS)
    trained, _ = sealed_and_its_twin(p, blocks, y, SCHEME)
    before = score(trained, blocks, SCHEME)
    trained.hosts[0].model_id = b"another name ..."
    trained.part = replace(trained.sealed, own=replace(trained.sealed.own, model_id=b"another name ..."))
    assert trained.arbiter is not None
    trained.arbiter = replace(trained.arbiter, model_id=b"another name ...")
    assert 0.2 < (score(trained, blocks, SCHEME) != before).mean() < 0.8


def test_numbers_differ_by_key_model_customer_and_columns_and_repeat_with_them() -> None:
    rng = np.random.default_rng(1)
    bins, names = rng.integers(0, 9, (ROWS, 4)).astype(np.int16), names_of(ROWS)
    first = rounding.hashed(KEY, b"m" * 16, names, bins)
    assert np.array_equal(rounding.hashed(KEY, b"m" * 16, names[5:7], bins[5:7]), first[5:7])
    other = bins.copy()
    other[:, 3] += 1
    for found in (
        rounding.hashed(b"o" * 32, b"m" * 16, names, bins),
        rounding.hashed(KEY, b"n" * 16, names, bins),
        rounding.hashed(KEY, b"m" * 16, names, other),
        rounding.hashed(KEY, b"m" * 16, [name + b"." for name in names], bins),
        rounding.hashed(KEY, b"m" * 16, names, np.zeros_like(bins)),
    ):
        assert len(np.unique(np.concatenate([first, found])[:, :8], axis=0)) == 2 * ROWS
        assert (first == found).mean() < 0.001


def test_the_guest_draws_its_key_in_each_training_and_nothing_shows_it(
    model: tuple[Trained, list[Binned], list[Any]],
) -> None:
    p = small(max_depth=2, n_estimators=2)
    blocks, y = tables(p, [2, 2], seed=7, rows=ROWS)
    guests = [model[0].sealed, sealed_and_its_twin(p, blocks, y, SCHEME)[0].sealed]
    keys = {guest.rounding_key for guest in guests}
    assert len(keys) == 2
    assert {len(key) for key in keys} == {rounding.KEY}
    assert model[0].arbiter is not None
    assert model[0].arbiter.rounding_key not in keys
    for guest in guests:
        assert str(guest.rounding_key) not in repr(guest)


# -- what an opened score tells of the leaves


def fitting(
    trained: Trained, blocks: list[Binned], trees: list[Any], scores: Callable[[], Floats], step: float
) -> float:
    """Of a guest that knows all leaf values: how many combinations of leaves fit a row's score, in the median."""
    leaves = [np.unique(tree.value[tree.left < 0]) for tree in trees]
    sums = (
        np.array([sum(combination) for combination in product(*leaves)]) * trained.sealed.margin_unit
        + trained.sealed.own.base[0]
    )
    found = scores()[:, 0]
    return float(np.median([(np.abs(sums - score) < step).sum() for score in found]))


def test_rounded_scores_leave_open_which_leaves_a_row_is_in() -> None:
    """A score that is opened in full, planted, fits one combination."""
    p = small(n_estimators=5, max_depth=3, score_bits=7)
    blocks, y = tables(p, [3, 3], seed=7, rows=ROWS)
    trained, trees = sealed_and_its_twin(p, blocks, y, SCHEME)
    assert fitting(trained, blocks, trees, lambda: score(trained, blocks, SCHEME), grid(trained)) > 10
    assert fitting(trained, blocks, trees, lambda: exact(trained, blocks, trees), trained.sealed.margin_unit) == 1


# -- which rows of two scorings are the same customer


def to_arbiter(trained: Trained, blocks: list[Binned], rows: Ints) -> list[Any]:
    """What the arbiter receives for each row: (rows, numbers) of each kind of message."""
    sent: list[Sent] = []
    score(trained, part_of(blocks, rows), SCHEME, taps={"guest": [Recording("guest", sent)]}, names=named(rows))
    here = [s.message(Keyring()) for s in sent if s.receiver == "arbiter" and s.kind in (MaskedNumbers, CutOpening)]
    found = []
    for message in here:
        data = getattr(message, "numbers", None) or message.masked  # type: ignore[attr-defined]
        cells = np.frombuffer(data, np.uint16 if isinstance(message, MaskedNumbers) else np.dtype("V6"))
        if isinstance(message, MaskedNumbers):
            found.append(cells.reshape(len(rows), -1))
        else:  # (numbers, rows, outputs)
            found += [one.reshape(len(rows), -1) for one in cells.reshape(-1, len(rows) * outputs_of(trained))]
    return found


def outputs_of(trained: Trained) -> int:
    return trained.part.params.num_class


def linked(first: list[Any], second: list[Any]) -> set[tuple[int, int]]:
    """The arbiter's attack: pairs of rows of two scorings for which it received the same numbers."""
    found = set[tuple[int, int]]()
    for one, other in zip(first, second, strict=True):
        where = {row.tobytes(): k for k, row in enumerate(one)}
        found |= {(where[row.tobytes()], k) for k, row in enumerate(other) if row.tobytes() in where}
    return found


def test_the_arbiter_cannot_link_the_rows_of_two_scorings(
    model: tuple[Trained, list[Binned], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build in which the guest's numbers are not masked, planted: equal numbers are the same customers, all of
    them."""
    trained, blocks, _ = model
    rng = np.random.default_rng(0)
    a, b = rng.permutation(ROWS)[:70], rng.permutation(ROWS)[:60]
    both = {(int(np.flatnonzero(a == row)[0]), k) for k, row in enumerate(b) if row in a}
    assert len(both) > 20
    assert linked(to_arbiter(trained, blocks, a), to_arbiter(trained, blocks, b)) == set()
    scores, honest = score(trained, blocks, SCHEME), rounding.pads_of

    def unmasked(seed: Seed, count: int) -> Any:
        return np.zeros_like(honest(seed, count)) if seed.maker == "host1" else honest(seed, count)

    monkeypatch.setattr(rounding, "pads_of", unmasked)
    assert linked(to_arbiter(trained, blocks, a), to_arbiter(trained, blocks, b)) == both
    assert np.array_equal(score(trained, blocks, SCHEME), scores)  # the pads change no bit of a score


def test_scores_follow_from_the_margins_and_the_arbiters_key(model: tuple[Trained, list[Binned], list[Any]]) -> None:
    """Bit for bit: what the joint trees add, with the carry of ten bits below the grid, and then the guest's own trees
    in whole units."""
    trained, blocks, trees = model
    part, t = trained.sealed, UNIT - trained.part.params.score_bits
    assert trained.arbiter is not None
    key = rounding.pads_of(Seed("arbiter", trained.arbiter.rounding_key), outputs_of(trained)).astype(np.int64)
    numbers = rounding.hashed(part.rounding_key, part.model_id, names_of(ROWS), blocks[0].bins).astype(np.int64)
    draw = (numbers @ key.T) & ((1 << BELOW) - 1)
    own = alone(part.own, blocks[0])
    joint = np.rint((exact(trained, blocks, trees) - own) / part.margin_unit).astype(np.int64)
    steps = ((joint >> (t - BELOW)) + draw) >> BELOW
    whole = (steps << t) + np.rint(own / part.margin_unit).astype(np.int64)
    assert np.array_equal(score(trained, blocks, SCHEME), whole * part.margin_unit)
