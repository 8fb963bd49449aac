"""What a role function is given: my channels, who plays which role, my randomness, the keys I accept.

`session.steps(...)` is the only loop over protocol steps: it is where progress is reported.  `session.phase(...)` names a part of the run for its timings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from protocols.channel import Channel
from protocols.cipher import Keyring, Scheme
from protocols.errors import VFLError
from protocols.randomness import Randomness, Seed

T = TypeVar("T")


@dataclass(frozen=True)
class Roles:
    """Names of the parties: one guest (labels), hosts in the job's order, and the arbiter (no data), "" where there is none."""

    guest: str
    hosts: tuple[str, ...]
    arbiter: str

    @property
    def data_parties(self) -> tuple[str, ...]:
        return (self.guest, *self.hosts)

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.data_parties, self.arbiter) if self.arbiter else self.data_parties


class Observer:
    """Hears of a run's progress; the default does nothing."""

    def phase_begins(self, phase: str) -> None: ...
    def phase_ends(self, phase: str) -> None: ...
    def step(self, phase: str, done: int, total: int) -> None: ...


class Session:
    """One party's side of one run."""

    def __init__(
        self,
        me: str,
        roles: Roles,
        channels: Mapping[str, Channel],
        randomness: Randomness,
        keys: Keyring,
        scheme: Scheme,
        observer: Observer | None = None,
    ) -> None:
        self.me, self.roles, self.channels = me, roles, channels
        self.keys, self.scheme, self.observer = keys, scheme, observer or Observer()
        self._randomness = randomness

    @property
    def guest(self) -> Channel:
        return self.channels[self.roles.guest]

    @property
    def arbiter(self) -> Channel:
        return self.channels[self.roles.arbiter]

    @property
    def hosts(self) -> list[Channel]:
        return [self.channels[h] for h in self.roles.hosts]

    def seed(self, label: str, value: bytes = b"") -> Seed:
        """The next secret seed for `label`, bound to every message consumed so far and to the `value` that it masks."""
        transcript = b"".join(self.channels[p].consumed.digest() for p in sorted(self.channels))
        return self._randomness.draw(label, transcript, value)

    def steps(self, phase: str, plan: Sequence[T]) -> Iterator[T]:
        """What the plan holds for each step, in order, with progress."""
        for done, item in enumerate(plan):
            self.observer.step(phase, done, len(plan))
            yield item
        self.observer.step(phase, len(plan), len(plan))

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Everything inside is timed and counted as `name`; an error that leaves it says so."""
        self.observer.phase_begins(name)
        try:
            yield
        except VFLError as error:
            error.step = error.step or name
            raise
        finally:
            self.observer.phase_ends(name)
