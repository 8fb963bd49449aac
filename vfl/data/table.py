"""A party's table, checked: canonical ids, numeric features, a label of the kind that the model needs."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.alignment import Alignment, IdsAway
from protocols.errors import ConfigError, VFLError
from protocols.ids import Ids
from protocols.parts import parts
from vfl.data.columns import feature, no_missing
from vfl.data.labels import Objective, event_is_a_guess
from vfl.data.labels import label as checked_label
from vfl.data.schema import Schema, Settings
from vfl.screen.sentences import counted

T = TypeVar("T")
LET_GO = ("ids", "index", "features", "label")


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
    doubts: tuple[str, ...] = ()  # what to say of cells of a file of texts that may mean something else
    again: Callable[[], Table] | None = None  # reads the table again, once its rows are let go
    _computed: dict[Hashable, Any] = field(default_factory=dict, init=False)  # of these rows: see `once`

    def __getattr__(self, name: str) -> Any:
        """What was let go, read again.  Raises ConfigError where the source does not hold this table any more."""
        if name not in LET_GO or self.again is None:
            raise AttributeError(name)
        try:
            fresh = self.again()
        except VFLError:
            fresh = None
        if fresh is None or fresh.digest() != self.digest():
            raise ConfigError(
                f"{self.party}: the table cannot be read as it was when the run began",
                remedy="Put it back as it was, and leave it so while a run lasts",
                party=self.party,
            )
        for each in LET_GO:
            object.__setattr__(self, each, getattr(fresh, each))
        return getattr(self, name)

    def let_go(self) -> None:
        """Holds the rows no more, where the table can be read again."""
        if self.again is not None and "ids" in vars(self):
            self.digest()
            repr(self)  # what it shows is known from then on
            for each in LET_GO:
                object.__delattr__(self, each)

    def once(self, what: Hashable, compute: Callable[[], T]) -> T:
        """What is computed of these rows, computed once."""
        if what not in self._computed:
            self._computed[what] = compute()
        found: T = self._computed[what]
        return found

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return self.once("shape", lambda: (len(self.ids), self.features.shape[1]))

    def __repr__(self) -> str:
        label = self.once("label", lambda: ", with label" if self.has_label else "")
        return f"<Table of {self.party}: {counted(self.shape[0], 'row')}, {counted(self.shape[1], 'feature')}{label}>"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def has_label(self) -> bool:
        """Whether its rows have labels."""
        return self.label is not None

    @property
    def columns(self) -> list[str]:
        """The names of the features."""
        return [str(name) for name in self.features.columns]

    def column(self, name: str) -> pd.Series:
        """One feature."""
        return self.features[name]

    def blocks(self) -> Iterator[pd.DataFrame]:
        """The features, a block of rows at a time."""
        for part in parts(len(self)):
            yield self.features.iloc[part.rows].reset_index(drop=True)

    def digest(self) -> bytes:
        """32 bytes, SHA-256 over party, ids, index, column names, features, label and classes.

        Not keyed: whoever has it can test guesses of the whole table, so it is never sent.
        """
        return self.once("digest", self._digest)

    def _digest(self) -> bytes:
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
        for name, sign in sorted(self.settings.monotone.items()):
            add(b"monotone", name.encode("utf-8", "surrogatepass"), b"%d" % sign)
        return digest.digest()

    @property
    def event_caution(self) -> str:
        """What to say where the event is one of two texts for no better reason than the alphabet; else empty."""
        if self.label is None or not event_is_a_guess(self.classes, self.settings):
            return ""
        key = "pos_label" if self.settings.in_python else "data.event"
        return (
            f"label column '{self.label.name}': of its two texts the later one in the alphabet is taken as the event; "
            f"name the event in {key}"
        )

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
            no_missing(self.features[name], self.party, name, numbers, self.settings)
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
    def listed(self) -> tuple[Ids | IdsAway, ...]:
        """The same as an alignment takes them: at this party's workers, if these have read them."""
        return self.keys

    @property
    def names(self) -> Iterator[bytes]:
        """The id of each row under the first key for which it has a value: the same id, whichever key matches it."""
        if self.named is not None:
            return iter(self.named)
        return (next(filter(None, row), b"") for row in zip(*self.keys, strict=True))

    def aligned(self, found: Alignment) -> Table:
        """The common rows in the shared order, each under the id that it was matched by, which is the same at every
        party.  All rows are let go."""
        taken = dataclasses.replace(self.take(found.rows), matched=found.by_key)
        self.let_go()
        if not self.fallback:
            return taken
        return dataclasses.replace(taken, ids=found.pick(taken.keys), fallback=(), named=Ids.of(list(taken.names)))


class ColumnsOf(Mapping[str, pd.Series]):
    """The features of some rows of a table, by default of all, by name; each is made when it is asked for."""

    def __init__(self, table: Table, rows: NDArray[np.bool_] | None = None) -> None:
        self.table, self._rows = table, rows

    def __getitem__(self, name: str) -> pd.Series:
        if name not in self.table.columns:
            raise KeyError(name)
        column = self.table.column(name)
        return column if self._rows is None else column[self._rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table.columns)

    def __len__(self) -> int:
        return len(self.table.columns)
