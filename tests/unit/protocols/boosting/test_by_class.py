"""Numbers of some rows of each class are those of one long vector, wherever a block of it begins."""

from __future__ import annotations

import numpy as np
import pytest

from protocols import parts
from protocols.boosting import guest_rows
from protocols.boosting.by_class import ByClass, Changed
from protocols.kept import KeptRows, in_memory
from protocols.marked import Marked
from protocols.randomness import Seed

ROWS, CLASSES = 40, 3
VALUES = np.random.default_rng(1).normal(size=(CLASSES, ROWS))


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_every_stretch(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 16)
    marks = np.random.default_rng(2).random(ROWS) < share
    whole = VALUES[:, marks].ravel()
    for sources in (list(VALUES), [KeptRows.of(own, in_memory) for own in VALUES]):
        found = ByClass(Marked(marks), sources)
        assert len(found) == len(whole)
        for first in range(0, len(whole) + 1, 3):
            for last in (first, first + 1, first + 30, len(whole)):
                assert np.array_equal(found[first:last], whole[first:last])


def test_planted_fault_rows_counted_among_all_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = np.arange(ROWS) % 4 != 1
    monkeypatch.setattr(Marked, "all", True)
    assert not np.array_equal(ByClass(Marked(marks), list(VALUES))[:], VALUES[:, marks].ravel())


def test_changed_numbers() -> None:
    found = Changed(VALUES[0], np.negative)
    assert len(found) == ROWS
    assert np.array_equal(found[5:9], -VALUES[0, 5:9])


def test_a_rounds_rows_are_those_of_one_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_rows, "DRAWN", 16)
    seed = Seed("guest", b"s" * 32)
    whole = seed.words(ROWS) < np.uint64(0.7 * 2**64)
    assert np.array_equal(guest_rows.drawn_rows(seed, 0.7, ROWS, CLASSES)[:], np.tile(whole, CLASSES))
    assert 0 < whole.sum() < ROWS
    for first, last in ((0, 5), (3, 3), (7, 30), (13, 14)):
        assert np.array_equal(seed.words_between(first, last), seed.words(ROWS)[first:last])
