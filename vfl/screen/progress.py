"""Progress of a run for a person (a bar a phase, with the time left) or for the demo (one JSON line an event)."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self, TextIO

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from protocols.errors import ConfigError
from protocols.session import Observer
from vfl.screen.console import Console

PHASES = {
    "connect": "connecting",
    "align": "aligning ids",
    "train": "training",
    "score": "scoring rows",
    "finish": "waiting for all to finish",
}


def make_progress(console: Console) -> Progress:
    """The house's progress display."""
    return Progress(
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TextColumn("{task.completed:.0f}/{task.total:.0f}" if console.width >= 70 else ""),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
    )


class ConsoleWatch(Observer):
    """One bar a phase on a terminal; use as a context manager."""

    def __init__(self, console: Console, who: str = "") -> None:
        self._progress, self._tasks = make_progress(console), dict[str, TaskID]()
        self._who = f"{who}: " if who else ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def phase_begins(self, phase: str) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(self._who + PHASES.get(phase, phase), total=1)

    def phase_ends(self, phase: str) -> None:
        task = self._progress.tasks[self._progress.task_ids.index(self._tasks[phase])]
        self._progress.update(self._tasks[phase], completed=task.total or 1)

    def step(self, phase: str, done: int, total: int) -> None:
        self._progress.update(self._tasks[phase], completed=done, total=total)


class LineWatch(Observer):
    """One JSON line an event, at most five a second: {"phase", "done", "total"}; done is null when a phase begins,
    total is null when it ends."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out, self._last = out, 0.0

    def phase_begins(self, phase: str) -> None:
        self._line(phase, None, 1)

    def phase_ends(self, phase: str) -> None:
        self._line(phase, 1, None)

    def step(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= 0.2 or done == total:
            self._last = now
            self._line(phase, done, total)

    def _line(self, phase: str, done: int | None, total: int | None) -> None:
        print(json.dumps({"phase": phase, "done": done, "total": total}), file=self._out, flush=True)


@contextlib.contextmanager
def watching(how: str, console: Console) -> Iterator[Observer]:
    """What the option --progress names; raises ConfigError for anything else."""
    if how == "bar":
        with ConsoleWatch(console) as watch:
            yield watch
    elif how in ("lines", "none"):
        yield LineWatch() if how == "lines" else Observer()
    else:
        raise ConfigError(f"--progress {how} is not known", remedy='Use "bar", "lines" or "none"')
