"""Progress of a run: bars for a person at a terminal, log lines with the time, or JSON lines for programs."""

from __future__ import annotations

import contextlib
import datetime
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Self, TextIO

import msgspec
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from protocols.errors import ConfigError
from protocols.session import Observer
from vfl.screen.console import Console
from vfl.screen.events import Event, Watch
from vfl.screen.sentences import listed

PHASES = {
    "connect": "connecting",
    "align": "aligning ids",
    "prepare": "preparing iterations",
    "train": "training",
    "averaging": "averaging",
    "bin": "binning columns",
    "search": "searching",
    "score": "scoring rows",
    "evaluate": "evaluating",
    "write": "writing results",
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


class ConsoleWatch(Watch):
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
        words = self._who + PHASES.get(phase, phase)
        self._progress.update(self._tasks[phase], completed=task.total or 1, description=words)

    def step(self, phase: str, done: int, total: int) -> None:
        self._progress.update(self._tasks[phase], completed=done, total=total)

    def event(self, event: Event) -> None:
        if event.phase is not None and event.phase in self._tasks and event.missing:
            waits = f"{self._who}waiting for {listed(event.missing, 'and')}"
            self._progress.update(self._tasks[event.phase], description=waits)


class LineWatch(Watch):
    """One JSON object per event, as in events.jsonl."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out

    def event(self, event: Event) -> None:
        print(msgspec.json.encode(event).decode(), file=self._out, flush=True)


class LogWatch(Watch):
    """Readable lines with the time: one when a phase begins or ends, and one at least every `every` seconds of work;
    use as a context manager."""

    def __init__(self, out: IO[str], every: float = 10.0) -> None:
        self._out, self._every, self._last, self._lock = out, every, time.monotonic(), threading.Lock()
        self._words, self._over = "", threading.Event()
        self._held: Event | None = None  # the end of a phase, which may go on at once
        self._thread = threading.Thread(target=self._go_on, name="vfl progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._say_held()

    def event(self, event: Event) -> None:
        with self._lock:
            held, self._words = self._held, worded(event)
            if held is not None and event.event == "begins" and event.phase == held.phase:
                self._held = None  # one phase in several parts
                return
            self._say_held()
            if event.event == "ends":
                self._held = event
            elif event.event != "step" or time.monotonic() - self._last >= self._every:
                self._line(self._words)

    def _say_held(self) -> None:
        if self._held is not None:
            self._line(worded(self._held))
            self._held = None

    def _go_on(self) -> None:
        while not self._over.wait(self._every / 4):
            with self._lock:
                if self._words and time.monotonic() - self._last >= self._every:
                    self._held = None  # said now
                    self._line(self._words)

    def _line(self, words: str) -> None:
        self._last = time.monotonic()
        print(f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M:%S%z} {words}", file=self._out, flush=True)


def worded(event: Event) -> str:
    """An event in words."""
    what = PHASES.get(event.phase or "", event.phase or event.event)
    if event.event == "done":
        what = "done"
    elif event.event in ("waits", "failed"):
        what = f"{event.event} ({event.code})"
    elif event.event == "ends":
        what += ": done"
    elif event.step is not None and event.event == "step":
        what += f": {event.step:,} of {event.of:,}"
    if event.missing:
        what += f"; waiting for {listed(event.missing, 'and')}"
    if event.seconds_left is not None and event.event == "step":
        what += f", about {duration(event.seconds_left)} left"
    return f"{event.job} at {event.party}: {what}"


def duration(seconds: float) -> str:
    """'40 s', '12 min' or '3.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextlib.contextmanager
def watching(how: str, console: Console) -> Iterator[Observer]:
    """What the option --progress names, "auto" for bars on a terminal and log lines elsewhere; raises ConfigError for
    anything else."""
    if how == "auto":
        how = "bar" if console.is_terminal else "log"
    if how == "bar":
        with ConsoleWatch(console) as watch:
            yield watch
    elif how == "log":
        with LogWatch(sys.stderr) as lines:
            yield lines
    elif how in ("lines", "none"):
        yield LineWatch() if how == "lines" else Observer()
    else:
        raise ConfigError(f"--progress {how} is not known", remedy='Use "auto", "bar", "log", "lines" (JSON) or "none"')
