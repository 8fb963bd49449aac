"""What a driver keeps for lost workers: it comes back as it was, and its places are used again."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from protocols.errors import ComputeError
from vfl.storage import shelf
from vfl.storage.shelf import IN_MEMORY, TAG, Shelf


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
    for turn in range(6):
        readers = [kept.keep(block(turn + k)) for k in range(3)]
        assert [read() for read in readers] == [block(turn + k) for k in range(3)]
        del readers
        gc.collect()
    assert os.fstat(kept.file.fileno()).st_size == 4 * (IN_MEMORY + TAG)
    assert stays() == block(7)


def test_planted_fault_places_that_are_used_too_early_are_found(tmp_path: Path) -> None:
    kept = Shelf(tmp_path)
    first = kept.keep(block(1))
    kept._free[IN_MEMORY + TAG].append(0)
    assert isinstance(first, shelf.Stored)
    kept.keep(block(2))
    with pytest.raises(ComputeError, match="does not hold what was written"):
        first()


class Unsealed:
    """The planted fault."""

    def encrypt(self, nonce: bytes, data: bytes, bound: None) -> bytes:
        return data + bytes(TAG)


def test_the_file_holds_nothing_of_what_is_kept(tmp_path: Path) -> None:
    """Neither a ciphertext nor that two of them are equal."""
    canary = b"canary ciphertext of a partner.."
    for planted in (False, True):
        kept = Shelf(tmp_path)
        if planted:
            kept.seal = Unsealed()  # type: ignore[assignment]
        readers = [kept.keep(canary * (IN_MEMORY // len(canary))) for _ in range(2)]
        held = os.pread(kept.file.fileno(), 3 * IN_MEMORY, 0)
        assert len(held) == 2 * (IN_MEMORY + TAG)
        assert (canary in held) == planted
        assert (held[: IN_MEMORY + TAG] == held[IN_MEMORY + TAG :]) == planted
        del readers
