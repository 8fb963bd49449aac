"""New rows of one party, to be scored: which of them have every value that the model needs, and what deserves a word.

A row that misses such a value takes no part in the prediction: it is not even aligned, and its score is empty.  No
message says that a value is missing.  But the list of ids is shorter by such rows, and a partner that knows from
elsewhere (a training, an alignment, another model) that the row exists learns from the empty score that a value is
missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from protocols.errors import DataError
from protocols.parts import Part as Block
from protocols.parts import parts
from vfl.data import KeyLists, Settings, Table, table_from_frame
from vfl.data.arrow import as_frame
from vfl.data.doubts.units import moved
from vfl.data.kept_frame import whole
from vfl.data.kept_ids import Rows
from vfl.data.near_ids import Own, near_misses
from vfl.data.shapes import Profile
from vfl.data.table import ColumnsOf
from vfl.models.content import Part
from vfl.models.kind import Kind
from vfl.preprocessing.standardise import FARTHEST
from vfl.schema.section import listed
from vfl.screen.ending import clipped
from vfl.screen.sentences import counted

ENOUGH = 10  # rows: in a smaller batch a column may lack every value, or have new texts only


@dataclass(frozen=True, eq=False, repr=False)
class NewRows:
    """table: the rows that take part; rows: their positions among all rows that came; features: of all of these, and
    index: their ids as they came.

    missing: by column, how many rows take no part because it has no value there; unseen: by column of texts, how many
    rows hold a text that the model does not know (where rare texts have a bin, only if it knows none of them); beyond:
    by column how many rows hold a number so far out that the protocol limits it; moved: what to say of columns whose
    numbers are not those of the training.
    """

    party: str
    table: Table
    rows: Rows
    features: pd.DataFrame | ColumnsOf
    index: pd.Index
    missing: Mapping[str, int]
    unseen: Mapping[str, int]
    beyond: Mapping[str, int] = field(default_factory=dict)
    moved: tuple[str, ...] = ()

    @property
    def left_out(self) -> int:
        """How many rows take no part."""
        return len(self.index) - len(self.rows)

    @property
    def empty(self) -> list[str]:
        """The columns without any value, where rows can be scored all the same."""
        lacking = [name for name in map(str, self.features) if self.features[name].isna().all()]
        return [name for name in lacking if name not in self.missing]

    def blocks(self) -> Iterator[tuple[Block, pd.DataFrame]]:
        """The features of all rows that came: of rows that are not held in blocks, else all at once."""
        if isinstance(self.features, pd.DataFrame):
            yield whole(len(self.index)), self.features
        else:
            assert isinstance(self.features, ColumnsOf)
            yield from zip(parts(len(self.index)), self.features.table.blocks(), strict=True)

    def sentences(self) -> list[str]:
        """What this party should know of its own rows: counts and names of columns only."""
        total, found = counted(len(self.index), "row"), list[str]()
        if self.missing:
            named = listed([f"'{name}' ({rows:,})" for name, rows in self.missing.items()], "and")
            found.append(f"{self.left_out:,} of {total} have no score, because values are missing: {named}")
        found += [
            f"column '{name}': {rows:,} of {total} hold a text that the model does not know"
            for name, rows in self.unseen.items()
        ]
        return found + self.cautions

    @property
    def cautions(self) -> list[str]:
        """Of these, what puts scores in doubt."""
        return [*self.moved, *([clipped(self.beyond, FARTHEST, "new")] if self.beyond else [])]


def new_rows(table: Table, kind: Kind[Any, Any], part: Part) -> NewRows:
    """`table`, as it was read for the model of `part`.  Raises DataError for a column without any value that the model
    needs, and for one of texts of which it knows none."""
    gaps, unseen, rare = kind.gaps(part, table.features), kind.unseen(part, table.features), kind.rare(part)
    known = table.features[list(unseen.columns)].notna().sum()
    for name in gaps.columns[gaps.all().to_numpy(np.bool_)]:
        if len(gaps) >= ENOUGH:
            raise DataError(
                f"{table.party}: feature column '{name}' has no value in any of the {len(gaps):,} new rows",
                remedy="Fill it in, or train a model whose preprocessing imputes missing values",
                party=table.party,
            )
    new = [name for name in unseen.columns if known[name] >= ENOUGH and unseen[name].sum() == known[name]]
    for name in new:
        if name not in rare:
            raise DataError(
                f"{table.party}: feature column '{name}': the model knows none of the texts of the {known[name]:,} new "
                f"rows that have one",
                remedy="Write its texts as the training table did; if they are really new, train again, or leave the "
                "column's cells empty",
                party=table.party,
            )
    rows = np.flatnonzero(~gaps.to_numpy(np.bool_).any(axis=1)) if gaps.shape[1] else np.arange(len(table))
    kept = table if len(rows) == len(table) else table.take(rows)
    told = unseen[[name for name in unseen.columns if name in new or name not in rare]]
    beyond = kind.beyond(part, kept.features)
    missing, counts, own = _counts(gaps), _counts(told), (*table.doubts, *_moved(table, part))
    return NewRows(table.party, kept, rows, table.features, table.index, missing, counts, beyond, own)


def _moved(table: Table, part: Part) -> list[str]:
    """A sentence for each column of numbers that are not those of the training."""
    columns = {name: table.features[name].to_numpy(np.float64) for name in part.schema.usual}
    return list(filter(None, (moved(name, part.schema.usual[name], values) for name, values in columns.items())))


def _counts(flags: pd.DataFrame) -> dict[str, int]:
    """By column how many rows are marked, where any is."""
    return {str(name): int(count) for name, count in flags.sum().items() if count}


@dataclass(frozen=True)
class Reader:
    """How tables of new rows are read in Python: as those of the training were."""

    keys: KeyLists
    normalise: Mapping[str, str]
    duplicates: str  # of a host's table: no row that the guest wants scored is dropped
    settings: Mapping[str, Settings] = field(default_factory=dict)  # by party

    def read(self, frame: object, kind: Kind[Any, Any], part: Part, profile: Profile) -> NewRows:
        """A party's rows; profile: gets the shapes of its ids.  Raises DataError."""
        table = table_from_frame(
            as_frame(frame, part.party),
            party=part.party,
            keys=self.keys,
            normalise=self.normalise,
            duplicates="error" if part.is_guests else self.duplicates,
            label=None,
            columns=part.inputs,
            need_label=False,
            need_features=not part.is_guests,
            objective=None,
            missing=True,
            settings=self.settings.get(part.party, Settings(in_python=True)),
            schema=part.schema,
            profile=profile,
        )
        return new_rows(table, kind, part)

    def near_misses(self, new: Mapping[str, NewRows], profiles: Mapping[str, Profile]) -> list[str]:
        """What to say of ids of the guest, which is first, and of others that differ only in how they are written;
        profiles: by party, the shapes of its ids."""
        plain = Settings(in_python=True)
        by_job = {party: self.settings.get(party, plain).by_job(profiles[party]) for party in new}
        compared = {party: Own(rows.table.keys, by_job[party]) for party, rows in new.items()}
        return near_misses(self.keys, self.normalise, compared)
