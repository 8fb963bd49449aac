"""How long a job will take, before it is run: counts of work by formula, times what a unit of work takes on this
machine.

    seconds = paced(job) * product_s * serial / cores  +  other(job) * clear_s * serial (of alignments: / cores)
            + 8 path_bytes(job) / bandwidth            +  round_trips(job) * round_trip_s

"path": what has to be done one after the other when every party has a machine of its own; serial: path_products /
products, modulo n^2, of alignments path_bytes / bytes.  The counts are sums of the terms below with coefficients that
`python -m vfl.bench.fit` finds from metered runs and keeps in cost.json; counts are the same on every machine.  Two
times are measured here, in about a second.  product_s, of a product modulo n^2 under a key of the job's size, is the
unit of `paced`, what encryption adds to the same job in the clear: some products are squarings, or of half the length,
and some of it is packing or finding primes, so that `paced` is up to a fifth less than `products`, and in small jobs
several times more.  clear_s, a small regression without encryption, is the unit of `other`, the job in the clear:
look-ups, set intersection, hashing.

A training is its alignment's formula and one of its own.  Terms, with n rows, H = k + 1 hosts, d columns of the guest and e of each host, b = key bits / 2048
(b^4: finding the key's primes), W(u) products a bit of an exponent to raise one base u times by a table as wide as pays:
    regression  p passes of all its models, M = the wider of d + 1 and e, D = d + 1 + H e; w = 1 where rows are weighted, v = 1 where columns are binned by the label
    open trees  T trees of L levels with B bins
    sealed      the same, D = d + H e columns, C ciphertexts of each row in all (protocols/boosting/blocks.py), P the bytes of all blocks of a row
A regression has the formula of its link: counts take the steps of the exact link (another table), numbers those of the Taylor expansion (another slope).
"""  # noqa: E501

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from protocols.boosting.blocks import Layout
from protocols.boosting.sealed import layout_of
from protocols.parts import ROWS
from vfl.cost.jobs import estimator_of
from vfl.cost.machine import Machine
from vfl.cost.network import Network
from vfl.cost.powers import cover, powers
from vfl.models.trees.spec import BoostedTrees
from vfl.models.workload import Workload

FILE = Path(__file__).with_name("cost.json")
TARGETS = ("products", "path_products", "bytes", "path_bytes", "round_trips", "paced", "other")
BITS = 2048  # of the exponents of W(u)


def variant(work: Workload) -> str:
    """Which formula a job has."""
    match work.kind:
        case "trees":
            return work.membership
        case "alignment":
            return "alignment"
        case "network":
            raise ValueError("a network's cost has no fitted formula")
        case "linear":
            return "taylor"
        case "poisson":
            return "exact"
        case "logistic" | "scorecard":
            return work.link


def parts(work: Workload) -> list[Workload]:
    """A job's alignment, and the job if it trains: the cost of each has a formula."""
    alignment = Workload("alignment", work.rows, hosts=work.hosts)
    return [alignment] if work.kind == "alignment" else [alignment, work]


def windowed(uses: float) -> float:
    """W(u) of the terms: products that fill the table and of the uses, over the bits of the exponent."""
    return powers(BITS, uses, BITS) / BITS


def by_blocks(rows: float) -> float:
    """W(n) of the terms where each block of rows has a table of its own."""
    full, rest = divmod(rows, ROWS)
    return full * windowed(ROWS) + (windowed(rest) if rest else 0.0)


