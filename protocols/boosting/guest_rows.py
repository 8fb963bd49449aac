"""What the guest of sealed trees knows of each row: labels, weights, its shares of margins, and which rows a round is
over.  All of it lies in the secret order of rows, and is kept in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.boosting import scale
from protocols.boosting.by_class import ByClass, Changed
from protocols.boosting.ensemble import Rounds
from protocols.boosting.params import Params
from protocols.boosting.sealed import in_order
from protocols.kept import Keep, KeptRows, Sliced
from protocols.marked import Marked
from protocols.randomness import Seed
from protocols.session import Session

Floats = NDArray[np.float64]
DRAWN = 1 << 16  # words that are drawn at a time


def announced(session: Session, p: Params, own: Rounds, *, weighted: bool) -> scale.Scale:
    """From the rows that trees are trained on."""
    inside = ~own.held_out
    weight = own.weight[inside] if weighted else None
    return scale.announce(session, p, len(own.y), own.y[inside], weight, float(own.base[0]))


@dataclass(frozen=True, eq=False)
class Targets:
    """Of each class the labels, and the weights where rows have some, in the secret order of rows."""

    labels: list[Sliced[np.float64]]
    weights: KeptRows[np.float64] | None

    @classmethod
    def of(cls, session: Session, p: Params, own: Rounds, order: KeptRows[np.int64], *, weighted: bool) -> Targets:
        """Of several classes, a label is whether a row is of that class."""
        labels = in_order(own.y, order, session.keep)
        each = [Changed(labels, partial(is_of, k)) for k in range(p.num_class)] if p.num_class > 1 else [labels]
        return cls(list(each), in_order(own.weight, order, session.keep) if weighted else None)


def is_of(k: int, labels: Floats) -> Floats:
    return np.asarray(labels == k, dtype=np.float64)


def kept_margins(
    margin: NDArray[Any], keep: Keep, order: KeptRows[np.int64] | None = None, unit: float = 0.0
) -> list[KeptRows[np.uint64]]:
    """Of each class (rows,); order: of margins, in which they are kept as shares in this unit."""
    if order is None:
        return [KeptRows.of(own, keep) for own in margin]
    rounded = (
        (np.rint(own[rows] / unit).astype(np.int64).view(np.uint64) for rows in order.blocks()) for own in margin
    )
    return [KeptRows(keep, blocks) for blocks in rounded]


def drawn_rows(seed: Seed, share: float, rows: int, classes: int) -> ByClass[np.bool_]:
    """Which training rows a round is over, the same for each class."""
    edges = [*range(0, rows, DRAWN), rows]
    drawn = [seed.words_between(first, last) < np.uint64(share * 2**64) for first, last in pairwise(edges)]
    return ByClass(Marked(np.ones(rows, dtype=np.bool_)), [np.concatenate(drawn)] * classes)
