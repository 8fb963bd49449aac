"""The guest's own model on its own columns, which answers while a partner does not: `fallback.json` next to its part.

Every training with held-out rows compares the joint model with one on the guest's columns alone; this one is kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.errors import ModelError
from vfl.storage.files import write_private, written

FORMAT, FILE = 1, "fallback.json"


class Keepable(Protocol):
    """What a training keeps to score by the guest's columns alone, of any kind."""

    def save(self, folder: Path) -> None:
        """In the folder of the guest's part.  Raises ConfigError."""


class Fallback(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """weights (models, width): of the guest's columns as its part standardises them, the intercept last if there is
    one."""

    format: int
    model_id: str
    weights: list[list[float]]

    @classmethod
    def of(cls, model_id: bytes, weights: NDArray[np.float64]) -> Fallback:
        """weights (models, width)."""
        return cls(FORMAT, model_id.hex(), weights.tolist())

    def predictors(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, models) for rows x (n, width)."""
        return np.asarray(x @ np.array(self.weights, np.float64).T)

    def save(self, folder: Path) -> None:
        """Raises ConfigError."""
        with written(folder):
            write_private(folder / FILE, msgspec.json.encode(self) + b"\n")


def load_fallback(folder: Path, model_id: bytes, width: int) -> Fallback | None:
    """What a training left in a model's folder; None where it left none.  width: of the weights.  Raises ModelError."""
    try:
        found = msgspec.json.decode((folder / FILE).read_bytes(), type=Fallback)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        raise ModelError(f"{folder / FILE} is damaged", remedy="Restore it from a copy of the run's folder") from None
    whole = found.weights and all(len(row) == width for row in found.weights)
    if found.format != FORMAT or found.model_id != model_id.hex() or not whole:
        raise ModelError(
            f"{folder / FILE} does not belong to this model", remedy="Restore it from a copy of the run's folder"
        )
    return found
