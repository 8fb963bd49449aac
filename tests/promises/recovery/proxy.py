"""A TCP proxy between two real parties that cuts, halts, shortens, slows or changes what crosses, at a byte that a
schedule names."""

from __future__ import annotations

import contextlib
import enum
import socket
import struct
import threading
import time
from dataclasses import dataclass

LOCAL = "127.0.0.1"


class Harm(enum.StrEnum):
    """What happens at the byte."""

    CUT = "cut"  # both ends see a reset
    TRUNCATE = "truncate"  # what came before arrives, then the connection ends in good order
    FLIP = "flip"  # one bit is another
    HALF_OPEN = "half-open"  # nothing arrives any more, and nobody is told
    DELAY = "delay"  # a pause


@dataclass(frozen=True)
class Hit:
    """Where and what; up: from the side that dials."""

    harm: Harm
    up: bool
    at: int


class Proxy:
    """Forwards connections to `to`; the first one meets `hit`."""

    def __init__(self, to: int, hit: Hit | None = None, pause: float = 0.3) -> None:
        self._to, self._hit, self._pause = to, hit, pause
        self._listener = socket.create_server((LOCAL, 0))
        self.port = int(self._listener.getsockname()[1])
        self.carried = {True: 0, False: 0}  # bytes, by whether the side that dials sent them
        self.struck = False
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        hit = self._hit
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                try:
                    called = socket.create_connection((LOCAL, self._to))
                except OSError:
                    caller.close()
                    continue
                self._sockets += [caller, called]
                for source, sink, up in ((caller, called, True), (called, caller, False)):
                    mine = hit if hit is not None and hit.up == up else None
                    threading.Thread(target=self._copy, args=(source, sink, up, mine), daemon=True).start()
                hit = None

    def _copy(self, source: socket.socket, sink: socket.socket, up: bool, hit: Hit | None) -> None:
        seen = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.carried[up] += len(data)
                if hit is not None and seen + len(data) > hit.at:
                    self.struck = True
                    before, byte, after = data[: hit.at - seen], data[hit.at - seen], data[hit.at - seen + 1 :]
                    match hit.harm:
                        case Harm.CUT:
                            sink.sendall(before)
                            for sock in (source, sink):
                                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                                sock.close()
                            return
                        case Harm.TRUNCATE:
                            sink.sendall(before)
                            break
                        case Harm.HALF_OPEN:
                            while source.recv(65536):
                                pass
                            return
                        case Harm.FLIP:
                            data = before + bytes([byte ^ 4]) + after
                        case Harm.DELAY:
                            time.sleep(self._pause)
                    hit = None
                seen += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Ends everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for sock in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                sock.close()
