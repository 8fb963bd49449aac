"""The whole measurement: five modes of the same job, sweeps along each axis, the cost model's error, networks, and other libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vfl.bench import cables, child, cost, joined
from vfl.bench.environment import cores, environment
from vfl.bench.network import NETWORKS
from vfl.bench.workload import KEYS, Workload

FORMAT = 1
Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much is measured.  main, small: a regression and trees of the modes, and what python-paillier can do in reasonable time; axes: of the sweeps."""

    main: tuple[Workload, Workload]
    small: tuple[Workload, Workload]
    base: tuple[Workload, Workload]
    axes: Mapping[str, tuple[int, ...]]


QUICK = Size(
    (Workload("logistic", 1500, passes=15), Workload("trees", 1500, trees=2)),
    (Workload("logistic", 24, 2, 3, passes=5), Workload("trees", 40, 2, 3, trees=1, depth=2)),
    (Workload("logistic", 400, 5, 10, passes=5), Workload("trees", 1000, 5, 10, trees=1)),
    {"rows": (250, 1000), "host_columns": (2, 30), "hosts": (2, 4), "bins": (8, 32), "depth": (2, 5)},
)
FULL = Size(
    (Workload("logistic", 10_000, passes=30), Workload("trees", 10_000, trees=5)),
    (Workload("logistic", 60, 2, 3, passes=5), Workload("trees", 100, 2, 3, trees=1, depth=3)),
    (Workload("logistic", 4000, 5, 10, passes=5), Workload("trees", 10_000, 5, 10, trees=1)),
    {
        "rows": (1000, 10_000, 100_000, 1_000_000),
        "host_columns": (2, 5, 20, 50),
        "hosts": (1, 2, 3, 4),
        "bins": (8, 32, 64),
        "depth": (2, 3, 5, 6),
    },
)
ONLY = {"bins": "trees", "depth": "trees"}


def modes(size: Size, say: Say) -> Iterator[dict[str, Any]]:
    """The same job in every mode; python-paillier takes a small one, which ours takes too, to compare."""
    asked = [("joined", 0), ("clear", 2048), ("paillier", 2048), ("paillier", 3072)]
    runs = [(mode, bits, work) for mode, bits in asked for work in size.main]
    runs += [(mode, 2048, work) for mode in ("paillier", "phe") for work in size.small]
    for mode, bits, work in runs:
        name = label(mode, bits)
        if mode == "joined" and (why := joined.missing(work)):
            yield {"mode": mode, "label": name, "work": work.as_dict(), "skipped": why}
            continue
        say(f"{work.kind}, {work.rows:,} rows: {name}")
        run = child.start(mode, work, bits, threads=cores(), judge=work in size.main)
        yield run | {"label": name, "small": work in size.small}


def label(mode: str, bits: int) -> str:
    names = {"joined": "centralised", "clear": "in the clear", "paillier": f"Paillier {bits}", "phe": f"python-paillier {bits}"}
    return names[mode]


def sweeps(size: Size, say: Say) -> Iterator[dict[str, Any]]:
    """One axis at a time from the base: Paillier 2048 on all cores, except along "key_bits" and "threads"."""
    for base in size.base:
        plain = {axis: getattr(base, axis) for axis in size.axes}
        points = [(axis, v) for axis, values in size.axes.items() if ONLY.get(axis, base.kind) == base.kind for v in values]
        points = [(axis, v) for axis, v in points if v != plain[axis]]
        threads = sorted({1, 2, cores()} - {cores()})
        points += [("key_bits", b) for b in KEYS] + [("threads", t) for t in threads if t < cores()]
        for axis, value in points:
            work = Workload(**(base.as_dict() | ({axis: value} if axis in plain else {})))
            bits, used = (value if axis == "key_bits" else 2048), (value if axis == "threads" else cores())
            say(f"{base.kind}: {axis.replace('_', ' ')} = {value:,}")
            run = child.start("paillier", work, bits, threads=used)
            yield slim(run) | {"axis": axis, "value": value}


def slim(run: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key not in ("messages", "phases")}


def foretold(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cost model beside what was measured: CPU seconds of all parties, of jobs that it was not fitted on."""
    rows, clear, known = [], cost.clear_seconds(), set(cost.fitted()["fitted_on"]["jobs"])
    for run in runs:
        work = Workload(**run["work"])
        if run["mode"] == "paillier" and not run.get("small") and cost.job_key(work, run["key_bits"]) not in known:
            told = cost.one_core_s(work, run["key_bits"], cost.Machine(run["product_s"], clear))
            products = cost.predict(work, run["key_bits"])["products"]
            rows.append(
                {"work": run["work"], "key_bits": run["key_bits"], "threads": run["threads"], "cpu_s": run["cpu_s"], "predicted_s": told}
                | {"error": told / run["cpu_s"] - 1, "products": run["products"], "products_error": products / run["products"] - 1}
            )
    return rows


def peers(everything: bool, say: Say) -> list[dict[str, Any]]:
    say("other libraries")
    command = [sys.executable, "-m", "vfl.bench.peers", *(["--full"] if everything else [])]
    done = subprocess.run(command, env=child.with_threads(1), capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(everything: bool, say: Say) -> dict[str, Any]:
    """overhead.json."""
    size = FULL if everything else QUICK
    measured = list(modes(size, say))
    swept = list(sweeps(size, say))
    result: dict[str, Any] = {
        "format": FORMAT,
        "full": everything,
        "environment": environment(),
        "modes": measured,
        "sweeps": swept,
        "model": foretold([*measured, *swept]),
        "networks": [{"name": n.name, "bits_per_second": n.bits_per_second, "round_trip_s": n.round_trip_s} for n in NETWORKS],
        "peers": peers(everything, say),
    }
    if everything:
        result["cables"] = cables.measure(say)
    return result
