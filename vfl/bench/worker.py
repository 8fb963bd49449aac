"""Runs in a process of its own: what each took, as one JSON object a line on standard output.  `vfl bench` starts it; a
line of standard input describes a run.

    {"mode": "joined" | "clear" | "psi" | "paillier" | "phe", "key_bits": 2048, "work": {...}, "threads": 2, "judge": true}

Seconds of a party and phase are on the clock, its waiting left out; where parties work at the same time they share the
machine's cores.  Peak memory is the whole process's, tables and Python included.
"""  # noqa: E501

from __future__ import annotations

import json
import resource
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from protocols.cipher import Identity, Paillier, PhePaillier, Scheme
from vfl.bench import centralized as joined
from vfl.cost import network
from vfl.cost.jobs import Tables, run, tables
from vfl.cost.machine import Machine
from vfl.cost.meter import Meter
from vfl.metrics import binary_metrics
from vfl.models.workload import Workload

SCHEMES: dict[str, type[Identity] | type[Paillier] | type[PhePaillier]] = {
    "clear": Identity,
    "psi": Identity,  # an alignment alone, which has no Paillier key
    "paillier": Paillier,
    "phe": PhePaillier,
}


def measure(mode: str, work: Workload, key_bits: int, *, judge: bool) -> dict[str, Any]:
    """Runs `work`; judge: also scores new rows, for the AUC."""
    if mode == "joined":
        found = joined.fit(work, tables(work), tables(work, new=True) if judge else None)
    else:
        found = timed(mode, work, key_bits, judge=judge)
    return found | {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def timed(mode: str, work: Workload, key_bits: int, *, judge: bool) -> dict[str, Any]:
    """A run of all parties; with the machine's speed, measured before and after, for what the cost model predicts."""
    scheme, predicted = SCHEMES[mode](key_bits or 2048), {"clear": 0, "psi": 0, "paillier": key_bits}
    before = Machine.measured(predicted[mode]) if mode in predicted else None
    found = federated(work, scheme, judge=judge and work.kind != "alignment")
    if before is None:
        return found
    machine = before.faster(Machine.measured(predicted[mode]))
    explained = {"explained": found["products"] * machine.product_s / found["cpu_s"]} if found["products"] else {}
    return found | asdict(machine) | explained


def federated(work: Workload, scheme: Scheme, *, judge: bool) -> dict[str, Any]:
    done = run(work, scheme)
    events = {party: meter.events for party, meter in done.meters.items()}
    return {
        "wall_s": done.wall_s,
        "cpu_s": done.cpu_s,
        "products": sum(e.products for es in events.values() for e in es),
        "bytes": sum(e.size for es in events.values() for e in es if e.what == "send"),
        "phases": phases(done.meters),
        "messages": messages(done.meters),
        "path_s": network.longest(events, network.seconds),
        "path_products": network.longest(events, lambda e: float(e.products)),
        "path_bytes": network.bytes_in_line(events),
        "round_trips": network.round_trips(events),
        "networks": {net.name: network.play(events, net) for net in network.NETWORKS},
        "auc": auc(done.model, tables(work, new=True)) if judge else None,
    }


def phases(meters: Mapping[str, Meter]) -> list[dict[str, Any]]:
    """Seconds of work and of waiting, and products, by party and phase."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for party, meter in meters.items():
        for event in meter.events:
            row = rows.setdefault(
                (party, event.phase),
                {"party": party, "phase": event.phase, "seconds": 0.0, "waited_s": 0.0, "products": 0, "bytes_sent": 0},
            )
            row["seconds"] += event.seconds
            row["waited_s"] += event.waited
            row["products"] += event.products
            row["bytes_sent"] += event.size if event.what == "send" else 0
    return list(rows.values())


def messages(meters: Mapping[str, Meter]) -> list[dict[str, Any]]:
    """Numbers and bytes by link and kind."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for party, meter in meters.items():
        for event in meter.events:
            if event.what == "send":
                row = rows.setdefault(
                    (party, event.peer, event.kind),
                    {"from": party, "to": event.peer, "kind": event.kind, "messages": 0, "bytes": 0},
                )
                row["messages"] += 1
                row["bytes"] += event.size
    return list(rows.values())


def auc(model: Any, new: Tables) -> float:
    """Of the joint model, on rows that it has not seen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the tables are made so that not all rows are known to all
        scores = model.predict_score(new.guest.drop(columns="label"), new.hosts)
    known = scores.notna().to_numpy()
    return float(binary_metrics(new.guest["label"].to_numpy()[known], scores.to_numpy()[known])["auc"] or 0.0)


def main() -> None:
    for line in sys.stdin:
        ask = json.loads(line)
        answer = measure(ask["mode"], Workload(**ask["work"]), ask["key_bits"], judge=ask["judge"])
        print(json.dumps(answer), flush=True)  # noqa: T201 (this is its answer)


if __name__ == "__main__":
    main()
