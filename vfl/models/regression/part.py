"""A data party's part of a regression, and how it stands on disk."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import ModelError
from protocols.glm import LOGISTIC_LINKS
from protocols.glm.block import fixed_point
from protocols.glm.scoring import UNIT, Own
from protocols.glm.shares import WeightShares
from vfl.data.schema import Schema
from vfl.models import shared_weights as shared
from vfl.models.content import Body, Head, Tensors, check, tensors_of
from vfl.models.standardised import StandardisedPart
from vfl.preprocessing import Preprocessor, Standardiser


class AdditivePart(Protocol):
    """A data party's part whose share of a row's score is linear in its own columns: rows are scored by
    protocols/glm/scoring.py."""

    @property
    def model_id(self) -> bytes: ...
    @property
    def own_name(self) -> bytes: ...
    @property
    def shares(self) -> WeightShares: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def factors(self) -> WeightShares:
        """What `own` multiplies its integers by: weights, or this party's share of them."""

    @property
    def classes(self) -> tuple[Any, ...] | None: ...
    @property
    def schema(self) -> Schema: ...
    def own(self, features: pd.DataFrame, ids: Iterable[bytes]) -> Own:
        """What this party brings to the scores of its rows, and at a host the error that it adds."""

    def opened(self, predictors: NDArray[np.float64]) -> NDArray[np.float64]:
        """At the guest, from joint predictors (n, models): the scores that it keeps."""


def score_error(
    key: bytes, model_id: bytes, ids: Iterable[bytes], x: NDArray[np.int64], models: int, bits: int
) -> NDArray[np.int64]:
    """A host's error e_P (n, models), uniform in half a step of 2^-bits to both sides, in units of 2^-UNIT: the same
    for the same key, model, id and values.

    x (n, width): the host's own values of each row, as integers.
    """
    step = UNIT - bits
    head = hmac.digest(key, b"vfl score error|" + model_id, "sha256")
    found = np.empty((len(x), models), np.int64)
    for row, (name, values) in enumerate(zip(ids, np.ascontiguousarray(x), strict=True)):
        drawn = hashlib.shake_256(head + len(name).to_bytes(4, "big") + name + values.tobytes()).digest(8 * models)
        found[row] = np.frombuffer(drawn, "<u8") >> np.uint64(64 - step)
    return found - (1 << (step - 1))


def means(
    family: str, predictors: NDArray[np.float64], label_mean: float = 0.0, label_scale: float = 1.0
) -> NDArray[np.float64]:
    """What a regression's joint predictors (n, models) stand for: probabilities of the larger class (n,) or of each
    class (n, classes); expected values (n,)."""
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
        f"the weights of {party} stay shared between it and the arbiter: no party knows them, and rows are "
        f"scored without",
        remedy=f'If all parties agree, allow "{permit}" in the job and in their policies (in Python: '
        f'Federation.local(..., reveal=("{who}",))), and train again',
        party=party,
    )


