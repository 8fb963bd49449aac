"""From what this party's system says of a customer to the canonical id and the row that a table would hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from protocols.errors import ConfigError, DataError
from vfl.data import Table, table_from_frame
from vfl.data.keys import keys_of
from vfl.job import Job, Party
from vfl.models.kind import Kind
from vfl.models.regression.part import AdditivePart
from vfl.node.online.asked import Ask, NoScore, Value

ROW = "row of a query"


class Refusal(Exception):
    """Why a customer is not asked about."""

    def __init__(self, status: int, detail: str, seconds: int | None = None) -> None:
        super().__init__(detail)
        self.answer = NoScore(status=status, detail=detail, seconds=seconds)


class Customers:
    """Reads customers as the table of a prediction is read."""

    def __init__(self, job: Job, party: Party, part: AdditivePart, kind: Kind[Any, Any]) -> None:
        if len(job.align.keys) != 1:
            raise ConfigError(
                "a job with several keys cannot be published", remedy="Train a model whose job has one key"
            )
        self._columns, self._normalise = job.align.keys[0], job.align.normalise
        self._party, self._part, self._kind = party.name, part, kind
        assert party.data is not None
        self._settings = dataclasses.replace(party.data.settings(), id_columns={}, exclude=())

    def name(self, ask: Ask) -> bytes | None:
        """The canonical id; None where there is none: such a customer is nobody's.  Raises Refusal for other columns
        than the key's."""
        given = ask.id if isinstance(ask.id, dict) else {self._columns[0]: ask.id}
        if set(given) != set(self._columns):
            raise Refusal(422, f"id: the job's key is {', '.join(self._columns)}")
        try:
            frame = pd.DataFrame({column: [str(given[column])] for column in self._columns})
            ((ids,), _) = keys_of(frame, self._party, [self._columns], self._normalise, "error")
        except (DataError, UnicodeError):
            return None
        return ids[0] or None

    def row(self, features: Mapping[str, Value]) -> Table:
        """The own columns.  Raises Refusal for columns that are not those of the model, and for values that it cannot
        use."""
        inputs = self._part.inputs
        if lacking := [name for name in inputs if name not in features]:
            raise Refusal(422, f"features: '{lacking[0]}' is missing (null where the value is not known)")
        if unknown := [name for name in features if name not in inputs]:
            raise Refusal(422, f"features: '{unknown[0]}' is no column of the model")
        frame = pd.DataFrame({ROW: ["1"], **{name: [features[name]] for name in inputs}})
        try:
            table = table_from_frame(
                frame,
                party=self._party,
                keys=[[ROW]],
                normalise={ROW: "text"},
                duplicates="error",
                label=None,
                columns=inputs,
                need_label=False,
                need_features=False,
                objective=None,
                missing=True,
                settings=self._settings,
                schema=self._part.schema,
            )
        except DataError as error:
            raise Refusal(422, error.what) from None
        gaps = self._kind.gaps(self._part, table.features)
        if gaps.shape[1] and gaps.to_numpy().any():
            column = next(str(name) for name in gaps.columns if bool(gaps[name].iloc[0]))
            raise Refusal(422, f"features: the model needs a value of '{column}'")
        return table
