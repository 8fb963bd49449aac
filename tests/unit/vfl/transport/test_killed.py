"""Three real processes: one is killed or stopped, and the others end within seconds with an error that names it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from protocols.errors import PeerTimeout
from tests.places import ROOT
from tests.unit.vfl.transport.world import LOCAL, World, ends, under


class Process:
    """A party in its own process (see party.py)."""

    def __init__(self, world: World, name: str, peers: dict[str, int | None], timing: dict[str, float]) -> None:
        told = {
            "name": name,
            "folder": str(world.identity(name).key_path.parent),
            "listen": f"{LOCAL}:0" if None in peers.values() else None,
            "peers": {
                n: {"pin": str(world.identity(n).certificate_path), "address": None if p is None else f"{LOCAL}:{p}"}
                for n, p in peers.items()
            },
            "timing": timing,
        }
        root = ROOT
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.vfl.transport.party"],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        os.kill(self._process.pid, number)

    def end(self) -> None:
        """Kills it, and closes its pipes."""
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def processes(world: World) -> Iterator[Callable[..., Process]]:
    """Starts parties as processes, and ends them."""
    with contextlib.ExitStack() as stack:

        def start(name: str, peers: dict[str, int | None], **timing: float) -> Process:
            made = Process(world, name, peers, timing)
            stack.callback(made.end)
            return made

        yield start


@pytest.mark.parametrize(
    "victim", ["trustco", *(pytest.param(name, marks=pytest.mark.slow) for name in ("bank", "telecom"))]
)
def test_kill_nine_of_any_party_ends_the_other_two(world: World, victim: str) -> None:
    with processes(world) as start:
        bank = start("bank", {"telecom": None, "trustco": None})
        at_bank = int(bank.line())
        trustco = start("trustco", {"bank": at_bank, "telecom": None})
        telecom = start("telecom", {"bank": at_bank, "trustco": int(trustco.line())})
        assert telecom.line() == "None"
        parties = {"bank": bank, "telecom": telecom, "trustco": trustco}
        for party in parties.values():
            assert party.line() == "ready"
        time.sleep(0.1)
        parties.pop(victim).signal(signal.SIGKILL)
        with under(5):  # promised: 15
            for party in parties.values():
                error = json.loads(party.line())
                assert error["party"] == victim, error
                assert error["code"] in {"peer-closed", "peer-aborted"}
                assert victim in error["text"]


def test_a_stopped_process_is_told_from_a_slow_one(world: World) -> None:
    with processes(world) as start:
        bank = world.network("bank", {"telecom": None}, connect_timeout=30, heartbeat=0.1, dead_after=0.7)
        telecom = start("telecom", {"bank": bank.bound_port}, heartbeat=0.1, dead_after=60.0)
        assert telecom.line() == "None"
        wire = bank.connect()["telecom"]
        assert telecom.line() == "ready"
        wire.recv(5)
        with pytest.raises(PeerTimeout, match="sent nothing"):  # slow: nothing but heartbeats
            wire.recv(1.0)
        wire.send(b"x")
        wire.recv(5)
        telecom.signal(signal.SIGSTOP)
        error = ends(wire)
        assert isinstance(error, PeerTimeout)
        assert error.party == "telecom"
        assert "silent for 0.7 s" in str(error)
