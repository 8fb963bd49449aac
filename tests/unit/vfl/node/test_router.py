"""One port for all jobs: a caller reaches the process that waits for its session, and no other; strangers cost little
and reach nobody."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocols.errors import HandshakeFailed, PeerUnreachable
from tests.unit.vfl.transport.test_client_hello import client_hello
from tests.unit.vfl.transport.world import LOCAL, World, meet
from vfl.node import router as module
from vfl.node.router import Outcome, Router
from vfl.transport import TlsNetwork, TlsWire, hello
from vfl.transport.client_hello import UNRECOGNIZED
from vfl.transport.peers import open_listener
from vfl.transport.ports import NodePort, connect, is_there

NAMES = ("telecom", "trustco")


class RunningRouter:
    """A router in a loop of its own."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder, self.unclaimed = folder, list[str]()
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        listener = open_listener(f"{LOCAL}:{port}")
        self.port: int = listener.getsockname()[1]

        async def live() -> None:
            self.router = Router(listener, folder, self.unclaimed.append)
            self._stop = asyncio.Event()
            self._ready.set()
            await self._stop.wait()
            self.router.close()

        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[live()])
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._loop.close()

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not true():
            assert time.monotonic() < deadline, self.router.counts
            time.sleep(0.01)

    def count(self, outcome: Outcome, number: int = 1) -> None:
        """Waits until so many callers had this outcome."""
        self.until(lambda: self.router.counts[outcome] >= number)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with contextlib.closing(World(tmp_path / "identities")) as made:
        yield made


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningRouter]:
    with contextlib.closing(RunningRouter(tmp_path)) as made:
        yield made


def met_by(*networks: TlsNetwork) -> dict[TlsNetwork, dict[str, TlsWire]]:
    return dict(zip(networks, meet(*networks), strict=True))


def job(world: World, running: RunningRouter, number: int) -> list[TlsNetwork]:
    """The networks of three parties in a job: the guest waits behind the router, the arbiter has a port of its own."""
    session = bytes([number]) * 32
    guest = world.network(
        "bank", dict.fromkeys(NAMES), session=session, listen=NodePort(running.folder, session, NAMES)
    )
    arbiter = world.network("trustco", {"bank": running.port, "telecom": None}, session=session)
    host = world.network("telecom", {"bank": running.port, "trustco": arbiter.bound_port}, session=session)
    return [guest, arbiter, host]


def test_three_jobs_with_two_partners_meet_at_once_over_one_port(world: World, running: RunningRouter) -> None:
    jobs = [job(world, running, number) for number in (1, 2, 3)]
    met = met_by(*(network for networks in jobs for network in networks))
    for number, (guest, arbiter, host) in enumerate(jobs, 1):
        wires, of_arbiter, of_host = (met[network] for network in (guest, arbiter, host))
        for mine, theirs in ((wires["telecom"], of_host["bank"]), (wires["trustco"], of_arbiter["bank"])):
            mine.send(bytes([number]))
            assert theirs.recv(5) == bytes([number])  # of its own job
    assert running.router.counts[Outcome.PASSED] >= 6
    running.close()  # what has met lives on without the node
    guest, _, host = jobs[0]
    met[guest]["telecom"].send(b"still here")
    assert met[host]["bank"].recv(5) == b"still here"


def test_a_process_waits_for_a_node_that_is_started_again(world: World, tmp_path: Path) -> None:
    first = RunningRouter(tmp_path)
    guest, arbiter, host = job(world, first, 7)
    met = dict[TlsNetwork, dict[str, TlsWire]]()
    waiting = threading.Thread(target=lambda: met.update(met_by(guest)))
    waiting.start()
    first.until(lambda: any(p.waits for p in first.router._processes))
    first.close()
    with contextlib.closing(RunningRouter(tmp_path, first.port)):
        met |= met_by(arbiter, host)
        waiting.join(10)
    met[host]["bank"].send(b"hello")
    assert met[guest]["telecom"].recv(5) == b"hello"


def test_a_job_that_nobody_waits_for_is_refused_by_an_alert_until_it_is_there(
    world: World, running: RunningRouter
) -> None:
    session = b"u" * 32
    host = world.network("telecom", {"bank": running.port}, session=session, connect_timeout=0.6)
    with pytest.raises(PeerUnreachable, match=r"its node does not run this job.*approve.*vfl job digest"):
        host.connect()
    assert running.router.counts[Outcome.PASSED] == 0
    assert hello.who_knocks(running.unclaimed[0], ["telecom"], session) == "telecom"
    late = world.network("telecom", {"bank": running.port}, session=session)
    thread = threading.Thread(target=late.connect)
    before = len(running.unclaimed)
    thread.start()
    running.until(lambda: len(running.unclaimed) > before)
    port = NodePort(running.folder, session, ["telecom"])
    meet(world.network("bank", {"telecom": None}, session=session, listen=port))
    thread.join(10)
    assert running.router.counts[Outcome.PASSED] == 1


NAMED = "run credit-risk"


def behind(world: World, running: RunningRouter, session: bytes, named: str = NAMED) -> TlsNetwork:
    """The bank, which waits for telecom behind the router."""
    own, caller = (world.identity(name).certificate_der for name in ("bank", "telecom"))
    keys = {"telecom": [hello.name_key(caller, own, named)]}
    port = NodePort(running.folder, session, ["telecom"], keys)
    return world.network("bank", {"telecom": None}, session=session, command="run", listen=port, named=named)


