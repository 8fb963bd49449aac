"""A party's table, checked: canonical ids, numeric features, a two-valued label.

Messages name columns and row numbers (the first data row is 1, a header is not counted), never a value or an id.
"""

from __future__ import annotations

import dataclasses
import decimal
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.alignment import Alignment
from protocols.alignment.ids import Ids
from protocols.errors import DataError
from vfl.data.keys import key_lists, keys_of
from vfl.data.texts import say_rows

_LARGEST = int(sys.float_info.max)


@dataclass(frozen=True, repr=False, eq=False)
class Table:
    """n rows of one party.  Printing it shows sizes only."""

    ids: Ids  # n canonical ids under the first key, distinct; with several keys, empty where the row has no value under it
    index: pd.Index  # n original values of the (first) key column, for output
    features: pd.DataFrame  # (n, f) float64, finite, columns in the order asked for
    label: pd.Series | None  # n values 0.0 or 1.0; None where there is none
    classes: tuple[Any, Any] | None  # the label's two original values, sorted: what 0 and 1 stand for
    party: str
    fallback: tuple[Ids, ...] = ()  # the same of the keys that are tried next

    def __repr__(self) -> str:
        label = "" if self.label is None else ", with label"
        return f"<Table of {self.party}: {len(self.ids)} rows, {self.features.shape[1]} features{label}>"

    def __len__(self) -> int:
        return len(self.ids)

    def digest(self) -> bytes:
        """32 bytes, SHA-256 over party, ids, index, column names, features, label and classes.

        Not keyed: whoever has it can test guesses of the whole table, so it is never sent.
        """
        digest = hashlib.sha256(b"vfl table 1\n" if not self.fallback else b"vfl table 1, %d keys\n" % len(self.keys))

        def add(*parts: bytes) -> None:
            digest.update(len(parts).to_bytes(8, "big"))
            for part in parts:
                digest.update(len(part).to_bytes(8, "big") + part)

        add(self.party.encode())
        for ids in self.keys:
            add(*ids)
        add(str(self.index.name).encode(), *(str(v).encode("utf-8", "surrogatepass") for v in self.index))
        add(*(c.encode("utf-8", "surrogatepass") for c in self.features.columns))
        add(np.ascontiguousarray(self.features.to_numpy(np.float64), "<f8").tobytes())
        if self.label is not None:
            add(str(self.label.name).encode("utf-8", "surrogatepass"), self.label.to_numpy("<f8").tobytes())
            add(*(repr(c).encode("utf-8", "surrogatepass") for c in self.classes or ()))
        return digest.digest()

    def take(self, rows: NDArray[np.integer]) -> Table:
        """The table of these rows (positions from 0), in this order."""
        positions = np.asarray(rows, np.int64)
        return Table(
            ids=self.ids.take(positions),
            index=self.index.take(positions),
            features=self.features.take(positions).reset_index(drop=True),
            label=None if self.label is None else self.label.take(positions).reset_index(drop=True),
            classes=self.classes,
            party=self.party,
            fallback=tuple(ids.take(positions) for ids in self.fallback),
        )

    @property
    def keys(self) -> tuple[Ids, ...]:
        """The ids under each key, in the order in which they are tried."""
        return (self.ids, *self.fallback)

    def aligned(self, found: Alignment) -> Table:
        """The common rows in the shared order, each under the id that it was matched by, which is the same at every party."""
        taken = self.take(found.rows)
        return taken if not self.fallback else dataclasses.replace(taken, ids=found.pick(taken.keys), fallback=())


def table_from_frame(
    frame: pd.DataFrame,
    *,
    party: str,
    keys: Sequence[str] | Sequence[Sequence[str]],
    normalise: Mapping[str, str],
    duplicates: str,
    label: str | None,
    columns: Sequence[str] | None,
    need_label: bool = True,
    need_features: bool | None = None,
) -> Table:
    """`frame` as a checked `Table`.

    keys: the columns (or levels of the index) of the one key, or a list of those of each key, tried in order; normalise: a
    normaliser by column, "text" where there is none; duplicates: "error" or "first"; label: the label's column, None where
    there is none; columns: the features, None = all others; need_label: False when scoring: the label's column may be absent, and is not read; need_features:
    whether there must be one, by default at a party without label.
    Raises DataError that names columns and row numbers, never a value.
    """
    every = key_lists(keys)
    used = tuple(dict.fromkeys(column for key in every for column in key))
    frame = with_keys(frame, party, used)
    if not len(frame):
        raise DataError(f"{party}: the table has no rows", remedy="Check the source and the query", party=party)
    wanted = _feature_names(frame, party, used, label, columns, need_label)
    if not wanted and (label is None if need_features is None else need_features):
        raise DataError(
            f"{party}: the table has no feature column",
            remedy="A host brings at least one column beside its keys",
            party=party,
        )
    (ids, *fallback), kept = keys_of(frame, party, every, normalise, duplicates)
    if len(kept) < len(frame):
        frame = frame.iloc[kept]
    numbers = kept + 1
    features = {name: _feature(frame[name], party, name, numbers) for name in wanted}
    mapped, classes = _label(frame[label], party, label, numbers) if label is not None and need_label else (None, None)
    return Table(
        ids=ids,
        index=pd.Index(frame[every[0][0]], name=every[0][0]),
        features=pd.DataFrame(features, index=pd.RangeIndex(len(ids)), columns=pd.Index(wanted, dtype=object), dtype=np.float64),
        label=mapped,
        classes=classes,
        party=party,
        fallback=tuple(fallback),
    )


