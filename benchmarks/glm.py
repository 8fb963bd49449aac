"""What encryption costs in a regression: the same training with Paillier and with the identity cipher, its iterations
prepared and direct, in one run.

    python -m benchmarks.glm [--rows N] [--columns GUEST HOST ..] [--bits 2048 3072] [--preparation batched none]
                             [--direct-passes N] [--repeat N] [--cores N] [--out FILE] [--beside FOLDER]

All parties share the cores given (default: one).  A training of prepared iterations has one chunk, and another has two:
the difference is one chunk, offline and online; of direct ones it is `--direct-passes`.  Ciphers take turns, `--repeat`
times, after trainings that do not count; seconds are the medians of the turns.  Printed and written: seconds and
CPU seconds per iteration, milliseconds per row and iteration, products modulo n^2 by operation (counted, noise-free)
and the share of the CPU time that they explain at the measured time of one product, and bytes.  --beside: commit
1582fb9, built in FOLDER, takes turns with this one, and the CPU time of its iterations is divided by that of these
(columns 5 + 18).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

UCI = (5, 18)  # the shape of UCI credit default between a bank and a partner


def trained(preparation: str, parties: int, rows: int, bits: int, direct: int) -> tuple[int, int]:
    """The iterations of two trainings, one of which has a chunk more than the other, or `direct` iterations more."""
    from vfl.models.plan import Plan
    from vfl.models.regression.chunks import chunks_of
    from vfl.models.regression.program import terms_of
    from vfl.models.regression.spec import LogisticRegression

    if preparation == "none":
        return 5, 5 + direct
    terms = terms_of(Plan(LogisticRegression(max_iter=1000), prepared=True))
    one = chunks_of(terms, parties, rows, 1000, bits)[0].passes
    return one, 2 * one


def tables(rows: int, columns: Sequence[int]) -> list[pd.DataFrame]:
    """Seeded tables, the guest's first: correlated columns, a label with about 22% events."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(rows, sum(columns))) + 0.5 * rng.normal(size=(rows, 1))
    z = x @ rng.normal(size=x.shape[1]) * 0.2 - 1.5
    y = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(int)
    ends = np.cumsum(columns)
    frames = [
        pd.DataFrame(x[:, end - width : end], columns=[f"x{i}" for i in range(end - width, end)]).assign(
            id=np.arange(rows)
        )
        for width, end in zip(columns, ends, strict=True)
    ]
    return [frames[0].assign(label=y), *frames[1:]]


class Meter:
    """Counts products by operation, by wrapping the classes that all ciphertext work goes through."""

    def __init__(self) -> None:
        self.products: Counter[str] = Counter()

    def wrap(self, owner: type, name: str, key: Callable[[Any], Any]) -> None:
        inner = getattr(owner, name)

        @wraps(inner)
        def counted(this: Any, *args: Any, **kwargs: Any) -> Any:
            raw = key(this)
            before = raw.products
            result = inner(this, *args, **kwargs)
            self.products[name] += raw.products - before
            return result

        setattr(owner, name, counted)


@dataclass(frozen=True)
class Job:
    """One of the things measured.  bits: of the key, or of the one that the identity cipher stands for."""

    clear: bool
    bits: int
    preparation: str
    passes: tuple[int, int]  # of two trainings

    @property
    def name(self) -> str:
        cipher = "in the clear" if self.clear else f"Paillier {self.bits}"
        return f"{cipher}, {'prepared' if self.preparation == 'batched' else 'direct'}"

    def cipher(self) -> Any:
        from protocols.cipher import Identity, Paillier

        return Identity(self.bits) if self.clear else Paillier(self.bits)


def measure(job: Job, data: Sequence[pd.DataFrame], meter: Meter) -> dict[str, Any]:
    """One turn: two trainings, so that setup (alignment, key) is left out."""
    import vfl
    from vfl.taps.counting import CountingTap

    guest, *hosts = data
    federation = vfl.Federation.local(
        guest,
        {f"host{k}": host for k, host in enumerate(hosts, 1)},
        on="id",
        label="label",
        cipher=job.cipher(),
        convergence=False,
        preparation=job.preparation,
    )
    runs = []
    for count in job.passes:
        meter.products.clear()
        taps = {p: [CountingTap()] for p in federation.roles.all}
        wall, cpu = time.perf_counter(), time.process_time()
        federation.fit(vfl.LogisticRegression(max_iter=count), taps=taps)
        sent = sum(x.bytes_sent for (t,) in taps.values() for x in t.totals().values())
        runs.append((time.perf_counter() - wall, time.process_time() - cpu, sent, Counter(meter.products)))
    passes = job.passes[1] - job.passes[0]
    return {
        "seconds_a_pass": (runs[1][0] - runs[0][0]) / passes,
        "cpu_seconds_a_pass": (runs[1][1] - runs[0][1]) / passes,
        "bytes_a_pass": (runs[1][2] - runs[0][2]) / passes,
        "products_a_pass": {k: (v - runs[0][3][k]) / passes for k, v in runs[1][3].items() if v},
    }


