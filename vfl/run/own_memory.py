"""Whether this machine has the memory that a party's own process needs for a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocols.errors import ComputeError
from vfl.compute.memory import memory_left, resident
from vfl.cost.estimate import COLUMNS, ROWS
from vfl.cost.memory import WORST, Size, Work, own_bytes
from vfl.job import Job
from vfl.report.words import size as in_bytes
from vfl.run.session import Ready
from vfl.transport.hello import Command

LONG = 1_000_000  # rows of the second table that an arbiter is told of
WORKS: dict[str, Work] = {"run": "run", "align": "align", "predict": "predict"}
REMEDY = (
    "Use a machine with more memory, raise the limit of this process or container, or let workers compute ([compute] "
    "in the party file)"
)


@dataclass(frozen=True)
class OwnMemory:
    """Bytes.  needs: if all rows of this party's table are common, of an arbiter's partners if `ROWS` are; least: if no
    more rows are common than the job asks for; left: what this process has and can still get."""

    needs: int
    least: int
    left: int


def own_memory(ready: Ready[Any], command: Command) -> OwnMemory | None:
    """None where nothing is predicted: for commands that do not compute."""
    if command not in WORKS:
        return None
    rows, columns = ready.size if ready.party.role != "arbiter" else (ROWS, COLUMNS)
    least = min(rows, ready.job.align.min_intersection)
    needs, at_least = (_needed(ready, command, Size(rows, columns, common)) for common in (rows, least))
    return OwnMemory(needs, at_least, resident() + memory_left())


def _needed(ready: Ready[Any], command: Command, size: Size) -> int:
    role = ready.party.role
    assert role != "member"  # of an averaging `vfl.cli.members` says it
    workers = bool(ready.party.compute.workers)
    return own_bytes(ready.job, role, size, WORKS[command], workers=workers, away=ready.away)


def enough_memory(ready: Ready[Any], command: Command) -> OwnMemory | None:
    """What is predicted.  Raises ComputeError where not even the fewest common rows fit, however far off the prediction
    is."""
    found = own_memory(ready, command)
    if found is not None and found.least > (1 + WORST) * found.left:
        raise ComputeError(
            f"{ready.party.name}: this process can get too little memory for the job",
            remedy=REMEDY,
            party=ready.party.name,
            expected=f"at least {in_bytes(found.least)}",
            found=in_bytes(found.left),
        )
    return found


def in_words(ready: Ready[Any], command: Command, found: OwnMemory) -> str:
    """For `vfl check`."""
    error = f"(within {WORST:.0%} of what was measured), of {in_bytes(found.left)} that it can get"
    if ready.party.role == "arbiter":
        long = in_bytes(_needed(ready, command, Size(LONG, COLUMNS, LONG)))
        sizes = f"about {in_bytes(found.needs)} for {ROWS:,} common rows, {long} for {LONG:,}"
        return f"{sizes}, if each data party has {COLUMNS} columns {error}"
    (rows, _), trains = ready.size, command == "run" and isinstance(ready.job, Job)
    common = f"all {rows:,} rows are common and " if trains else ""
    return f"this process needs about {in_bytes(found.needs)} if {common}the others have as many rows {error}"


def cautions(found: OwnMemory) -> list[str]:
    """Where it is enough for few common rows, but may not be for all."""
    if found.needs <= found.left:
        return []
    needs, left = in_bytes(found.needs), in_bytes(found.left)
    return [f"this process may run out of memory: it needs about {needs}, and can get {left}: {REMEDY}"]
