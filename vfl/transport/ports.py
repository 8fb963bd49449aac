"""Where callers arrive: at a port that this process opens, or at the one port of this party's `vfl node`.

A process that a node has started, or of a party whose node runs, opens no port.  It tells the node, over a Unix socket
in the node's folder, which session it waits for and whom; the node passes every connection whose knock fits, unread,
and this process does all the rest.  (docs/adr/0026-node.md)
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from vfl.transport.peers import open_listener

SOCKET = "port.sock"
MOST_NAMES = 1024
_SECONDS = 2.0  # for the node to take what a process says


class Port(Protocol):
    """Hands out the connections of callers, one by one, without blocking."""

    def open(self) -> None:
        """Callers can arrive from here on; raises OSError if that is to be tried again in a moment."""

    def fileno(self) -> int:
        """Is readable when somebody calls."""

    def accept(self) -> tuple[socket.socket, object]:
        """A caller's connection and address.  Raises BlockingIOError if nobody calls, another OSError if `open` is to
        be called again."""

    def close(self) -> None:
        """Nobody can call any more."""

    @property
    def number(self) -> int | None:
        """Of a TCP port of this process."""


class OwnPort:
    """A port that this process opens, at once; raises ConfigError and ListenFailed."""

    def __init__(self, listen: str) -> None:
        self._socket = open_listener(listen)
        self.fileno, self.accept, self.close = self._socket.fileno, self._socket.accept, self._socket.close

    def open(self) -> None:
        """It is."""

    @property
    def number(self) -> int | None:
        return int(self._socket.getsockname()[1])


class Waiting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a process tells the node: the session that it waits for, the names of the parties that dial it, and by name
    the keys of `hello.name_key` under which they knock if they have another file of the job."""

    session: bytes
    names: list[str]
    by_name: dict[str, list[bytes]] = {}


class NodePort:
    """The port of the node whose folder this is, for callers of one session; opened again when the node is."""

    number = None

    def __init__(
        self, folder: Path, session: bytes, names: Sequence[str], by_name: Mapping[str, list[bytes]] | None = None
    ) -> None:
        waits = Waiting(session, list(names), dict(by_name or {}))
        self._folder, self._said = folder, msgspec.json.encode(waits) + b"\n"
        self._socket: socket.socket | None = None

    def open(self) -> None:
        self.close()
        connection = connect(self._folder)
        try:
            connection.sendall(self._said)
        except OSError:
            connection.close()
            raise
        connection.setblocking(False)
        self._socket = connection

    def fileno(self) -> int:
        assert self._socket is not None
        return self._socket.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        assert self._socket is not None
        data, handles, _, _ = socket.recv_fds(self._socket, 1, 1)
        if not handles:
            raise ConnectionResetError("the node is gone" if not data else "the node passed no connection")
        caller = socket.socket(fileno=handles[0])
        try:
            return caller, caller.getpeername()
        except OSError:  # it has hung up
            return caller, None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A name of the socket in `folder` that is short enough for the system, however deep the folder lies."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET}"
    finally:
        os.close(handle)


def connect(folder: Path) -> socket.socket:
    """A connection with the node of this folder; raises OSError if none runs."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_SECONDS)
        with _short(folder) as path:
            connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def is_there(folder: Path) -> bool:
    """Whether a node runs in this folder."""
    try:
        connect(folder).close()
    except OSError:
        return False
    return True


def listen_in(folder: Path) -> socket.socket:
    """The node's own end: processes of this account connect to it.  Whoever calls this holds the node's lock."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(folder) as path:
            (folder / SOCKET).unlink(missing_ok=True)
            listener.bind(path)
        (folder / SOCKET).chmod(0o600)
        listener.listen(128)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
