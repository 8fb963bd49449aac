"""Scores of sealed trees: rounded once and for all by customer, model and columns; nothing finer comes out, however
often a row is scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from protocols.binning.quantile import Binned
from protocols.boosting import rings, scoring, walk
from protocols.boosting.keys import PairKeys
from protocols.boosting.params import Params
from protocols.boosting.scoring import OpenedScores, RoundingPads, RowTags
from protocols.boosting.sealed_parts import alone
from protocols.cipher import Identity, Keyring
from protocols.glm.sealed_link import UNIT
from tests.harness import Recording, Sent
from tests.unit.protocols.boosting.samples import check_scores, exact, grid, sealed_and_its_twin, small, tables
from tests.unit.protocols.boosting.world import Floats, Ints, Trained, names_of, score

ROWS = 120
GRID = 10  # score_bits
SCHEME = Identity(1024)


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


def test_blocks_of_rows_change_nothing(
    model: tuple[Trained, list[Binned], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, blocks, _ = model
    every = score(trained, blocks, SCHEME)
    monkeypatch.setattr(walk, "BLOCK", 7 * len(trained.sealed.shape) << trained.sealed.shape.depth)
    assert [len(rows) for rows in walk.blocks(ROWS, len(trained.sealed.shape), trained.sealed.shape.depth)] == [
        7
    ] * 17 + [1]
    assert np.array_equal(score(trained, blocks, SCHEME), every)


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


@pytest.mark.parametrize("party", [0, 1])
def test_a_changed_column_changes_the_rounding(party: int) -> None:
    """The margin is the same: where only the first host or the guest sees that a column changed, the row is rounded
    anew."""
    p = small(max_depth=2, n_estimators=2)
    blocks, y = tables(p, [4, 4, 2], seed=7, rows=ROWS)
    trained, trees = sealed_and_its_twin(p, blocks, y, SCHEME)
    used = {(int(o), int(f)) for t in trees for o, f in zip(t.owner, t.feature, strict=True)}
    other = changed(blocks, party, used)
    assert np.array_equal(exact(trained, other, trees), exact(trained, blocks, trees))
    before, after = score(trained, blocks, SCHEME), score(trained, other, SCHEME)
    assert 0.2 < (before != after).mean() < 0.8
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


def test_tags_differ_by_customer_and_columns_and_repeat_with_them() -> None:
    p = small(max_depth=2, n_estimators=1)
    blocks, y = tables(p, [2, 2], seed=7, rows=ROWS)
    trained, _ = sealed_and_its_twin(p, blocks, y, SCHEME)

    def tags(tables: list[Binned], names: list[bytes]) -> list[bytes]:
        sent: list[Sent] = []
        score(trained, tables, SCHEME, taps={"guest": [Recording("guest", sent)]}, names=names)
        (message,) = [s.message(Keyring()) for s in sent if s.kind is RowTags]
        return [message.tags[k : k + scoring.TAG] for k in range(0, len(message.tags), scoring.TAG)]  # type: ignore[attr-defined]

    rows = np.zeros(ROWS, dtype=np.int64)
    same_columns = tags(part_of(blocks, rows), names_of(ROWS))
    assert len(set(same_columns)) == ROWS  # equal columns cannot be told from tags
    first = tags(blocks, names_of(ROWS))
    assert tags(blocks, names_of(ROWS)) == first
    other = changed(blocks, 0, set())
    assert not set(tags(other, names_of(ROWS))) & set(first)


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


@contextmanager
def watching_pads() -> Iterator[list[Any]]:
    """The pads tau of each scoring, as the first host draws them."""
    found: list[Any] = []
    honest = scoring.pads

    def pads(keys: PairKeys, party: str, shape: tuple[int, ...]) -> Any:
        drawn = honest(keys, party, shape)
        if party == "guest":
            found.append(drawn)
        return drawn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "pads", pads)
        yield found


def test_what_the_arbiter_opens_is_a_share_that_fits_any_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenedScores holds m_A - (rho mod 2^t) - tau, of which the guest knows tau; without rho, planted, the guest has
    the arbiter's own share."""
    p = small(max_depth=2, n_estimators=2)
    blocks, y = tables(p, [2, 2], seed=7, rows=ROWS)
    trained, _ = sealed_and_its_twin(p, blocks, y, SCHEME)
    shares: list[Any] = []
    honest = walk.arbiter

    def arbiter(*args: Any) -> Any:
        shares.append(honest(*args))
        return shares[-1]

    monkeypatch.setattr(walk, "arbiter", arbiter)

    def low_bits_known() -> float:
        """How often the lowest 16 bits of what the guest receives, plus tau, are those of the arbiter's share."""
        sent: list[Sent] = []
        with watching_pads() as drawn:
            score(trained, blocks, SCHEME, taps={"arbiter": [Recording("arbiter", sent)]})
        (message,) = [s.message(Keyring()) for s in sent if s.kind is OpenedScores]
        told = rings.from_bytes(message.shares, drawn[0].shape, "arbiter") + drawn[0]  # type: ignore[attr-defined]
        return float((((told ^ shares[-1]) & np.uint64(0xFFFF)) == 0).mean())

    assert low_bits_known() < 0.05
    monkeypatch.setattr(scoring, "hashes", lambda key, model_id, names, binned, tags, size: [bytes(size)] * len(names))
    assert low_bits_known() == 1


