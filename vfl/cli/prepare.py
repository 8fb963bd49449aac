"""What `vfl prepare` answers, and how it shows it."""

from __future__ import annotations

import datetime

from vfl.cli.results import Prepare
from vfl.report.words import size
from vfl.run.prepare import PreparedRun
from vfl.screen.arguments import say


def prepared(found: PreparedRun) -> Prepare:
    """For programs."""
    ends = _until(found)
    return Prepare(
        folder=str(found.folder),
        iterations=found.iterations,
        bytes=found.bytes,
        valid_until=None if ends is None else ends.isoformat(timespec="seconds"),
    )


def print_prepared(found: PreparedRun, *, stderr: bool) -> None:
    """In the terminal."""
    ends = _until(found)
    if found.trains:
        said = "this run trains already, so nothing was prepared: give vfl run, which resumes it"
    elif not found.iterations:
        said = "nothing is to be prepared: vfl run computes once what all iterations of this job take"
    else:
        said = f"{found.iterations:,} iterations of each model are prepared at all parties"
    if ends is not None:
        said += f"; pads here: {size(found.bytes)}, valid until {ends:%Y-%m-%d %H:%M}"
    say(said, stderr=stderr)
    say(f"next: vfl run with the same files; the run is kept in {found.folder}", stderr=stderr)


def _until(found: PreparedRun) -> datetime.datetime | None:
    return datetime.datetime.fromtimestamp(found.expires).astimezone() if found.expires else None
