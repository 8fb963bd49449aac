"""Steps that turn one column into several of 0 and 1: texts one-hot, numbers by quantile bins."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Sequence

import msgspec
import numpy as np
import pandas as pd

from protocols.errors import DataError

MAX_CATEGORIES = 1000


class OneHot(msgspec.Struct, frozen=True, tag="onehot", tag_field="step", forbid_unknown_fields=True):
    """Texts as columns of 0 and 1: each category (a missing text is one), then one for all rare ones.  A category
    unseen in training is all zeros.

    As `OneHotEncoder(min_frequency=..., handle_unknown="ignore")`.
    """

    columns: tuple[str, ...]
    categories: tuple[tuple[str | None, ...], ...]
    rare: tuple[tuple[str | None, ...], ...]

    @classmethod
    def fit(cls, frame: pd.DataFrame, columns: list[str], min_frequency: int, party: str) -> OneHot:
        kept, rare = [], []
        for c in columns:
            rows = {
                None if v is None else str(v): n
                for v, n in collections.Counter(frame[c].where(frame[c].notna(), None)).items()
            }
            names = sorted(rows, key=lambda v: (v is None, v or ""))
            kept.append(tuple(v for v in names if rows[v] >= min_frequency))
            rare.append(tuple(v for v in names if rows[v] < min_frequency))
            if len(kept[-1]) > MAX_CATEGORIES:
                raise DataError(
                    f"{party}: column '{c}' has {len(kept[-1])} categories",
                    remedy=f'Raise min_frequency, choose encode = "woe", or leave the column out: '
                    f"{MAX_CATEGORIES} columns of 0 and 1 are the maximum",
                    party=party,
                )
        return cls(tuple(columns), tuple(kept), tuple(rare))

    @property
    def names(self) -> dict[str, frozenset[str]]:
        """By column the texts that training had, rare ones too."""
        each = zip(self.columns, self.categories, self.rare, strict=True)
        return {c: frozenset(v for v in (*kept, *rare) if v is not None) for c, kept, rare in each}

    def fits(self) -> bool:
        return len(self.columns) == len(self.categories) == len(self.rare)

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        made: dict[str, pd.Series] = {}
        for c, categories, rare in zip(self.columns, self.categories, self.rare, strict=True):
            column = frame[c]
            for v in categories:
                made[f"{c} is missing" if v is None else f"{c}={v}"] = column.isna() if v is None else column == v
            if rare:
                made[f"{c} is rare"] = column.isin([v for v in rare if v is not None]) | (
                    column.isna() & (None in rare)
                )
        flags = pd.DataFrame(made, index=frame.index).astype(np.float64)
        return pd.concat([frame.drop(columns=list(self.columns)), flags], axis=1)


class QuantileBins(msgspec.Struct, frozen=True, tag="quantile", tag_field="step", forbid_unknown_fields=True):
    """Numbers as columns of 0 and 1, one a bin, and one for missing values where there were some in training.  As
    `KBinsDiscretizer(strategy="quantile")`."""

    columns: tuple[str, ...]
    cuts: tuple[tuple[float, ...], ...]
    missing: tuple[bool, ...]

    @classmethod
    def fit(cls, frame: pd.DataFrame, columns: list[str], n_bins: int) -> QuantileBins:
        """Edges are linearly interpolated quantiles; those nearer than 1e-8 to the one before are left out."""
        cuts, missing = [], []
        for c in columns:
            values = frame[c].to_numpy(np.float64)
            edges = np.nanquantile(values, np.linspace(0, 1, n_bins + 1))
            edges = edges[np.diff(edges, prepend=-np.inf) > 1e-8]
            cuts.append(tuple(edges[1:-1].tolist()))
            missing.append(bool(np.isnan(values).any()))
        return cls(tuple(columns), tuple(cuts), tuple(missing))

    def without_missing(self, made: Sequence[str]) -> list[str]:
        """The columns without a bin for missing values, of those of which a bin is among `made`."""
        each = zip(self.columns, self.cuts, self.missing, strict=True)
        kept = set(made)
        return [
            c for c, cuts, missing in each if not missing and kept & {f"{c} bin {k + 1}" for k in range(len(cuts) + 1)}
        ]

    def fits(self) -> bool:
        ascending = all(a < b for cuts in self.cuts for a, b in itertools.pairwise(cuts))
        return len(self.columns) == len(self.cuts) == len(self.missing) and ascending

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        made: dict[str, pd.Series] = {}
        for c, cuts, missing in zip(self.columns, self.cuts, self.missing, strict=True):
            gap = frame[c].isna()
            bins = np.searchsorted(np.array(cuts), frame[c].to_numpy(np.float64), side="right")
            for k in range(len(cuts) + 1):
                made[f"{c} bin {k + 1}"] = (bins == k) & ~gap
            if missing:
                made[f"{c} is missing"] = gap
        flags = pd.DataFrame(made, index=frame.index).astype(np.float64)
        return pd.concat([frame.drop(columns=list(self.columns)), flags], axis=1)
