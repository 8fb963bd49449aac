"""A driver's memory does not grow with the ciphertexts that its workers hold, and little with the ids of an
alignment."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.cluster import RUN, SECRET, Processes
from protocols import tags
from protocols._native import PlainVec, PrivateKey
from protocols.alignment.shuffle import Shuffle
from protocols.alignment.spread import PIECE, Spread
from protocols.cipher import CipherVec, Keyring
from protocols.cipher.sharded import Sharded
from protocols.kept import Kept, in_memory
from protocols.randomness import Seed
from protocols.tags import Tags
from protocols.workers.cluster import Cluster
from protocols.workers.run import Caller
from protocols.workers.seal import Seal
from vfl.storage.shelf import Shelf

BLOCK, BLOCKS, SETTLED = 1 << 14, 24, 4  # 8 MiB each
MIB = 1 << 20


def held() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def growth(keep: Callable[[bytes], Kept], workers: Processes) -> int:
    """Bytes by which this process grows while it receives and holds 20 blocks, after the first four."""
    scheme, ring = Sharded(2048, Cluster(Caller(workers, Seal(SECRET, RUN)), keep)), Keyring()
    native = PrivateKey.generate(2048, b"k" * 32)
    ring.add(scheme.accept(native.public_key.n, native.prove(), "arbiter"))
    few = native.encrypt(PlainVec.zeros(64), Seed("arbiter", b"s" * 32).secret, 64)
    data = native.public_key.fingerprint + few.take(np.arange(BLOCK) % 64).to_bytes()
    vectors, before = list[CipherVec](), 0
    for number in range(BLOCKS):
        vectors.append(CipherVec.receive(bytes(bytearray(data)), ring, "arbiter"))
        before = held() if number == SETTLED - 1 else before
    assert sum(map(len, vectors)) == BLOCKS * BLOCK
    return held() - before


@pytest.mark.slow
def test_blocks_that_stay_at_workers_take_no_memory_here(tmp_path: Path) -> None:
    workers = Processes(2)
    try:
        assert growth(Shelf(tmp_path).keep, workers) < 16 * MIB
        gc.collect()
        assert growth(in_memory, workers) > 120 * MIB  # the positive control: 20 blocks of 8 MiB
    finally:
        workers.end()


ROWS = 1 << 19


def drawn(seed: int) -> Iterator[tuple[Tags, NDArray[np.int64]]]:
    """Tags of a list, a block at a time; half of those of two lists are the same."""
    for first in range(0, ROWS, PIECE):
        rng = np.random.default_rng([first, seed if first >= ROWS // 2 else 0])
        yield rng.integers(0, 2**64, (PIECE, 2), dtype=np.uint64), np.arange(first, first + PIECE)


def peak(work: Callable[[], object]) -> float:
    """The most memory that this process held while it did this, in bytes per row of `ROWS`."""
    tracemalloc.start()
    try:
        found = work()
        assert found is not None
        return tracemalloc.get_traced_memory()[1] / ROWS
    finally:
        tracemalloc.stop()


def whole(seed: int) -> Tags:
    return np.concatenate([found for found, _ in drawn(seed)])


@pytest.mark.slow
def test_tags_at_workers_take_a_few_bytes_each_here() -> None:
    """Four for where each common one stands, one for whether it is common; blocks on their way besides."""
    workers = Processes(2)
    try:
        cluster = Cluster(Caller(workers, Seal(SECRET, RUN)))
        assert peak(lambda: Spread(cluster, partial(drawn, 1), partial(drawn, 2), sort=True).matched()) < 24
        listed = Spread(cluster, partial(drawn, 1), sort=True)
        hits = np.packbits(np.ones(ROWS, np.bool_)).tobytes()
        assert peak(lambda: listed.places(hits, ROWS)) < 24
    finally:
        workers.end()
    assert peak(lambda: tags.match(*(one[tags.order(one)] for one in (whole(1), whole(2))))) > 48  # the control


def test_a_secret_order_takes_little_memory() -> None:
    seed = Seed("bank", b"s" * 32)
    assert peak(lambda: Shuffle(seed, ROWS).between(5, 10)) < 14
    assert peak(lambda: seed.permutation(ROWS)) > 15  # the positive control
