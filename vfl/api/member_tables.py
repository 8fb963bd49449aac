"""The tables of members with the same columns: what is refused, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from protocols.errors import ConfigError, DataError
from vfl.data.arrow import AnyFrame, as_frame
from vfl.models.averaging.families import Floats
from vfl.models.averaging.joint import features
from vfl.models.averaging.local import Rows
from vfl.models.averaging.spec import Averaging

AGGREGATOR = "aggregator"
WANTED = {"binary": "0 or 1", "numeric": "numbers", "count": "whole numbers of at least 0"}
Frames = dict[str, pd.DataFrame]


def read(members: object, label: object) -> Frames:
    """By member, its table: all have the same columns, which hold numbers.  Raises ConfigError, DataError."""
    if not isinstance(members, Mapping) or not all(isinstance(name, str) and name for name in members):
        raise ConfigError("members are named tables", remedy="Pass a dict: by name, each member's table")
    if not isinstance(label, str) or not label:
        raise ConfigError("label is no text", remedy="label is the name of the column of labels, in all tables")
    if len(members) < 2:
        remedy = "Name 3 or more: two members read each other's updates, which Averaging(min_members=2) allows"
        raise ConfigError("there are fewer than 2 members", remedy=remedy)
    if AGGREGATOR in members:
        raise ConfigError(f"a member is called {AGGREGATOR}", remedy="Give it another name: this one is taken")
    tables = {name: _read(table, name) for name, table in members.items()}
    first = next(iter(tables))
    columns = tuple(str(name) for name in tables[first].columns if name != label)
    for name, table in tables.items():
        _same_columns(table, name, columns, label, first)
        features(table, columns, name)
    return tables


def _read(given: AnyFrame, name: str) -> pd.DataFrame:
    table = as_frame(given, name)
    if not all(isinstance(column, str) for column in table.columns) or not table.columns.is_unique:
        raise DataError(
            f"{name}: names of columns are no texts, or occur twice",
            remedy="Give each column a name of its own, such as table.columns.map(str)",
            party=name,
        )
    if not len(table):
        raise DataError(f"{name}: the table has no row", remedy="Leave this member out, or pass its rows", party=name)
    return table


def _same_columns(table: pd.DataFrame, name: str, columns: tuple[str, ...], label: str, first: str) -> None:
    """Raises DataError where there is no label, or a column too many; `features` finds those that are missing."""
    if label not in table.columns:
        remedy = "All members have the label, under the same name"
        raise DataError(f"{name}: the table has no label '{label}'", remedy=remedy, party=name)
    if not columns:
        remedy = "Members train on columns other than the label"
        raise DataError(f"{name}: the table has no column but the label", remedy=remedy, party=name)
    if more := [f"'{column}'" for column in table.columns if column not in (*columns, label)]:
        raise DataError(
            f"{name}: the table has {', '.join(more)}, which {first} lacks",
            remedy="All members have the same columns: take these out, or add them to the other tables",
            party=name,
        )


def labels(column: pd.Series, name: str, spec: Averaging) -> Floats:
    """(n,) a member's labels.  Raises DataError where they do not fit the estimator."""
    wanted = f"estimator = '{spec.estimator}' takes labels that are {WANTED[spec.label]}"
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        code = ', such as (table[label] == "yes").astype(int)' if spec.label == "binary" else ""
        raise DataError(f"{name}: the label is no number", remedy=f"{wanted}: convert them{code}", party=name)
    y = column.to_numpy(np.float64, na_value=np.nan)
    if not np.isfinite(y).all():
        remedy = "Take the rows without a label out"
        raise DataError(f"{name}: the label misses values, or has infinite ones", remedy=remedy, party=name)
    fits = {
        "binary": np.isin(y, (0, 1)).all(),
        "numeric": True,
        "count": ((y >= 0) & (y == np.rint(y))).all(),
    }[spec.label]
    if not fits:
        raise DataError(f"{name}: the label holds other values", remedy=wanted, party=name)
    return y


def rows(table: pd.DataFrame, columns: tuple[str, ...], label: str, name: str, spec: Averaging) -> Rows:
    """A member's rows that are trained on.  Raises DataError."""
    if not len(table):
        remedy = "Choose a smaller test, or pass more rows"
        raise DataError(f"{name}: the split leaves no row to train on", remedy=remedy, party=name)
    return Rows(features(table, columns, name), labels(table[label], name, spec), (*columns, label))
