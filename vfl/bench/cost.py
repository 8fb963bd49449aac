"""How long a job will take, before it is run: counts of work by formula, times what a unit of work takes on this machine.

    seconds = path_products(job) * product_s / cores  +  other_s(job) * clear_s / reference clear_s
            + 8 path_bytes(job) / bandwidth           +  round_trips(job) * round_trip_s

"path": what has to be done one after the other when every party has a machine of its own; products: modulo n^2.  The counts are sums of the terms below with
coefficients that `python -m vfl.bench.fit` finds from metered runs and keeps in cost.json; counts are the same on every machine.  Two times are measured
here, in about a second: product_s, a product modulo n^2 under a key of the job's size, and clear_s, a small regression without encryption, which scales
other_s, everything else (look-ups, set intersection, hashing, encoding, making the key).

Terms, with n rows, H hosts, d columns of the guest and e of each host, b = key bits / 2048 (b^4: finding the key's primes):
    regression  p passes of all its models, M = the wider of d + 1 and e, D = d + 1 + H e; w = 1 where rows are weighted, v = 1 where columns are binned by the label
    trees       T trees of L levels with B bins
A regression has the formula of its link: counts take the steps of the exact link (another table), numbers those of the Taylor expansion (another slope).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from protocols.cipher import Identity
from vfl.bench.network import Network
from vfl.bench.one import product_seconds
from vfl.bench.workload import Workload, run

FILE = Path(__file__).with_name("cost.json")
TARGETS = ("products", "path_products", "bytes", "path_bytes", "round_trips", "other_s")
CALIBRATION = Workload("logistic", 400, guest_columns=3, host_columns=4, passes=5)


def variant(work: Workload) -> str:
    """Which formula a job has."""
    match work.kind:
        case "trees":
            return work.membership
        case "alignment":
            return "alignment"
        case "linear":
            return "taylor"
        case "poisson":
            return "exact"
        case "logistic" | "scorecard":
            return work.link


def terms(work: Workload, key_bits: int) -> dict[str, float]:
    """The formula's terms; each count is a sum of them with coefficients of its own."""
    b, n, H, e = key_bits / 2048, float(work.rows), work.hosts, work.host_columns / work.hosts
    if work.kind == "alignment":
        return {"1": 1.0, "H": float(H), "n": n, "n H": n * H}
    common = {"1": 1.0, "b": b, "b^4": b**4, "H": float(H), "H b": H * b, "n": n, "n H": n * H}
    if work.kind != "trees":
        p, d = work.passes * (work.classes if work.classes > 2 else 1), work.guest_columns + 1
        D, M, w, v = d + H * e, max(d, e), float(work.weighted), float(work.kind == "scorecard")
        return common | {
            "p": p,
            "p H": p * H,
            "p n": p * n,
            "p n b": p * n * b,
            "p n H": p * n * H,
            "p n H b": p * n * H * b,
            "p n M": p * n * M,
            "p n D": p * n * D,
            "p D b": p * D * b,
            "w p n": w * p * n,
            "w p n b": w * p * n * b,
            "v": v,
            "v H b": v * H * b,
            "v n b": v * n * b,
            "v n H b": v * n * H * b,
            "v n H e": v * n * H * e,
        }
    T, L, B = work.trees, work.depth, work.bins
    nodes = 2**L - 1
    return common | {
        "T L": T * L,
        "T L H": T * L * H,
        "T n": T * n,
        "T n b": T * n * b,
        "T n H b": T * n * H * b,
        "T n e": T * n * e,
        "T n e H": T * n * e * H,
        "T L n": T * L * n,
        "T L n b": T * L * n * b,
        "T L n H b": T * L * n * H * b,
        "T L n e": T * L * n * e,
        "T L n e H": T * L * n * e * H,
        "T 2^L n": T * nodes * n,
        "T 2^L n H": T * nodes * n * H,
        "T L e B b": T * L * e * B * b,
        "T L e B b H": T * L * e * B * b * H,
        "T 2^L e B": T * nodes * e * B,
        "T 2^L e B H": T * nodes * e * B * H,
    }


def job_key(work: Workload, key_bits: int) -> str:
    """A job in one line: cost.json lists those that it was fitted on."""
    return ",".join(map(str, (*work.as_dict().values(), key_bits)))


@cache
def fitted() -> Mapping[str, Any]:
    """cost.json: coefficients by formula and count, the reference's clear_s, and the worst error on jobs that were left out of the fit."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def predict(work: Workload, key_bits: int, model: Mapping[str, Any] | None = None) -> dict[str, float]:
    """Every count of TARGETS."""
    given = terms(work, key_bits)
    formulas = (model or fitted())["formulas"][variant(work)]
    return {target: sum(c * given[name] for name, c in formulas[target].items()) for target in TARGETS}


@dataclass(frozen=True)
class Machine:
    """Two measured times of this machine, of one thread."""

    product_s: float
    clear_s: float

    @classmethod
    def measured(cls, key_bits: int) -> Machine:
        return cls(product_seconds(key_bits), clear_seconds())


def clear_seconds() -> float:
    """CPU seconds of a small regression without encryption; the best of three."""
    return min(run(CALIBRATION, Identity()).cpu_s for _ in range(3))


def one_core_s(work: Workload, key_bits: int, machine: Machine, model: Mapping[str, Any] | None = None) -> float:
    """CPU seconds of all parties together; key_bits 0: in the clear."""
    model = model or fitted()
    count = predict(work, key_bits or 2048, model)
    return (count["products"] * machine.product_s if key_bits else 0.0) + count["other_s"] * machine.clear_s / float(model["clear_s"])


def seconds(work: Workload, key_bits: int, machine: Machine, network: Network, cores: int) -> float:
    """From the first message to the last, every party on a machine of its own like this one, of which it uses `cores`."""
    count = predict(work, key_bits)
    # what is not products is done side by side in the same proportion as these, or where there are none as the bytes are sent
    serial = count["path_products"] / count["products"] if count["products"] else count["path_bytes"] / max(count["bytes"], 1.0)
    return (
        count["path_products"] * machine.product_s / cores
        + count["other_s"] * serial * machine.clear_s / float(fitted()["clear_s"])
        + 8 * count["path_bytes"] / network.bits_per_second
        + count["round_trips"] * network.round_trip_s
    )
