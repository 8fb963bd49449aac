"""A Unix socket of this account, over which the node's local face asks a publication's process: one JSON object per
line, each way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

MOST = 1 << 16  # bytes of a query
LONGEST = 1 << 20  # of an answer
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


class Lines:
    """Connections to such a socket, of one event loop: each is of one line at a time, and stays open for the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, line: bytes, seconds: float) -> bytes:
        """The answer to a line.  Raises OSError, also where nobody answers in time."""
        async with asyncio.timeout(seconds):
            while self._free:
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):  # of a process that is gone
                    return await self._asked(*self._free.pop(), line)
            with _short(self._path) as name:
                opened = await asyncio.open_unix_connection(name, limit=LONGEST)
            try:
                return await self._asked(*opened, line)
            except asyncio.IncompleteReadError:
                raise ConnectionResetError("the process has ended") from None

    async def close(self) -> None:
        """The connections that are free end."""
        while self._free:
            _, writer = self._free.pop()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
        try:
            writer.write(line + b"\n")
            answer = await reader.readuntil(b"\n")
        except BaseException:
            writer.close()
            raise
        self._free.append((reader, writer))
        return answer[:-1]
