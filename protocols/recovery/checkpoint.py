"""Where a run can resume after a party died: the checkpoints that a party stores, and the stages of a run between them.

Everything that a party sends follows from its run seed, its table and what it received (protocols/randomness.py).  So a
party that resumes needs
 - the state of its role function at a *checkpoint*: what the loop of a *stage* carries from one step to the next, the
 number of its draws, and how many
   messages it has sent to and received from each peer;
 - what it received before the stage began (keys, sizes: small), to run the code up to there once more.  What that code
 sends is not transmitted again.

     stage 0: once(...)                      stage 1: steps(...)
     ----+=================+---------------+========+========+========+------------------
     heard                (0, 1)   heard   (1, 0)   (1, 1)   (1, 2)  (1, 3) = its last        kept: each stage's last checkpoint, and two more

Numbers that serve once, prepared for several steps (protocols/glm/preparation.py), are not computed again: the steps
between two checkpoints draw them again in each attempt, and their messages then need not be those of an earlier one.

Every party takes the same checkpoints, and no message crosses one: all can resume from the latest that all have
(protocols/recovery/resume.py).  In each step with messages a party must receive something that is sent when all others
have begun the step.  Then no party is two such steps ahead of another, and the checkpoints that are kept suffice.  A
stage that collects a long list stores what each step adds (`parts`).  A party that takes no part in a stage can resume
from wherever the others are in it.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from protocols.channel import Channel, Count
from protocols.errors import LocalProtocolError
from protocols.randomness import Randomness

Arrays = dict[str, NDArray[Any]]


class Position(NamedTuple):
    """A place in a run: how many items of which stage are done."""

    stage: int
    item: int


START = Position(-1, 0)  # nothing is done: any party with its run seed can resume from here
END = Position(1 << 30, 0)  # the party's result is on its disk
ANYWHERE = (1 << 30) - 1  # the item of a party that has no part in the stage


def serves(marks: Collection[Position], position: Position) -> Position | None:
    """The checkpoint from which a party resumes if the others resume from `position`; None: it has none."""
    return next((mark for mark in (position, Position(position.stage, ANYWHERE)) if mark in marks), None)


class State(Protocol):
    """What a loop carries from one step to the next.  It holds no label, feature, id or key."""

    def save(self) -> Arrays:
        """All of it, as arrays."""

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Becomes what was saved."""


class Growing(Protocol):
    """What collects a list, step by step.  What it adds holds no label, feature, id or key."""

    def over(self) -> bool:
        """Whether the list is complete; never before the first step."""

    def step(self) -> Arrays:
        """Does the next step, and returns what it adds."""

    def add(self, part: Mapping[str, NDArray[Any]]) -> None:
        """Adds what a step returned, in this process or an earlier one."""


@dataclass(frozen=True)
class Checkpoint:
    """A party's state at a position.  last: it ends its stage, or is a part of a list, and is never removed."""

    position: Position
    draws: int
    counts: dict[str, Count]  # by peer
    arrays: Arrays
    last: bool = False

    @property
    def messages(self) -> int:
        """How many messages have been sent and received up to here."""
        return sum(count.sent + count.received for count in self.counts.values())


class Keeper(Protocol):
    """Where checkpoints are stored: `vfl.storage.run_store` on disk."""

    def keep(self, mark: Checkpoint, heard: Mapping[str, Sequence[bytes]]) -> None:
        """Stores a checkpoint and what was received before its stage began (empty but for the stage's first
        checkpoint), both or neither."""

    def at(self, position: Position) -> Checkpoint:
        """The checkpoint at `position`."""

    def last(self, stage: int) -> Checkpoint:
        """The last checkpoint of a finished stage, the latest of those that are never removed."""

    def heard(self, stage: int) -> Mapping[str, Sequence[bytes]]:
        """What was received, by peer, between the previous stage and this one."""

    def spend(self, name: bytes) -> bool:
        """Stores a name for good, before anything that belongs to it leaves; False if it is stored already."""

    def is_spent(self, name: bytes) -> bool:
        """Whether the name is stored."""


