"""What an aggregator passes on to members: of what one of them sent it, what the others receive."""

from __future__ import annotations

from vfl.evidence import grids
from vfl.evidence.blocks import Grid
from vfl.evidence.recorded import Recorded, received
from vfl.report import words

SUM, BOXES = "OpenedSum", "RelayedShares"


def sums(run: Recorded) -> int:
    """How many sums this member was sent, which all members who are still there are sent too."""
    return sum(count for (_, message), (count, _) in received(run).items() if message == SUM)


def others(run: Recorded) -> tuple[str, ...]:
    """The other members."""
    return tuple(name for name in (run.report.get("parties") or {}).get("members") or () if name != run.party)


def indirect(run: Recorded, to: str) -> tuple[tuple[str, ...], tuple[Grid, ...]]:
    """Sentences and a table about what another member receives of this one's numbers; none where that is nobody."""
    if not words.of_members(run.report) or run.role != "member" or to not in others(run) or not run.lines:
        return (), ()
    arbiter = str((run.report.get("parties") or {}).get("arbiter"))
    kinds = {SUM, BOXES}
    tables = tuple(
        Grid(
            f"What {arbiter} sends to every member, as {run.party} received it",
            grid.head,
            tuple(row for row in grid.rows if row[2] in kinds),
            grid.numbers,
        )
        for grid in grids.came(run, arbiter)
    )
    points = (
        f"{run.party} sends nothing to {to} itself. Through {arbiter}, {to} receives the sums in which {run.party}’s "
        f"numbers are added up with those of the others, and boxes of {run.party} that only {to} can open: shares of "
        f"the secrets behind {run.party}’s masks.",
    )
    return points, tuple(grid for grid in tables if grid.rows)
