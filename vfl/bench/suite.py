"""The whole measurement: five modes of the same jobs, sweeps along each axis, the cost model's error, networks, and
other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from protocols.errors import LocalProtocolError
from vfl.bench import netns as cables
from vfl.bench import peers, plan
from vfl.bench import worker_client as child
from vfl.bench.environment import environment
from vfl.bench.eta import Left
from vfl.bench.plan import Point, Size
from vfl.cost import cost
from vfl.cost.machine import Machine
from vfl.cost.network import LAN, NETWORKS
from vfl.models.workload import Workload

FORMAT = 2
PEERS_S, CABLES_S = 60.0, 120.0  # for the time left
Say = Callable[[str], None]
Run = dict[str, Any]


def measured(point: Point, size: Size) -> Run:
    """One run, or the one in the middle of three that take little; why it was left out, or failed."""
    if why := point.skipped:
        return point.head | {"skipped": why}
    judge = point.what == "modes" and not point.small
    times = point.times(size)
    try:
        runs = [
            child.start(point.mode, point.work, point.key_bits, threads=point.threads, judge=judge)
            for _ in range(times)
        ]
    except LocalProtocolError as error:  # such as memory that does not suffice: the other runs are not lost
        return point.head | {"skipped": str(error)}
    middle = sorted(runs, key=lambda run: float(run["cpu_s"]))[times // 2] | {"runs": times}
    return point.head | (slim(middle) if point.what == "sweeps" else middle)


def slim(run: Run) -> Run:
    return {key: value for key, value in run.items() if key not in ("messages", "phases")}


def predicted(runs: Iterable[Mapping[str, Any]]) -> list[Run]:
    """The cost model compared with what was measured, for jobs that it was not fitted on: CPU seconds of all parties
    and, as `vfl check` says them, seconds on a LAN with one machine per party, compared with the replayed messages (of
    trainings with one host: elsewhere parties that work at the same time shared this machine's cores)."""
    rows, known = [], set(cost.fitted()["fitted_on"]["jobs"])
    for run in runs:
        work, bits = Workload(**run["work"]), run["key_bits"]
        if (
            run["mode"] not in ("paillier", "psi")
            or "skipped" in run
            or run.get("small")
            or cost.job_key(work, bits or 2048) in known
        ):
            continue
        machine = Machine(run["product_s"], run["clear_s"])
        told = cost.one_core_s(work, bits, machine)
        products = cost.predict(work, bits or 2048)["products"]
        row = {
            "work": run["work"],
            "key_bits": bits,
            "threads": run["threads"],
            "cpu_s": run["cpu_s"],
            "predicted_s": told,
        }
        row |= {"error": told / run["cpu_s"] - 1, "products": run["products"]}
        row |= {"products_error": products / run["products"] - 1 if run["products"] else 0.0}
        if work.hosts == 1 and work.kind != "alignment":
            row["lan_error"] = (
                cost.seconds(work, bits or 2048, machine, LAN, run["threads"]) / run["networks"][LAN.name] - 1
            )
        rows.append(row)
    return rows


def measure(everything: bool, say: Say, python: Path | None = None) -> dict[str, Any]:
    """overhead.json.  python: one that has the other libraries, by default this one."""
    size = plan.FULL if everything else plan.QUICK
    todo = list(plan.points(size))
    expected = [0.0 if point.skipped else point.times(size) * point.expected_s() for point in todo]
    left = Left([*expected, PEERS_S, *([CABLES_S] if everything else [])])
    found: dict[str, list[Run]] = {"modes": [], "sweeps": [], "kinds": []}
    for number, point in enumerate(todo, 1):
        say(
            f"{number} of {len(todo)}, {left.words()}: {point.text}"
            + (f": left out: {why}" if (why := point.skipped) else "")
        )
        found[point.what].append(measured(point, size))
        left.done()
    say(f"{left.words()}: other libraries")
    others = peers.measure(everything, python)
    left.done()
    result: dict[str, Any] = {
        "format": FORMAT,
        "full": everything,
        "environment": environment(),
        **found,
        "model": predicted([*found["modes"], *found["sweeps"], *found["kinds"]]),
        "networks": [
            {"name": n.name, "bits_per_second": n.bits_per_second, "round_trip_s": n.round_trip_s} for n in NETWORKS
        ],
        "peers": others,
        "seconds": left.passed(),
    }
    if everything:
        result["cables"] = cables.measure(lambda text: say(f"{left.words()}: {text}"))
        result["seconds"] = left.passed()
    return result
