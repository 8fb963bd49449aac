"""A data party's part of a sealed network, and how it stands on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.glm.block import fixed_point
from protocols.glm.shares import WeightShares
from protocols.network import Activation, Family
from protocols.network.plan import MOST_LAYERS, MOST_UNITS, further_count
from protocols.network.rows import Layers, Own, row_draws
from vfl.data.schema import Schema
from vfl.models import shared_weights as shared
from vfl.models.content import Body, Head, Tensors, check, tensors_of
from vfl.models.regression.part import means
from vfl.models.standardised import StandardisedPart
from vfl.preprocessing import Preprocessor, Standardiser

KINDS: dict[Family, str] = {"logistic": "mlp-classifier", "linear": "mlp-regressor"}


@dataclass(frozen=True, eq=False, repr=False)
class NetworkPart(StandardisedPart):
    """A data party's own part: its shares of the weights of its columns and at the guest those of all further layers,
    and the standardisation that they belong to.

    The guest's part holds the classes, and for numeric labels their mean and scale too.  score_key: of the party's
    draws for a row that is scored (protocols/network/rows.py).
    """

    party: str
    model_id: bytes
    standardiser: Standardiser
    shares: WeightShares
    layers: Layers
    family: Family
    score_bits: int
    is_guests: bool
    score_key: bytes = field(repr=False)
    classes: tuple[Any, ...] | None = None
    label_mean: float = 0.0
    label_scale: float = 1.0
    schema: Schema = Schema()  # noqa: RUF009

    def own(self, features: pd.DataFrame, ids: Iterable[bytes]) -> Own:
        """What this party brings to the scores of its rows."""
        x = fixed_point(self.standardiser.transform(features, self.party), self.is_guests)
        drawn = row_draws(self.score_key, self.model_id, ids, x, self.layers)
        return Own(self.model_id, self.layers, x, self.shares, drawn, None if self.is_guests else self.score_bits)

    def means(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """At the guest, from scores (n, 1): probabilities of the larger class (n,), or expected values."""
        return means(self.family, scores, self.label_mean, self.label_scale)


class Rest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of manifest.json that a network adds."""

    clip: float
    family: Family
    activation: Activation
    hidden: tuple[int, ...]
    score_bits: int
    guest: bool
    label_mean: float
    label_scale: float
    preprocess: Preprocessor | None = None


def pack(part: NetworkPart) -> Body:
    """`mean` and `scale` (columns,) float64; `shares` and `share_names` as vfl/models/shared_weights.py says;
    `score_key` (32,) uint8."""
    standardiser = part.standardiser
    rest = Rest(
        standardiser.clip,
        part.family,
        part.layers.activation,
        part.layers.hidden,
        part.score_bits,
        part.is_guests,
        part.label_mean,
        part.label_scale,
        standardiser.steps,
    )
    arrays: Tensors = {
        "mean": standardiser.mean,
        "scale": standardiser.scale,
        "score_key": np.frombuffer(part.score_key, np.uint8),
        **shared.tensors_of_shares(part.shares),
    }
    return Body(msgspec.to_builtins(rest), arrays)


def check_layers(hidden: tuple[int, ...]) -> None:
    """Raises CorruptPartError for sizes that no network has."""
    check(1 <= len(hidden) <= MOST_LAYERS, all(1 <= units <= MOST_UNITS for units in hidden))


def unpack(head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> NetworkPart:
    """The part; raises CorruptPartError."""
    told = msgspec.convert(rest, Rest)
    width, classes = len(head.columns), head.values
    check_layers(told.hidden)
    layers = Layers(told.hidden, told.activation)
    shares = shared.shares_from(tensors, known=False)
    own = {name: array for name, array in tensors.items() if name not in ("shares", "share_names")}
    floats = dict.fromkeys(("mean", "scale"), (np.float64, (width,)))
    arrays = tensors_of(own, {**floats, "score_key": (np.uint8, (32,))})
    behind = 1 - -further_count(layers.further) // told.hidden[0] if told.guest else 0
    check(
        (arrays["scale"] > 0).all(),
        told.clip > 0,
        0 <= told.score_bits <= 20,
        shares.latest.shape == (told.hidden[0], width + behind),
        head.kind == KINDS[told.family],
        np.isfinite(told.label_mean),
        0 < told.label_scale < np.inf,
    )
    check(told.guest or classes is None, not told.guest or (told.family == "logistic") == (classes is not None))
    check(classes is None or len(classes) == 2)
    check(told.preprocess is None or (told.preprocess.fits() and list(told.preprocess.columns) == head.columns))
    return NetworkPart(
        head.party,
        head.name,
        Standardiser(tuple(head.columns), arrays["mean"], arrays["scale"], told.clip, told.preprocess),
        shares,
        layers,
        told.family,
        told.score_bits,
        told.guest,
        arrays["score_key"].tobytes(),
        classes,
        told.label_mean,
        told.label_scale,
    )
