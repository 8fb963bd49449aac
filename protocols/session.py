"""What a role function is given: the party's channels, who has which role, its randomness, the keys that it accepts.

`session.steps(...)` is the only loop over protocol steps.  It reports progress and, with a `state`, stores the
checkpoints from which an interrupted run resumes (protocols/recovery/checkpoint.py).  `session.once(...)` is a stage
without steps.  `session.grow(...)` is a stage whose number of steps depends on the lists of all parties, and which
reports its own progress.  `session.phase(...)` names a part of the run for its timings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols._native import DpfKeys, PlainVec
from protocols.allowance import Allowance
from protocols.channel import Channel
from protocols.cipher import DecryptionKey, Keyring, Scheme
from protocols.errors import VFLError
from protocols.kept import Keep, in_memory
from protocols.randomness import Randomness, Seed
from protocols.recovery.checkpoint import ANYWHERE, START, Arrays, CheckpointLog, Growing, Keeper, Position, State
from protocols.recovery.pad_store import PadStore
from protocols.workers import look_ups
from protocols.workers.cluster import Cluster
from protocols.workers.run import Caller

T = TypeVar("T")


@dataclass(frozen=True)
class Roles:
    """Names of the parties: one guest (labels), hosts in the job's order, and the arbiter (no data), "" where there is
    none.  Where parties hold the same columns, `members` stand in the place of guest and hosts, which are empty, and
    the arbiter is their aggregator."""

    guest: str
    hosts: tuple[str, ...]
    arbiter: str
    members: tuple[str, ...] = ()

    @classmethod
    def averaging(cls, members: Sequence[str], aggregator: str) -> Roles:
        """Members with the same columns, in the job's order, and their aggregator."""
        return cls("", (), aggregator, tuple(members))

    @property
    def data_parties(self) -> tuple[str, ...]:
        return self.members or (self.guest, *self.hosts)

    def meet(self, one: str, other: str) -> bool:
        """Whether two parties have a channel: hosts have none with each other, members neither."""
        return not ({one, other} <= set(self.hosts) or {one, other} <= set(self.members))

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.data_parties, self.arbiter) if self.arbiter else self.data_parties


class Observer:
    """Is informed of a run's progress; the default does nothing."""

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
        keeper: Keeper | None = None,
        goal: Position = START,
        allowance: Allowance | None = None,
        cluster: Cluster | None = None,
        pads: PadStore | None = None,
        ahead: int | None = None,
        keep: Keep = in_memory,
    ) -> None:
        """keeper: where checkpoints are stored, if the run can be interrupted; goal: the checkpoint from which it
        resumes; allowance: what this party agrees to disclose; cluster: its own workers, if it has some, on which its
        `scheme` may be too (`protocols.cipher.sharded`); pads: where numbers that serve once are stored; ahead: a run
        that only prepares such numbers, for this many iterations (0: for all); keep: where numbers for each row are
        put that are not needed at once."""
        self.pads, self.ahead, self.keep = pads, ahead, keep
        self.me, self.roles, self.channels = me, roles, channels
        self.allowance, self.cluster = allowance or Allowance(), cluster
        self.keys, self.scheme, self.observer = keys, scheme, observer or Observer()
        self._own_key: DecryptionKey | None = None
        self._randomness, self.course = randomness, CheckpointLog(channels, randomness, keeper, goal)

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
        transcript = b"".join(self.channels[p].count.consumed for p in sorted(self.channels))
        return self._randomness.draw(label, transcript, value)

    def own_key(self) -> DecryptionKey:
        """A data party's own key of this run, made when it is first needed."""
        if self._own_key is None:
            self._own_key = self.scheme.generate(self.me, self.seed("own key"))
        return self._own_key

    @property
    def workers(self) -> Caller | None:
        """What calls this party's workers, if it has some."""
        return None if self.cluster is None else self.cluster.caller

    def look_up(self, keys: DpfKeys, x: NDArray[np.int64], tables: NDArray[np.int64]) -> list[PlainVec]:
        """`DpfKeys.look_up`, by the party's workers where it has some."""
        return keys.look_up(x, tables) if self.cluster is None else look_ups.look_up(self.cluster, keys, x, tables)

    def steps(
        self,
        phase: str,
        plan: Sequence[T],
        state: State | None = None,
        until: Callable[[], bool] = lambda: False,
        size: Callable[[T], int] = lambda _: 1,
    ) -> Iterator[T]:
        """What the plan holds for each step, in order, with progress; state: what the loop's body changes, if the run
        may resume between its steps.

        until: whether the previous step was the last, as `state` says; a loop that ends in this way stores a last
        checkpoint, a loop left by `break` does not.
        size: of how many steps a step is made up, whose progress the loop's body reports.
        """
        first, ends = 0, [0, *accumulate(map(size, plan))]
        if state is not None:
            first, saved = self.course.begin(state.save, empty=not plan)
            if saved is not None:
                state.load(saved)
        for done in range(first, len(plan)):
            if until():
                break
            self.observer.step(phase, ends[done], ends[-1])
            try:
                yield plan[done]
            except GeneratorExit:  # the body has left the loop
                if state is not None:
                    self.course.end()
                raise
            if state is not None:
                self.course.done(done + 1, state.save, last=done + 1 == len(plan) or until())
        self.observer.step(phase, ends[-1], ends[-1])
        if state is not None:
            self.course.end()

    def once(self, work: Callable[[], T], save: Callable[[T], Arrays], load: Callable[[Arrays], T]) -> T:
        """The result of `work()`; a run that resumes loads it from where it was stored."""
        done, saved = self.course.begin(dict)
        if done and saved is not None:
            result = load(saved)
        else:
            result = work()
            self.course.done(1, lambda: save(result), last=True)
        self.course.end()
        return result

    def grow(self, work: Growing) -> None:
        """Steps of `work` until it is over.  Each stores what it adds, and a run that resumes adds that again."""
        done = 0
        for part in self.course.parts():
            work.add(part)
            done += 1
        while not work.over():
            part = work.step()
            work.add(part)
            done += 1
            self.course.done(done, partial(dict, part), last=True)
        self.course.end()

    def absent(self) -> None:
        """A stage in which this party, which is not the guest, takes no part: it can resume from wherever the others
        are in it."""
        done, _ = self.course.begin(dict)
        if not done:
            self.course.done(ANYWHERE, dict, last=True)
        self.course.end()

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
