"""What boosted trees cost: seconds a tree by phase, products, bytes, memory; beside the same run without encryption, the plaintext twin and xgboost.

Both parties run in one process on one core, without a network; each run has a process of its own.  Figures are seconds of CPU a tree, without the key
and the bins, so that a busy machine troubles them less; `wall` is there too.  Prints a table and writes `benchmarks/results/boosting.json`.
Run it with `make bench-boosting`; `--large` adds 10^6 rows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "boosting.json"
KEY_BITS = 2048


@dataclass(frozen=True)
class Workload:
    """rows x (guest columns + host columns), and what a tree may cost."""

    rows: int
    guest: int
    host: int
    depth: int
    bins: int
    trees: int
    targets: dict[str, float] = field(default_factory=dict)
    published: str = ""


WORKLOADS = {
    "10k": Workload(10_000, 10, 10, 4, 16, 3, {"shared": 1.5, "hidden": 4.0}, "SecretFlow SGB 16.9 s (HEU Paillier, 2048 bits)"),
    "21k": Workload(21_000, 10, 13, 5, 32, 3, {"shared": 4.0, "hidden": 10.0}, "FedTree 1.0.5 22.7 s (512 bits)"),
    "100k": Workload(100_000, 10, 10, 5, 32, 1),
    "1m": Workload(1_000_000, 2, 10, 5, 32, 1),
}
PHASES = ("encrypt", "add", "pack", "decrypt", "bytes", "plain", "wait")


class Clock:
    """CPU seconds of the calls that it wraps, one at a time, by phase."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._lock = threading.RLock()
        self._deep = threading.local()

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        inner = owner.__dict__[name]
        call: Callable[..., Any] = inner.__func__ if isinstance(inner, staticmethod) else inner

        def timed(*args: Any, **named: Any) -> Any:
            if getattr(self._deep, "inside", False):
                return call(*args, **named)
            with self._lock:
                self._deep.inside = True
                start = time.process_time()
                try:
                    return call(*args, **named)
                finally:
                    self.seconds[phase] += time.process_time() - start
                    self._deep.inside = False

        setattr(owner, name, staticmethod(timed) if isinstance(inner, staticmethod) else timed)


def blocks_of(work: Workload, p: Any) -> tuple[list[Any], np.ndarray]:
    from protocols.binning import Binner

    rng = np.random.default_rng(0)
    x = rng.normal(size=(work.rows, work.guest + work.host)).astype(np.float32).astype(np.float64)
    y = (x @ rng.normal(size=x.shape[1]) + rng.logistic(size=work.rows) > 0).astype(np.float64)
    parts = [x[:, : work.guest], x[:, work.guest :]]
    return [Binner.fit(part, p.max_bin, p.min_bin_rows if k else 1).transform(part) for k, part in enumerate(parts)], y


def run_one(name: str, membership: str, cipher: str) -> dict[str, Any]:
    """One run in this process: seconds a tree by phase, products, bytes, memory."""
    from protocols.boosting import hidden, shared
    from protocols.boosting.ensemble import Rounds
    from protocols.boosting.params import Params
    from protocols.channel import Tap
    from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey, Identity, Paillier, Scheme
    from protocols.session import Observer, Roles
    from vfl.engine import run_local

    work = WORKLOADS[name]
    p = Params(n_estimators=work.trees, max_depth=work.depth, max_bin=work.bins, membership=membership)  # type: ignore[arg-type]
    blocks, y = blocks_of(work, p)
    keys: list[EncryptionKey] = []

    class Keeping:
        """Remembers the keys, for their counters."""

        def __init__(self, scheme: Scheme) -> None:
            self.scheme, self.bits = scheme, scheme.bits

        def generate(self, holder: str, seed: Any) -> DecryptionKey:
            key = self.scheme.generate(holder, seed)
            keys.append(key.public)
            return key

        def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
            keys.append(self.scheme.accept(n, proof, holder))
            return keys[-1]

    class Bytes(Tap):
        total = 0

        def sent(self, peer: str, kind: Any, data: bytes) -> None:
            Bytes.total += len(data)

    class Begin(Observer):
        """Starts the clocks when the keys are there and the first tree begins."""

        cpu = wall = 0.0
        products = 0

        def step(self, phase: str, done: int, total: int) -> None:
            if done == 0:
                Begin.cpu, Begin.wall = time.process_time(), time.perf_counter()
                Begin.products = sum(k.raw.products for k in keys)
                clock.seconds = dict.fromkeys(PHASES, 0.0)

    clock = Clock()
    wrapped = {
        "histogram": "add",
        "__add__": "add",
        "__sub__": "add",
        "pack": "pack",
        "rerandomise": "pack",
        "receive": "bytes",
        "release": "bytes",
        "take": "add",
        "concat": "add",
    }
    for method, phase in wrapped.items():
        clock.wrap(CipherVec, method, phase)
    clock.wrap(DecryptionKey, "encrypt", "encrypt")
    clock.wrap(DecryptionKey, "open_packed", "decrypt")
    profile, roles = hidden if membership == "hidden" else shared, Roles("guest", ("host",), "arbiter")
    rounds = Rounds(p, y)
    programs: dict[str, Callable[[Any], Any]] = {
        "guest": lambda s: profile.guest(s, blocks[0], p, rounds, bytes(16)),
        "host": lambda s: profile.host(s, blocks[1], p),
        "arbiter": lambda s: hidden.arbiter(s, p) if membership == "hidden" else None,
    }
    scheme = Keeping(Identity(KEY_BITS) if cipher == "identity" else Paillier(KEY_BITS))
    run_local(roles, programs, scheme, taps={q: [Bytes()] for q in roles.all}, observers={"guest": Begin()})
    cpu, wall, seconds = time.process_time() - Begin.cpu, time.perf_counter() - Begin.wall, dict(clock.seconds)
    products = sum(k.raw.products for k in keys) - Begin.products
    seconds["plain"] = cpu - sum(seconds.values())
    seconds["wait"] = max(0.0, wall - cpu)
    row = {
        "workload": name,
        "rows": work.rows,
        "host_columns": work.host,
        "membership": membership,
        "cipher": cipher,
        "key_bits": KEY_BITS,
        "cpu_s": cpu / work.trees,
        "wall_s": wall / work.trees,
        "phases_s": {phase: s / work.trees for phase, s in seconds.items()},
        "products": products // work.trees,
        "bytes": Bytes.total // work.trees,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "target_s": work.targets.get(membership),
        "backend": "none",
    }
    if cipher == "paillier":
        row["backend"] = keys[0].raw.backend  # type: ignore[attr-defined]
        row["explained"] = explained(keys[0], products, cpu)
    return row


