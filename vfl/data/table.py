"""A party's table, checked: canonical ids, numeric features, a label of the kind that the model needs.

Messages name columns and row numbers (the first data row is 1, a header is not counted), never a value or an id.
"""

from __future__ import annotations

import dataclasses
import hashlib
import operator
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.alignment import Alignment
from protocols.alignment.ids import Ids
from protocols.errors import DataError
from vfl.data.columns import Objective, days, event_is_a_guess, feature, no_missing, raw_label, text, weight, without
from vfl.data.columns import label as checked_label
from vfl.data.header import HEADER, like_cells, twice
from vfl.data.keys import key_lists, keys_of
from vfl.data.schema import ColumnType, Found, Schema, Settings
from vfl.data.shapes import Profile


@dataclass(frozen=True, repr=False, eq=False)
class Table:
    """n rows of one party.  Printing it shows sizes only."""

    # n canonical ids under the first key, distinct; with several keys, empty where the row has no value under it
    ids: Ids
    index: pd.Index  # n original values of the (first) key column, for output
    # (n, f) in the order asked for: float64, finite (NaN where missing values are allowed); object for texts, where
    # they are
    features: pd.DataFrame
    label: (
        pd.Series | None
    )  # n numbers: class codes 0.0, 1.0, ..., values or counts; as it came until `for_model`; None where there is none
    classes: (
        tuple[Any, ...] | None
    )  # the label's original values, sorted: what the codes stand for; None for values and counts
    party: str
    fallback: tuple[Ids, ...] = ()  # the same of the keys that are tried next
    weight: pd.Series | None = None  # n weights above 0; None where all rows weigh the same
    date: NDArray[np.datetime64] | None = None  # n days; None where there is no column of dates
    repeated: int = 0  # how many rows were left out because an earlier one has their id
    matched: tuple[int, ...] = ()  # of a table of common rows, how many each key matched
    named: Ids | None = None  # of a table of common rows, `names` as they were before
    schema: Schema = Schema()  # noqa: RUF009  # of the features
    settings: Settings = Settings()  # noqa: RUF009  # what the party said of the table
    coded: tuple[str, ...] = ()  # features that are numbers, and are written as codes in a file of texts

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
        texts = self.texts
        add(np.ascontiguousarray(self.features.drop(columns=list(texts)).to_numpy(np.float64), "<f8").tobytes())
        for name in texts:
            add(
                b"texts",
                *(b"" if v is None else b"=" + v.encode("utf-8", "surrogatepass") for v in self.features[name]),
            )
        if self.label is not None:
            add(str(self.label.name).encode("utf-8", "surrogatepass"), self.label.to_numpy("<f8").tobytes())
            add(*(repr(c).encode("utf-8", "surrogatepass") for c in self.classes or ()))
        if self.weight is not None:
            add(
                b"weight", str(self.weight.name).encode("utf-8", "surrogatepass"), self.weight.to_numpy("<f8").tobytes()
            )
        if self.date is not None:
            add(b"date", self.date.astype("<i8").tobytes())
        return digest.digest()

    @property
    def event_caution(self) -> str:
        """What to say where the event is one of two texts for no better reason than the alphabet; else empty."""
        if self.label is None or not event_is_a_guess(self.classes, self.settings):
            return ""
        key = "pos_label" if self.settings.in_python else "data.event"
        return (
            f"label column '{self.label.name}': of its two texts the later one in the alphabet is taken for the event; "
            f"name the event in {key}"
        )

    @property
    def code_cautions(self) -> list[str]:
        """What to say of each feature whose numbers are written as codes."""
        said = {name: self.settings.says("types", f'{{ {name} = "category" }}') for name in self.coded}
        return [
            f"column '{name}': its whole numbers have leading zeros, as codes do, and are read as numbers; if they are "
            f"codes, say so: {remedy}"
            for name, remedy in said.items()
        ]

    @property
    def texts(self) -> tuple[str, ...]:
        """The features that hold texts."""
        return tuple(str(c) for c, kind in self.features.dtypes.items() if kind.kind == "O")

    def for_model(self, objective: Objective, *, missing: bool = False, texts: bool = False) -> Table:
        """The table as a model of this kind needs it, if it was read before the kind was known; missing: whether
        features may miss values; texts: be texts.

        Raises DataError, with rows counted in this table.
        """
        numbers = np.arange(1, len(self) + 1)
        for name in () if texts else self.texts:
            feature(self.features[name], self.party, name, numbers, self.settings)  # raises: it is not numeric
        for name in () if missing else self.features.columns:
            no_missing(self.features[name], self.party, name, numbers)
        if self.label is None:
            return self
        name = str(self.label.name)
        label, classes = checked_label(self.label, self.party, name, numbers, objective, self.settings)
        return dataclasses.replace(self, label=label, classes=classes)

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
            weight=None if self.weight is None else self.weight.take(positions).reset_index(drop=True),
            date=None if self.date is None else self.date[positions],
            repeated=self.repeated,
            matched=self.matched,
            named=None if self.named is None else self.named.take(positions),
            schema=self.schema,
            settings=self.settings,
        )

    @property
    def keys(self) -> tuple[Ids, ...]:
        """The ids under each key, in the order in which they are tried."""
        return (self.ids, *self.fallback)

    @property
    def names(self) -> Iterator[bytes]:
        """The id of each row under the first key for which it has a value: the same id, whichever key matches it."""
        if self.named is not None:
            return iter(self.named)
        return (next(filter(None, row), b"") for row in zip(*self.keys, strict=True))

    def aligned(self, found: Alignment) -> Table:
        """The common rows in the shared order, each under the id that it was matched by, which is the same at every
        party."""
        taken = dataclasses.replace(self.take(found.rows), matched=found.by_key)
        if not self.fallback:
            return taken
        return dataclasses.replace(taken, ids=found.pick(taken.keys), fallback=(), named=Ids.of(list(taken.names)))


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
        raise DataError(f"{party}: the table has no rows", remedy="Check the source and the query", party=party)
    others = {"label": label, "weight": weights, "date": date}
    wanted = _feature_names(frame, party, used, columns, others, need_label, settings)
    if not wanted and (label is None if need_features is None else need_features):
        raise DataError(
            f"{party}: the table has no feature column",
            remedy="A host needs at least one column in addition to its keys",
            party=party,
        )
    (ids, *fallback), kept = keys_of(frame, party, every, settings.by_own(normalise), duplicates, profile)
    repeated = len(frame) - len(kept)
    if repeated:
        frame = frame.iloc[kept]
    numbers = kept + 1
    types = _types(frame, party, wanted, numbers, settings, schema, texts=texts)
    typed = {*settings.types, *(schema.types if schema is not None else ())}
    features = typed_features(frame, party, types, numbers, settings, typed, missing=missing)
    mapped, classes = None, None
    if label is not None and need_label:
        mapped, classes = _label(frame[label], party, label, numbers, objective, settings)
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
    )


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
        raise _no_column(frame, party, "declared column", unknown[0], settings)
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
    return Schema(types, settings.absent if before is None else tuple(dict.fromkeys(before.missing + settings.missing)))


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


