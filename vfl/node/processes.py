"""The processes of a node's jobs, which live on when the node ends and are found again by the next one.

Each holds the lock of `processes/DIGEST.lock` from before its first instruction to its end, whatever ends it: the lock
says whether it lives, and the file says its number.  A number alone would do for another process too, once it is used
again.  At its own end it writes `DIGEST.end`; one that was killed leaves none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from protocols.errors import ConfigError

KILLED = "killed"


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a process ended.  exit: its exit code; code, message: of the error; again: whether the run resumes when all
    give the command again."""

    exit: int
    code: str | None = None
    message: str | None = None
    again: bool = False


def locked(path: Path) -> int | None:
    """The lock of this file, as a handle; None if another process holds it.  Raises OSError."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return handle


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of this file.  Raises OSError."""
    lock = locked(path)
    if lock is not None:
        os.close(lock)
    return lock is None


class Processes:
    """Starts, finds, stops and ends them.  command: what starts one; the digest and the lock's handle are added."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self._folder, self._command = folder / "processes", list(command)
        self._own: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, digest: str) -> Path:
        """What the processes of a job have printed."""
        return self._folder / f"{digest}.log"

    def start(self, digest: str) -> bool:
        """Whether one was started; False where one lives already.  Raises ConfigError."""
        self.reap()
        try:
            lock = locked(self._lock(digest))
            if lock is None:
                return False
            try:
                self._end(digest).unlink(missing_ok=True)
                out = os.open(self.log(digest), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                try:
                    self._own[digest] = subprocess.Popen(
                        [*self._command, digest, str(lock)],
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=out,
                        pass_fds=[lock],
                        start_new_session=True,  # Ctrl-C at the node's terminal is not for it
                    )
                finally:
                    os.close(out)
            finally:
                os.close(lock)  # the process has it
        except OSError as error:
            raise ConfigError(
                f"no process can be started for a job ({error.strerror})",
                remedy=f"Make room in {self._folder}, or let fewer jobs run at once",
            ) from None
        return True

    def lives(self, digest: str) -> bool:
        """Whether a process of this job lives, started by whatever node."""
        try:
            return is_locked(self._lock(digest))
        except OSError:
            return True  # nobody knows: start no second one

    def stop(self, digest: str) -> None:
        """Asks the process of a job to end, as Ctrl-C does; it informs the partners."""
        if self.lives(digest):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(self._lock(digest).read_text()), signal.SIGTERM)

    def end(self, digest: str) -> End:
        """How the last process of a job, which lives no more, has ended."""
        self.reap()
        try:
            return msgspec.json.decode(self._end(digest).read_bytes(), type=End)
        except (OSError, msgspec.MsgspecError):
            return End(exit=-signal.SIGKILL, code=KILLED, message="its process was killed", again=True)

    def reap(self) -> None:
        """Lets go of own processes that have ended."""
        self._own = {digest: process for digest, process in self._own.items() if process.poll() is None}

    def _lock(self, digest: str) -> Path:
        return self._folder / f"{digest}.lock"

    def _end(self, digest: str) -> Path:
        return self._folder / f"{digest}.end"


def command_of(party_file: Path) -> list[str]:
    """What starts the process of a job of this party."""
    return [sys.executable, "-m", "vfl.node.process", str(party_file)]
