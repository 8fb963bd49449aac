"""When a network's training ends before its last epoch: what a verdict on held-out rows (stopping.py) means for every
party, and which shares are kept for it.  Nothing here touches a channel.

An epoch is better where the loss is lower than at the best epoch so far by `tol` or more.  Training ends when more than
`patience` epochs in a row are not, and all parties go back to their shares after the best one.  So whoever hears only
when training ends knows the best epoch already, unless the limit of epochs ends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.cipher import CipherVec, EncryptionKey
from protocols.recovery.checkpoint import Arrays

End = Literal["planned", "limit", "loss"]  # all epochs, unwatched; all, watched; the loss did not improve


@dataclass(frozen=True)
class Stopping:
    """tol: of the mean loss of classes, of R^2 of numbers; patience: scikit-learn's n_iter_no_change."""

    tol: float
    patience: int


@dataclass
class Watch:
    """made: how many epochs were evaluated; best: after which of them the loss was lowest, 0 where a party has not
    heard it yet.  At the guest, key: the arbiter's, and lowest: the loss there and its random multiples, encrypted."""

    stopping: Stopping
    epochs: int
    made: int = 0
    best: int = 0
    over: bool = False
    kept: dict[int, dict[str, PlainVec]] = field(default_factory=dict, repr=False)  # weights, by the epochs made
    key: EncryptionKey | None = None
    lowest: CipherVec | None = None

    def keep(self, weights: dict[str, PlainVec]) -> None:
        """An epoch is over: remembers this party's shares after it, and forgets those that no verdict can name."""
        self.made += 1
        self.kept = {epoch: one for epoch, one in self.kept.items() if epoch >= self._earliest}
        self.kept[self.made] = weights

    def evaluation(self, model_id: bytes) -> bytes:
        """The name of the verdict after this epoch, whatever attempt it is."""
        return f"epoch|{self.made}|".encode() + model_id

    @property
    def _earliest(self) -> int:
        """The earliest epoch that can be the best, while training continues."""
        return max(1, self.made - self.stopping.patience - 1)

    def judge(self, *, better: bool) -> int:
        """At guest and arbiter: the epoch whose weights are kept if training ends here, else 0."""
        if better:
            self.best = self.made
        ends = self.made == self.epochs or self.made - self.best > self.stopping.patience
        return self.best if ends else 0

    @property
    def possible(self) -> tuple[int, ...]:
        """What `judge` can return here."""
        if self.made == self.epochs:
            return tuple(range(self._earliest, self.made + 1))
        return (0, self._earliest) if self.made > self.stopping.patience + 1 else (0,)

    def end(self, best: int) -> dict[str, PlainVec]:
        """Training is over: the shares after the best epoch."""
        self.best, self.over = best, True
        return self.kept[best]

    @property
    def ended(self) -> End:
        """How training ended."""
        return "loss" if self.made - self.best > self.stopping.patience else "limit"

    def save(self) -> Arrays:
        arrays: Arrays = {
            f"epoch {epoch} {name}": np.frombuffer(weights.to_bytes(), np.uint8)
            for epoch, kept in self.kept.items()
            for name, weights in kept.items()
        }
        if self.lowest is not None:
            arrays["lowest"] = np.frombuffer(self.lowest.raw.to_bytes(), np.uint8)
        return arrays | {"watch": np.array([self.made, self.best, int(self.over)], np.int64)}

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        self.made, self.best, over = saved["watch"].tolist()
        self.over, self.kept, self.lowest = bool(over), {}, None
        for name, array in saved.items():
            if name.startswith("epoch "):
                _, epoch, whose = name.split(" ", 2)
                self.kept.setdefault(int(epoch), {})[whose] = PlainVec.from_bytes(array.tobytes())
        if "lowest" in saved:
            assert self.key is not None
            self.lowest = CipherVec(self.key, self.key.raw.ciphers_from_bytes(saved["lowest"].tobytes()))