def with_keys(
    frame: pd.DataFrame,
    party: str,
    keys: Sequence[str],
    settings: Settings = Settings(),  # noqa: B008
) -> pd.DataFrame:
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
        several = [str(c) for c in frame.columns[frame.columns.duplicated()].unique()]
        raise DataError(f"{party}: the table {twice(list(frame.columns), several)}", remedy="Rename them", party=party)
    for key in keys:
        if key not in frame.columns:
            raise _no_column(frame, party, "id column", key, settings)
    return frame


def _feature_names(
    frame: pd.DataFrame,
    party: str,
    keys: Sequence[str],
    columns: Sequence[str] | None,
    others: Mapping[str, str | None],
    need_label: bool,
    settings: Settings,
) -> list[str]:
    """others: by what they are, the columns that are no features."""
    uses = {name: f"the {what}" for what, name in others.items() if name is not None}
    for what, name in others.items():
        if name is None:
            continue
        if need_label and name not in frame.columns:
            raise _no_column(frame, party, f"{what} column", name, settings)
        if name in keys:
            raise DataError(f"{party}: the {what} '{name}' is a key column", remedy=f"Name another {what}", party=party)
        if uses[name] != f"the {what}":
            both = f"{what} and {uses[name].removeprefix('the ')}"
            raise DataError(f"{party}: '{name}' is both {both}", remedy="Name another column", party=party)
    uses |= dict.fromkeys(keys, "a key column")
    if columns is None:
        return _all_features(frame, party, uses, settings)
    for name in columns:
        if name not in frame.columns:
            raise _no_column(frame, party, "feature column", name, settings)
        if name in uses:
            raise DataError(
                f"{party}: the feature '{name}' is {uses[name]}", remedy="Remove it from columns", party=party
            )
    if several := sorted({c for c in columns if list(columns).count(c) > 1}):
        raise DataError(f"{party}: columns names {_names(several)} twice", remedy="Name each once", party=party)
    return list(columns)


_NAMELESS = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")  # the last two are pandas' words for it


def _all_features(frame: pd.DataFrame, party: str, uses: Mapping[str, str], settings: Settings) -> list[str]:
    """Every column that is not used for something else and not excluded.  Raises DataError for one without a name,
    which is usually the row number that pandas wrote."""
    for name in settings.exclude:
        if name not in frame.columns:
            raise _no_column(frame, party, "excluded column", name, settings)
        if name in uses:
            raise DataError(f"{party}: exclude names '{name}', {uses[name]}", remedy="Remove it there", party=party)
    found = [c for c in frame.columns if c not in uses and c not in settings.exclude]
    if both := [c for c in found if c in settings.id_columns]:
        raise DataError(
            f"{party}: the table has a column '{both[0]}', and id_columns says that that key is in another one",
            remedy=f"Remove it from id_columns, or leave the column out: {settings.says('exclude', _listed(both))}",
            party=party,
        )
    nameless = [c for c in found if _NAMELESS.fullmatch(c)]
    if nameless:
        places = ", ".join(str(list(frame.columns).index(c) + 1) for c in nameless)
        example = settings.says("exclude", _listed(nameless))
        raise DataError(
            f"{party}: no name in the header: column {places} of the table; pandas writes its row numbers like this",
            remedy=f"Write the file with index=False, name the column, or leave it out: {example}",
            party=party,
        )
    return found


def _listed(names: Sequence[str]) -> str:
    """As a job file lists them."""
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"[{quoted}]"


def _no_column(frame: pd.DataFrame, party: str, what: str, name: str, settings: Settings) -> DataError:
    where = " (job: align.keys; party file: the keys of [data])"
    names = list(frame.columns)
    has = f"{len(names):,} columns ({HEADER})" if like_cells(names) else _names(names)
    return DataError(
        f"{party}: {what} '{name}' is not in the table, which has {has}",
        remedy=f"Correct the name{'' if settings.in_python else where} or the table",
        party=party,
    )


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{n}'" for n in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "no columns"
