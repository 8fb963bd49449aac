"""A keeper of checkpoints in memory, which stores what `vfl.storage.run_store` keeps on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from safetensors.numpy import load, save

from protocols.recovery.checkpoint import Mark, Position


class MemoryKeeper:
    """The checkpoints as bytes: those of finished stages and of the last two counts of messages."""

    def __init__(self) -> None:
        self.marks: dict[Position, tuple[Mark, bytes]] = {}
        self._heard: dict[int, dict[str, list[bytes]]] = {}
        self._spent = set[bytes]()

    def keep(self, mark: Mark, heard: Mapping[str, Sequence[bytes]]) -> None:
        """As `protocols.recovery.checkpoint.Keeper`."""
        self.marks[mark.position] = (
            mark,
            save({name: np.array(array, order="C") for name, array in mark.arrays.items()}),
        )
        if mark.position.item == 0:
            self._heard[mark.position.stage] = {peer: list(messages) for peer, messages in heard.items()}
        recent = sorted({m.messages for m, _ in self.marks.values()})[-2:]
        self.marks = {p: kept for p, kept in self.marks.items() if kept[0].last or kept[0].messages >= recent[0]}

    def at(self, position: Position) -> Mark:
        """As `protocols.recovery.checkpoint.Keeper`."""
        mark, packed = self.marks[position]
        return Mark(mark.position, mark.draws, mark.counts, load(packed), mark.last)

    def last(self, stage: int) -> Mark:
        """As `protocols.recovery.checkpoint.Keeper`."""
        return self.at(max(p for p, (m, _) in self.marks.items() if p.stage == stage and m.last))

    def heard(self, stage: int) -> Mapping[str, Sequence[bytes]]:
        """As `protocols.recovery.checkpoint.Keeper`."""
        return self._heard.get(stage, {})

    def spend(self, name: bytes) -> bool:
        """As `protocols.recovery.checkpoint.Keeper`."""
        found, self._spent = name not in self._spent, self._spent | {name}
        return found

    def is_spent(self, name: bytes) -> bool:
        """As `protocols.recovery.checkpoint.Keeper`."""
        return name in self._spent