# -- which rows of two scorings are the same customer


def to_arbiter(trained: Trained, blocks: list[Binned], rows: Ints) -> Ints:
    """(rows, outputs): what the arbiter receives for each row from the first host."""
    sent: list[Sent] = []
    score(trained, part_of(blocks, rows), SCHEME, taps={"host1": [Recording("host1", sent)]}, names=named(rows))
    (message,) = [s.message(Keyring()) for s in sent if s.kind is RoundingPads and s.receiver == "arbiter"]
    return rings.from_bytes(message.masked, (trained.part.params.num_class, len(rows)), "host1").T.astype(np.int64)  # type: ignore[attr-defined]


def linked(first: Ints, second: Ints) -> set[tuple[int, int]]:
    """The arbiter's attack: pairs of rows of two scorings for which it received the same number, or one with the same
    bits below the grid."""
    found = set[tuple[int, int]]()
    for bits in ((1 << rings.BITS) - 1, (1 << (UNIT - GRID)) - 1):
        where = {value: k for k, value in enumerate((first & bits)[:, 0].tolist())}
        found |= {(where[value], k) for k, value in enumerate((second & bits)[:, 0].tolist()) if value in where}
    return found


def test_the_arbiter_cannot_link_the_rows_of_two_scorings(
    model: tuple[Trained, list[Binned], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build in which the first host adds no new pad, planted: equal numbers are the same customers, all of them."""
    trained, blocks, _ = model
    rng = np.random.default_rng(0)
    a, b = rng.permutation(ROWS)[:70], rng.permutation(ROWS)[:60]
    both = {(int(np.flatnonzero(a == row)[0]), k) for k, row in enumerate(b) if row in a}
    assert len(both) > 20
    assert linked(to_arbiter(trained, blocks, a), to_arbiter(trained, blocks, b)) == set()
    scores = score(trained, blocks, SCHEME)
    monkeypatch.setattr(scoring, "pads", lambda keys, party, shape: np.zeros(shape, dtype=np.uint64))
    assert linked(to_arbiter(trained, blocks, a), to_arbiter(trained, blocks, b)) == both
    assert np.array_equal(score(trained, blocks, SCHEME), scores)  # the pads change no bit of a score


def test_scores_follow_from_the_margins_and_the_secret_keys_of_guest_and_first_host(
    model: tuple[Trained, list[Binned], list[Any]],
) -> None:
    """Bit for bit: the margin less rho mod 2^t is cut to the grid, and one step is added."""
    trained, blocks, trees = model
    part, t = trained.sealed, np.int64(UNIT - trained.part.params.score_bits)
    tags = b"".join(scoring.hashes(part.score_key, part.model_id, names_of(ROWS), blocks[0], b"", scoring.TAG))
    outputs = part.params.num_class
    drawn = scoring.hashes(
        trained.hosts[0].score_key, part.model_id, names_of(ROWS), blocks[1], tags, rings.BYTES * outputs
    )
    rho = rings.from_bytes(b"".join(drawn), (ROWS, outputs), "host1").astype(np.int64) & ((np.int64(1) << t) - 1)
    own = alone(part.own, blocks[0])
    joint = np.rint((exact(trained, blocks, trees) - own) / part.margin_unit).astype(np.int64)
    margin = joint + np.rint(own / part.margin_unit).astype(np.int64)
    assert np.array_equal(score(trained, blocks, SCHEME), ((((margin - rho) >> t) + 1) << t) * part.margin_unit)
