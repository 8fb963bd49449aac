"""What one party keeps of a joint model.  The parts are never joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.binning import Binned, Binner
from protocols.boosting.ensemble import Ensemble, HostSplits
from vfl.data.codes import Names, coded
from vfl.preprocessing import Standardiser


class AdditivePart(Protocol):
    """A part whose share of a row's score is one number, opened to the guest in a sum rounded to 2^-score_bits."""

    @property
    def model_id(self) -> bytes: ...
    @property
    def score_bits(self) -> int: ...
    def predictor(self, features: pd.DataFrame) -> NDArray[np.float64]: ...


@dataclass(frozen=True, repr=False)
class LogisticPart:
    """A data party's own coefficients (standardised scale) and the standardisation they belong to; the guest's part holds intercept and classes too."""

    party: str
    model_id: bytes
    standardiser: Standardiser
    weights: NDArray[np.float64]
    link: str
    score_bits: int
    intercept: float | None = None
    classes: tuple[Any, ...] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {len(self.columns)} columns>"

    @property
    def columns(self) -> tuple[str, ...]:
        """The party's own columns, in the order of the weights."""
        return self.standardiser.columns

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that hold texts: none."""
        return ()

    @property
    def is_guests(self) -> bool:
        """Whether the part is the guest's."""
        return self.intercept is not None

    @property
    def coef(self) -> pd.Series:
        """Coefficients on the standardised scale, by column."""
        return pd.Series(self.weights, index=list(self.standardiser.columns), name="coef")

    @property
    def coef_raw(self) -> pd.Series:
        """Coefficients a unit of the column as it came, by column (clipping aside)."""
        return pd.Series(self.weights / self.standardiser.scale, index=list(self.standardiser.columns), name="coef_raw")

    def predictor(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """This party's part of the linear predictor (n,), intercept included where it is held.

        Summed a row at a time, so that a row's score does not depend, in its last bit, on the rows beside it (BLAS's does)."""
        return np.asarray((self.standardiser.transform(features, self.party) * self.weights).sum(axis=1) + (self.intercept or 0.0))


@dataclass(frozen=True, eq=False, repr=False)
class TreesPart:
    """A data party's part of boosted trees: its bins, and at the guest the trees, at a host what its handles stand for (depth: of `hidden` trees, else 0)."""

    party: str
    model_id: bytes
    columns: tuple[str, ...]
    binner: Binner
    names: tuple[Names, ...]  # of each column the categories that training saw, None for numbers
    ensemble: Ensemble | None = None
    splits: HostSplits | None = None
    depth: int = 0
    classes: tuple[Any, ...] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {len(self.columns)} columns>"

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that hold texts."""
        return tuple(c for c, names in zip(self.columns, self.names, strict=True) if names is not None)

    @property
    def is_guests(self) -> bool:
        """Whether the part is the guest's."""
        return self.ensemble is not None

    def binned(self, features: pd.DataFrame) -> Binned:
        """The rows of a table in this part's bins; its columns are looked up by name."""
        return self.binner.transform(coded(features, self.columns, self.names))
