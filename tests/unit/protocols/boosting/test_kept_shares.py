"""Shares that are kept block by block are those that are held, wherever a block of the protocol begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protocols.boosting import product, rings
from protocols.boosting.kept_shares import KeptBlock, KeptShares
from protocols.boosting.rings import Shares
from protocols.kept import in_memory
from protocols.marked import Marked
from protocols.parts import Part
from protocols.randomness import Seed
from vfl.storage import shelf
from vfl.storage.shelf import Shelf

ROWS, CLASSES, PLACES = 40, 2, 3
SAMPLED = Marked(np.arange(ROWS) % 4 != 1)
WHOLE = rings.uniform(Seed("test", b"s" * 32), CLASSES * PLACES, ROWS, len(SAMPLED))


def blocks(size: int) -> list[Part]:
    starts = range(0, ROWS, size)
    return [Part(k, len(starts), first, min(first + size, ROWS)) for k, first in enumerate(starts)]


def kept(size: int, keep: object = in_memory) -> KeptShares:
    return KeptShares(keep, CLASSES, [WHOLE.within(part, SAMPLED) for part in blocks(size)])  # type: ignore[arg-type]


def assert_same(found: Shares, due: Shares) -> None:
    assert np.array_equal(found.u & rings.MASK, due.u & rings.MASK)
    assert [x.to_bytes() for x in found.x] == [x.to_bytes() for x in due.x]


@pytest.mark.parametrize("size", [7, 16, ROWS])
def test_any_block_is_that_of_the_whole(size: int) -> None:
    for part in [*blocks(9), *blocks(16), Part(0, 1, 1, 2), Part(0, 1, 0, ROWS)]:
        assert_same(kept(size).within(part, SAMPLED), WHOLE.within(part, SAMPLED))
        assert_same(kept(size).within(part, None), WHOLE.within(part, None))


def test_children_of_blocks_are_those_of_the_whole() -> None:
    lefts = rings.uniform(Seed("test", b"t" * 32), CLASSES * PLACES, ROWS, len(SAMPLED))
    orders = np.array([[3, 1, 0, 2, 5, 4], [0, 2, 1, 5, 3, 4]])
    each = (product.children(WHOLE.within(part, SAMPLED), lefts.within(part, SAMPLED), orders) for part in blocks(16))
    found, whole = kept(7).followed(each), Part(0, 1, 0, ROWS)
    assert_same(found.within(whole, SAMPLED), product.children(WHOLE, lefts, orders))
    seats = product.seats_of(CLASSES * PLACES, orders)
    assert_same(found.within(whole, SAMPLED).take(seats[:, 0]), lefts)
    assert (seats[:PLACES] < 2 * PLACES).all()  # a class's children sit in their own tree
    assert (seats[PLACES:] >= 2 * PLACES).all()


def test_a_file_gives_the_same_and_is_read_again_for_every_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "IN_MEMORY", 1)
    file = Shelf(tmp_path)
    found = kept(16, file.keep)
    assert all(isinstance(read, shelf.Stored) for one in found._blocks for read in (*one.u, *one.x))
    for part in blocks(9):
        assert_same(found.within(part, SAMPLED), WHOLE.within(part, SAMPLED))


def test_planted_fault_rows_counted_among_all_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the x of a block begins is counted among the rows that have one."""
    honest = KeptBlock.numbers

    def among_all(self: KeptBlock, k: int, first: int, last: int, places: list[int]) -> object:
        return honest(self._replace(wide=(self.first, self.last)), k, first, last, places)

    found = kept(16)
    monkeypatch.setattr(KeptBlock, "numbers", among_all)
    with pytest.raises(ValueError, match="out of range"):
        found.x(0, 12, 30, [2])


def test_printing_shows_sizes_only() -> None:
    assert repr(kept(16)) == f"<KeptShares of {ROWS} rows>"