@dataclass(frozen=True, eq=False, repr=False)
class GlmPart(StandardisedPart):
    """A data party's own part of one regression or, one-vs-rest, of one a class: its shares of the coefficients
    (standardised scale), or these themselves where they were revealed to it, and the standardisation that they belong
    to.

    The guest's part holds the classes, and for numeric labels their mean and scale too: weights are in units of that
    scale, which hosts do not know; with `intercept` the last of its weights is one.  arbiter: whether the arbiter holds
    shares of any party's weights.  score_key: at a host, of its errors (scoring.py).
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
    schema: Schema = Schema()  # noqa: RUF009

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
        """Coefficients on the standardised scale, by column; one-vs-rest, a frame with one column per class (by
        position, where the classes are not known).

        Raises ModelError where they stay shared."""
        return self._by_column(self.weights, "coef")

    @property
    def coef_raw(self) -> pd.Series | pd.DataFrame:
        """Coefficients a unit of the column as it came, by column (clipping aside).  Raises ModelError where they stay
        shared."""
        return self._by_column(self.weights / self.standardiser.scale, "coef_raw")

    def _by_column(self, weights: NDArray[np.float64], name: str) -> pd.Series | pd.DataFrame:
        columns = list(self.standardiser.columns)
        if len(weights) == 1:
            return pd.Series(weights[0], index=columns, name=name)
        return pd.DataFrame(weights.T, index=columns, columns=None if self.classes is None else list(self.classes))

    @property
    def factors(self) -> WeightShares:
        """As `AdditivePart.factors`."""
        return self.shares

    def own(self, features: pd.DataFrame, ids: Iterable[bytes]) -> Own:
        """What this party brings to the scores of its rows: their values as integers, and at a host its error."""
        x = fixed_point(self.standardiser.transform(features, self.party), self.intercepts)
        error = (
            None if self.is_guests else score_error(self.score_key, self.model_id, ids, x, self.models, self.score_bits)
        )
        return Own(self.model_id, x, self.shares, self.arbiter, error)

    def opened(self, predictors: NDArray[np.float64]) -> NDArray[np.float64]:
        """The joint predictors themselves."""
        return predictors

    def means(self, predictors: NDArray[np.float64]) -> NDArray[np.float64]:
        """At the guest, from joint predictors (n, models): probabilities of the larger class (n,) or of each class (n,
        classes); expected values (n,)."""
        return means(self.family, predictors, self.label_mean, self.label_scale)


class Rest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of manifest.json that a regression adds.  known: whether the party knows its weights; arbiter: whether
    any party's are shared with the arbiter."""

    clip: float
    family: Literal["logistic", "linear", "poisson"]
    link: str
    score_bits: int
    known: bool
    arbiter: bool
    guest: bool
    intercept: bool
    label_mean: float
    label_scale: float
    preprocess: Preprocessor | None = None


def pack(part: GlmPart) -> Body:
    """`mean` and `scale` (columns,) float64; `shares` and `share_names` as vfl/models/shared_weights.py says; at a host
    `score_key` (32,) uint8."""
    standardiser = part.standardiser
    rest = Rest(
        standardiser.clip,
        part.family,
        part.link,
        part.score_bits,
        part.known,
        part.arbiter,
        part.is_guests,
        part.intercepts,
        part.label_mean,
        part.label_scale,
        standardiser.steps,
    )
    key = {} if part.is_guests else {"score_key": np.frombuffer(part.score_key, np.uint8)}
    arrays: Tensors = {
        "mean": standardiser.mean,
        "scale": standardiser.scale,
        **key,
        **shared.tensors_of_shares(part.shares),
    }
    return Body(msgspec.to_builtins(rest), arrays)


def unpack(head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> GlmPart:
    """The part; raises CorruptPartError."""
    told = msgspec.convert(rest, Rest)
    width, classes = len(head.columns), head.values
    shares = shared.shares_from(tensors, known=told.known)
    own = {name: array for name, array in tensors.items() if name not in ("shares", "share_names")}
    key: dict[str, tuple[type[Any], tuple[int]]] = {} if told.guest else {"score_key": (np.uint8, (32,))}
    arrays = tensors_of(own, {**dict.fromkeys(("mean", "scale"), (np.float64, (width,))), **key})
    models, weights = shares.latest.shape
    check(
        (arrays["scale"] > 0).all(),
        told.clip > 0,
        told.link in LOGISTIC_LINKS,
        0 <= told.score_bits <= 20,
        told.known or told.arbiter,
    )
    check(weights == width + told.intercept, told.guest or not told.intercept, np.isfinite(told.label_mean))
    check(head.kind == f"{told.family}-regression", told.guest or classes is None, 0 < told.label_scale < np.inf)
    if told.guest:
        check(
            models == (len(classes) if classes and len(classes) != 2 else 1),
            classes is None or len(classes) >= 2,
            (told.family == "logistic") == (classes is not None),
        )
    check(told.preprocess is None or (told.preprocess.fits() and list(told.preprocess.columns) == head.columns))
    return GlmPart(
        head.party,
        head.name,
        Standardiser(tuple(head.columns), arrays["mean"], arrays["scale"], told.clip, told.preprocess),
        shares,
        told.family,
        told.link,
        told.score_bits,
        told.arbiter,
        told.guest,
        told.intercept,
        b"" if told.guest else arrays["score_key"].tobytes(),
        classes,
        told.label_mean,
        told.label_scale,
    )
