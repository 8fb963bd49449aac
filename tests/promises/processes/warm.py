"""Processes that start with the libraries loaded: a server that has only imported them forks one per command.

Each is a process of its own, with its own memory, signals, files and randomness; only the seconds of importing are
saved. The commands of the README, `vfl demo` and the tests of the wheel start the interpreter anew.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from subprocess import TimeoutExpired

LOADED = [
    "cryptography.x509", "jinja2", "pandas", "rich.console", "sklearn.linear_model", "sklearn.metrics",
    "tests.promises.processes.warm", "vfl.cli.main", "vfl.models.registry", "vfl.run.predict", "vfl.run.train",
]  # fmt: skip


@functools.cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


class WarmProcess:
    """`vfl WORDS` as a process; answers as `subprocess.Popen` does."""

    def __init__(self, words: Sequence[str], cwd: Path, out: Path, err: Path) -> None:
        told = (list(words), cwd, dict(os.environ), out, err)
        self._process: ForkServerProcess = _server().Process(target=_command, args=told)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, or minus the signal's number."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise TimeoutExpired("vfl", timeout or 0)
        return code

    def poll(self) -> int | None:
        """The same, None while it lives."""
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


def _command(words: list[str], cwd: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    for number, file in ((1, out), (2, err)):
        opened = os.open(file, os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["vfl", *words]
    from vfl.cli.main import main

    main()
