"""What one party keeps of a joint model.  The parts are never joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.binning import Binned, Binner
from protocols.boosting.ensemble import Ensemble, HostSplits
from vfl.data.codes import Names, coded
from vfl.preprocessing import Standardiser


class AdditivePart(Protocol):
    """A part whose share of a row's score is one number, or one a model, opened to the guest in sums rounded to 2^-score_bits."""

    @property
    def model_id(self) -> bytes: ...
    @property
    def score_bits(self) -> int: ...
    @property
    def weights(self) -> NDArray[np.float64]: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    def predictor(self, features: pd.DataFrame) -> NDArray[np.float64]: ...


def means(family: str, predictors: NDArray[np.float64], label_mean: float = 0.0, label_scale: float = 1.0) -> NDArray[np.float64]:
    """What a regression's joint predictors (n, models) stand for: probabilities of the larger class (n,) or of each class (n, classes); expected values (n,)."""
    if family == "linear":
        return label_mean + label_scale * predictors[:, 0]
    if family == "poisson":
        return np.asarray(np.exp(predictors[:, 0]))
    each = 0.5 * (1.0 + np.tanh(predictors / 2))  # 1 / (1 + exp(-z)), which cannot overflow
    if each.shape[1] == 1:
        return np.asarray(each[:, 0])
    total = each.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, each / np.where(total > 0, total, 1.0), 1.0 / each.shape[1]))


@dataclass(frozen=True, eq=False, repr=False)
class GlmPart:
    """A data party's own coefficients (standardised scale) of one regression or, one-vs-rest, of one a class, and the standardisation they belong to.

    The guest's part holds the intercepts, the classes, and for numeric labels their mean and scale too: weights are in units of that scale, which hosts do not know.
    """

    party: str
    model_id: bytes
    standardiser: Standardiser
    weights: NDArray[np.float64]  # (models, d)
    family: Literal["logistic", "linear", "poisson"]
    link: str
    score_bits: int
    intercept: tuple[float, ...] | None = None  # one a model
    classes: tuple[Any, ...] | None = None
    label_mean: float = 0.0
    label_scale: float = 1.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {len(self.columns)} columns>"

    @property
    def columns(self) -> tuple[str, ...]:
        """The party's own columns as they are standardised, in the order of the weights."""
        return self.standardiser.columns

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a table to be scored must have."""
        return self.standardiser.inputs

    @property
    def texts(self) -> tuple[str, ...]:
        """Those of them that hold texts."""
        return self.standardiser.texts

    @property
    def is_guests(self) -> bool:
        """Whether the part is the guest's."""
        return self.intercept is not None

    @property
    def coef(self) -> pd.Series | pd.DataFrame:
        """Coefficients on the standardised scale, by column; one-vs-rest, a frame with one column a class (by position, where the classes are not known)."""
        return self._by_column(self.weights, "coef")

    @property
    def coef_raw(self) -> pd.Series | pd.DataFrame:
        """Coefficients a unit of the column as it came, by column (clipping aside)."""
        return self._by_column(self.weights / self.standardiser.scale, "coef_raw")

    def _by_column(self, weights: NDArray[np.float64], name: str) -> pd.Series | pd.DataFrame:
        columns = list(self.standardiser.columns)
        if len(weights) == 1:
            return pd.Series(weights[0], index=columns, name=name)
        return pd.DataFrame(weights.T, index=columns, columns=None if self.classes is None else list(self.classes))

    def predictor(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """This party's part of the linear predictors (n, models), intercept included where it is held.

        Summed a row at a time, so that a row's score does not depend, in its last bit, on the rows beside it (BLAS's does)."""
        x = self.standardiser.transform(features, self.party)
        own = np.stack([(x * weights).sum(axis=1) for weights in self.weights], axis=1)
        return own if self.intercept is None else own + np.array(self.intercept)

    def means(self, predictors: NDArray[np.float64]) -> NDArray[np.float64]:
        """At the guest, from joint predictors (n, models): probabilities of the larger class (n,) or of each class (n, classes); expected values (n,)."""
        return means(self.family, predictors, self.label_mean, self.label_scale)


@dataclass(frozen=True, eq=False, repr=False)
class TreesPart:
    """A data party's part of boosted trees: its bins, and at the guest the trees, at a host what its handles stand for (depth: of `hidden` trees, else 0).

    hosts: at the guest their names, in the order by which the trees number them.
    """

    party: str
    model_id: bytes
    columns: tuple[str, ...]
    binner: Binner
    names: tuple[Names, ...]  # of each column the categories that training saw, None for numbers
    ensemble: Ensemble | None = None
    splits: HostSplits | None = None
    depth: int = 0
    classes: tuple[Any, ...] | None = None
    hosts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {len(self.columns)} columns>"

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a table to be scored must have."""
        return self.columns

    @property
    def texts(self) -> tuple[str, ...]:
        """Those of them that hold texts."""
        return tuple(c for c, names in zip(self.columns, self.names, strict=True) if names is not None)

    @property
    def is_guests(self) -> bool:
        """Whether the part is the guest's."""
        return self.ensemble is not None

    def binned(self, features: pd.DataFrame) -> Binned:
        """The rows of a table in this part's bins; its columns are looked up by name."""
        return self.binner.transform(coded(features, self.columns, self.names))
