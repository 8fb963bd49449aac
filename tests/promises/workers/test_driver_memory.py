"""A driver's memory does not grow with the ciphertexts that its workers hold, and little with the ids of an alignment
or with the rows that trees are trained on."""

from __future__ import annotations

import gc
import queue
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.cluster import RUN, SECRET, Processes
from protocols import channel, parts, tags
from protocols._native import PlainVec, PrivateKey
from protocols.alignment.spread import PIECE, Spread
from protocols.binning.quantile import Binner, KeptBins
from protocols.boosting import open as open_trees
from protocols.boosting import scoring, sealed_arbiter, sealed_guest, sealed_host, walk
from protocols.boosting.ensemble import RoundGradients, Rounds
from protocols.boosting.params import Params
from protocols.cipher import CipherVec, Identity, Keyring
from protocols.cipher.sharded import Sharded
from protocols.glm.digits import COARSE
from protocols.glm.slots import Slots
from protocols.ids import Ids
from protocols.kept import Keep, Kept, KeptRows, in_memory
from protocols.local import run_local
from protocols.randomness import Seed
from protocols.session import Roles, Session
from protocols.shuffle import Shuffle
from protocols.tags import Tags
from protocols.workers.cluster import Cluster
from protocols.workers.run import Caller
from protocols.workers.seal import Seal
from vfl.storage import shelf
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


@pytest.mark.slow
def test_the_matrix_of_a_block_of_packs_is_never_whole_here() -> None:
    """Seven rows share a ciphertext, as under a key of 2048 bits; what a row is multiplied with is of any key."""
    slots, packs = Slots(5, 7, 48, 102, digits=COARSE), 1 << 14
    x = np.random.default_rng(0).integers(-(2**19), 2**19, (packs * slots.rows, 6))
    laid, workers = slots.laid(x, slice(0, len(x))), Processes(2)
    try:
        key = Sharded(512, Cluster(Caller(workers, Seal(SECRET, RUN)))).generate("arbiter", Seed("arbiter", b"k" * 32))
        bases = key.encrypt(PlainVec.zeros(slots.rows * slots.digits.count * 6), Seed("arbiter", b"s" * 32))
        whole = packs * len(bases) * 8
        assert ROWS * peak(lambda: bases.matmul(laid)) < whole
        assert ROWS * peak(lambda: bases.matmul(laid[:])) > 2 * whole  # the positive control: as it was
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


# -- trees

BLOCK_ROWS, FEW_ROWS, MANY_ROWS, COLUMNS = 1 << 9, 1 << 12, 1 << 14, 3


def bins(party: int, rows: int, keep: Keep) -> KeptBins:
    """A party's columns in bins, drawn a block at a time."""
    binner = Binner(*(tuple([one] * COLUMNS) for one in (np.arange(7) + 0.5, False, None)))
    drawn = (np.random.default_rng([party, part.first]).normal(4, 2, len(part)) for part in parts.parts(rows))
    whole = KeptRows(keep, (np.clip(block, 0, 7) for block in drawn))
    return binner.kept(rows, lambda f: whole[:], keep)


def tree_peak(rows: int, p: Params, keep: Keep) -> int:
    """The most bytes of Python and numpy that the three parties of a training and its scores hold together, in one
    process; native vectors are of a block at most."""
    y = KeptRows(keep, (np.arange(part.first, part.last) % 3 // 2.0 for part in parts.parts(rows)))
    own, theirs, names = bins(1, rows, keep), bins(2, rows, keep), Ids(b"", np.zeros(rows + 1, np.int64))

    def guest(session: Session) -> int:
        session.keep, trees = keep, None
        if p.sealed:
            trees = sealed_guest.guest(session, own, p, y, bytes(16))
        else:
            trees = open_trees.guest(session, own, p, Rounds(p, y[:]), bytes(16))
        return len(scoring.guest(session, own, trees, names))

    def host(session: Session) -> None:
        session.keep = keep
        splits = (sealed_host if p.sealed else open_trees).host(session, theirs, p)
        scoring.host(session, theirs, splits, p.max_depth if p.sealed else 0)

    def arbiter(session: Session) -> None:
        session.keep = keep
        if p.sealed:
            scoring.arbiter(session, sealed_arbiter.arbiter(session, p))

    tracemalloc.start()
    try:
        programs = {"guest": guest, "host": host, "arbiter": arbiter}
        found = run_local(Roles("guest", ("host",), "arbiter"), programs, Identity())
        assert found["guest"] == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def bytes_per_row(p: Params, keep: Callable[[], Keep]) -> float:
    few, many = (tree_peak(rows, p, keep()) for rows in (FEW_ROWS, MANY_ROWS))
    return (many - few) / (MANY_ROWS - FEW_ROWS)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", BLOCK_ROWS)
    monkeypatch.setattr(walk, "BLOCK", BLOCK_ROWS << 3)
    monkeypatch.setattr(shelf, "IN_MEMORY", 1 << 10)
    # As a connection does, a party waits where another has much to read.
    monkeypatch.setattr(channel, "queue", SimpleNamespace(SimpleQueue=lambda: queue.Queue(1), Empty=queue.Empty))


@pytest.mark.usefixtures("small_blocks")
def test_rows_of_sealed_trees_lie_in_the_file(tmp_path: Path) -> None:
    p = Params(n_estimators=1, max_depth=3, max_bin=8)
    assert bytes_per_row(p, lambda: Shelf(tmp_path).keep) < 40
    assert bytes_per_row(p, lambda: in_memory) > 150  # the positive control


@pytest.mark.usefixtures("small_blocks")
def test_rows_of_open_trees_take_a_few_bytes_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of guest and host together; a build that holds exact gradients takes 16 more."""
    p = Params(n_estimators=1, max_depth=3, max_bin=8, membership="open")
    assert bytes_per_row(p, lambda: Shelf(tmp_path).keep) < 55
    honest = RoundGradients.block

    def block(self: Any, rows: slice) -> Any:
        if not hasattr(self, "planted"):
            self.planted = honest(self, slice(None))
        return [values[rows] for values in self.planted]

    monkeypatch.setattr(RoundGradients, "block", block)
    assert bytes_per_row(p, lambda: Shelf(tmp_path).keep) > 60
