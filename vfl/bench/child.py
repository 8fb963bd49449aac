"""Starts `vfl.bench.one` in a process of its own, so that threads and memory are those of one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from protocols.errors import LocalProtocolError
from vfl.bench.workload import Workload

THREADS = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def with_threads(count: int) -> dict[str, str]:
    """The environment of a process that computes with so many threads."""
    return os.environ | dict.fromkeys(THREADS, str(count))


def start(mode: str, work: Workload, key_bits: int = 0, *, threads: int, judge: bool = False) -> dict[str, Any]:
    """What `vfl.bench.one` says of one run, with the question beside the answer."""
    ask = {"mode": mode, "work": work.as_dict(), "key_bits": key_bits, "judge": judge}
    done = subprocess.run(
        [sys.executable, "-m", "vfl.bench.one"],
        input=json.dumps(ask),
        env=with_threads(threads),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LocalProtocolError(
            f"a measured run ({mode}, {work.kind}) failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}",
            remedy="Run `python -m vfl.bench.one` by hand to see where",
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    return ask | {"threads": threads} | answer
