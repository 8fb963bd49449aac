"""Model parts that tests make by hand, and what a part alone says of a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.glm.plan import WEIGHT
from protocols.glm.scoring import UNIT, times
from protocols.glm.shares import WeightShares
from vfl.data import Table
from vfl.data.keys import HEADER
from vfl.models.regression.part import GlmPart
from vfl.preprocessing import Standardiser

KEY = bytes(range(32))


def words(weights: Any) -> NDArray[np.uint64]:
    """Weights (models, d) as integers modulo 2^64."""
    return np.rint(np.atleast_2d(weights) * 2.0**WEIGHT).astype(np.int64).view(np.uint64)


def known(weights: Any) -> WeightShares:
    """Weights (models, d) that their owner knows."""
    return WeightShares((), words(weights)[np.newaxis])


def shared(weights: Any, *names: bytes) -> WeightShares:
    """A share of each name, the newest last."""
    return WeightShares(names, np.stack([words(weights) + np.uint64(k) for k in range(len(names))]))


def guests(
    standardiser: Standardiser,
    weights: Sequence[float],
    intercept: float,
    *,
    classes: tuple[Any, ...] = (0, 1),
    name: bytes = bytes(16),
) -> GlmPart:
    """The bank's part of a logistic regression, as a guest that knows its weights."""
    own = known([[*weights, intercept]])
    return GlmPart(
        "bank",
        name,
        standardiser,
        own,
        "logistic",
        "exact",
        10,
        False,
        is_guests=True,
        intercepts=True,
        classes=classes,
    )


def hosts(standardiser: Standardiser, weights: Any) -> GlmPart:
    """The shop's part of a logistic regression, as a host that knows its weights."""
    return GlmPart("shop", bytes(16), standardiser, known(weights), "logistic", "taylor", 10, False, score_key=KEY)


def predictor(part: Any, features: pd.DataFrame) -> NDArray[np.float64]:
    """(n, models) what a party that knows its weights brings to the scores of rows, a host's error aside."""
    own = part.own(features, [b""] * len(features))
    return times(own.x, own.shares.latest).view(np.int64) / 2.0**UNIT


def keys_of(rows: Table) -> list[str]:
    """The text in the key column of each row, where there is one key column."""
    return [bytes(name[HEADER:]).decode() for name in rows.ids]
