"""A keeper of checkpoints in memory, which stores what `vfl.storage.run_store` keeps on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from safetensors.numpy import load, save

from protocols.recovery.checkpoint import Arrays, Checkpoint, Position


class MemoryKeeper:
    """The checkpoints as bytes, as the store has them: those of finished stages and of the last two counts of messages.
    (Not in NumPy's bytes: its reader parses Python, which fails in threads side by side on Python 3.11.)"""

    def __init__(self) -> None:
        self.checkpoints: dict[Position, tuple[Checkpoint, bytes]] = {}
        self.journal: dict[int, dict[str, list[bytes]]] = {}
        self.spent = set[bytes]()

    def keep(self, mark: Checkpoint, heard: Mapping[str, Sequence[bytes]]) -> None:
        """As `protocols.recovery.checkpoint.Keeper`."""
        self.checkpoints[mark.position] = (
            mark,
            save({name: np.array(array, order="C") for name, array in mark.arrays.items()}),
        )
        if mark.position.item == 0:
            self.journal[mark.position.stage] = {peer: list(messages) for peer, messages in heard.items()}
        recent = sorted({m.messages for m, _ in self.checkpoints.values()})[-2:]
        self.checkpoints = {p: k for p, k in self.checkpoints.items() if k[0].last or k[0].messages >= recent[0]}

    def at(self, position: Position) -> Checkpoint:
        """As `protocols.recovery.checkpoint.Keeper`."""
        mark, packed = self.checkpoints[position]
        return Checkpoint(mark.position, mark.draws, mark.counts, load(packed), mark.last)

    def last(self, stage: int) -> Checkpoint:
        """As `protocols.recovery.checkpoint.Keeper`."""
        return self.at(max(p for p, (m, _) in self.checkpoints.items() if p.stage == stage and m.last))

    def heard(self, stage: int) -> Mapping[str, Sequence[bytes]]:
        """As `protocols.recovery.checkpoint.Keeper`."""
        return self.journal.get(stage, {})

    def spend(self, name: bytes) -> bool:
        """As `protocols.recovery.checkpoint.Keeper`."""
        found, self.spent = name not in self.spent, self.spent | {name}
        return found

    def is_spent(self, name: bytes) -> bool:
        """As `protocols.recovery.checkpoint.Keeper`."""
        return name in self.spent


class MemoryPads:
    """Pads as bytes, as `vfl.storage.pad_store` has them; `spent` is a file next to the run's folder."""

    def __init__(self) -> None:
        self.files: dict[bytes, tuple[bytes, bytes]] = {}
        self.spent, self.lack = set[bytes](), list[tuple[str, ...]]()

    def put(self, name: bytes, belongs: bytes, pads: Arrays) -> None:
        """As `protocols.recovery.pad_store.PadStore`."""
        self.files[name] = belongs, save(pads)

    def get(self, name: bytes, belongs: bytes) -> Arrays | None:
        """As `protocols.recovery.pad_store.PadStore`."""
        bound, packed = self.files.get(name, (b"", b""))
        return load(packed) if self.holds(name) and bound == belongs else None

    def holds(self, name: bytes) -> bool:
        """As `protocols.recovery.pad_store.PadStore`."""
        return name in self.files and name not in self.spent

    def spend(self, name: bytes) -> bool:
        """As `protocols.recovery.pad_store.PadStore`."""
        new = name not in self.spent
        self.spent |= {name}
        self.files.pop(name, None)
        return new

    def lacking(self, parties: Sequence[str]) -> None:
        """As `protocols.recovery.pad_store.PadStore`."""
        self.lack.append(tuple(parties))
