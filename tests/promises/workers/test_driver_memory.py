"""A driver's memory does not grow with the ciphertexts that its workers hold."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cluster import RUN, SECRET, Processes
from protocols._native import PlainVec, PrivateKey
from protocols.cipher import CipherVec, Keyring
from protocols.cipher.sharded import Sharded
from protocols.randomness import Seed
from protocols.workers.cluster import Cluster, Kept, in_memory
from protocols.workers.run import Caller
from protocols.workers.seal import Seal
from vfl.compute.shelf import Shelf

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