def terms(work: Workload, key_bits: int) -> dict[str, float]:
    """The formula's terms, of a training without its alignment's; each count is a sum of them with coefficients of its
    own.

    Long because every term has a line."""
    b, n, H, e = key_bits / 2048, float(work.rows), work.hosts, work.host_columns / work.hosts
    if work.kind == "alignment":
        k = H - 1
        return {"1": 1.0, "H": float(H), "n": n, "n (k>0)": n * (k > 0), "n k": n * k, "n k k": n * k * k}
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
            "p W(n) M": p * by_blocks(n) * M,
            "p W(n) D": p * by_blocks(n) * D,
            "b W(p n)": b * windowed(p * n),
            "H b W(p n)": H * b * windowed(p * n),
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
    if work.membership == "sealed":
        layout, D = sealed_layout(work, key_bits), work.guest_columns + H * e
        C = float(ciphertexts(layout, T, work.classes if work.classes > 2 else 1))
        P = T * sum(layout.bits(level) for level in range(L)) / 8
        return common | {
            "C n": C * n,
            "C n b": C * n * b,
            "C n H": C * n * H,
            "C n H b": C * n * H * b,
            "C n e b": C * n * e * b,
            "C n D b": C * n * D * b,
            "b W(C n)": b * windowed(C * n),
            "H b W(C e B)": H * b * windowed(C * e * B),
            "C e B b": C * e * B * b,
            "C D B b": C * D * B * b,
            "T L": T * L,
            "T L H": T * L * H,
            "T n": T * n,
            "T n H": T * n * H,
            "T 2^L n": T * nodes * n,
            "T 2^L n H": T * nodes * n * H,
            "P n": P * n,
            "P n H": P * n * H,
            "P n e": P * n * e,
            "P n D": P * n * D,
            "P e B": P * e * B,
            "P D B": P * D * B,
        }
    return common | {
        "T L": T * L,
        "T L H": T * L * H,
        "T n": T * n,
        "T n b": T * n * b,
        "T n H b": T * n * H * b,
        "T n e": T * n * e,
        "T n e H": T * n * e * H,
        "b W(T n)": b * windowed(T * n),
        "H b W(T n)": H * b * windowed(T * n),
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


def sealed_layout(work: Workload, key_bits: int) -> Layout:
    """How sums of the job's trees share plaintexts."""
    estimator = estimator_of(work)
    assert isinstance(estimator, BoostedTrees)
    return layout_of(estimator.params(), work.rows, key_bits, weighted=False)


def ciphertexts(layout: Layout, trees: int, classes: int) -> int:
    """Ciphertexts per row in all, with this number of trees per round: as many rounds share plaintexts as fit."""

    def of(count: int) -> int:
        return sum(
            replace(layout, together=min(layout.trees, count - first)).planes for first in range(0, count, layout.trees)
        )

    step = classes * max(1, layout.trees // classes)
    return trees // step * of(step) + of(trees % step)


def job_key(work: Workload, key_bits: int) -> str:
    """A job in one line: cost.json lists those that it was fitted on."""
    return ",".join(map(str, (*work.as_dict().values(), key_bits)))


def formula_of(job: str) -> str:
    """Which formula the job of a line has."""
    told: dict[str, Any] = dict(zip((field.name for field in fields(Workload)), job.split(","), strict=False))
    return variant(Workload(told["kind"], 0, link=told["link"], membership=told["membership"]))


@cache
def fitted() -> Mapping[str, Any]:
    """cost.json: coefficients by formula and count, and the worst error on jobs that were left out of the fit."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def predict(work: Workload, key_bits: int, model: Mapping[str, Any] | None = None) -> dict[str, float]:
    """Every count of TARGETS, of the alignment and the training together."""
    each = [counted(part, key_bits, (model or fitted())["formulas"]) for part in parts(work)]
    return {target: sum(count[target] for count in each) for target in TARGETS}


def counted(part: Workload, key_bits: int, formulas: Mapping[str, Any]) -> dict[str, float]:
    """Every count of one of `parts`."""
    given, formula = terms(part, key_bits), formulas[variant(part)]
    found = {target: sum(c * given[name] for name, c in formula[target].items()) for target in TARGETS}
    every, path = covers(part)
    once = cover(key_bits)
    return found | {
        "products": found["products"] + every * once,
        "paced": found["paced"] + every * once,
        "path_products": found["path_products"] + path * once,
    }


def covers(part: Workload) -> tuple[int, int]:
    """How often a party computes, once per key, what covers its ciphertexts (`powers.cover`): in all, and one after
    the other."""
    if part.kind == "alignment":
        return 0, 0
    if part.kind == "trees":
        return (part.hosts, 1) if part.membership == "open" else (1 + part.hosts, 1)
    bins = part.kind == "scorecard"  # hosts send sums of bins under the guest's key
    return 1 + part.hosts + bins * part.hosts, 2 + bins


def one_core_s(work: Workload, key_bits: int, machine: Machine, model: Mapping[str, Any] | None = None) -> float:
    """CPU seconds of all parties together; key_bits 0: in the clear."""
    count = predict(work, key_bits or 2048, model)
    return (count["paced"] * machine.product_s if key_bits else 0.0) + count["other"] * machine.clear_s


def seconds(work: Workload, key_bits: int, machine: Machine, network: Network, cores: int) -> float:
    """From the first message to the last, every party on a machine of its own like this one, of which it uses
    `cores`."""
    return sum(part_seconds(part, key_bits, machine, network, cores) for part in parts(work))


def part_seconds(part: Workload, key_bits: int, machine: Machine, network: Network, cores: int) -> float:
    """Of one of `parts`: an alignment, or a training without its alignment."""
    count = counted(part, key_bits, fitted()["formulas"])
    sealed = part.kind != "alignment"
    serial = count["path_products"] / count["products"] if sealed else count["path_bytes"] / count["bytes"]
    return (
        count["paced"] * serial * machine.product_s / cores
        + count["other"]
        * serial
        * machine.clear_s
        / (1 if sealed else cores)  # hashing to the group and scalar products share all cores
        + 8 * count["path_bytes"] / network.bits_per_second
        + count["round_trips"] * network.round_trip_s
    )
