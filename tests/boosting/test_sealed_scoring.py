"""Scores of sealed trees: rounded once and for all by customer, model and columns; nothing finer comes out, however often a row is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from protocols.binning.quantile import Binned
from protocols.boosting import scoring, walk
from protocols.boosting.params import Params
from protocols.boosting.scoring import OpenedScores, RowTags
from protocols.cipher import Identity, Keyring
from tests.boosting.samples import check_scores, exact, grid, sealed_and_its_twin, small, tables
from tests.boosting.world import Floats, Ints, Trained, names_of, score
from tests.harness import Recording, Sent

ROWS = 120
SCHEME = Identity(1024)


@pytest.fixture(scope="module", params=["binary:logistic", "reg:squarederror", "count:poisson", "multi:softprob"])
def model(request: pytest.FixtureRequest) -> tuple[Trained, list[Binned], list[Any]]:
    """With two hosts, and columns that no tree splits on."""
    p = small(objective=request.param, num_class=3 if request.param == "multi:softprob" else 1, guest_only_trees=1, n_estimators=3)
    blocks, y = tables(p, [4, 4, 4], seed=7, rows=ROWS)
    return sealed_and_its_twin(p, blocks, y, SCHEME)[0], blocks, joined_trees(p, blocks, y)


def joined_trees(p: Params, blocks: list[Binned], y: Floats) -> list[Any]:
    return sealed_and_its_twin(p, blocks, y, SCHEME)[1]


def part_of(blocks: list[Binned], rows: Ints) -> list[Binned]:
    return [Binned(b.binner, b.bins[rows]) for b in blocks]


def named(rows: Ints) -> list[bytes]:
    return [names_of(ROWS)[k] for k in rows]


def test_the_same_rows_have_the_same_bits_alone_and_in_any_batch_and_order(model: tuple[Trained, list[Binned], list[Any]]) -> None:
    trained, blocks, trees = model
    every = score(trained, blocks, SCHEME)
    check_scores(trained, blocks, trees, SCHEME)
    assert np.array_equal(score(trained, blocks, SCHEME), every)
    rng = np.random.default_rng(0)
    for rows in (rng.permutation(ROWS), np.array([17]), rng.permutation(ROWS)[:9], np.arange(0)):
        assert np.array_equal(score(trained, part_of(blocks, rows), SCHEME, names=named(rows)), every[rows])


def test_blocks_of_rows_change_nothing(model: tuple[Trained, list[Binned], list[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    trained, blocks, _ = model
    every = score(trained, blocks, SCHEME)
    monkeypatch.setattr(walk, "BLOCK", 7 * len(trained.sealed.shape) << trained.sealed.shape.depth)
    assert [len(rows) for rows in walk.blocks(ROWS, len(trained.sealed.shape), trained.sealed.shape.depth)] == [7] * 17 + [1]
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
    """The margin is the same: where only the first host or the guest sees that a column changed, the row is rounded anew."""
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


def fitting(trained: Trained, blocks: list[Binned], trees: list[Any], scores: Callable[[], Floats], step: float) -> float:
    """Of a guest that knows all leaf values: how many combinations of leaves fit a row's score, in the median."""
    leaves = [np.unique(tree.value[tree.left < 0]) for tree in trees]
    sums = np.array([sum(combination) for combination in product(*leaves)]) * trained.sealed.margin_unit + trained.sealed.own.base[0]
    found = scores()[:, 0]
    return float(np.median([(np.abs(sums - score) < step).sum() for score in found]))


def test_rounded_scores_leave_open_which_leaves_a_row_is_in() -> None:
    """A score that is opened in full, planted, fits one combination."""
    p = small(n_estimators=5, max_depth=3, score_bits=7)
    blocks, y = tables(p, [3, 3], seed=7, rows=ROWS)
    trained, trees = sealed_and_its_twin(p, blocks, y, SCHEME)
    assert fitting(trained, blocks, trees, lambda: score(trained, blocks, SCHEME), grid(trained)) > 10
    assert fitting(trained, blocks, trees, lambda: exact(trained, blocks, trees), trained.sealed.margin_unit) == 1


def test_what_the_arbiter_opens_is_a_share_that_fits_any_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenedScores holds m_A - rho and the upper bits of rho; without rho, planted, it holds the arbiter's own share."""
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
        """How often the lowest 16 bits of what the guest receives are those of the arbiter's share."""
        sent: list[Sent] = []
        score(trained, blocks, SCHEME, taps={"arbiter": [Recording("arbiter", sent)]})
        (message,) = [s.message(Keyring()) for s in sent if s.kind is OpenedScores]
        told = np.frombuffer(message.shares, dtype="<u2")[::3]  # type: ignore[attr-defined]
        return float((told == (shares[-1].ravel() & np.uint64(0xFFFF))).mean())

    assert low_bits_known() < 0.05
    monkeypatch.setattr(scoring, "hashes", lambda key, model_id, names, binned, tags, size: [bytes(size)] * len(names))
    assert low_bits_known() == 1
