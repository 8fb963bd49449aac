"""What the parties of an averaging by processes agreed on, and their tables."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from vfl.models.averaging.spec import Averaging

MEMBERS = ("north", "south", "east", "west")
JOB = hashlib.sha256(b"averaging by processes").digest()
COLUMNS = 2
SPEC = Averaging(rounds=1, local_epochs=2, batch_size=8)


def rows_of(name: str) -> tuple[Any, Any]:
    """A member's columns and labels."""
    rng = np.random.default_rng(MEMBERS.index(name))
    x = rng.normal(size=(20 + 5 * MEMBERS.index(name), COLUMNS))
    return x, (x[:, 0] + rng.normal(size=len(x)) > 0).astype(float)
