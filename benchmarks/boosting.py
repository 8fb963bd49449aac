"""What boosted trees cost: CPU seconds per tree by phase, products, bytes, memory of each party; compared with the same
without encryption, the twin and xgboost.

    make bench-boosting                                            prints a table, writes benchmarks/results/boosting.json
    python -m benchmarks.boosting 10k --beside FOLDER --repeat 5   also `hidden` of another commit, built in FOLDER, by turns

Each party is a process of one thread; there is no network.  Figures are of all parties together, without the keys and
the bins, and memory is that of the largest.  `--large` adds 10^6 rows: minutes.  Exits with 1 where a target is missed.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.parties import ROOT, Clock, play, together

RESULT = ROOT / "benchmarks" / "results" / "boosting.json"
KEY_BITS = 2048


@dataclass(frozen=True)
class Workload:
    """rows x (guest columns + host columns), and what a sealed tree may cost: products, and CPU and bytes as parts of
    those of `hidden` of 1582fb9."""

    rows: int
    guest: int
    host: int
    depth: int
    bins: int
    trees: int
    products: int = 0
    cpu: float = 0.0
    published: str = ""


MOST_BYTES = 1.4
MOST_MIB = 3 * 1024
WORKLOADS = {
    "10k": Workload(10_000, 10, 10, 4, 16, 3, 1_100_000, 0.6, "SecretFlow SGB 16.9 s (HEU Paillier, 2048 bits)"),
    "21k": Workload(21_000, 10, 13, 5, 32, 3, 2_300_000, 0.6, "FedTree 1.0.5 22.7 s (512 bits)"),
    "100k": Workload(100_000, 10, 10, 5, 32, 3),
    "1m": Workload(1_000_000, 2, 10, 5, 32, 3, 0, 0.45),
}


def blocks_of(work: Workload, p: Any) -> tuple[list[Any], np.ndarray]:
    from protocols.binning.quantile import Binner

    rng = np.random.default_rng(0)
    x = rng.normal(size=(work.rows, work.guest + work.host)).astype(np.float32).astype(np.float64)
    y = (x @ rng.normal(size=x.shape[1]) + rng.logistic(size=work.rows) > 0).astype(np.float64)
    parts = [x[:, : work.guest], x[:, work.guest :]]
    return [Binner.fit(part, p.max_bin, p.min_bin_rows if k else 1).transform(part) for k, part in enumerate(parts)], y


def params_of(work: Workload, membership: str) -> Any:
    from protocols.boosting.params import Params

    return Params(n_estimators=work.trees, max_depth=work.depth, max_bin=work.bins, membership=membership)  # type: ignore[arg-type]


def watched() -> Clock:
    """A clock that knows the phases of both profiles."""
    from protocols import look_up
    from protocols.boosting import gradients, leaves, prepare, product
    from protocols.boosting.blocks import Layout, Slots
    from protocols.cipher import CipherVec, DecryptionKey

    clock = Clock()
    phases: dict[str, list[tuple[Any, str]]] = {
        "encrypt": [(DecryptionKey, "encrypt")],
        "add": [(CipherVec, name) for name in ("histogram", "__add__", "__sub__", "take", "concat")],
        "factors": [(CipherVec, name) for name in ("rerandomise", "add_plain", "pack")],
        "open": [(DecryptionKey, "open"), (DecryptionKey, "open_packed")],
        "bytes": [(CipherVec, "receive"), (CipherVec, "release")],
        "pads": [(prepare, "part_pads"), (prepare, "arbiter")],
        "look-up": [(look_up, name) for name in ("deal", "accept", "evaluate")],
        "gradients": [(gradients, name) for name in ("guest", "host", "arbiter")],
        "blocks": [(Layout, "stacked")],
        "sums": [(prepare.Owned, "answer"), (prepare.Prepared, "sums"), (Slots, "split")],
        "products": [(product, name) for name in ("guest", "host", "arbiter", "children")],
        "leaves": [(leaves, name) for name in ("guest", "host", "arbiter")],
    }
    for phase, functions in phases.items():
        for owner, name in functions:
            clock.wrap(owner, name, phase)
    return clock


def party(me: str, wires: dict[str, int], name: str, membership: str, cipher: str) -> dict[str, Any]:
    """One party of a run in this process."""
    from protocols.boosting import open, sealed_arbiter, sealed_guest, sealed_host
    from protocols.boosting.ensemble import Rounds
    from protocols.cipher import Identity, Paillier, Scheme

    work = WORKLOADS[name]
    p, clock = params_of(work, membership), watched()
    binned, y = blocks_of(work, p)
    sealed: dict[str, Callable[[Any], Any]] = {
        "guest": lambda s: sealed_guest.guest(s, binned[0], p, y, bytes(16)),
        "host": lambda s: sealed_host.host(s, binned[1], p),
        "arbiter": lambda s: sealed_arbiter.arbiter(s, p),
    }
    opened: dict[str, Callable[[Any], Any]] = {
        "guest": lambda s: open.guest(s, binned[0], p, Rounds(p, y), bytes(16)),
        "host": lambda s: open.host(s, binned[1], p),
        "arbiter": lambda s: None,
    }
    scheme: Scheme = Identity(KEY_BITS) if cipher == "identity" else Paillier(KEY_BITS)
    return play(me, wires, (sealed if membership == "sealed" else opened)[me], scheme, clock)


def run_one(name: str, membership: str, cipher: str) -> dict[str, Any]:
    """One run of three processes: all of a tree."""
    work, found = WORKLOADS[name], together("benchmarks.boosting", name, membership, cipher)
    phases = dict[str, float]()
    for one in found:
        for phase, s in one["phases_s"].items():
            phases[phase] = phases.get(phase, 0.0) + s / work.trees
    return {
        "workload": name,
        "rows": work.rows,
        "host_columns": work.host,
        "membership": membership,
        "cipher": cipher,
        "key_bits": KEY_BITS,
        "cpu_s": sum(one["cpu_s"] for one in found) / work.trees,
        "wall_s": max(one["wall_s"] for one in found) / work.trees,
        "phases_s": phases,
        "products": sum(one["products"] for one in found) // work.trees,
        "bytes": sum(one["bytes"] for one in found) // work.trees,
        "peak_mib": max(one["peak_mib"] for one in found),
        "by_party": {one["party"]: {"cpu_s": one["cpu_s"] / work.trees, "peak_mib": one["peak_mib"]} for one in found},
        "backend": next(one["backend"] for one in found if one["party"] == "guest"),
    }


def run_plain(name: str) -> dict[str, Any]:
    """The twin and xgboost on the joined table, one core: CPU seconds per tree."""
    import xgboost

    from protocols.boosting import twin
    from protocols.boosting.ensemble import Rounds

    work = WORKLOADS[name]
    p = params_of(work, "open")
    binned, y = blocks_of(work, p)
    start = time.process_time()
    twin.train(binned, p, Rounds(p, y))
    row = {
        "workload": name,
        "rows": work.rows,
        "cipher": "plaintext",
        "twin_s": (time.process_time() - start) / work.trees,
    }
    table = xgboost.DMatrix(np.column_stack([b.bins for b in binned]).astype(np.float32), y)
    options = {
        "max_depth": work.depth,
        "max_bin": work.bins,
        "tree_method": "hist",
        "objective": "binary:logistic",
        "nthread": 1,
    }
    xgboost.train(options, table, 1)
    start = time.process_time()
    xgboost.train(options, table, 20)
    return row | {"xgboost_s": (time.process_time() - start) / 20}


def child(folder: Path, *arguments: str) -> dict[str, Any]:
    """What `--one` says in a folder, with that folder's own environment, in a process of one thread."""
    threads = dict.fromkeys(("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    python = sys.executable if folder == ROOT else str(folder / ".venv" / "bin" / "python")
    command = [python, "-m", "benchmarks.boosting", "--one", *arguments]
    done = subprocess.run(command, cwd=folder, env=os.environ | threads, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def median(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The run whose CPU time is the median."""
    return sorted(rows, key=lambda row: float(row["cpu_s"]))[(len(rows) - 1) // 2]


def beside(name: str, folder: Path, repeat: int) -> list[dict[str, Any]]:
    """Sealed trees and another commit's hidden ones by turns; the ratio of CPU times is the median over the turns."""
    own, others = list[dict[str, Any]](), list[dict[str, Any]]()
    for _ in range(repeat):
        own.append(child(ROOT, name, "sealed", "paillier"))
        others.append(child(folder, name, "hidden", "paillier"))
    ratio = statistics.median(a["cpu_s"] / b["cpu_s"] for a, b in zip(own, others, strict=True))
    other = median(others)
    return [
        other,
        median(own) | {"cpu_ratio": ratio, "bytes_ratio": median(own)["bytes"] / other["bytes"], "repeats": repeat},
    ]


def measured(name: str, folder: Path | None, repeat: int) -> Iterator[dict[str, Any]]:
    """Every row of a workload; of 10^6 rows sealed trees alone."""
    yield from beside(name, folder, repeat) if folder else [child(ROOT, name, "sealed", "paillier")]
    if name != "1m":
        yield from (
            child(ROOT, name, *run) for run in (("sealed", "identity"), ("open", "paillier"), ("open", "identity"))
        )
        yield child(ROOT, name)


def write(rows: list[dict[str, Any]]) -> None:
    """What was measured before of other workloads stays."""
    from benchmarks.kernels import machine

    before = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    again = {row["workload"] for row in rows}
    kept = [row for row in before if row["workload"] not in again]
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"machine": machine(), "rows": kept + rows}, indent=1) + "\n")


def missed(row: dict[str, Any]) -> list[str]:
    """Which targets of issue 16 a sealed run misses."""
    if row.get("membership") != "sealed" or row["cipher"] != "paillier":
        return []
    work = WORKLOADS[row["workload"]]
    bounds = {
        "products": (row["products"], work.products),
        "CPU beside hidden": (row.get("cpu_ratio", 0), work.cpu),
        "bytes beside hidden": (row.get("bytes_ratio", 0), MOST_BYTES),
        "MiB of a party": (row["peak_mib"], MOST_MIB),
    }
    return [
        f"{what}: {found:.6g}, at most {most:.6g}" for what, (found, most) in bounds.items() if most and found > most
    ]


def show(row: dict[str, Any]) -> None:
    if row["cipher"] == "plaintext":
        print(
            f"{row['workload']:>5} in the clear: twin {row['twin_s']:.3f}, xgboost {row['xgboost_s']:.4f} s a tree",
            flush=True,
        )
        return
    phases = "  ".join(
        f"{phase} {s:.2f}" for phase, s in sorted(row["phases_s"].items(), key=lambda item: -item[1]) if s >= 0.005
    )
    ratio = f"CPU x {row['cpu_ratio']:.3f}, bytes x {row['bytes_ratio']:.3f} of hidden" if "cpu_ratio" in row else ""
    print(
        f"{row['workload']:>5} {row['membership']:<6} {row['cipher']:<9} {row['cpu_s']:7.2f} s a tree  "
        f"{row['products']:>10,} products  "
        f"{row['bytes'] / 1e6:.1f} MB  peak {row['peak_mib']} MiB  {ratio}\n        {phases}",
        flush=True,
    )
    for line in missed(row):
        print(f"        missed: {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; without: all but 1m")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--party", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--large", action="store_true", help="10^6 rows too")
    parser.add_argument(
        "--beside", type=Path, help="a folder with commit 1582fb9, built: runs its hidden trees by turns"
    )
    parser.add_argument("--repeat", type=int, default=1, help="how often, with --beside")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    if options.party:
        print(json.dumps(party(options.party[0], json.loads(options.party[1]), *options.workloads)))
        return 0
    if options.one:
        print(json.dumps(run_plain(options.one[0]) if len(options.one) == 1 else run_one(*options.one)))
        return 0
    rows = []
    for name in options.workloads or (WORKLOADS if options.large else list(WORKLOADS)[:-1]):
        if WORKLOADS[name].published:
            print(f"{name:>5} published: {WORKLOADS[name].published}")
        for row in measured(name, options.beside.resolve() if options.beside else None, options.repeat):
            rows.append(row | {"load_average": os.getloadavg()[0]})
            show(row)
    if not options.no_write:
        write(rows)
    return 1 if any(missed(row) for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
