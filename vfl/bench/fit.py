"""Finds the coefficients of the cost model from metered runs, judges them on runs that were left out, and writes
cost.json.

    python -m vfl.bench.fit --out FILE [--only FORMULA ...] [--runs N] [--rows N ...] [--left-out N] [--larger N ...]

Jobs are drawn at random over every axis of the formula and over the kinds of model that share it.  Each runs in a
process with one core and one thread, as many side by side as there are cores; the machine's speed is measured before
and after each, so that neighbours do not count.  Coefficients are not negative and make the sum of squared relative
errors least, so that a small job counts as much as a large one and a formula cannot fall below zero beyond what was
measured.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfl.bench import worker_client as child
from vfl.bench.environment import environment
from vfl.bench.eta import Left
from vfl.cost.cost import TARGETS, counted, fitted, formula_of, job_key, one_core_s, parts, terms, variant
from vfl.cost.jobs import KEYS
from vfl.cost.machine import Machine, cores
from vfl.models.workload import Workload
from vfl.screen.console import Console

Floats = NDArray[np.float64]
Process = subprocess.Popen[str]
Jobs = Sequence[tuple[Workload, int]]  # with the bits of the key
VARIANTS = ("alignment", "exact", "taylor", "sealed", "open")
NEW_S = 5.0  # what a job of a formula without coefficients is thought to take, for the time left
KINDS = {  # that share a formula, and how often each is drawn
    "exact": {"logistic": 0.6, "poisson": 0.15, "scorecard": 0.25},
    "taylor": {"logistic": 0.4, "linear": 0.4, "scorecard": 0.2},
}
SCALE = {
    "alignment": (4, 32),
    "exact": (1,),
    "taylor": (1,),
    "sealed": (4,),
    "open": (4,),
}  # rows are so many times --rows: they cost less


def draw(name: str, count: int, rows: Sequence[int], seed: int) -> Iterator[tuple[Workload, int]]:
    """`count` jobs of one formula, the same for the same seed."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        given: dict[str, Any] = {
            "rows": int(rng.choice(rows)) * int(rng.choice(SCALE[name])),
            "guest_columns": int(rng.choice([3, 10])),
            "host_columns": int(rng.choice([4, 12, 30])),
            "hosts": int(rng.choice([1, 1, 2, 3])),
        }
        if name in KINDS:
            kind = str(rng.choice(list(KINDS[name]), p=list(KINDS[name].values())))
            given |= {"kind": kind, "link": name, "passes": int(rng.choice([5, 8]))}
            given |= {"weighted": bool(rng.random() < 0.25) and kind != "scorecard"}
        elif name == "alignment":
            given |= {"kind": name}
        else:
            given |= {"kind": "trees", "membership": name, "trees": int(rng.choice([1, 2]))}
            given |= {"depth": int(rng.choice([2, 3, 5])), "bins": int(rng.choice([8, 16, 32]))}
        yield Workload(**given), int(rng.choice(KEYS, p=[0.5, 0.35, 0.15]))


def least(matrix: Floats, wanted: Floats, whole: Floats) -> Floats:
    """Coefficients >= 0 with a least sum of squared errors relative to the whole: the most negative one leaves until
    none is."""
    weight = 1 / np.maximum(np.abs(whole), 1e-9 + 1e-3 * float(np.abs(whole).max()))
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


