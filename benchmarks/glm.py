"""What encryption costs in a regression: the same training with Paillier and with the identity cipher, in one run.

    python -m benchmarks.glm [--rows N] [--passes N] [--bits 2048 3072] [--cores N] [--out FILE]

All parties share the cores given (default: one).  Printed and written: seconds and CPU seconds per iteration,
milliseconds per row and iteration, products modulo n^2 by operation (counted, noise-free) and the share of the CPU time
that they explain at the measured time of one product, bytes by message kind.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

GUEST_COLUMNS, HOST_COLUMNS = 5, 18  # the shape of UCI credit default between a bank and a partner


def tables(rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Seeded tables: correlated columns, a label with 22% events."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(rows, GUEST_COLUMNS + HOST_COLUMNS)) + 0.5 * rng.normal(size=(rows, 1))
    z = x @ rng.normal(size=x.shape[1]) * 0.2 - 1.5
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])]).assign(id=np.arange(rows))
    y = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(int)
    own = [f"x{i}" for i in range(GUEST_COLUMNS)]
    return frame[["id", *own]].assign(label=y), frame.drop(columns=own)


class Meter:
    """Counts products by operation, by wrapping the one class that all ciphertext work goes through."""

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


def measure(rows: int, passes: int, cipher: Any, meter: Meter) -> dict[str, Any]:
    """One training; setup (alignment, key) is left out by training twice, with five passes and with `passes` more."""
    import vfl
    from vfl.taps.counting import CountingTap

    guest, host = tables(rows)
    federation = vfl.Federation.local(guest, {"host": host}, on="id", label="label", cipher=cipher, convergence=False)
    runs = {}
    for count in (5, 5 + passes):
        meter.products.clear()
        taps = {p: [CountingTap()] for p in federation.roles.all}
        wall, cpu = time.perf_counter(), time.process_time()
        federation.fit(vfl.LogisticRegression(max_iter=count), taps=taps)
        sent = sum(x.bytes_sent for (t,) in taps.values() for x in t.totals().values())
        runs[count] = (time.perf_counter() - wall, time.process_time() - cpu, sent, dict(meter.products))
    first, last = runs[5], runs[5 + passes]
    by_operation = {k: (v - first[3].get(k, 0)) / passes for k, v in last[3].items() if v}
    return {
        "seconds_a_pass": (last[0] - first[0]) / passes,
        "cpu_seconds_a_pass": (last[1] - first[1]) / passes,
        "bytes_a_pass": (last[2] - first[2]) / passes,
        "products_a_pass": by_operation,
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--bits", type=int, nargs="+", default=[2048, 3072])
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "glm.json")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(
            0, sorted(os.sched_getaffinity(0))[: max(1, options.cores)]
        )  # before the core makes its threads

    from benchmarks.kernels import machine
    from protocols.cipher import CipherVec, DecryptionKey, Identity, Paillier

    meter = Meter()
    for name in ("matmul", "t_matmul", "rerandomise", "add_plain", "__add__", "pack", "pack_for_holder"):
        meter.wrap(CipherVec, name, lambda vector: vector.key.raw)
    for name in ("encrypt", "open_packed"):
        meter.wrap(DecryptionKey, name, lambda key: key.public.raw)

    results, clear = [], None
    print(
        f"{options.rows} rows, {GUEST_COLUMNS} + {HOST_COLUMNS} columns, link exact, {options.passes} passes, "
        f"{options.cores} core(s) for all parties"
    )
    print(
        f"{'cipher':>14} {'s/pass':>9} {'CPU s':>7} {'ms/row':>9} {'x clear':>8} {'products':>10} "
        f"{'explain':>8} {'MB':>7}"
    )
    for cipher, bits in ((Identity(), 0), *((Paillier(b), b) for b in options.bits)):
        row = {
            "cipher": type(cipher).__name__.lower(),
            "bits": bits,
            "rows": options.rows,
            **measure(options.rows, options.passes, cipher, meter),
        }
        total = sum(row["products_a_pass"].values())
        row["ms_a_row_and_pass"] = 1e3 * row["cpu_seconds_a_pass"] / options.rows
        row["share_explained_by_products"] = total * product_seconds(bits) / row["cpu_seconds_a_pass"] if bits else 0.0
        clear = clear or row
        row["ratio_to_clear"] = row["cpu_seconds_a_pass"] / clear["cpu_seconds_a_pass"]
        results.append(row)
        print(
            f"{row['cipher']:>10}{bits or '':>4} {row['seconds_a_pass']:9.3f} "
            f"{row['cpu_seconds_a_pass']:7.3f} {row['ms_a_row_and_pass']:9.3f} "
            f"{row['ratio_to_clear']:8.1f} {total:10.0f} {row['share_explained_by_products']:8.0%} "
            f"{row['bytes_a_pass'] / 1e6:7.2f}"
        )
        for name, count in sorted(row["products_a_pass"].items(), key=lambda item: -item[1]):
            print(f"{'':>14}   {name:<16} {count:12.0f} products, {count / options.rows:7.1f} a row")
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps({"machine": machine(), "rows": results}, indent=1) + "\n")
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
