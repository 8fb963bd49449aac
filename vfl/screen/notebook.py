"""Progress of a call in Python: bars at a terminal, a line that is updated in a notebook, nothing elsewhere."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from protocols.session import Observer
from vfl.screen import html
from vfl.screen.console import Console
from vfl.screen.progress import PHASES, ConsoleWatch, duration

EVERY = 0.25  # seconds between two updates


class NotebookWatch(Observer):
    """One line and one bar below a cell, updated in place; `display` is IPython's."""

    def __init__(self, display: Any) -> None:
        self._began = self._last = time.monotonic()
        self._handle, self._lock = display(_shown("starting", None, ""), raw=True, display_id=True), threading.Lock()

    def phase_begins(self, phase: str) -> None:
        self._update(PHASES.get(phase, phase), None)

    def step(self, phase: str, done: int, total: int) -> None:
        if done == total or time.monotonic() - self._last >= EVERY:
            self._update(f"{PHASES.get(phase, phase)}: {done:,} of {total:,}", done / total if total else None)

    def over(self, how: str) -> None:
        """The last line stays."""
        self._update(how, 1.0)

    def _update(self, words: str, part: float | None) -> None:
        with self._lock:
            self._last = time.monotonic()
            self._handle.update(_shown(words, part, duration(self._last - self._began)), raw=True)


def _shown(words: str, part: float | None, after: str) -> dict[str, str]:
    return {"text/plain": f"{words} ({after})" if after else words, "text/html": html.progress(words, part, after)}


def display_of() -> Any:
    """IPython's `display`, in a notebook; else None."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return importlib.import_module("IPython.display").display


@contextlib.contextmanager
def showing(
    verbose: int | None, observers: Mapping[str, Observer] | None, party: str
) -> Iterator[Mapping[str, Observer]]:
    """The observers, with one that shows the progress of `party` unless they have one of it.

    verbose: None shows it in notebooks and at terminals, 0 nowhere, 1 and more everywhere.
    """
    given, display = dict(observers or {}), display_of()
    terminal = Console(stderr=True)
    if party in given or verbose == 0 or (verbose is None and display is None and not terminal.is_terminal):
        yield given
    elif display is not None:
        watch = NotebookWatch(display)
        try:
            yield {**given, party: watch}
        except BaseException:
            watch.over("stopped")
            raise
        watch.over("done")
    else:
        with ConsoleWatch(terminal) as bars:
            yield {**given, party: bars}
