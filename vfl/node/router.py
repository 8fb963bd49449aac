"""The one port of a node: reads which session a caller knocks for, and passes the connection, unread, to the process
that waits for it.

       partner --TCP--> router --(Unix socket, SCM_RIGHTS)--> process of the job: TLS, certificate, greeting
                 knock in the ClientHello

The router holds no key and decrypts nothing.  A knock is a MAC under the session, or under a key that both
certificates and the job's name make: for a partner that has another file of the job, and must hear so.  So whoever
knows neither reaches no process.  Every other caller gets one alert, and costs a socket for at most `PATIENCE` seconds
and `MOST` bytes; the oldest of `MOST_CALLERS` makes room for the next.  Runs in the loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from vfl.transport.client_hello import MOST, UNRECOGNIZED, NoKnockError, knock_in
from vfl.transport.hello import who_knocks
from vfl.transport.ports import MOST_NAMES, Waiting, listen_in

log = logging.getLogger("vfl.node")
PATIENCE = 5.0  # seconds for a whole ClientHello
AGAIN = 0.05  # seconds between two attempts to read one that comes in pieces
MOST_CALLERS = 64
MOST_PROCESSES = 256
_LINE = 64 << 10  # bytes in which a process says what it waits for


class Outcome(enum.StrEnum):
    """What became of a caller."""

    PASSED = "passed"  # to the process that waits for it
    UNKNOWN = "unknown"  # nobody waits for what it knocked for
    NO_KNOCK = "no-knock"  # what it sent is no ClientHello with a knock
    SILENT = "silent"  # it sent no whole ClientHello in time
    CROWDED = "crowded"  # it made room for another
    BUSY = "busy"  # the process takes no more


@dataclass(eq=False)
class _Caller:
    socket: socket.socket
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


@dataclass(eq=False)
class _Process:
    socket: socket.socket
    said: bytes = b""
    waits: Waiting | None = None


class Router:
    """See the module.  unclaimed: receives the knock of a caller that nobody waits for."""

    def __init__(self, listener: socket.socket, folder: Path, unclaimed: Callable[[str], None]) -> None:
        self._public, self._inner = listener, listen_in(folder)
        self._unclaimed = unclaimed
        self._callers: dict[_Caller, None] = {}  # in order of arrival
        self._processes: set[_Process] = set()
        self.counts: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
        self._loop = asyncio.get_running_loop()
        for listening, called in ((self._public, self._called), (self._inner, self._process_called)):
            self._loop.add_reader(listening, called)

    def close(self) -> None:
        """Nobody can call any more; connections that were passed live on."""
        for listening in (self._public, self._inner):
            self._loop.remove_reader(listening)
            listening.close()
        for caller in list(self._callers):
            self._drop(caller)
        for process in list(self._processes):
            self._forget(process)

    # -- callers

    def _called(self) -> None:
        try:
            connection, _ = self._public.accept()
        except BlockingIOError:
            return
        except OSError as error:  # such as: too many open files
            log.warning("no caller can be let in for a moment (%s)", error.strerror)
            self._loop.remove_reader(self._public)
            self._loop.call_later(0.1, self._listen_again)
            return
        connection.setblocking(False)
        if len(self._callers) >= MOST_CALLERS:
            self._turn_away(next(iter(self._callers)), Outcome.CROWDED)
        caller = _Caller(connection)
        self._callers[caller] = None
        caller.timers.append(self._loop.call_later(PATIENCE, self._turn_away, caller, Outcome.SILENT))
        self._loop.add_reader(connection, self._read, caller)

    def _listen_again(self) -> None:
        if self._public.fileno() >= 0:
            self._loop.add_reader(self._public, self._called)

    def _read(self, caller: _Caller) -> None:
        """Reads what has come, and leaves it there for the process."""
        if caller not in self._callers:
            return
        try:
            data = caller.socket.recv(MOST, socket.MSG_PEEK)
            knock = knock_in(data)
        except BlockingIOError:
            return
        except (OSError, NoKnockError):
            self._turn_away(caller, Outcome.NO_KNOCK)
            return
        if knock is not None:
            self._route(caller, knock)
        elif not data or len(data) >= MOST:
            self._turn_away(caller, Outcome.NO_KNOCK)
        else:  # what has come stays there, so the socket stays readable: wait a moment
            self._loop.remove_reader(caller.socket)
            caller.timers.append(self._loop.call_later(AGAIN, self._watch, caller))

    def _watch(self, caller: _Caller) -> None:
        if caller in self._callers:
            self._loop.add_reader(caller.socket, self._read, caller)

    def _route(self, caller: _Caller, knock: str) -> None:
        for process in self._processes:
            waits = process.waits
            if waits is not None and who_knocks(knock, waits.names, waits.session) is not None:
                self._pass(caller, process)
                return
        others = [p for p in self._processes if p.waits is not None and _by_name(knock, p.waits)]
        if len(others) == 1:  # it has another file of this job: the greeting says so to both
            self._pass(caller, others[0])
            return
        self._unclaimed(knock)
        self._turn_away(caller, Outcome.UNKNOWN)

    def _pass(self, caller: _Caller, process: _Process) -> None:
        try:
            socket.send_fds(process.socket, [b"c"], [caller.socket.fileno()])
        except OSError:  # it takes none, or is gone
            self._turn_away(caller, Outcome.BUSY)
            return
        self.counts[Outcome.PASSED] += 1
        self._drop(caller)

    def _turn_away(self, caller: _Caller, why: Outcome) -> None:
        """One alert, by which a party knows that its job is not open here; whoever else it is learns as much."""
        if caller not in self._callers:
            return
        self.counts[why] += 1
        with contextlib.suppress(OSError):
            if why in (Outcome.UNKNOWN, Outcome.BUSY):
                caller.socket.recv(MOST)  # what is unread at the end would reset the connection before the alert
                caller.socket.send(UNRECOGNIZED)
        self._drop(caller)

    def _drop(self, caller: _Caller) -> None:
        self._callers.pop(caller, None)
        for timer in caller.timers:
            timer.cancel()
        self._loop.remove_reader(caller.socket)
        caller.socket.close()

    # -- processes of this party

    def _process_called(self) -> None:
        try:
            connection, _ = self._inner.accept()
        except OSError:
            return
        if not _same_account(connection) or len(self._processes) >= MOST_PROCESSES:
            connection.close()
            return
        connection.setblocking(False)
        process = _Process(connection)
        self._processes.add(process)
        self._loop.add_reader(connection, self._process_speaks, process)

    def _process_speaks(self, process: _Process) -> None:
        """What it waits for, or its end."""
        try:
            data = process.socket.recv(_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or process.waits is not None or len(process.said) + len(data) > _LINE:
            self._forget(process)
            return
        process.said += data
        if process.said.endswith(b"\n"):
            try:
                waits = msgspec.json.decode(process.said, type=Waiting)
            except msgspec.MsgspecError:
                waits = None
            if waits is None or len(waits.session) != 32 or not 0 < len(waits.names) <= MOST_NAMES:
                self._forget(process)
            else:
                process.waits = waits

    def _forget(self, process: _Process) -> None:
        self._processes.discard(process)
        self._loop.remove_reader(process.socket)
        process.socket.close()


def _by_name(knock: str, waits: Waiting) -> bool:
    return any(who_knocks(knock, [name], key) is not None for name, keys in waits.by_name.items() for key in keys)


def _same_account(connection: socket.socket) -> bool:
    """Whether the process at the other end belongs to this account; the folder's mode says so too."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return bool(uid == os.getuid())