def explained(key: Any, products: int, cpu: float) -> float:
    """The share of the CPU time that the counted products take at the pace of a long run of them."""
    from protocols._native import PlainVec

    vector = key.raw.lift(PlainVec.from_i64(np.arange(20_000)))
    bins, before = np.zeros((20_000, 1), dtype=np.int64), key.raw.products
    start = time.process_time()
    for _ in range(5):
        vector.histogram(bins, 1)
    return products * (time.process_time() - start) / (key.raw.products - before) / cpu


def run_plain(name: str) -> dict[str, Any]:
    """The twin and xgboost on the joined table, one core: CPU seconds a tree."""
    import xgboost

    from protocols.boosting import twin
    from protocols.boosting.ensemble import Rounds
    from protocols.boosting.params import Params

    work = WORKLOADS[name]
    row: dict[str, Any] = {"workload": name, "rows": work.rows, "cipher": "plaintext"}
    for membership in ("shared", "hidden"):
        p = Params(n_estimators=work.trees, max_depth=work.depth, max_bin=work.bins, membership=membership)  # type: ignore[arg-type]
        blocks, y = blocks_of(work, p)
        start = time.process_time()
        twin.train(blocks, p, Rounds(p, y))
        row[f"twin_{membership}_s"] = (time.process_time() - start) / work.trees
    x = np.column_stack([b.bins for b in blocks]).astype(np.float32)
    table = xgboost.DMatrix(x, y)
    options = {"max_depth": work.depth, "max_bin": work.bins, "tree_method": "hist", "objective": "binary:logistic", "nthread": 1}
    xgboost.train(options, table, 1)
    start = time.process_time()
    xgboost.train(options, table, 20)
    row["xgboost_s"] = (time.process_time() - start) / 20
    return row


def child(*arguments: str) -> dict[str, Any]:
    """Runs this file in a process of one core."""
    threads = dict.fromkeys(("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "benchmarks.boosting", "--one", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | threads, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(row: dict[str, Any]) -> None:
    if row["cipher"] == "plaintext":
        print(
            f"{row['workload']:>5} in the clear: twin {row['twin_shared_s']:.3f} (shared) {row['twin_hidden_s']:.3f} (hidden), xgboost {row['xgboost_s']:.4f} s a tree"
        )
        return
    phases = "  ".join(f"{phase} {row['phases_s'][phase]:.2f}" for phase in PHASES)
    target = f"target {row['target_s']}" if row["target_s"] and row["cipher"] == "paillier" else ""
    share = f"{row['explained']:.0%} explained" if "explained" in row else ""
    print(
        f"{row['workload']:>5} {row['membership']:<7} {row['cipher']:<9} {row['cpu_s']:7.2f} s a tree  {phases}  {row['products']:>10,} products {share}  "
        f"{row['bytes'] / 1e6:.1f} MB  peak {row['peak_mib']} MiB  {target}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--large", action="store_true", help="10^6 rows too")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    if options.one:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        print(json.dumps(run_plain(options.one[0]) if len(options.one) == 1 else run_one(*options.one)))
        return 0
    rows = []
    for name in WORKLOADS if options.large else list(WORKLOADS)[:-1]:
        if WORKLOADS[name].published:
            print(f"{name:>5} published: {WORKLOADS[name].published}")
        runs = [(name, m, c) for m in ("shared", "hidden") for c in ("identity", "paillier") if name != "1m" or c == "paillier"]
        for arguments in [*runs, (name,)]:
            rows.append(child(*arguments))
            show(rows[-1])
    if not options.no_write:
        from benchmarks.kernels import machine

        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    missed = [r for r in rows if r.get("target_s") and r["cipher"] == "paillier" and r["cpu_s"] > r["target_s"]]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
