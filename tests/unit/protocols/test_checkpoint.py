"""What a run receives after its last stage is not recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from protocols.channel import Channel, MemoryNetwork
from protocols.cipher import Keyring
from protocols.randomness import Randomness
from protocols.recovery.checkpoint import Checkpoint, CheckpointLog, Keeper, Position
from protocols.row_blocks import BlockTaken

MESSAGES = 5


class Kept(Keeper):
    """Keeps checkpoints in memory."""

    def __init__(self) -> None:
        self.marks = dict[Position, Checkpoint]()
        self.messages = dict[int, Mapping[str, Sequence[bytes]]]()

    def keep(self, mark: Checkpoint, heard: Mapping[str, Sequence[bytes]]) -> None:
        self.marks[mark.position] = mark
        self.messages.setdefault(mark.position.stage, heard)

    def at(self, position: Position) -> Checkpoint:
        return self.marks[position]

    def last(self, stage: int) -> Checkpoint:
        return next(mark for at, mark in self.marks.items() if at.stage == stage and mark.last)

    def heard(self, stage: int) -> Mapping[str, Sequence[bytes]]:
        return self.messages[stage]

    def spend(self, name: bytes) -> bool:
        raise NotImplementedError

    def is_spent(self, name: bytes) -> bool:
        raise NotImplementedError


def recorded(keeper: Keeper | None, rests: bool, goal: Any = None) -> int:
    """How many of a peer's messages after its first stage a party still holds."""
    network = MemoryNetwork(("guest", "host"))
    channels = {
        me: Channel(network.wires(me)[other], Keyring()) for me, other in (("guest", "host"), ("host", "guest"))
    }
    options = () if goal is None else (goal,)
    log = CheckpointLog({"host": channels["guest"]}, Randomness("guest", b"s" * 32, b""), keeper, *options)
    log.begin(dict)
    if goal is None:
        log.done(1, dict, last=True)
    log.end()
    if rests:
        log.rest()
    for number in range(MESSAGES):
        channels["host"].send(BlockTaken(number))
        assert channels["guest"].recv(BlockTaken).number == number
    if rests:
        with pytest.raises(RuntimeError, match="after the last"):
            log.begin(dict)
    return len(channels["guest"].record(False))


def test_what_follows_the_last_stage_is_not_recorded() -> None:
    keeper = Kept()
    assert recorded(keeper, rests=True) == 0
    assert recorded(keeper, rests=True, goal=Position(0, 1)) == 0  # nor by a run that resumed
    assert recorded(None, rests=True) == 0
    assert recorded(Kept(), rests=False) == MESSAGES  # the control: another stage might follow
