"""What a product, an encryption, a decryption and a matrix product cost, beside gmpy2 and python-paillier in the same
process.

Prints a table and writes `benchmarks/results/kernels.json`.  An operation's figure is the median of five on one thread,
in seconds of CPU, the candidates interleaved, so that what else runs on the machine troubles all of them little and
alike; `threads` compares two threads with one on the clock, fastest of many.  Run it with `make bench-kernels`.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import gmpy2
import numpy as np
from phe.paillier import EncryptedNumber, PaillierPrivateKey, PaillierPublicKey

from protocols._native import PlainVec, PrivateKey

ROOT = Path(__file__).resolve().parent.parent
SEED = bytes(range(32))
ROWS, COLUMNS = 20, 1000
SLOT_BITS = 64
HEADROOM = 41

# What each operation must reach against python-paillier with gmpy2, 2048 bits, one thread.
TARGETS = {
    "ifma": {
        "encrypt": 65.0,
        "encrypt_key_holder": 115.0,
        "add": 6.0,
        "decrypt": 4.0,
        "decrypt_packed": 60.0,
        "mul_32": 4.5,
        "matmul": 30.0,
    },
    "avx2": {
        "encrypt": 10.0,
        "encrypt_key_holder": 15.0,
        "add": 1.5,
        "decrypt": 1.0,
        "decrypt_packed": 15.0,
        "mul_32": 1.0,
        "matmul": 8.0,
    },
    "serial": {
        "add": 0.6,
        "mul_32": 0.4,
        "decrypt": 0.4,
        "encrypt": 1.0,
        "decrypt_packed": 1.0,
        "matmul": 1.0,
    },
}

# Seconds of a negative scalar over those of a positive one, at most.
NEGATIVE = 1.10

Work = Callable[[], object]


def seconds(work: Work, clock: Callable[[], float] = time.process_time) -> float:
    start = clock()
    work()
    return clock() - start


def rates(
    candidates: dict[str, tuple[Work, int]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
    choose: Callable[[list[float]], float] = median,
) -> dict[str, float]:
    """Operations per second of each (work, operations per call), interleaved."""
    for work, _ in candidates.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, (work, _) in candidates.items():
            times[name].append(seconds(work, clock))
    return {name: candidates[name][1] / choose(t) for name, t in times.items()}


def machine() -> dict[str, object]:
    cpu = platform.processor() or "unknown"
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = lines[0] if lines else cpu
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "python": platform.python_version(),
        "gmpy2": gmpy2.version(),
        "commit": commit.stdout.strip() or "unknown",
    }


def products() -> list[dict[str, object]]:
    """Nanoseconds per product by backend, from the Rust side, where nothing but the arithmetic is in the loop; and
    gmpy2 for comparison."""
    command = ["cargo", "run", "--quiet", "--release", "--locked", "--example", "products"]
    run = subprocess.run(command, cwd=ROOT / "native" / "core", capture_output=True, text=True, check=True)
    rows: list[dict[str, object]] = [json.loads(line) for line in run.stdout.splitlines()]
    for row in rows:
        bits = int(str(row["modulus_bits"]))
        rng = random.Random(bits)
        m, a, b = (gmpy2.mpz(rng.getrandbits(bits) | 1 << (bits - 1) | 1) for _ in range(3))
        a, b = a % m, b % m

        def chain(a: gmpy2.mpz = a, b: gmpy2.mpz = b, m: gmpy2.mpz = m) -> None:
            for _ in range(1000):
                a = a * b % m

        row["gmpy2_ns"] = round(min(seconds(chain, time.perf_counter) for _ in range(20)) * 1e6, 1)
    return rows


def reference(key: PrivateKey, count: int) -> Iterator[tuple[str, Work, int]]:
    """python-paillier, through the calls its users make where the cost is one modular operation."""
    data = key.to_bytes()
    half = len(data) // 2
    p, q = (int.from_bytes(part, "little") for part in (data[:half], data[half:]))
    public = PaillierPublicKey(p * q)
    private = PaillierPrivateKey(public, p, q)
    rng = random.Random(5)
    plain = [rng.getrandbits(32) for _ in range(count)]
    a = [EncryptedNumber(public, public.raw_encrypt(m)) for m in plain]
    b = [*a[1:], a[0]]
    scalars = [rng.getrandbits(32) | 1 << 31 for _ in range(count)]
    yield "encrypt", lambda: [public.raw_encrypt(m) for m in plain], count
    yield "decrypt", lambda: [private.raw_decrypt(x.ciphertext(be_secure=False)) for x in a], count
    yield (
        "add",
        lambda: [
            x._raw_add(x.ciphertext(False), y.ciphertext(False)) for _ in range(20) for x, y in zip(a, b, strict=True)
        ],
        20 * count,
    )
    yield "mul_32", lambda: [x._raw_mul(s) for x, s in zip(a, scalars, strict=True)], count
    yield "mul_neg_32", lambda: [x._raw_mul(public.n - s) for x, s in zip(a, scalars, strict=True)], count


def operations(key: PrivateKey, size: int) -> Iterator[tuple[str, Work, int]]:
    """Ours: `size` elements a call."""
    public = key.public_key
    bits = public.bits
    rng = np.random.default_rng(5)
    plain = PlainVec.from_i64(rng.integers(-(2**31), 2**31, size))
    a = public.encrypt(plain, SEED, bits // 2)
    b = a.take(np.roll(np.arange(size), 1))
    scalars = PlainVec.from_i64(rng.integers(2**31, 2**32, size))
    negative = -scalars
    slots = (bits - HEADROOM - 1) // SLOT_BITS
    packed = public.encrypt(
        PlainVec.random(SEED, slots * max(size // slots, 8), SLOT_BITS - 2).pack(SLOT_BITS, slots), SEED, bits // 2
    )
    values = len(packed) * slots
    opened = min(size, 256)
    few = a.take(np.arange(opened))
    vector = public.encrypt(PlainVec.from_i64(np.arange(COLUMNS)), SEED, bits // 2)
    matrix = rng.integers(-(2**31), 2**31, (ROWS, COLUMNS))
    bins = rng.integers(0, 32, (size, 10))
    yield "encrypt", lambda: public.encrypt(plain, SEED, bits // 2), size
    yield "encrypt_key_holder", lambda: key.encrypt(plain, SEED, bits // 2), size
    yield "rerandomise", lambda: a.rerandomise(SEED, bits // 2), size
    yield "decrypt", lambda: key.decrypt(few), opened
    yield "decrypt_packed", lambda: key.decrypt(packed).unpack(SLOT_BITS, slots, values), values
    yield "add", lambda: a + b, size
    yield "mul_32", lambda: a.mul_plain(scalars), size
    yield "mul_neg_32", lambda: a.mul_plain(negative), size
    yield "matmul", lambda: vector.matmul(matrix), ROWS * COLUMNS
    yield "histogram", lambda: a.histogram(bins, 32), size * 10


# Which of python-paillier's operations an operation is compared with: what its user would have to do instead.
INSTEAD = {
    "encrypt_key_holder": "encrypt",
    "rerandomise": "encrypt",
    "decrypt_packed": "decrypt",
    "matmul": "mul_32+add",
    "histogram": "add",
}


def compare(bits: int, backends: list[str], size: int, rounds: int) -> list[dict[str, object]]:
    keys = {backend: PrivateKey.generate(bits, SEED, backend=backend, threads=1) for backend in backends}
    theirs = {name: (work, ops) for name, work, ops in reference(keys[backends[0]], 20)}
    ours = {backend: {name: (work, ops) for name, work, ops in operations(key, size)} for backend, key in keys.items()}
    rows: list[dict[str, object]] = []
    for op in ours[backends[0]]:
        base = INSTEAD.get(op, op)
        parts = base.split("+")
        candidates = {f"phe {part}": theirs[part] for part in parts} | {b: ours[b][op] for b in backends}
        measured = rates(candidates, rounds)
        phe = 1 / sum(1 / measured[f"phe {part}"] for part in parts)
        rows.append(
            {"op": op, "bits": bits, "backend": "phe", "as": base, "per_second": round(phe, 1), "ratio_to_phe": 1.0}
        )
        for backend in backends:
            ratio = measured[backend] / phe
            target = TARGETS[backend].get(op) if bits == 2048 else None
            row: dict[str, object] = {
                "op": op,
                "bits": bits,
                "backend": backend,
                "per_second": round(measured[backend], 1),
            }
            rows.append(row | {"ratio_to_phe": round(ratio, 2), "target": target})
    for backend in backends:
        times = [
            seconds(partial(PrivateKey.generate, bits, bytes([i]) * 32, backend=backend, threads=1)) for i in range(11)
        ]
        rows.append(
            {
                "op": "keygen",
                "bits": bits,
                "backend": backend,
                "per_second": round(1 / median(times), 2),
                "ratio_to_phe": None,
            }
        )
    return rows


def negative(bits: int, backend: str, size: int, rounds: int) -> dict[str, object]:
    """What a negative 32-bit scalar costs in positive ones: the two interleaved, call by call."""
    key = PrivateKey.generate(bits, SEED, backend=backend, threads=1)
    work = {op: (call, ops) for op, call, ops in operations(key, size) if op in ("mul_32", "mul_neg_32")}
    measured = rates(work, rounds)
    ratio = round(measured["mul_32"] / measured["mul_neg_32"], 3)
    return {
        "bits": bits,
        "backend": backend,
        "negative_over_positive": ratio,
        "at_most": NEGATIVE if bits == 2048 else None,
    }


def threads(bits: int, backend: str, size: int) -> dict[str, object]:
    """Two threads against one."""
    found = {}
    keys = {n: PrivateKey.generate(bits, SEED, backend=backend, threads=n) for n in (1, 2)}
    work = {n: {name: (w, ops) for name, w, ops in operations(key, size)} for n, key in keys.items()}
    for op in ("encrypt", "decrypt", "add", "mul_32", "matmul", "histogram"):
        # the first calls widen the tables of a key, so a few go before
        calls = {str(n): work[n][op] for n in (1, 2)}
        rates(calls, 2, time.perf_counter, min)
        once = max(seconds(call, time.perf_counter) for call, _ in calls.values())
        measured = rates(calls, min(max(int(3 / once), 9), 200), time.perf_counter, min)
        found[op] = round(measured["2"] / measured["1"], 2)
    return {"bits": bits, "backend": backend, "two_threads_over_one": found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bits", type=int, nargs="*", default=[2048, 3072])
    parser.add_argument("--size", type=int, default=2000, help="elements a call")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    multiplied = products()
    backends = sorted({str(row["backend"]) for row in multiplied}, reverse=True)
    print(
        f"{'modulus':>8} {'backend':>8} {'ns/product':>11} {'of peak':>8} {'ns/square':>10} {'gmpy2 ns':>9} "
        f"{'ratio':>6}"
    )
    for row in multiplied:
        share = row["product_of_peak"]
        ns = float(str(row["product_ns"]))
        print(
            f"{row['modulus_bits']:>8} {row['backend']:>8} {ns:>11.1f} "
            f"{'' if share is None else format(float(str(share)), '.0%'):>8} "
            f"{row['square_ns']:>10} {row['gmpy2_ns']:>9} {float(str(row['gmpy2_ns'])) / ns:>6.2f}"
        )
    for name, needs in (("ifma", "AVX-512 IFMA"), ("avx2", "AVX2 with FMA")):
        if name not in backends:
            print(f"no {name} lines: this CPU has no {needs}")
    rows: list[dict[str, object]] = []
    missed = 0
    for bits in options.bits:
        print(f"\n{bits} bits, one thread{'':>10} {'per second':>14} {'x phe':>8} {'target':>8}")
        for row in compare(bits, backends, options.size, options.rounds):
            rows.append(row)
            target, ratio = row.get("target"), row["ratio_to_phe"]
            miss = isinstance(target, float) and isinstance(ratio, float) and ratio < target
            missed += miss
            print(
                f"  {row['op']:<20} {row['backend']:<8} {row['per_second']:>14} {ratio or '':>8} "
                f"{target or '':>8}{'  MISSED' if miss else ''}"
            )
    signs = [
        negative(bits, backend, options.size // 4 if backend == "serial" else options.size, 5 * options.rounds)
        for bits in options.bits
        for backend in backends
    ]
    for sign in signs:
        ratio, most = sign["negative_over_positive"], sign["at_most"]
        miss = isinstance(ratio, float) and isinstance(most, float) and ratio > most
        missed += miss
        print(
            f"\nnegative over positive scalar, {sign['bits']} bits, {sign['backend']}: "
            f"{ratio}{f', at most {most}' if most else ''}{'  MISSED' if miss else ''}"
        )
    pools = [threads(2048, backend, options.size) for backend in backends] if (os.cpu_count() or 1) > 1 else []
    for pool in pools:
        print(f"\ntwo threads over one, {pool['backend']}: {pool['two_threads_over_one']}")
    if not options.no_write:
        result = {"machine": machine(), "products": multiplied, "rows": rows, "signs": signs, "threads": pools}
        target_file = ROOT / "benchmarks" / "results" / "kernels.json"
        target_file.parent.mkdir(parents=True, exist_ok=True)
        target_file.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
