"""What a driver keeps for lost workers: it comes back as it was, and its places are used again."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from vfl.compute import shelf
from vfl.compute.shelf import IN_MEMORY, Shelf


def block(number: int, size: int = IN_MEMORY) -> bytes:
    return bytes([number]) * size


def test_what_is_kept_comes_back_and_nothing_stays_in_the_folder(tmp_path: Path) -> None:
    kept = Shelf(tmp_path)
    sizes = [0, 5, IN_MEMORY - 1, IN_MEMORY, IN_MEMORY + 3]
    readers = [kept.keep(block(k, size)) for k, size in enumerate(sizes)]
    del kept  # whoever reads keeps the file open
    gc.collect()
    assert [read() for read in readers] == [block(k, size) for k, size in enumerate(sizes)]
    assert os.listdir(tmp_path) == []


def test_places_of_what_nobody_reads_any_more_are_used_again(tmp_path: Path) -> None:
    kept = Shelf(tmp_path)
    stays = kept.keep(block(7))
    for turn in range(20):
        readers = [kept.keep(block(turn + k)) for k in range(3)]
        assert [read() for read in readers] == [block(turn + k) for k in range(3)]
        del readers
        gc.collect()
    assert os.fstat(kept.file.fileno()).st_size == 4 * IN_MEMORY
    assert stays() == block(7)


def test_planted_fault_places_that_are_used_too_early_are_found(tmp_path: Path) -> None:
    kept = Shelf(tmp_path)
    first = kept.keep(block(1))
    kept._free[IN_MEMORY].append(0)
    assert isinstance(first, shelf.Stored)
    kept.keep(block(2))
    assert first() != block(1)
