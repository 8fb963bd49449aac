"""30 MB from whoever has not greeted take little memory: no certificate, a foreign one, or a partner's that sends
before it greets; a real process listens."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.places import ROOT
from tests.unit.vfl.transport.test_amplification import ENVIRONMENT, SIZE
from tests.unit.vfl.transport.world import LOCAL, World
from vfl.transport import frames
from vfl.transport.frames import Kind

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
LIMIT = 16_000  # kilobytes
BLOCK = 1 << 16


def flood(sock: socket.socket, data: bytes) -> None:
    """Sends `data` again and again, 30 MB in all, or until the other side ends it."""
    sock.settimeout(5)
    with contextlib.suppress(OSError):
        for _ in range(0, SIZE, len(data)):
            sock.sendall(data)


def garbage(world: World, port: int) -> None:
    with socket.create_connection((LOCAL, port)) as sock:
        flood(sock, b"\x00\xff" * (BLOCK // 2))


def endless_client_hello(world: World, port: int) -> None:
    """TLS records of one handshake message that says that it has 16 MB."""
    record = b"\x16\x03\x01" + struct.pack(">H", 16384)
    with socket.create_connection((LOCAL, port)) as sock:
        sock.sendall(record + b"\x01\xff\xff\xff" + bytes(16380))
        flood(sock, (record + bytes(16384)) * 4)


def foreign_certificate(world: World, port: int) -> None:
    with contextlib.suppress(OSError), world.raw(port, identity=world.identity("mallory")) as sock:
        flood(sock, frames.header(Kind.HELLO, 1024) + bytes(1024))


def partner(data: bytes) -> Callable[[World, int], None]:
    """The telecom itself sends this in place of a greeting."""

    def attack(world: World, port: int) -> None:
        with contextlib.suppress(OSError), world.raw(port) as sock:
            flood(sock, data)

    return attack


ONE_LONG_HELLO = frames.header(Kind.HELLO, SIZE) + bytes(BLOCK)
ATTACKS = {
    "garbage": garbage,
    "an endless ClientHello": endless_client_hello,
    "a foreign certificate": foreign_certificate,
    "a hello of 30 MB": partner(ONE_LONG_HELLO),
    "a hello of 4 GB": partner(frames.header(Kind.HELLO, (1 << 32) - 1) + bytes(BLOCK)),
    "hellos": partner((frames.header(Kind.HELLO, 1024) + bytes(1024)) * 64),
    "pieces of a message": partner(frames.header(Kind.PART, frames.MAX_PAYLOAD) + bytes(frames.MAX_PAYLOAD)),
    "heartbeats": partner(frames.header(Kind.BEAT) * (BLOCK // 5)),
    "room": partner((frames.header(Kind.ROOM, 8) + bytes(8)) * (BLOCK // 13)),
}


def grown(world: World, attacks: list[Callable[[World, int], None]], *options: str) -> int:
    """By how many kilobytes the process grows."""
    told = {
        "folder": str(world.identity("bank").certificate_path.parent),
        "pin": str(world.identity("telecom").certificate_path),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.unit.vfl.transport.listening", *options],
        cwd=ROOT,
        env=ENVIRONMENT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
        port = int(process.stdout.readline())
        for attack in attacks:
            attack(world, port)
        process.stdin.write("\n")
        process.stdin.flush()
        return int(process.stdout.readline())


def test_nobody_takes_memory_before_the_greeting(world: World) -> None:
    assert grown(world, list(ATTACKS.values())) < LIMIT


def test_planted_fault_a_header_that_is_believed_is_found(world: World) -> None:
    assert grown(world, [partner(frames.header(Kind.HELLO, SIZE) + bytes(SIZE - 1))], "--planted") > LIMIT
