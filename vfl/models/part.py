"""What one party keeps of a joint model.  The parts are never joined."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.binning.quantile import Binned, Binner
from protocols.boosting.ensemble import Ensemble, HostSplits
from protocols.boosting.sealed_parts import ArbiterTrees, GuestTrees
from protocols.errors import ModelError
from protocols.glm.block import fixed_point
from protocols.glm.scoring import UNIT, Own
from protocols.glm.shares import WeightShares
from vfl.data.codes import Names, coded
from vfl.preprocessing import Standardiser


class AdditivePart(Protocol):
    """A data party's part whose share of a row's score is linear in its own columns: rows are scored by protocols/glm/scoring.py."""

    @property
    def model_id(self) -> bytes: ...
    @property
    def shares(self) -> WeightShares: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    def own(self, features: pd.DataFrame, ids: Iterable[bytes]) -> Own:
        """What this party brings to the scores of its rows, and at a host the error that it adds."""

    def opened(self, predictors: NDArray[np.float64]) -> NDArray[np.float64]:
        """At the guest, from joint predictors (n, models): the scores that it keeps."""


def score_error(key: bytes, model_id: bytes, ids: Iterable[bytes], x: NDArray[np.int64], models: int, bits: int) -> NDArray[np.int64]:
    """A host's error e_P (n, models), uniform in half a step of 2^-bits to both sides, in units of 2^-UNIT: the same for the same key, model, id and values.

    x (n, width): the host's own values of each row, as integers.
    """
    step = UNIT - bits
    head = hmac.digest(key, b"vfl score error|" + model_id, "sha256")
    found = np.empty((len(x), models), np.int64)
    for row, (name, values) in enumerate(zip(ids, np.ascontiguousarray(x), strict=True)):
        drawn = hashlib.shake_256(head + len(name).to_bytes(4, "big") + name + values.tobytes()).digest(8 * models)
        found[row] = np.frombuffer(drawn, "<u8") >> np.uint64(64 - step)
    return found - (1 << (step - 1))


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


def unknown_weights(party: str, *, guest: bool) -> ModelError:
    """What is raised where weights are asked for that nobody knows."""
    permit, who = ("guest-weights-to-guest", "guest") if guest else ("host-weights-to-host", "hosts")
    return ModelError(
        f"the weights of {party} stay shared between it and the arbiter: no party knows them, and rows are scored without",
        remedy=f'If all parties agree, allow "{permit}" in the job and in their policies (in Python: Federation.local(..., reveal=("{who}",))), and train again',
        party=party,
    )


@dataclass(frozen=True, eq=False, repr=False)
class GlmPart:
    """A data party's own part of one regression or, one-vs-rest, of one a class: its shares of the coefficients (standardised scale), or these themselves where they were
    revealed to it, and the standardisation that they belong to.

    The guest's part holds the classes, and for numeric labels their mean and scale too: weights are in units of that scale, which hosts do not know; with
    `intercept` the last of its weights is one.  arbiter: whether the arbiter holds shares of any party's weights.  score_key: at a host, of its errors (scoring.py).
    """

    party: str
    model_id: bytes
    standardiser: Standardiser
    shares: WeightShares  # (models, d), at a guest with an intercept (models, d + 1)
    family: Literal["logistic", "linear", "poisson"]
    link: str
    score_bits: int
    arbiter: bool
    is_guests: bool = False
    intercepts: bool = False
    score_key: bytes = field(default=b"", repr=False)
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
    def models(self) -> int:
        """How many there are: one, or one a class."""
        return int(self.shares.latest.shape[0])

    @property
    def known(self) -> bool:
        """Whether this party knows its weights."""
        return self.shares.whole

    def _weights(self) -> NDArray[np.float64]:
        if not self.known:
            raise unknown_weights(self.party, guest=self.is_guests)
        return self.shares.weights()

    @property
    def weights(self) -> NDArray[np.float64]:
        """(models, d) coefficients on the standardised scale.  Raises ModelError where they stay shared."""
        return self._weights()[:, : len(self.columns)]

    @property
    def intercept(self) -> tuple[float, ...] | None:
        """One a model, at the guest; None at a host.  Raises ModelError where they stay shared."""
        if not self.is_guests:
            return None
        return tuple(self._weights()[:, -1].tolist()) if self.intercepts else (0.0,) * self.models

    @property
    def coef(self) -> pd.Series | pd.DataFrame:
        """Coefficients on the standardised scale, by column; one-vs-rest, a frame with one column per class (by position, where the classes are not known).

        Raises ModelError where they stay shared."""
        return self._by_column(self.weights, "coef")

    @property
    def coef_raw(self) -> pd.Series | pd.DataFrame:
        """Coefficients a unit of the column as it came, by column (clipping aside).  Raises ModelError where they stay shared."""
        return self._by_column(self.weights / self.standardiser.scale, "coef_raw")

    def _by_column(self, weights: NDArray[np.float64], name: str) -> pd.Series | pd.DataFrame:
        columns = list(self.standardiser.columns)
        if len(weights) == 1:
            return pd.Series(weights[0], index=columns, name=name)
        return pd.DataFrame(weights.T, index=columns, columns=None if self.classes is None else list(self.classes))

    def own(self, features: pd.DataFrame, ids: Iterable[bytes]) -> Own:
        """What this party brings to the scores of its rows: their values as integers, and at a host its error."""
        x = fixed_point(self.standardiser.transform(features, self.party), self.intercepts)
        error = None if self.is_guests else score_error(self.score_key, self.model_id, ids, x, self.models, self.score_bits)
        return Own(self.model_id, x, self.shares, self.arbiter, error)

    def opened(self, predictors: NDArray[np.float64]) -> NDArray[np.float64]:
        """The joint predictors themselves."""
        return predictors

    def means(self, predictors: NDArray[np.float64]) -> NDArray[np.float64]:
        """At the guest, from joint predictors (n, models): probabilities of the larger class (n,) or of each class (n, classes); expected values (n,)."""
        return means(self.family, predictors, self.label_mean, self.label_scale)


@dataclass(frozen=True, eq=False, repr=False)
class SharedWeights:
    """The arbiter's part of a regression or scorecard: by data party its shares of the weights that were not revealed.  Alone they say nothing.

    kind: of the model.  counts: how many weights each party shares, where the shares themselves were not unsealed.  Its own kind on disk is "shared-weights".
    """

    party: str
    model_id: bytes
    kind: str
    shares: Mapping[str, WeightShares]
    counts: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    classes: None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {len(self.shares)} parties>"


@dataclass(frozen=True, eq=False, repr=False)
class TreesPart:
    """A data party's part of boosted trees: its bins, and at the guest the trees, open ones or what it knows of sealed ones; at a host what its handles stand for (depth:
    of sealed trees, else 0).

    hosts: at the guest their names, in the order by which the trees number them.
    """

    party: str
    model_id: bytes
    columns: tuple[str, ...]
    binner: Binner
    names: tuple[Names, ...]  # of each column the categories that training saw, None for numbers
    ensemble: Ensemble | GuestTrees | None = None
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

    @property
    def trees(self) -> Ensemble | GuestTrees:
        """The guest's trees."""
        assert self.ensemble is not None
        return self.ensemble

    def binned(self, features: pd.DataFrame) -> Binned:
        """The rows of a table in this part's bins; its columns are looked up by name."""
        return self.binner.transform(coded(features, self.columns, self.names))


@dataclass(frozen=True, eq=False, repr=False)
class LeafValues:
    """The arbiter's part of sealed trees: their shape and leaf values.  kind: of the model; count: how many trees, where they themselves were not unsealed.

    Its own kind on disk is "leaf-values".
    """

    party: str
    model_id: bytes
    kind: str
    trees: ArbiterTrees
    count: int
    columns: tuple[str, ...] = ()
    classes: None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {self.count} trees>"


ArbiterPart = SharedWeights | LeafValues
