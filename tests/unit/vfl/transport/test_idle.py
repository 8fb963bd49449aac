"""Two hundred idle connections of strangers, and what they cost an honest run."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.unit.vfl.transport.world import World, at_once
from vfl.transport import TlsNetwork

STRANGERS = 200


CROWD = """
import contextlib, socket, sys, time
held = []
def gone(sock):
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
while True:
    held = [sock for sock in held if not gone(sock)]
    with contextlib.suppress(OSError):
        while len(held) < int(sys.argv[2]):
            held.append(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 0.3))
            held[-1].setblocking(False)
    print(len(held), flush=True)
    time.sleep(0.5)
"""  # keeps its connections open, says nothing, and comes again with those that are dropped


@contextlib.contextmanager
def crowd(port: int) -> Iterator[None]:
    """Two hundred idle connections to `port`, by another process."""
    process = subprocess.Popen([sys.executable, "-c", CROWD, str(port), str(STRANGERS)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == STRANGERS
        yield
    finally:
        process.kill()
        process.communicate()


def honest(network: TlsNetwork, rounds: int) -> None:
    """Meets, then talks both ways with computing in between."""
    wires = network.connect()
    for _ in range(rounds):
        for wire in wires.values():
            wire.send(bytes(20_000))
        for wire in wires.values():
            wire.recv(30)
        sum(range(4000))
    network.close()


def seconds(world: World, crowded: bool, rounds: int) -> tuple[float, float]:
    """How long an honest run of three takes, and how much of the processor; crowded: strangers are at the guest's port
    before the first party comes, and stay."""
    networks = world.trio(connect_timeout=60.0)
    works = [lambda n=n: honest(n, rounds) for n in networks]
    with crowd(networks[0].bound_port or 0) if crowded else contextlib.nullcontext():
        start, used = time.perf_counter(), time.process_time()
        assert at_once(*works) == [None] * 3
        return time.perf_counter() - start, time.process_time() - used


def test_parties_meet_through_a_crowd(world: World) -> None:
    """Those who say nothing make room, and no party for them: the strangers come again all the time."""
    for _ in range(3):
        assert seconds(world, crowded=True, rounds=3)[0] < 20


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_hundred_idle_strangers_slow_an_honest_run_by_a_tenth_at_most(world: World) -> None:
    """The median of five pairs, taken in turns, of runs of about two seconds.  The processor's time is held to the
    line: the clock's, which is printed, is that of the whole machine."""
    seconds(world, crowded=True, rounds=10)
    pairs = [(seconds(world, False, 2000), seconds(world, True, 2000)) for _ in range(5)]
    clock, used = (statistics.median(crowded[k] / alone[k] for alone, crowded in pairs) for k in (0, 1))
    print(f"with {STRANGERS} strangers: {clock:.3f} times the time, {used:.3f} times the processor")
    assert used <= 1.1
