"""Every party of a run in a process of its own, joined by sockets without a network: CPU seconds by phase, products,
bytes and memory of each.

A process starts its clock at the first step of the training, when keys and bins are there.  Seconds of a phase leave
out the phases inside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from protocols.channel import Channel, Tap
from protocols.cipher import DecryptionKey, EncryptionKey, Keyring, Scheme
from protocols.errors import PeerTimeout
from protocols.randomness import Randomness, run_seed
from protocols.session import Observer, Roles, Session

ROOT = Path(__file__).resolve().parent.parent
ROLES = Roles("guest", ("host",), "arbiter")
OTHER = "other"


class SocketWire:
    """A `Wire` over a connected socket."""

    def __init__(self, me: str, peer: str, descriptor: int) -> None:
        self.me, self.peer, self._socket = me, peer, socket.socket(fileno=descriptor)
        self._out: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def send(self, data: bytes) -> None:
        self._out.put(data)

    def recv(self, timeout: float) -> bytes:
        self._socket.settimeout(timeout)
        return self._exactly(int.from_bytes(self._exactly(8), "big"))

    def close(self) -> None:
        """Waits until everything has left."""
        self._out.put(None)
        self._writer.join()

    def _exactly(self, size: int) -> bytes:
        parts, missing = [], size
        while missing:
            parts.append(self._socket.recv(min(missing, 1 << 30), socket.MSG_WAITALL))
            if not parts[-1]:
                raise PeerTimeout(f"{self.peer} is gone", remedy=f"Read what {self.peer} says", party=self.peer)
            missing -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _write(self) -> None:
        while (data := self._out.get()) is not None:
            self._socket.sendall(len(data).to_bytes(8, "big"))
            self._socket.sendall(data)


class Clock:
    """CPU seconds of this process by phase, from `start` on."""

    def __init__(self) -> None:
        self._stack, self.wall = [OTHER], 0.0
        self.start()

    def start(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since, self.wall = time.process_time(), time.perf_counter()

    def charge(self) -> None:
        now, phase = time.process_time(), self._stack[-1]
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._since
        self._since = now

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self.charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self.charge()
            self._stack.pop()

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        """From now on calls of `owner`'s function are of this phase."""
        inner = owner.__dict__[name]
        call: Callable[..., Any] = inner.__func__ if isinstance(inner, staticmethod | classmethod) else inner

        def timed(*args: Any, **named: Any) -> Any:
            with self.phase(phase):
                return call(*args, **named)

        setattr(owner, name, type(inner)(timed) if isinstance(inner, staticmethod | classmethod) else timed)


class Keeping:
    """A scheme that remembers its keys, for their counters."""

    def __init__(self, scheme: Scheme) -> None:
        self.scheme, self.bits, self.keys = scheme, scheme.bits, list[EncryptionKey]()

    def generate(self, holder: str, seed: Any) -> DecryptionKey:
        key = self.scheme.generate(holder, seed)
        self.keys.append(key.public)
        return key

    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
        self.keys.append(self.scheme.accept(n, proof, holder))
        return self.keys[-1]

    @property
    def products(self) -> int:
        return sum(key.raw.products for key in self.keys)


class Bytes(Tap):
    """What a party sends from the clock's start on."""

    def __init__(self) -> None:
        self.total = 0

    def sent(self, peer: str, kind: Any, data: bytes) -> None:
        self.total += len(data)


class Begin(Observer):
    """Starts the clock when a phase first says its step 0; prepared iterations say it twice, before and after their
    pads."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin, self._phase = begin, ""

    def step(self, phase: str, done: int, total: int) -> None:
        if done == 0 and phase != self._phase:
            self._phase = phase
            self._begin()


def play(
    me: str, wires: dict[str, int], program: Callable[[Session], Any], scheme: Scheme, clock: Clock
) -> dict[str, Any]:
    """In a party's process: runs it, and says what it took."""
    keeping, sent, keys = Keeping(scheme), Bytes(), Keyring()
    before = [0]

    def begin() -> None:
        clock.start()
        sent.total, before[0] = 0, keeping.products

    ends = {peer: SocketWire(me, peer, descriptor) for peer, descriptor in wires.items()}
    channels = {peer: Channel(wire, keys, [sent]) for peer, wire in ends.items()}
    program(Session(me, ROLES, channels, Randomness(me, run_seed(), b""), keys, keeping, Begin(begin)))
    clock.charge()
    wall = time.perf_counter() - clock.wall
    for wire in ends.values():
        wire.close()
    return {
        "party": me,
        "cpu_s": sum(clock.seconds.values()),
        "wall_s": wall,
        "phases_s": clock.seconds,
        "products": keeping.products - before[0],
        "bytes": sent.total,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "backend": getattr(keeping.keys[0].raw, "backend", "none") if keeping.keys else "none",
    }


def together(module: str, *arguments: str, parties: Sequence[str] = ROLES.all) -> list[dict[str, Any]]:
    """Starts `python -m module --party NAME WIRES *arguments` for every party, WIRES as JSON; returns what each printed
    last."""
    pairs = [(a, b) for k, a in enumerate(parties) for b in parties[k + 1 :]]
    ends = dict[tuple[str, str], socket.socket]()
    for a, b in pairs:
        ends[a, b], ends[b, a] = socket.socketpair()
    threads = dict.fromkeys(("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    running = []
    for me in parties:
        mine = {b: end.fileno() for (a, b), end in ends.items() if a == me}
        command = [sys.executable, "-m", module, "--party", me, json.dumps(mine), *arguments]
        pipe = subprocess.PIPE
        environment = os.environ | threads
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, pass_fds=tuple(mine.values()), stdout=pipe, stderr=pipe, text=True
        )
        running.append(process)
    for end in ends.values():
        end.close()
    said = [process.communicate() for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("\n".join(error for _, error in said))
    return [json.loads(out.splitlines()[-1]) for out, _ in said]