class CheckpointLog:
    """Numbers the stages of a run and takes their checkpoints; on a run that resumes from `goal`, skips what is done up
    to there.

    Without a keeper nothing is stored and nothing is skipped.
    """

    def __init__(
        self, channels: Mapping[str, Channel], randomness: Randomness, keeper: Keeper | None, goal: Position = START
    ) -> None:
        self._channels, self._randomness, self._keeper = channels, randomness, keeper
        self._stage, self._goal, self._rests = 0, goal if goal != START else None, False
        self._approach()

    def begin(self, save: Callable[[], Arrays], *, empty: bool = False) -> tuple[int, Arrays | None]:
        """A stage begins: returns its first item, and the state to load if the run resumes.  empty: the stage has no
        items."""
        if self._rests:
            raise RuntimeError("a stage begins after the last one")
        if self._keeper is None:
            return 0, None
        if self._goal is None:
            self._keep(0, save, empty, {peer: channel.record(False) for peer, channel in self._channels.items()})
            return 0, None
        if self._goal.stage > self._stage:
            mark = self._keeper.last(self._stage)
        else:
            mark, self._goal = self._keeper.at(self._goal), None
        self.restore(mark)
        return mark.position.item, mark.arrays

    def parts(self) -> Iterator[Arrays]:
        """A stage begins in which each step stores what it adds; yields what the finished steps have added."""
        done, _ = self.begin(dict)
        for item in range(1, done + 1):
            assert self._keeper is not None
            yield self._keeper.at(Position(self._stage, item)).arrays

    def done(self, item: int, save: Callable[[], Arrays], *, last: bool) -> None:
        """The first `item` items of the stage are done."""
        if self._keeper is not None:
            self._keep(item, save, last, {})

    def end(self) -> None:
        """The stage is over."""
        self._stage += 1
        self._approach()

    def rest(self) -> None:
        """No stage follows: a run that resumes does all that follows again, so nothing that is received is recorded."""
        self._rests = True
        for channel in self._channels.values() if self._goal is None else ():
            channel.record(False)

    @property
    def skips(self) -> bool:
        """Whether the run resumes from a later stage than this one."""
        return self._goal is not None

    def renew(self) -> None:
        """What follows up to the next checkpoint is drawn again in each attempt (`spend`)."""
        for channel in self._channels.values():
            channel.renew()

    def spend(self, name: bytes) -> bool:
        """Stores a name on this party's disk: that of an attempt, whose pads are spent, before anything of it leaves.
        False if it was there."""
        return self._keeper is None or self._keeper.spend(name)

    def is_spent(self, name: bytes) -> bool:
        """Whether the name is on this party's disk."""
        return self._keeper is not None and self._keeper.is_spent(name)

    def finished(self, arrays: Arrays) -> None:
        """The party's result is on its disk; `arrays` is what it needs in addition."""
        if self._keeper is not None:
            self._keeper.keep(Checkpoint(END, self._randomness.draws, self._counts(), arrays, last=True), {})

    def restore(self, mark: Checkpoint) -> None:
        """The run is at `mark`, and continues with new messages from there."""
        for peer, channel in self._channels.items():
            if channel.replays():
                raise LocalProtocolError(
                    "this run does not repeat what it did before it was interrupted",
                    remedy="Start again with --fresh, and report this: table and program should determine everything",
                )
            channel.restore(mark.counts[peer])
        self._randomness.draws = mark.draws

    def _approach(self) -> None:
        """Between two stages: what is received is recorded, or replayed."""
        if self._keeper is None:
            return
        again = self._keeper.heard(self._stage) if self._goal is not None else None
        for peer, channel in self._channels.items():
            if again is None:
                channel.record(True)
            else:
                channel.replay(again.get(peer, ()))

    def _keep(self, item: int, save: Callable[[], Arrays], last: bool, heard: Mapping[str, Sequence[bytes]]) -> None:
        assert self._keeper is not None
        self._keeper.keep(
            Checkpoint(Position(self._stage, item), self._randomness.draws, self._counts(), save(), last), heard
        )

    def _counts(self) -> dict[str, Count]:
        return {peer: channel.count for peer, channel in self._channels.items()}
