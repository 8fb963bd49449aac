"""Three machines: a network namespace and an address for each party, with a switch between.  Needs root; skips, saying
so, elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.promises.processes.institutions import Institutions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ADDRESSES = {"bank": "10.77.0.1", "telecom": "10.77.0.2", "trustco": "10.77.0.3"}
PORTS = {"bank": "10.77.0.1:7443", "trustco": "10.77.0.3:7443"}


def ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ip", *arguments], check=check, capture_output=True)


class Machines:
    """The namespaces; `inside` is the command that runs another one in a party's."""

    def __init__(self) -> None:
        self._mark = f"vfl{os.getpid()}"

    def name(self, who: str) -> str:
        return f"{self._mark}-{who}"

    def inside(self, who: str) -> list[str]:
        return ["ip", "netns", "exec", self.name(who)]

    def build(self) -> None:
        for who in ("switch", *ADDRESSES):
            ip("netns", "add", self.name(who))
            ip("-n", self.name(who), "link", "set", "lo", "up")
        ip("-n", self.name("switch"), "link", "add", "br0", "type", "bridge")
        ip("-n", self.name("switch"), "link", "set", "br0", "up")
        for who, address in ADDRESSES.items():
            ip(
                "link",
                "add",
                "eth0",
                "netns",
                self.name(who),
                "type",
                "veth",
                "peer",
                "name",
                who,
                "netns",
                self.name("switch"),
            )
            ip("-n", self.name("switch"), "link", "set", who, "master", "br0", "up")
            ip("-n", self.name(who), "address", "add", f"{address}/24", "dev", "eth0")
            ip("-n", self.name(who), "link", "set", "eth0", "up")

    def cut(self, who: str) -> None:
        """Pulls the cable of one machine."""
        ip("-n", self.name("switch"), "link", "set", who, "down")

    def worsen(self, *how: str) -> None:
        """Delay and loss on every cable, or a skip."""
        for who in ADDRESSES:
            made = subprocess.run(
                [*self.inside(who), "tc", "qdisc", "add", "dev", "eth0", "root", "netem", *how],
                capture_output=True,
                check=False,
            )
            if made.returncode:
                pytest.skip("this machine cannot delay packets")

    def remove(self) -> None:
        for who in ("switch", *ADDRESSES):
            ip("netns", "delete", self.name(who), check=False)


@pytest.fixture
def machines() -> Iterator[Machines]:
    if not shutil.which("ip"):
        pytest.skip("there is no `ip` command")
    made = Machines()
    with contextlib.ExitStack() as stack:
        stack.callback(made.remove)
        try:
            made.build()
        except subprocess.CalledProcessError:
            pytest.skip("this account may not make network namespaces")
        yield made


def test_three_addresses(parties: Institutions, machines: Machines) -> None:
    """Nobody can reach another one but over the wire: loopback is each machine's own."""
    parties.lay_out(ports=PORTS)
    started = {name: parties.start(name, inside=machines.inside(name)) for name in parties.roles}
    results = {name: process.wait(60) for name, process in started.items()}
    assert [r.code for r in results.values()] == [0, 0, 0], results
    assert json.loads(results["bank"].report.read_text())["alignment"]["intersection"] == 64


def test_a_bad_line(parties: Institutions, machines: Machines) -> None:
    """40 ms there and back, and one packet in fifty lost."""
    machines.worsen("delay", "20ms", "loss", "2%")
    parties.lay_out(ports=PORTS)
    started = {name: parties.start(name, inside=machines.inside(name)) for name in parties.roles}
    results = {name: process.wait(120) for name, process in started.items()}
    assert [r.code for r in results.values()] == [0, 0, 0], results


@pytest.mark.parametrize("victim", ["telecom", "trustco"])
def test_a_pulled_cable_ends_all_three_within_15_seconds(
    parties: Institutions, machines: Machines, victim: str
) -> None:
    """No packet says that the connection is gone: silence does."""
    parties.lay_out(ports=PORTS, max_iter=2000)
    started = {name: parties.start(name, inside=machines.inside(name)) for name in parties.roles}
    for process in started.values():
        process.until(
            lambda events: any(e["phase"] == "train" and (e["step"] or 0) >= 2 and e["of"] == 2000 for e in events)
        )
    machines.cut(victim)
    cut = time.monotonic()
    for name, process in started.items():
        ended = process.wait(20)
        assert ended.code in (4, 5), ended.err
        ended.says(ended.code, "silent|lost their connection" if name == victim else victim)
    assert time.monotonic() - cut < 15
