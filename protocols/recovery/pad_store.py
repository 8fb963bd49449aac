"""Where a party keeps numbers that serve once (protocols/glm/ahead.py) until a run uses them, and how a run that only
prepares ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from protocols.recovery.checkpoint import Arrays


class PadStore(Protocol):
    """Pads by the name of the attempt that drew them: `vfl.storage.pad_store` on disk."""

    def put(self, name: bytes, belongs: bytes, pads: Arrays) -> None:
        """They are on the disk when this returns, for this party alone; belongs: what they serve for."""

    def get(self, name: bytes, belongs: bytes) -> Arrays | None:
        """The same pads; None where they are lost, damaged, expired, spent, or of anything else."""

    def holds(self, name: bytes) -> bool:
        """Whether there are pads of this name that have not expired, as far as one sees without reading them."""

    def spend(self, name: bytes) -> bool:
        """They are gone for good when this returns, before anything that belongs to them leaves; False if they were
        spent already."""

    def lacking(self, parties: Sequence[str]) -> None:
        """These have not the pads that others have of a chunk, which is prepared again at all parties: tells this
        party's people, once."""


class Paused(Exception):
    """A run that only prepares has come to its end.  iterations: how many are prepared at all parties; trains: the run
    had begun to train before."""

    def __init__(self, iterations: int, *, trains: bool) -> None:
        self.iterations, self.trains = iterations, trains
        super().__init__()