def with_keys(frame: pd.DataFrame, party: str, keys: Sequence[str]) -> pd.DataFrame:
    """`frame` with its keys as columns; column names are texts, and distinct."""
    if any(key in frame.index.names and key not in frame.columns for key in keys):
        frame = frame.reset_index()
    if not all(isinstance(c, str) for c in frame.columns):
        raise DataError(
            f"{party}: column names must be texts",
            remedy="Name the columns, or frame.columns = frame.columns.astype(str)",
            party=party,
        )
    if not frame.columns.is_unique:
        twice = [str(c) for c in frame.columns[frame.columns.duplicated()].unique()]
        raise DataError(f"{party}: the table has more than one column called {_names(twice)}", remedy="Rename them", party=party)
    for key in keys:
        if key not in frame.columns:
            raise _no_column(frame, party, "id column", key)
    return frame


def _feature_names(
    frame: pd.DataFrame,
    party: str,
    keys: Sequence[str],
    label: str | None,
    columns: Sequence[str] | None,
    need_label: bool,
) -> list[str]:
    if label is not None and need_label and label not in frame.columns:
        raise _no_column(frame, party, "label column", label)
    if label in keys:
        raise DataError(f"{party}: the label '{label}' is a key column", remedy="Name another label", party=party)
    if columns is None:
        return [c for c in frame.columns if c not in keys and c != label]
    for name in columns:
        if name not in frame.columns:
            raise _no_column(frame, party, "feature column", name)
        if name in keys or name == label:
            role = "the label" if name == label else "a key column"
            raise DataError(f"{party}: the feature '{name}' is {role}", remedy="Remove it from columns", party=party)
    if twice := sorted({c for c in columns if list(columns).count(c) > 1}):
        raise DataError(f"{party}: columns names {_names(twice)} twice", remedy="Name each once", party=party)
    return list(columns)


def _no_column(frame: pd.DataFrame, party: str, what: str, name: str) -> DataError:
    return DataError(
        f"{party}: {what} '{name}' is not in the table, which has {_names(list(frame.columns))}",
        remedy="Correct the name (job: align.keys; party file: data.label, data.columns) or the table",
        party=party,
    )


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{n}'" for n in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "no columns"


def _feature(column: pd.Series, party: str, name: str, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) float64, finite; numbers: the row number of each row, for messages."""

    def bad(what: str, wrong: NDArray[np.bool_], remedy: str) -> DataError:
        where = say_rows(numbers[wrong])
        return DataError(f"{party}: feature column '{name}' {what} in {where}", remedy=remedy, party=party)

    remedy = "Fill them in or remove the rows or the column before the run"
    missing = column.isna().to_numpy(np.bool_)
    if pd.api.types.is_complex_dtype(column.dtype) or not (
        pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)
    ):
        values = column.tolist()
        wrong = ~np.fromiter((_is_real(v) for v in values), np.bool_, len(values)) & ~missing
        if wrong.any():
            unreadable = np.fromiter((w and not _reads(v) for w, v in zip(wrong, values, strict=True)), np.bool_)
            if unreadable.any():
                raise bad("is not numeric", unreadable, "Encode it as numbers, or leave it out with columns = [...] in [data]")
            raise bad("holds numbers as text", wrong, "Store the column as numbers")
    if missing.any():
        raise bad("has missing values", missing, remedy)
    try:
        result = column.to_numpy(np.float64)
    except OverflowError:
        large = np.fromiter((isinstance(v, int) and abs(v) > _LARGEST for v in column.tolist()), np.bool_, len(column))
        raise bad("holds a number that is too large", large, "Scale the column, or leave it out") from None
    if not np.isfinite(result).all():
        raise bad("has infinite values", ~np.isfinite(result), remedy)
    return result


def _is_real(value: object) -> bool:
    return isinstance(value, int | float | decimal.Decimal | np.integer | np.floating | np.bool_)


def _reads(value: object) -> bool:
    """Whether it is a text that reads as a number."""
    try:
        float(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    """A label as Python's own type, which every file format can hold."""
    if isinstance(value, np.generic):
        return value.item()
    return float(value) if isinstance(value, decimal.Decimal) else value


def _label(column: pd.Series, party: str, name: str, numbers: NDArray[np.int64]) -> tuple[pd.Series, tuple[Any, Any]]:
    """0.0 and 1.0 for the smaller and the larger of the two values, and these values."""

    def bad(what: str, remedy: str) -> DataError:
        return DataError(f"{party}: label column '{name}' {what}", remedy=remedy, party=party)

    missing = column.isna().to_numpy(np.bool_)
    if missing.any():
        raise bad(f"has missing values in {say_rows(numbers[missing])}", "Remove the rows, or find their labels")
    values = [_plain(v) for v in column.tolist()]
    if not all(isinstance(v, str | int | float) for v in values):
        raise bad("holds neither text nor numbers", "Store it as 0 and 1, or as two texts")
    found = list(dict.fromkeys(values))
    if len(found) == 1:
        raise bad("holds one value only", "A model needs rows of both classes")
    if len(found) > 2:
        raise bad(f"holds {len(found)} different values", "A logistic regression needs exactly two; is this the label?")
    try:
        low, high = sorted(found)
    except TypeError:
        raise bad("mixes types", "Store both values as text, or both as numbers") from None
    mapped = np.fromiter((v == high for v in values), np.bool_, len(values)).astype(np.float64)
    return pd.Series(mapped, name=name), (low, high)
