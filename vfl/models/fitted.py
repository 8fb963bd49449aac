"""What a party has when its program is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from protocols.glm.shares import Moved
from vfl.data import Table
from vfl.models.content import Part
from vfl.steps.search import Searched


class Fitted(Protocol):
    """A model part, the common rows, which of them were held out and which of those are out of time, which others
    decided when training ended, how many ids each data party had, and at the guest the joint scores of the held-out
    rows, and of the training rows where the job asks for them; and what a search found."""

    @property
    def part(self) -> Part: ...
    @property
    def aligned(self) -> Table: ...
    @property
    def held_out(self) -> NDArray[np.bool_]: ...
    @property
    def later(self) -> NDArray[np.bool_]: ...
    @property
    def validation(self) -> NDArray[np.bool_]: ...
    @property
    def sizes(self) -> dict[str, int]: ...
    @property
    def scores(self) -> NDArray[np.float64] | None: ...
    @property
    def train_scores(self) -> NDArray[np.float64] | None: ...
    @property
    def searched(self) -> Searched | None: ...


class Scored(NamedTuple):
    """What a party has when new rows are scored.  found: at the guest the rows of its table, and what was computed for
    them; moved: its shares of weights from now on, by whose they are."""

    found: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
    moved: Mapping[str, Moved] = {}