def product_seconds(bits: int) -> float:
    """CPU seconds of one product modulo n^2: sums of two long vectors, best of five."""
    from protocols._native import PlainVec, PrivateKey

    key = PrivateKey.generate(bits, bytes(32)).public_key
    vector = key.encrypt(PlainVec.zeros(2000), bytes(32), bits // 2)
    best = min(_timed(lambda: vector + vector) for _ in range(5))
    return best / 2000


def _timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def summed(job: Job, turns: Sequence[dict[str, Any]], rows: int) -> dict[str, Any]:
    """What is said of a job: medians of its turns, counts of the first."""
    found = {name: statistics.median(turn[name] for turn in turns) for name in ("seconds_a_pass", "cpu_seconds_a_pass")}
    products = turns[0]["products_a_pass"]
    price = 0.0 if job.clear else product_seconds(job.bits)
    return {
        "cipher": "identity" if job.clear else "paillier",
        "bits": job.bits,
        "preparation": job.preparation,
        "rows": rows,
        **found,
        "bytes_a_pass": turns[0]["bytes_a_pass"],
        "products_a_pass": products,
        "ms_a_row_and_pass": 1e3 * found["cpu_seconds_a_pass"] / rows,
        "product_us": 1e6 * price,
        "share_explained_by_products": sum(products.values()) * price / found["cpu_seconds_a_pass"],
    }


def show(job: Job, row: dict[str, Any], results: dict[Job, dict[str, Any]]) -> None:
    """One job's line, and its products by operation."""
    rows, cpu, total = row["rows"], row["cpu_seconds_a_pass"], sum(row["products_a_pass"].values())
    twins = {
        "x the clear": [other for other in results if other.clear and not job.clear],
        "direct over it": [other for other in results if other.preparation == "none" and job.preparation == "batched"],
    }
    compared = ""
    for what, others in twins.items():
        like = [
            other
            for other in others
            if other.bits == job.bits and (other.preparation == job.preparation) == (other.clear != job.clear)
        ]
        for other in like[:1]:
            ratio = results[other]["cpu_seconds_a_pass"] / cpu
            compared += f"; {what} {1 / ratio if what == 'x the clear' else ratio:.1f}"
    print(
        f"{job.name:<26} {1e3 * cpu / rows:8.4f} CPU ms, {total / rows:7.1f} products ({row['product_us']:.2f} us, "
        f"{row['share_explained_by_products']:.0%} of the time), {row['bytes_a_pass'] / rows:6.0f} bytes{compared}"
    )
    for name, count in sorted(row["products_a_pass"].items(), key=lambda item: -item[1]):
        print(f"{'':>26} {name:<16} {count / rows:7.1f} products")


BEFORE = """
import json, sys
rows, passes, *bits = map(int, sys.argv[1:])
from benchmarks.glm import Meter, measure
from protocols.cipher import Identity, Paillier
meter = Meter()
measure(rows, passes, Identity(), meter)
found = [(0, measure(rows, passes, Identity(), meter)), *((b, measure(rows, passes, Paillier(b), meter)) for b in bits)]
print(json.dumps([[number, row["cpu_seconds_a_pass"]] for number, row in found]))
"""  # what that commit's own benchmark does, after a training that is not counted


def earlier(folder: Path, rows: int, bits: Sequence[int]) -> dict[tuple[bool, int], float]:
    """CPU seconds per iteration of the commit in `folder`: by whether it is in the clear, and by bits of the key."""
    command = [sys.executable, "-c", BEFORE, str(rows), "5", *map(str, bits)]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    said = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {(not number, number): seconds for number, seconds in json.loads(said)}


def compare(turns: dict[Job, list[dict[str, Any]]], others: Sequence[dict[tuple[bool, int], float]]) -> None:
    """Prints the CPU time of the earlier commit over that of each job, the median over the turns."""
    for job, own in turns.items():
        key = (job.clear, 0 if job.clear else job.bits)
        pairs = list(zip(own, others, strict=True))
        ratio = statistics.median(other[key] / turn["cpu_seconds_a_pass"] for turn, other in pairs)
        before = statistics.median(other[key] for other in others)
        print(f"{job.name:<26} {1e3 * before:9.2f} CPU ms per iteration before, over this one's {ratio:6.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--columns", type=int, nargs="+", default=list(UCI))
    parser.add_argument("--bits", type=int, nargs="+", default=[2048, 3072], choices=[2048, 3072, 4096])
    parser.add_argument("--preparation", nargs="+", default=["batched", "none"], choices=["batched", "none"])
    parser.add_argument("--direct-passes", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "glm.json")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(
            0, sorted(os.sched_getaffinity(0))[: max(1, options.cores)]
        )  # before the core makes its threads

    from benchmarks.kernels import machine
    from protocols.cipher import CipherVec, DecryptionKey

    meter = Meter()
    for name in ("matmul", "t_matmul", "rerandomise", "add_plain", "__add__", "pack"):
        meter.wrap(CipherVec, name, lambda vector: vector.key.raw)
    for name in ("encrypt", "open_packed", "open_whole"):
        meter.wrap(DecryptionKey, name, lambda key: key.public.raw)

    shape = (len(options.columns), options.rows)
    jobs = [
        Job(clear, bits, way, trained(way, *shape, bits, options.direct_passes))
        for bits in options.bits
        for clear in (True, False)
        for way in options.preparation
    ]
    data = tables(options.rows, options.columns)
    print(
        f"{options.rows} rows, {' + '.join(map(str, options.columns))} columns, link exact, {options.cores} core(s) "
        f"for all parties, {options.repeat} turn(s); per row and iteration, all parties together:"
    )
    turns: dict[Job, list[dict[str, Any]]] = {job: [] for job in jobs}
    others = list[dict[tuple[bool, int], float]]()
    for job in jobs:
        if job.preparation == "batched":
            measure(job, data, meter)  # imports, memory, caches
    for _ in range(options.repeat):
        others += [earlier(options.beside, options.rows, options.bits)] if options.beside else []
        for job in jobs:
            turns[job].append(measure(job, data, meter))
    results = {job: summed(job, turns[job], options.rows) for job in jobs}
    for job, row in results.items():
        show(job, row, results)
    if options.beside:
        compare(turns, others)
    options.out.parent.mkdir(exist_ok=True)
    written = {"machine": machine(), "columns": options.columns, "rows": list(results.values())}
    options.out.write_text(json.dumps(written, indent=1) + "\n")
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