def coefficients(runs: Sequence[Mapping[str, Any]], formulas: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """One formula from its runs: coefficients by count and term.  formulas: of their other part, the alignment, if they
    have one."""
    works = [(Workload(**run["work"]), run["key_bits"]) for run in runs]
    given = [terms(*job) for job in works]
    others = [[counted(part, bits, formulas) for part in parts(work)[:-1]] for work, bits in works]
    names = list(given[0])
    matrix = np.array([[row[name] for name in names] for row in given])
    formula = {}
    for target in TARGETS:
        whole = np.array([run[target] for run in runs], dtype=np.float64)
        rest = np.array([sum(count[target] for count in other) for other in others])
        found = least(matrix, np.maximum(whole - rest, 0.0), whole)
        formula[target] = {name: float(f"{c:.5g}") for name, c in zip(names, found, strict=True) if c > 0}
    return formula


def measured(jobs: Jobs, say: Console) -> list[dict[str, Any]]:
    """Every job, in processes with a core each."""
    price = {bits: Machine.measured(bits) for bits in KEYS}
    known = fitted()["formulas"]  # not yet a formula that is new
    left = Left(
        [1.0 + (one_core_s(work, bits, price[bits]) if variant(work) in known else NEW_S) for work, bits in jobs]
    )
    places = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(cores())
    free, found = SimpleQueue[Process](), []
    for core in places:
        free.put(child.opened(1, core))

    def one(job: tuple[Workload, int]) -> dict[str, Any]:
        process = free.get()
        try:
            return metered(process, *job)
        finally:
            free.put(process)

    try:
        with ThreadPoolExecutor(len(places)) as pool:
            for run in pool.map(one, jobs):
                found.append(run)
                left.done()
                kind, rows = run["work"]["kind"], run["work"]["rows"]
                say.print(f"  {len(found)} of {len(jobs)}: {kind}, {rows:,} rows; {left.words()}", highlight=False)
    finally:
        for _ in places:
            free.get().communicate()
    return found


def metered(process: Process, work: Workload, key_bits: int) -> dict[str, Any]:
    """One run under Paillier and one in the clear: `other` is what that one takes, `paced` what encryption adds."""
    if work.kind == "alignment":
        run = child.ask(process, "psi", work, key_bits)
        return run | {"other": run["cpu_s"] / run["clear_s"], "paced": 0.0}
    run, clear = child.ask(process, "paillier", work, key_bits), child.ask(process, "clear", work, key_bits)
    other = clear["cpu_s"] / clear["clear_s"]
    return run | {"other": other, "paced": max(0.0, run["cpu_s"] - other * run["clear_s"]) / run["product_s"]}


def error(runs: Sequence[Mapping[str, Any]], model: Mapping[str, Any]) -> list[float]:
    """predicted / measured - 1 of each run's CPU seconds, at the price of a product in that run."""
    return [
        one_core_s(Workload(**r["work"]), r["key_bits"], Machine(r["product_s"], r["clear_s"]), model) / r["cpu_s"] - 1
        for r in runs
    ]


def fit(
    count: int, rows: Sequence[int], larger: Sequence[int], left_out: int, say: Console, only: Sequence[str] = VARIANTS
) -> dict[str, Any]:
    """The whole model; of formulas that are not in `only` what cost.json says."""
    start, before = time.perf_counter(), {} if set(only) == set(VARIANTS) else kept(only)
    drawn = {
        n: [*draw(n, count, rows, seed), *draw(n, left_out, larger, seed + 100)]
        for seed, n in enumerate(VARIANTS)
        if n in only
    }
    runs = iter(measured([job for jobs in drawn.values() for job in jobs], say))
    formulas, errors = before.get("formulas", {}), before.get("errors", {})
    fitted_on = before.get("fitted_on", {}).get("jobs", [])
    for name, jobs in drawn.items():
        own = [next(runs) for _ in jobs]
        formulas[name] = coefficients(own[:count], formulas)
        fitted_on += [job_key(work, bits) for work, bits in jobs[:count]]
        left = [abs(e) for e in error(own[count:], {"formulas": formulas})]
        errors[name] = {"jobs": len(left), "worst": round(max(left), 3), "median": round(median(left), 3)}
        say.print(
            f"{name}: {count} jobs, {left_out} larger ones left out: worst error {max(left):.0%}, median "
            f"{median(left):.0%}"
        )
    asked = {
        "runs": count,
        "rows": list(rows),
        "left_out": left_out,
        "larger": list(larger),
        "jobs": sorted(set(fitted_on)),
    }
    took = environment() | {"seconds": round(time.perf_counter() - start, 1)}
    if before:  # the kept formulas were fitted there
        return {
            "formulas": formulas,
            "errors": errors,
            "fitted_on": asked,
            "environment": before["environment"],
            "refitted": took,
        }
    return {"formulas": formulas, "errors": errors, "fitted_on": asked, "environment": took}


def kept(only: Sequence[str]) -> dict[str, Any]:
    """cost.json without these formulas."""
    model = copy.deepcopy(dict(fitted()))
    for part in (model["formulas"], model["errors"]):
        for name in set(part) - (set(VARIANTS) - set(only)):
            del part[name]
    model["fitted_on"]["jobs"] = [job for job in model["fitted_on"]["jobs"] if formula_of(job) in model["formulas"]]
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=VARIANTS, default=VARIANTS, help="formulas to fit; the others stay as they are"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="vfl/cost/cost.json of a source checkout, or another file"
    )
    parser.add_argument("--runs", type=int, default=44, help="jobs that a formula is fitted on")
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=[250, 500, 1000, 2000, 4000],
        help="their rows; more for trees (4 times) and alignments (4 or 32 times)",
    )
    parser.add_argument("--left-out", type=int, default=5, help="jobs that judge it")
    parser.add_argument("--larger", type=int, nargs="+", default=[3000, 5000], help="their rows")
    options = parser.parse_args()
    if min(options.runs, options.left_out) < 1:
        parser.error("--runs and --left-out are at least 1")
    model = fit(options.runs, options.rows, options.larger, options.left_out, Console(), options.only)
    options.out.write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
