"""This project's operations compared with those of other libraries: on the same machine in the same run, one thread
each, a process for us and one for the others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from protocols._native import PlainVec
from protocols.cipher import Paillier
from protocols.errors import ConfigError
from protocols.randomness import Seed
from vfl.bench import external as others
from vfl.bench import worker_client as child
from vfl.bench.external import BITS, SCALAR, Timings, microseconds, must


def paillier() -> Timings:
    """Through `protocols.cipher`, as a job uses it."""
    seed, elements = Seed("bench", bytes(32)), 512
    key = Paillier(BITS).generate("bench", seed)
    plain = PlainVec.from_i64(np.arange(elements))
    vector = key.public.encrypt(plain, seed)
    scalars = PlainVec.from_ints([SCALAR] * elements)
    must(key.open(vector.mul_plain(scalars) + vector, 64).to_ints(), [(SCALAR + 1) * i for i in range(elements)])
    return {
        "encrypt": microseconds(lambda: key.public.encrypt(plain, seed), elements),
        "decrypt": microseconds(lambda: key.open(vector, 64), elements),
        "add": microseconds(lambda: vector + vector, elements),
        "times 32 bits": microseconds(lambda: vector.mul_plain(scalars), elements),
    }


def alignment(elements: int = 4096) -> Timings:
    """`vfl.align`: both sides learn, checks and tables included."""
    import pandas as pd

    from vfl import align

    mine, theirs = (
        pd.DataFrame({"id": [f"customer-{i:09d}" for i in range(first, first + elements)]})
        for first in (0, elements // 2)
    )
    must(align(mine, {"host": theirs}, on="id").report.common, elements // 2)
    return {"align a pair of ids": microseconds(lambda: align(mine, {"host": theirs}, on="id"), elements)}


def own() -> list[dict[str, Any]]:
    """Our rows."""
    return [
        {
            "library": "vfl",
            "key": f"Paillier {BITS}",
            "randomness": "fresh for each ciphertext: a power of a fixed base",
            "microseconds": paillier(),
        },
        {
            "library": "vfl alignment",
            "key": "ristretto255",
            "randomness": "a fresh secret scalar for each run",
            "microseconds": alignment(),
        },
    ]


def check_python(python: Path | None) -> None:
    """Raises ConfigError unless `python` can be run and can read what `vfl.bench.external` is written in."""
    if python is None:
        return
    try:
        version = subprocess.run(
            [str(python), "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=True
        )
        found = tuple(int(part) for part in version.stdout.split())
    except (OSError, subprocess.CalledProcessError, ValueError):
        raise ConfigError(
            f"{python} is no Python that runs", remedy="Give a Python with the other libraries with --peers-python"
        ) from None
    if found < (3, 9):
        raise ConfigError(
            f"{python} is too old",
            remedy="Give a newer Python with --peers-python",
            expected="3.9",
            found=version.stdout,
        )


def command(python: Path | None, everything: bool) -> list[str]:
    """What measures the other libraries; python: one that has them, by default this one."""
    return [str(python or sys.executable), "-I", others.__file__, *(["--full"] if everything else [])]


def measure(everything: bool, python: Path | None) -> list[dict[str, Any]]:
    """A row a library, ids after ciphertexts."""
    rows: list[dict[str, Any]] = []
    for asked in ([sys.executable, "-m", "vfl.bench.peers"], command(python, everything)):
        done = subprocess.run(asked, env=child.with_threads(1), capture_output=True, text=True, check=False)
        if done.returncode:  # such as a library that crashes: the other measurements are not lost
            why = f"the process that measures ended with status {done.returncode}"
            rows.append(
                {
                    "library": "other libraries" if rows else "vfl",
                    "version": "",
                    "key": "-",
                    "randomness": "-",
                    "skipped": why,
                }
            )
            continue
        rows += json.loads(done.stdout.splitlines()[-1])
    return sorted(rows, key=lambda row: row["key"] in ("ristretto255", "P-256"))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(own()) + "\n")
