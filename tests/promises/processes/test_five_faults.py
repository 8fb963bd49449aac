"""Five things that happen to one of three institutions: a policy, a missing table, a full disk, Ctrl-C, a wrong pin.
The others end within ten seconds and say who and why; after the repair the same command takes the run to its end."""

from __future__ import annotations

import json
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.promises.processes.institutions import Institutions, Process
from vfl.transport.identity import create_identity

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
SECONDS = 10.0  # after the party with the fault has ended
VICTIM, OTHERS = "telecom", ("bank", "trustco")
Undo = Callable[[], object]


@dataclass(frozen=True)
class Fault:
    """plant: changes the victim's folder before its start, and returns how to repair it; code, said: how the victim
    ends, why: what the others are told; during: what is done to it in the middle of the training; resumes: whether
    what was done is not done again."""

    code: int
    said: str
    why: str
    plant: Callable[[Institutions], Undo] = lambda parties: lambda: None
    during: Callable[[Process], object] | None = None
    resumes: bool = False
    popen: dict[str, Any] = field(default_factory=dict)


def policy(parties: Institutions) -> Undo:
    parties.change(VICTIM, '  "scores-to-guest",\n', "")
    return lambda: parties.change(VICTIM, "allow = [\n", 'allow = [\n  "scores-to-guest",\n')


def no_table(parties: Institutions) -> Undo:
    table = parties.folder / VICTIM / "customers.csv"
    content = table.read_bytes()
    table.unlink()
    return lambda: table.write_bytes(content)


def wrong_pin(parties: Institutions) -> Undo:
    pin = parties.folder / VICTIM / "peers" / "bank.pem"
    right = pin.read_bytes()
    pin.write_bytes(create_identity(parties.folder / "forged", "bank").certificate_path.read_bytes())
    return lambda: pin.write_bytes(right)


def no_room() -> None:
    """As a full disk: no file of the process may exceed 40 kB, which the ledger does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (40 << 10, 40 << 10))


FAULTS = {
    "policy": Fault(6, "policy.allow does not: 'scores-to-guest'", "refused: no permission scores-to-guest", policy),
    "no table": Fault(2, "customers.csv cannot be read", "found a fault in its own files", no_table),
    "full disk": Fault(2, "Make room", "found a fault in its own files", resumes=True, popen={"preexec_fn": no_room}),
    "Ctrl-C": Fault(130, "stopped on request", "was stopped", during=lambda p: p.kill(signal.SIGINT), resumes=True),
    "wrong pin": Fault(4, "bank: its certificate is not pinned here", "certificate", wrong_pin),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_others_end_within_seconds_and_the_same_command_goes_to_the_end(parties: Institutions, name: str) -> None:
    fault = FAULTS[name]
    parties.lay_out(max_iter=30)
    repair = fault.plant(parties)
    others = {one: parties.start(one, timeout=120) for one in OTHERS}
    for process in others.values():
        process.until(lambda events: any(VICTIM in event["missing"] for event in events))
    victim = parties.start(VICTIM, timeout=120, **fault.popen)
    if fault.during is not None:
        victim.until(lambda events: any(e["phase"] == "train" and (e["step"] or 0) >= 2 for e in events))
        fault.during(victim)
    ended = victim.wait(120)
    before = time.monotonic()
    assert ended.code == fault.code, ended.err
    assert fault.said in ended.err
    for process in others.values():
        told = process.wait(SECONDS)
        told.says(4, VICTIM, fault.why)
        assert "resumes" in told.err or not fault.resumes
    assert time.monotonic() - before < SECONDS
    assert not list(parties.folder.glob("*/runs/*/model"))
    repair()
    results = parties.done(timeout=120, seconds=180)
    assert json.loads(Path(results[VICTIM].report).read_text()).get("resumed", False) == fault.resumes
