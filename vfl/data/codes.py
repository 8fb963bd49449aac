"""Columns of categories as numbers: the place of each among the names that training saw."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.binning.quantile import MAX_CATEGORIES
from protocols.errors import DataError

Names = tuple[str, ...] | None  # of a column of numbers: None


def names_of(column: pd.Series, party: str) -> Names:
    """The sorted distinct texts of a column of texts.  Raises DataError where there are more than trees can learn
    from; names the column, no text."""
    if column.dtype.kind != "O":
        return None
    texts = tuple(sorted(column.dropna().unique()))
    if len(texts) > MAX_CATEGORIES:
        raise DataError(
            f"{party}: feature column '{column.name}' has too many categories to learn from",
            remedy="Group them, or leave the column out: is it an id?",
            party=party,
            expected=f"at most {MAX_CATEGORIES}",
            found=len(texts),
        )
    return texts


def coded(features: pd.DataFrame, columns: Sequence[str], names: Sequence[Names]) -> NDArray[np.float64]:
    """(n, columns): numbers as they are, texts as their place in `names`, -1 where they have none, NaN where
    missing."""
    x = np.empty((len(features), len(columns)))
    for k, (column, texts) in enumerate(zip(columns, names, strict=True)):
        x[:, k] = coded_column(features[column], texts)
    return x


def coded_column(values: pd.Series, texts: Names) -> NDArray[np.float64]:
    """(n,) the same of one column."""
    if texts is None:
        return values.to_numpy(np.float64)
    place = pd.Index(texts, dtype=object).get_indexer(pd.Index(values, dtype=object))
    return np.where(values.isna(), np.nan, place)


def unseen(features: pd.DataFrame, known: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """(n, columns of `known`): where a text stands that is none of the known ones; a missing one is not."""
    flags = {c: features[c].notna() & ~features[c].isin(list(texts)) for c, texts in known.items()}
    return pd.DataFrame(flags, index=features.index, dtype=np.bool_)
