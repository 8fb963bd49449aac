"""What workers cost: CPU seconds of each operation on a vector that lies at workers, driver and workers together,
against the same vector in one process on one thread; and seconds, for how much faster two workers are than one.

    RAYON_NUM_THREADS=1 python -m benchmarks.cluster [--rows 65536] [--bits 2048] [--workers 1 2] [--repeat 3]

Workers are processes of one thread each, and a call is two messages over a pipe.  The ways take turns; figures are the
least of the repeats.  Run it on a quiet machine: two workers need two cores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from protocols import parts
from protocols._native import DpfKeys, PlainVec
from protocols.cipher import CipherVec, Keyring, Paillier
from protocols.cipher.sharded import Sharded
from protocols.randomness import Seed
from protocols.workers.calls import Job, Sealed, State
from protocols.workers.cluster import Cluster
from protocols.workers.look_ups import look_up
from protocols.workers.run import Caller, execute
from protocols.workers.seal import Seal

SECRET, RUN = b"a benchmark's secret of 32 bytes", b"benchmark"
COLUMNS, BINS, BITS_OF_KEYS = 10, 32, 13
MOST = 1.10  # times the CPU seconds of no workers


def serve(worker: int, pipe: Connection) -> None:
    """A worker process: answers each job with its result and the CPU seconds so far."""
    state = State(worker, Seal(SECRET, RUN))
    while True:
        try:
            operation, arguments = pipe.recv()
        except EOFError:
            return
        answer = execute(state, operation, arguments) if operation else ()
        pipe.send((answer, time.process_time()))


class Processes:
    """Workers that are processes of this machine."""

    def __init__(self, count: int) -> None:
        context, self._pipes, self._running = multiprocessing.get_context("spawn"), list[Connection](), []
        for worker in range(count):
            ours, theirs = context.Pipe()
            self._running.append(context.Process(target=serve, args=(worker, theirs), daemon=True))
            self._running[-1].start()
            theirs.close()
            self._pipes.append(ours)
        self._seconds = [0.0] * count

    @property
    def count(self) -> int:
        return len(self._pipes)

    def call(self, jobs: Sequence[Job]) -> list[Sealed]:
        for job in jobs:
            self._pipes[job.worker].send((job.operation, job.arguments))
        return [self._answer(job.worker) for job in jobs]

    def seconds(self) -> float:
        """CPU seconds of all workers so far."""
        for worker, pipe in enumerate(self._pipes):
            pipe.send(("", ()))
            self._answer(worker)
        return sum(self._seconds)

    def end(self) -> None:
        for pipe, process in zip(self._pipes, self._running, strict=True):
            pipe.close()
            process.join()

    def _answer(self, worker: int) -> Sealed:
        answer, self._seconds[worker] = self._pipes[worker].recv()
        return answer


@dataclass
class Way:
    """No workers, or some, and the keys of a holder and of a party that only has the public one."""

    name: str
    workers: Processes | None
    bits: int

    def __post_init__(self) -> None:
        self.cluster = None if self.workers is None else Cluster(Caller(self.workers, Seal(SECRET, RUN)))
        scheme = Paillier(self.bits) if self.cluster is None else Sharded(self.bits, self.cluster)
        self.key = scheme.generate("holder", Seed("holder", b"k" * 32))
        self.public = scheme.accept(self.key.public.raw.n, self.key.prove(), "holder")

    def look_up(self, keys: DpfKeys, x: np.ndarray, tables: np.ndarray) -> list[PlainVec]:
        return keys.look_up(x, tables) if self.cluster is None else look_up(self.cluster, keys, x, tables)

    def seconds(self) -> float:
        return time.process_time() + (self.workers.seconds() if self.workers else 0.0)


def seed(label: str) -> Seed:
    return Seed("driver", label.encode().ljust(32, b"."))


def operations(way: Way, rows: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each operation, on vectors that are where they would be in a run."""
    rng = np.random.default_rng(0)
    plain = PlainVec.random(b"p" * 32, rows, 60)
    x = rng.integers(-(2**17), 2**17, (rows, COLUMNS))
    bins = rng.integers(0, BINS, (rows, COLUMNS))
    points = rng.integers(0, 2**BITS_OF_KEYS, rows)
    tables = rng.integers(-(2**40), 2**40, (5, 2**BITS_OF_KEYS))
    keys, _ = DpfKeys.deal(b"d" * 32, points, BITS_OF_KEYS)
    public = way.public
    vector, other, few = (public.encrypt(plain.slice(0, n), seed("v")) for n in (rows, rows, COLUMNS))
    data = public.fingerprint + public.encrypt(plain, seed("w")).release(["host"], "benchmark")
    ring, held = Keyring(), way.key.encrypt(plain, seed("h"))
    ring.add(public)
    yield "encrypt, by anybody", lambda: public.encrypt(plain, seed("a"))
    yield "encrypt, by the holder", lambda: way.key.encrypt(plain, seed("a"))
    yield "receive", lambda: CipherVec.receive(data, ring, "peer")
    yield "matrix product", lambda: few.matmul(x)
    yield "transposed product", lambda: vector.t_matmul(x)
    yield "histogram", lambda: vector.histogram(bins, BINS)
    yield "sum, mask, re-randomise, send", lambda: sent(vector, other, plain)
    yield "decrypt", lambda: way.key.open(held, 100)
    yield "look-up", lambda: way.look_up(keys, points, tables)


def sent(vector: CipherVec, other: CipherVec, mask: PlainVec) -> bytes:
    total = (vector + other).add_plain(mask)
    return total.rerandomise(seed(total.digest().hex()[:16])).release(["host"], "benchmark")


@contextmanager
def ways(bits: int, counts: Sequence[int]) -> Iterator[list[Way]]:
    workers = [Processes(count) for count in counts]
    try:
        yield [Way("none", None, bits), *(Way(f"{w.count}", w, bits) for w in workers)]
    finally:
        for each in workers:
            each.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=parts.ROWS)
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if os.environ.get("RAYON_NUM_THREADS") != "1":
        parser.error("set RAYON_NUM_THREADS=1: this process and each worker then have one thread")
    with ways(options.bits, options.workers) as compared:
        for steps in zip(*(operations(way, options.rows) for way in compared), strict=True):
            best = {way.name: (np.inf, np.inf) for way in compared}
            for turn in range(1 + options.repeat):
                for way, (_, work) in zip(compared, steps, strict=True):
                    cpu, wall = way.seconds(), time.perf_counter()
                    work()
                    wall = time.perf_counter() - wall
                    if turn:  # the first fills tables and places matrices
                        before = best[way.name]
                        best[way.name] = min(before[0], way.seconds() - cpu), min(before[1], wall)
            least = best["none"][0]
            cells = [f"{n} {cpu:7.3f} CPU s ({cpu / least:4.2f}) {wall:7.3f} s" for n, (cpu, wall) in best.items()]
            print(f"{steps[0][0]:30} " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
