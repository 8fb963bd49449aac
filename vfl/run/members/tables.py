"""A member's own table: read from its source, and checked before anything is sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from protocols.errors import DataError
from vfl.api.member_tables import labels
from vfl.data import read_source
from vfl.data.doubts import outcome, values
from vfl.job import Party
from vfl.job.members_job import MembersJob
from vfl.job.table import Data
from vfl.models.averaging.families import Floats
from vfl.models.averaging.held_out import Held, HeldOut, drawn, drawn_alone
from vfl.models.averaging.joint import features
from vfl.models.averaging.local import Rows

TRAINING, HELD_OUT = "training", "held out"  # rows


@dataclass(frozen=True, repr=False)
class OwnTable:
    """The rows of a member, and which of them it holds out."""

    job: MembersJob
    party: Party
    features: pd.DataFrame  # (n, columns) float64
    labels: Floats  # (n,)
    held: Held  # (n,)
    place: int

    @cached_property
    def training(self) -> Rows:
        """Those that the model is trained on."""
        return self._rows(~self.held)

    @cached_property
    def held_out(self) -> HeldOut:
        """The others, and what models are worth on them."""
        return HeldOut(self.job.model, self.training, self._rows(self.held), self.place)

    def _rows(self, chosen: Held) -> Rows:
        names = (*self.job.table.columns, self.job.table.label)
        return Rows(self.features[chosen].to_numpy(np.float64), self.labels[chosen], names)

    def part(self, part: str, columns: tuple[str, ...]) -> Floats:
        """(n, columns) the rows of a part, of these columns of the same table, which other jobs may have used.  Raises
        DataError where one is no longer there, or no longer numeric."""
        known = self.features.assign(**{self.job.table.label: self.labels})
        if not set(columns) <= set(known.columns):
            assert self.party.data is not None
            try:
                frame = frame_of(self.party, self.party.data, columns)
                known = pd.DataFrame(features(frame, columns, self.party.name), columns=list(columns))
            except DataError as error:
                error.remedy = (
                    "Sums of an earlier run are of this column too, and are compared with those of this run: put it "
                    "back, or let policy.sums_days end the comparison"
                )
                raise
        chosen = ~self.held if part == TRAINING else self.held
        return known.loc[chosen, list(columns)].to_numpy(np.float64)

    @property
    def summed(self) -> tuple[str, ...]:
        """The parts of which sums are opened."""
        return (TRAINING, HELD_OUT) if self.job.measures else (TRAINING,)

    def digest(self) -> bytes:
        """Of what the run is given."""
        numbers = np.column_stack([self.features.to_numpy(np.float64), self.labels])
        return hashlib.sha256(repr(numbers.shape).encode() + numbers.tobytes()).digest()

    def cautions(self, data: Data) -> list[str]:
        """What in its columns deserves a word, by column, never a value."""
        found, settings = list[str](), data.settings()
        classes = 2 if self.job.model.label == "binary" else 0
        for name, column in self.features.items():
            numbers = column.to_numpy(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest one
                told = values.one_value(column, settings) or values.no_amounts(str(name), numbers, settings)
                told = told or values.far_out(str(name), numbers, settings)
            found += filter(None, (told, outcome.tells_label(column, self.labels, classes, settings)))
        return found


def read(job: MembersJob, party: Party, data: Data) -> OwnTable:
    """The table behind [data], as the job wants it.  Raises DataError, ConfigError."""
    columns, label = job.table.columns, job.table.label
    frame = frame_of(party, data, (*columns, label))
    x = pd.DataFrame(features(frame, columns, party.name), columns=list(columns))
    y = labels(frame[label], party.name, job.model)
    place = job.parties.members.index(party.name)
    split = job.split
    held = drawn(len(frame), split.test, split.seed, place)
    if job.privacy is not None:
        held = drawn_alone(np.column_stack([x, y]), split.test, split.seed)
    _check(job, party, held)
    return OwnTable(job, party, x, y, held, place)


def _check(job: MembersJob, party: Party, held: Held) -> None:
    """Raises DataError for a table that the run would refuse."""
    name, rows = party.name, int((~held).sum())
    if job.split.test and not held.any():
        remedy = "Hold more rows out, use more rows, or set test = 0, at every party"
        what = f"{name}: no row is held out, so that nothing would be evaluated"
        raise DataError(what, remedy=remedy, party=name)
    if not rows:
        remedy = "Hold fewer rows out at every party, or use more rows"
        raise DataError(f"{name}: no row is left to train on", remedy=remedy, party=name)
    if rows > job.model.max_rows:
        what = f"{name}: {rows:,} rows are to be trained on, and model.max_rows is {job.model.max_rows:,}"
        raise DataError(what, remedy="Agree on a larger max_rows, or use fewer rows", party=name)


def frame_of(party: Party, data: Data, columns: tuple[str, ...] | None) -> pd.DataFrame:
    """The columns of the table behind [data], all where none are named.  Raises DataError where one is missing, or
    there is no row."""
    frame = read_source(data.source, data.query, only=columns, missing=data.missing, form=data.form)
    missing = [f"'{name}'" for name in columns or () if name not in frame.columns]
    if missing:
        raise DataError(
            f"{party.name}: the table has no column {', '.join(missing)}",
            remedy="All members have the columns that the job names in [table]: add it, or agree on another job",
            party=party.name,
        )
    if not len(frame):
        raise DataError(f"{party.name}: the table has no row", remedy="Check data.source", party=party.name)
    return frame