def test_two_files_of_one_job_are_noticed_at_once_by_both(world: World, running: RunningRouter) -> None:
    first, second = b"1" * 32, b"2" * 32
    bank = behind(world, running, first)
    telecom = world.network("telecom", {"bank": running.port}, session=second, command="run", named=NAMED)
    errors, began = dict[str, HandshakeFailed](), time.monotonic()

    def connect_to(name: str, network: TlsNetwork) -> None:
        with pytest.raises(HandshakeFailed) as caught:
            network.connect()
        errors[name] = caught.value

    threads = [threading.Thread(target=connect_to, args=one) for one in (("bank", bank), ("telecom", telecom))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert time.monotonic() - began < 15  # not at the connect timeout
    assert {name: error.about for name, error in errors.items()} == {"bank": "session", "telecom": "session"}
    assert all("vfl job digest" in str(error) for error in errors.values())


@pytest.mark.parametrize(
    ("named", "caller", "listener"),
    [
        ("run another-job", "telecom", "bank"),
        ("check of run credit-risk", "telecom", "bank"),  # another command
        (NAMED, "trustco", "bank"),
        (NAMED, "telecom", "trustco"),
    ],
)
def test_a_knock_by_name_needs_the_name_and_both_certificates(
    world: World, running: RunningRouter, named: str, caller: str, listener: str
) -> None:
    own, theirs = (world.identity(name).certificate_der for name in ("bank", "telecom"))
    port = NodePort(running.folder, b"1" * 32, ["telecom"], {"telecom": [hello.name_key(theirs, own, NAMED)]})
    with contextlib.closing(port):
        port.open()
        running.until(lambda: any(p.waits for p in running.router._processes))
        key = hello.name_key(*(world.identity(name).certificate_der for name in (caller, listener)), named)
        assert answer(running, client_hello(hello.knock("telecom", key))) == UNRECOGNIZED
        with socket.create_connection((LOCAL, running.port)) as good:  # the positive control
            good.sendall(client_hello(hello.knock("telecom", hello.name_key(theirs, own, NAMED))))
            running.count(Outcome.PASSED)
        another = NodePort(running.folder, b"2" * 32, ["telecom"], {"telecom": [hello.name_key(theirs, own, NAMED)]})
        with contextlib.closing(another):  # two files of it wait here: nobody knows which one is meant
            another.open()
            running.until(lambda: sum(p.waits is not None for p in running.router._processes) == 2)
            assert (
                answer(running, client_hello(hello.knock("telecom", hello.name_key(theirs, own, NAMED))))
                == UNRECOGNIZED
            )


def answer(running: RunningRouter, data: bytes) -> bytes:
    """All that a stranger gets who says this."""
    with (
        contextlib.suppress(ConnectionResetError, BrokenPipeError),
        socket.create_connection((LOCAL, running.port), timeout=5) as sock,
    ):
        sock.sendall(data)
        return sock.recv(100)
    return b""


def test_strangers_reach_no_process(running: RunningRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    session = b"s" * 32
    with contextlib.closing(NodePort(running.folder, session, NAMES)) as port:
        port.open()
        running.until(lambda: any(p.waits for p in running.router._processes))
        for said in (
            b"GET / HTTP/1.1\r\n\r\n",
            client_hello(None),
            client_hello("a.b"),
            b"\x16\x03\x01\x1f\x00" * 3000,
        ):
            assert answer(running, said) == b""
        for wrong in (hello.knock("telecom", b"x" * 32), hello.knock("mallory", session)):
            assert answer(running, client_hello(wrong)) == UNRECOGNIZED
        monkeypatch.setattr(module, "PATIENCE", 0.2)
        with socket.create_connection((LOCAL, running.port)) as slow:
            slow.sendall(client_hello(hello.knock("telecom", session))[:-1])
            running.count(Outcome.SILENT)
            slow.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert slow.recv(1) == b""
        with pytest.raises(BlockingIOError):
            port.accept()
        assert running.router.counts[Outcome.PASSED] == 0
        with socket.create_connection((LOCAL, running.port)) as good:  # the positive control
            good.sendall(client_hello(hello.knock("telecom", session)))
            running.count(Outcome.PASSED)
            passed, address = port.accept()
            with passed:
                assert address == good.getsockname()
                passed.setblocking(True)
                assert passed.recv(5)[:1] == b"\x16"  # unread until here


def test_a_crowd_of_silent_strangers_is_bounded_and_keeps_nobody_out(world: World, running: RunningRouter) -> None:
    crowd = [socket.create_connection((LOCAL, running.port)) for _ in range(module.MOST_CALLERS + 20)]
    running.count(Outcome.CROWDED, 20)
    assert len(running.router._callers) <= module.MOST_CALLERS
    meet(*job(world, running, 9))
    for sock in crowd:
        sock.close()


@pytest.mark.parametrize("said", [b"{}\n", b"[]\n", b'{"session":"AAAA","names":["telecom"]}\n', b"x" * (65 << 10)])
def test_a_process_that_says_something_else_is_forgotten(running: RunningRouter, said: bytes) -> None:
    with connect(running.folder) as sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(said)
        assert sock.recv(1) == b""
    running.until(lambda: not running.router._processes)


def test_the_inner_socket_belongs_to_this_account_and_has_a_short_name_in_any_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    assert not is_there(deep)
    with contextlib.closing(RunningRouter(deep)):
        assert is_there(deep)
        assert (deep / "port.sock").stat().st_mode & 0o777 == 0o600
    assert not is_there(deep)
