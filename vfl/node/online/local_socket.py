"""A Unix socket of this account, over which the node's local face asks a publication's process: one JSON object per
line, each way."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

MOST = 1 << 16  # bytes of a line
Answering = Callable[[bytes], bytes]


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of the socket that is short enough for the system, however deep the folder lies."""
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128
    answering: Answering


class _Lines(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while (line := self.rfile.readline(MOST + 1)).endswith(b"\n"):
                self.wfile.write(self.server.answering(line) + b"\n")


@contextlib.contextmanager
def answered_at(path: Path, answering: Answering) -> Iterator[None]:
    """Inside, lines that come are answered, each connection in a thread of its own.  Raises OSError."""
    path.unlink(missing_ok=True)
    with _short(path) as name:
        server = _Server(name, _Lines)
    path.chmod(0o600)
    server.answering = answering
    thread = threading.Thread(target=server.serve_forever, args=(0.2,), name="vfl online, queries", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        path.unlink(missing_ok=True)


class Line:
    """A connection to such a socket, which is opened again where it broke.  Of one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def ask(self, line: bytes, seconds: float) -> bytes:
        """The answer to a line.  Raises OSError, also where nobody answers in time."""
        fresh = self._socket is None
        try:
            return self._asked(line, seconds)
        except TimeoutError:
            self.close()
            raise
        except OSError:
            self.close()
            if fresh:
                raise
        return self._asked(line, seconds)  # the process was another one before

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _asked(self, line: bytes, seconds: float) -> bytes:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with _short(self._path) as name:
                self._socket.connect(name)
        self._socket.settimeout(seconds)
        self._socket.sendall(line + b"\n")
        found = bytearray()
        while not found.endswith(b"\n"):
            more = self._socket.recv(MOST)
            if not more:
                raise ConnectionResetError("the process has ended")
            found += more
        return bytes(found[:-1])
