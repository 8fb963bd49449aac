"""Finds the coefficients of the cost model from metered runs, judges them on runs that were left out, and writes cost.json.

    python -m vfl.bench.fit [--out FILE] [--runs N] [--rows N ...] [--left-out N] [--larger N ...]

Jobs are drawn at random over every axis of the formula and run one after the other in this process, on one thread.  Coefficients are not negative and make the sum of squared relative errors
least, so that a small job counts as much as a large one and a formula cannot fall below zero beyond what was measured.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from protocols.cipher import Identity, Paillier
from vfl.bench.cost import FILE, TARGETS, Machine, clear_seconds, job_key, one_core_s, terms
from vfl.bench.environment import environment
from vfl.bench.one import federated, product_seconds
from vfl.bench.workload import KEYS, Workload

Floats = NDArray[np.float64]
VARIANTS = ("exact", "taylor", "hidden", "shared")


def draw(name: str, count: int, rows: Sequence[int], seed: int) -> Iterator[tuple[Workload, int]]:
    """`count` jobs of one formula, the same for the same seed."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        given: dict[str, Any] = {
            "rows": int(rng.choice(rows)),
            "guest_columns": int(rng.choice([3, 10])),
            "host_columns": int(rng.choice([4, 12, 30])),
            "hosts": int(rng.choice([1, 1, 2, 3])),
        }
        if name in ("exact", "taylor"):
            given |= {"kind": "logistic", "link": name, "passes": int(rng.choice([5, 8]))}
        else:
            given["rows"] *= 4  # a row costs trees less
            given |= {"kind": "trees", "membership": name, "trees": int(rng.choice([1, 2]))}
            given |= {"depth": int(rng.choice([2, 3, 5])), "bins": int(rng.choice([8, 16, 32]))}
        yield Workload(**given), int(rng.choice(KEYS, p=[0.5, 0.4, 0.1]))


def least(matrix: Floats, wanted: Floats) -> Floats:
    """Coefficients >= 0 with a least sum of squared relative errors: the most negative one leaves until none is."""
    weight = 1 / np.maximum(np.abs(wanted), 1e-9 + 1e-3 * float(np.abs(wanted).max()))
    scaled, target = matrix * weight[:, None], wanted * weight
    norm = np.maximum(np.sqrt((scaled**2).sum(axis=0)), 1e-12)
    keep, found = np.arange(matrix.shape[1]), np.zeros(matrix.shape[1])
    while len(keep):
        part = np.linalg.lstsq(scaled[:, keep] / norm[keep], target, rcond=None)[0] / norm[keep]
        if (part >= 0).all():
            found[keep] = part
            break
        keep = np.delete(keep, int(np.argmin(part * norm[keep])))
    return found


def coefficients(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """One formula from its runs: coefficients by count and term."""
    given = [terms(Workload(**run["work"]), run["key_bits"]) for run in runs]
    names = list(given[0])
    matrix = np.array([[row[name] for name in names] for row in given])
    formula = {}
    for target in TARGETS:
        found = least(matrix, np.array([run[target] for run in runs], dtype=np.float64))
        formula[target] = {name: float(f"{c:.5g}") for name, c in zip(names, found, strict=True) if c > 0}
    return formula


def metered(work: Workload, key_bits: int) -> dict[str, Any]:
    """One run under Paillier and one in the clear; `other_s` is what the products do not explain (the key's making, too), at least what the clear run takes."""
    product_s = product_seconds(key_bits)
    run = federated(work, Paillier(key_bits), judge=False)
    clear = federated(work, Identity(key_bits), judge=False)
    return run | {
        "work": work.as_dict(),
        "key_bits": key_bits,
        "product_s": product_s,
        "other_s": max(clear["cpu_s"], run["cpu_s"] - run["products"] * product_s),
    }


def error(runs: Sequence[Mapping[str, Any]], model: Mapping[str, Any]) -> list[float]:
    """predicted / measured - 1 of each run's CPU seconds, at the price of a product in that run."""
    return [
        one_core_s(Workload(**r["work"]), r["key_bits"], Machine(r["product_s"], model["clear_s"]), model) / r["cpu_s"] - 1 for r in runs
    ]


def fit(count: int, rows: Sequence[int], larger: Sequence[int], left_out: int) -> dict[str, Any]:
    """The whole model."""
    clear = clear_seconds()
    formulas, errors, jobs = {}, {}, []
    for seed, name in enumerate(VARIANTS):
        drawn = [*draw(name, count, rows, seed), *draw(name, left_out, larger, seed + 100)]
        runs = [metered(work, bits) for work, bits in drawn]
        formulas[name] = coefficients(runs[:count])
        jobs += [job_key(work, bits) for work, bits in drawn[:count]]
        left = [abs(e) for e in error(runs[count:], {"formulas": formulas, "clear_s": clear})]
        errors[name] = {"jobs": len(left), "worst": round(max(left), 3), "median": round(median(left), 3)}
        Console().print(f"{name}: {count} jobs, {left_out} larger ones left out: worst error {max(left):.0%}, median {median(left):.0%}")
    asked = {"runs": count, "rows": list(rows), "left_out": left_out, "larger": list(larger), "jobs": jobs}
    return {"formulas": formulas, "clear_s": clear, "errors": errors, "fitted_on": asked, "environment": environment()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--runs", type=int, default=28, help="jobs that a formula is fitted on")
    parser.add_argument("--rows", type=int, nargs="+", default=[250, 500, 1000], help="their rows; four times as many for trees")
    parser.add_argument("--left-out", type=int, default=6, help="jobs that judge it")
    parser.add_argument("--larger", type=int, nargs="+", default=[2000, 4000], help="their rows")
    options = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = "1"  # the core makes its threads when it is first used
    model = fit(options.runs, options.rows, options.larger, options.left_out)
    options.out.write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
