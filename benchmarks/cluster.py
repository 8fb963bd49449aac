"""What workers cost: CPU seconds of each operation on a vector that lies at workers, driver and workers together,
against the same vector in one process on one thread.

"path" is the driver's CPU seconds and those of the worker that had most: how long the operation takes where every
process has a core.  What passes here besides is only meaningful on a quiet machine with a core for each.

    RAYON_NUM_THREADS=1 python -m benchmarks.cluster [--rows 65536] [--bits 2048] [--workers 1 2] [--repeat 3]
        [--engine processes] [--only PART]

Workers are processes of one thread each.  --engine: processes (a call is two messages over a pipe), ray or dask.
--only: operations whose name holds this text.  Lists of ids are four times as long as vectors.  The ways take turns;
figures are the least of the repeats.  Run it on a quiet machine: two workers need two cores.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from protocols import parts
from protocols._native import DpfKeys, PlainVec
from protocols.alignment.lists import CHUNK
from protocols.alignment.pieces import Hands
from protocols.alignment.spread import PIECE, Spread
from protocols.cipher import CipherVec, Keyring, Paillier
from protocols.cipher.sharded import Sharded
from protocols.ids import Ids
from protocols.randomness import Seed
from protocols.ristretto import PointVec
from protocols.tags import Tags, match, order
from protocols.workers.calls import Job, State
from protocols.workers.cluster import Cluster
from protocols.workers.look_ups import look_up
from protocols.workers.run import Caller, execute
from protocols.workers.seal import Seal, Sealed
from tests.promises.clusters.clusters import Cluster as Running
from tests.promises.clusters.clusters import started
from vfl.compute.opening import opened

SECRET, RUN = b"a benchmark's secret of 32 bytes", b"benchmark"
COLUMNS, BINS, BITS_OF_KEYS = 10, 32, 13


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

    def seconds(self) -> list[float]:
        """CPU seconds of each worker so far."""
        for worker, pipe in enumerate(self._pipes):
            pipe.send(("", ()))
            self._answer(worker)
        return list(self._seconds)

    def end(self) -> None:
        for pipe, process in zip(self._pipes, self._running, strict=True):
            pipe.close()
            process.join()

    def _answer(self, worker: int) -> Sealed:
        answer, self._seconds[worker] = self._pipes[worker].recv()
        return answer


class OnEngine:
    """Workers of a Ray or Dask cluster on this machine."""

    def __init__(self, cluster: Running, count: int) -> None:
        self._stack = ExitStack()
        pool = self._stack.enter_context(opened(cluster.compute(count)))
        assert pool is not None
        self.count, self._workers = count, pool.workers(RUN)
        self._pids = [json.loads(one)["pid"] for one in pool.engine.greet(b"nonce")]

    def call(self, jobs: Sequence[Job]) -> list[Sealed]:
        return self._workers.call(jobs)

    def seconds(self) -> list[float]:
        """CPU seconds of each worker so far."""
        stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids)
        return [(int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") for stat in stats]

    def end(self) -> None:
        self._stack.close()


@dataclass
class Way:
    """No workers, or some, and the keys of a holder and of a party that only has the public one."""

    name: str
    workers: Processes | OnEngine | None
    bits: int

    def __post_init__(self) -> None:
        self.cluster = None if self.workers is None else Cluster(Caller(self.workers, Seal(SECRET, RUN)))
        self.hands = Hands(self.cluster and self.cluster.caller)
        scheme = Paillier(self.bits) if self.cluster is None else Sharded(self.bits, self.cluster)
        self.key = scheme.generate("holder", Seed("holder", b"k" * 32))
        self.public = scheme.accept(self.key.public.raw.n, self.key.prove(), "holder")

    def look_up(self, keys: DpfKeys, x: np.ndarray, tables: np.ndarray) -> list[PlainVec]:
        return keys.look_up(x, tables) if self.cluster is None else look_up(self.cluster, keys, x, tables)

    def match(self, left: Tags, right: Tags) -> object:
        lists = [partial(in_blocks, tags) for tags in (left, right)]
        return match(left, right) if self.cluster is None else Spread(self.cluster, *lists).matched()

    def seconds(self) -> list[float]:
        """CPU seconds of this process and of each worker so far."""
        return [time.process_time(), *(self.workers.seconds() if self.workers else ())]


def in_blocks(tags: Tags) -> Iterator[tuple[Tags, np.ndarray]]:
    for first in range(0, len(tags), PIECE):
        last = min(first + PIECE, len(tags))
        yield tags[first:last], np.arange(first, last)


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


def on_ids(way: Way, rows: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """What an alignment does with the lists of both sides."""
    scalar, ids = seed("scalar").scalar(), Ids.of([b"customer-%09d" % row for row in range(rows)])
    chunks = [ids.at(np.arange(rows)[start : start + CHUNK]) for start in range(0, rows, CHUNK)]
    theirs = [(PointVec.hash_to_group(chunk, b"theirs") * scalar).to_bytes() for chunk in chunks]
    tags = np.random.default_rng(0).integers(0, 2**64, (2 * rows, 2), dtype=np.uint64)
    left, right = tags[:rows][order(tags[:rows])], tags[rows // 2 : rows // 2 + rows]

    def groups(of: list[Any]) -> Iterator[list[Any]]:
        return (of[start : start + way.hands.lanes] for start in range(0, len(of), way.hands.lanes))

    def blind() -> None:
        for group in groups(chunks):
            for points in way.hands.blind(group, b"domain", scalar):
                points.to_bytes()  # as they are sent

    def tag() -> None:
        for group in groups(theirs):
            way.hands.tags([PointVec.receive(data, "peer") for data in group], scalar)

    yield "ids: hash and exponentiate", blind
    yield "ids: receive, exponentiate, tag", tag
    yield "ids: match tags", lambda: way.match(left, right)


def sent(vector: CipherVec, other: CipherVec, mask: PlainVec) -> bytes:
    total = (vector + other).add_plain(mask)
    return total.rerandomise(seed(total.digest().hex()[:16])).release(["host"], "benchmark")


@contextmanager
def ways(bits: int, counts: Sequence[int], engine: str) -> Iterator[list[Way]]:
    workers = list[Processes | OnEngine]()
    with ExitStack() as stack:
        if engine == "processes":
            workers += [Processes(count) for count in counts]
        else:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="vfl")))
            cluster = stack.enter_context(started(engine, sum(counts), folder, key=SECRET))
            workers += [OnEngine(cluster, count) for count in counts]
        for each in workers:
            stack.callback(each.end)
        yield [Way("none", None, bits), *(Way(f"{w.count}", w, bits) for w in workers)]


def measured(way: Way, work: Callable[[], object]) -> tuple[float, float, float]:
    """CPU seconds of all, those of the longest path, and seconds."""
    before, start = way.seconds(), time.perf_counter()
    work()
    wall = time.perf_counter() - start
    driver, *workers = np.subtract(way.seconds(), before).tolist()
    return driver + sum(workers), driver + max(workers, default=0.0), wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=parts.ROWS)
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--engine", choices=("processes", "ray", "dask"), default="processes")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    if os.environ.get("RAYON_NUM_THREADS") != "1":
        parser.error("set RAYON_NUM_THREADS=1: this process and each worker then have one thread")
    with ways(options.bits, options.workers, options.engine) as compared:
        each = (chain(on_ids(way, 4 * options.rows), operations(way, options.rows)) for way in compared)
        for steps in zip(*each, strict=True):
            if options.only not in steps[0][0]:
                continue
            best = {way.name: np.full(3, np.inf) for way in compared}
            for turn in range(1 + options.repeat):
                for way, (_, work) in zip(compared, steps, strict=True):
                    found = measured(way, work)
                    if turn:  # the first fills tables and places matrices
                        best[way.name] = np.minimum(best[way.name], found)
            least = best["none"][0]
            cells = [
                f"{name}: {cpu:.3f} CPU s ({cpu / least:.2f}), path {path:.3f}, {wall:.3f} s"
                for name, (cpu, path, wall) in best.items()
            ]
            print(f"{steps[0][0]:30} " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
