"""How long a list of measurements will still take: what the cost model expects of those to come, at the pace of those
that are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from vfl.report import words

ENOUGH_S = 10.0  # of work, before the pace is believed


class Left:
    """expected: seconds of each, in the order in which they are done."""

    def __init__(self, expected: Sequence[float], clock: Callable[[], float] = time.perf_counter) -> None:
        self._to_come, self._past, self._clock, self._start = list(expected), 0.0, clock, clock()

    def done(self) -> None:
        """The next one is done."""
        self._past += self._to_come.pop(0)

    def passed(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._start

    def words(self) -> str:
        """What is left, for people."""
        pace = self.passed() / self._past if self._past > ENOUGH_S else 1.0
        return f"about {words.duration(sum(self._to_come) * pace)} left"
