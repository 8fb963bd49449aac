"""Starts `vfl.bench.worker` in a process of its own, so that threads and memory are those of one run, and asks it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import Any

from protocols.errors import LocalProtocolError
from vfl.models.workload import Workload

THREADS = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def with_threads(count: int) -> dict[str, str]:
    """The environment of a process that computes with this number of threads."""
    return os.environ | dict.fromkeys(THREADS, str(count))


def start(mode: str, work: Workload, key_bits: int = 0, *, threads: int, judge: bool = False) -> dict[str, Any]:
    """What `vfl.bench.worker` says of one run in a process of its own, with the question and the answer."""
    process = opened(threads)
    try:
        return ask(process, mode, work, key_bits, judge=judge) | {"threads": threads}
    finally:
        process.communicate()


def opened(threads: int, core: int | None = None) -> subprocess.Popen[str]:
    """A process that answers one question after the other, on one core where that is said and this system can do it."""
    command, pipe = [sys.executable, "-m", "vfl.bench.worker"], subprocess.PIPE
    process = subprocess.Popen(command, env=with_threads(threads), stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {core})
    return process


def ask(
    process: subprocess.Popen[str], mode: str, work: Workload, key_bits: int, *, judge: bool = False
) -> dict[str, Any]:
    """The next question and its answer.  Raises LocalProtocolError."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    question = {"mode": mode, "work": work.as_dict(), "key_bits": key_bits, "judge": judge}
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        why = (process.stderr.read().strip().splitlines() or ["no message"])[-1]
        raise LocalProtocolError(
            f"a measured run ({mode}, {work.kind}) failed: {why}",
            remedy="Run `python -m vfl.bench.worker` by hand to see where",
        )
    answer: dict[str, Any] = json.loads(line)
    return question | answer
