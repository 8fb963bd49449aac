"""A frame as a checked `Table`.

Messages name columns and row numbers (the first data row is 1, a header is not counted), never a value or an id.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data.columns import feature, no_truth, text, without
from vfl.data.doubts import written
from vfl.data.doubts.units import usual
from vfl.data.keys import key_lists, keys_of
from vfl.data.labels import Objective, days, raw_label, weight
from vfl.data.labels import label as checked_label
from vfl.data.names import feature_names, no_column, no_rows, with_keys
from vfl.data.schema import ColumnType, Found, Schema, Settings
from vfl.data.shapes import Profile
from vfl.data.table import Table


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
    objective: Objective | None = "binary",
    weights: str | None = None,
    missing: bool = False,
    texts: bool = False,
    date: str | None = None,
    settings: Settings = Settings(),  # noqa: B008
    schema: Schema | None = None,
    profile: Profile | None = None,
) -> Table:
    """`frame` as a checked `Table`.

    keys: the columns (or levels of the index) of the one key, or a list of those of each key, tried in order;
    normalise: a normaliser by column, "text" where there is none; duplicates: "error" or "first"; label: the label's
    column, None where there is none; columns: the features, None = all others; need_label: False when scoring: the
    label's column may be absent, and is not read; need_features:
    whether there must be one, by default at a party without label; objective: what the label must hold
    (`columns.label`), None to leave it as it came until `Table.for_model`; weights: the column of row weights, date:
    that of days, which like the label are read for training only; missing: whether features may miss values;
    texts: whether they may hold texts (categories); settings: what the party says of its table; schema: the types that
    the features had when the model was trained, None to find them; profile: gets the shapes of the ids.
    Raises DataError that names columns and row numbers, never a value.
    """
    every = settings.own_keys(key_lists(keys))
    used = tuple(dict.fromkeys(column for key in every for column in key))
    frame = with_keys(frame, party, used, settings)
    if not len(frame):
        raise no_rows(party, in_python=settings.in_python)
    others = {"label": label, "weight": weights, "date": date}
    wanted = feature_names(frame, party, used, columns, others, need_label, settings)
    if not wanted and (label is None if need_features is None else need_features):
        remedy = "A host needs at least one column in addition to its keys"
        raise DataError(f"{party}: the table has no feature column", remedy=remedy, party=party)
    _check_readable(frame, party, [*used, *wanted, *(name for name in others.values() if name and need_label)])
    (ids, *fallback), kept = keys_of(frame, party, every, settings.by_own(normalise), duplicates, profile)
    repeated = len(frame) - len(kept)
    frame = frame.iloc[kept] if repeated else frame
    numbers = np.add(kept, 1, out=kept)  # nothing else needs them
    doubts = written.doubts(frame, party, wanted, settings, learnt=schema is not None)
    types = _types(frame, party, wanted, numbers, settings, schema, texts=texts)
    typed = {*settings.types, *(schema.types if schema is not None else ())}
    features = typed_features(frame, party, types, numbers, settings, typed, missing=missing)
    types = types if schema is not None else _with_usual(types, features)
    asked = label if need_label else None
    mapped, classes = (
        _label(frame[asked], party, asked, numbers, objective, settings) if asked is not None else (None, None)
    )
    return Table(
        ids=ids,
        index=pd.Index(frame[every[0][0]], name=every[0][0]),
        features=features,
        label=mapped,
        classes=classes,
        party=party,
        fallback=tuple(fallback),
        weight=weight(frame[weights], party, weights, numbers) if weights is not None and need_label else None,
        date=days(frame[date], party, date, numbers) if date is not None and need_label else None,
        repeated=repeated,
        schema=types,
        settings=settings,
        doubts=doubts,
    )


def _check_readable(frame: pd.DataFrame, party: str, names: Sequence[str]) -> None:
    """Raises DataError for cells that raise where they are read: signalling NaNs of decimals."""
    for name in dict.fromkeys(names):
        try:
            frame[name].isna()
        except ArithmeticError:
            raise DataError(
                f"{party}: column '{name}' holds decimals that are signalling NaNs",
                remedy="Store a missing value as an empty cell",
                party=party,
            ) from None


def _with_usual(types: Schema, features: pd.DataFrame) -> Schema:
    """The schema with what the columns of numbers hold."""
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest one
        found = {name: usual(features[name].to_numpy()) for name, kind in types.types.items() if kind == "number"}
    return Schema(types.types, types.missing, {name: one for name, one in found.items() if one is not None})


def _label(
    column: pd.Series,
    party: str,
    name: str,
    numbers: NDArray[np.int64],
    objective: Objective | None,
    settings: Settings,
) -> tuple[pd.Series, tuple[Any, ...] | None]:
    """The label as numbers, and the values of classes; as it came where `objective` is None."""
    return (
        (raw_label(column, party, name, numbers), None)
        if objective is None
        else checked_label(column, party, name, numbers, objective, settings)
    )


def _types(
    frame: pd.DataFrame,
    party: str,
    wanted: Sequence[str],
    numbers: NDArray[np.int64],
    settings: Settings,
    before: Schema | None,
    *,
    texts: bool,
) -> Schema:
    """The types of the features; before: those of an earlier training; texts: whether other features may hold
    texts."""
    known = before.types if before is not None else {}
    if before is None and (unknown := [name for name in settings.types if name not in wanted]):
        raise no_column(frame, party, "declared column", unknown[0], settings)
    types = dict[str, ColumnType]()
    for name in wanted:
        declared = settings.types.get(name)
        if name not in known:
            types[name] = Found(name, frame[name], numbers, party, settings).type() if texts else "number"
            continue
        types[name] = known[name]
        if declared is not None and (declared == "number") != (known[name] == "number"):
            raise DataError(
                f"{party}: '{name}' is declared as {declared}, and was not when the model was trained",
                remedy="Remove it from types, or train a new model",
                party=party,
            )
    if before is None:
        return Schema(types, settings.absent)
    usual = {name: before.usual[name] for name in types if name in before.usual}
    return Schema(types, tuple(dict.fromkeys(before.missing + settings.missing)), usual)


def typed_features(
    frame: pd.DataFrame,
    party: str,
    schema: Schema,
    numbers: NDArray[np.int64],
    settings: Settings,
    typed: Set[str] | None = None,
    *,
    missing: bool,
) -> pd.DataFrame:
    """The features as texts or numbers, as the schema says; numbers: of the rows, for errors; typed: the columns whose
    texts are read as numbers, where they are numbers, None for all."""
    features = dict[str, pd.Series]()
    for name, kind in schema.types.items():
        column = without(frame[name], schema.missing)
        if kind == "number":
            if (before := schema.usual.get(name)) is not None and not before.truth:
                no_truth(column, party, name, numbers)
            read: dict[str, Any] = {"missing": missing, "typed": typed is None or name in typed}
            found: NDArray[Any] = feature(column, party, name, numbers, settings, **read)
        else:
            found = text(column, party, name, numbers, kind)
        features[name] = (
            column.reset_index(drop=True) if _is(column, found) else pd.Series(found, dtype=found.dtype, copy=False)
        )
    names = pd.Index(list(schema.types), dtype=object)
    return pd.DataFrame(features, index=pd.RangeIndex(len(numbers)), columns=names, copy=False)


def _is(column: pd.Series, values: NDArray[Any]) -> bool:
    """Whether the column holds these very values, so that both can share their memory: pandas copies them when one of
    them is written to."""
    if column.dtype != values.dtype or column.dtype.kind != "O":
        return column.dtype == values.dtype
    return all(map(operator.is_, column.to_numpy(), values))
