"""From what this party's system says of a customer to the canonical id and the row that a table would hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from protocols.errors import ConfigError, DataError
from vfl.data import literals, table_from_frame
from vfl.data.keys import canonical_id
from vfl.data.texts import say_rows
from vfl.job import Job, Party
from vfl.models.content import Part
from vfl.models.kind import Kind
from vfl.node.online.asked import Ask, NoScore, Value

ROW = "row of a query"
EXACT = 2**53  # below, a whole number is one of floating point


class Refusal(Exception):
    """Why a customer is not asked about."""

    def __init__(self, status: int, detail: str, seconds: int | None = None) -> None:
        super().__init__(detail)
        self.answer = NoScore(status=status, detail=detail, seconds=seconds)


class Customers:
    """Reads customers as the table of a prediction is read."""

    def __init__(self, job: Job, party: Party, part: Part, kind: Kind[Any, Any]) -> None:
        if len(job.align.keys) != 1:
            raise ConfigError(
                "a job with several keys cannot be published", remedy="Train a model whose job has one key"
            )
        self._columns, self._normalise = job.align.keys[0], job.align.normalise
        self._party, self._part, self._kind = party.name, part, kind
        assert party.data is not None
        self._settings = settings = dataclasses.replace(party.data.settings(), id_columns={}, exclude=())
        self._names = pd.Index(part.inputs, dtype=object)
        self._plain = all(  # columns of numbers
            part.schema.types.get(name, "number") == settings.types.get(name, "number") == "number"
            for name in part.inputs
        )
        absent = (*part.schema.missing, *settings.missing)
        self._codes = {float(text) for text in absent if literals.is_number(text)}  # numbers that mean a missing value

    def name(self, ask: Ask) -> bytes | None:
        """The canonical id; None where there is none: such a customer is nobody's.  Raises Refusal for other columns
        than the key's, and where all are empty."""
        given = ask.id if isinstance(ask.id, dict) else {self._columns[0]: ask.id}
        if set(given) != set(self._columns):
            raise Refusal(422, f"id: the job's key is {', '.join(self._columns)}")
        texts = [str(given[column]) for column in self._columns]
        if not any(text.strip() for text in texts):
            raise Refusal(422, "id: it is empty")
        try:
            return canonical_id(texts, self._party, self._columns, self._normalise)
        except (DataError, UnicodeError):
            return None

    def row(self, features: Mapping[str, Value]) -> pd.DataFrame:
        """The own columns.  Raises Refusal for columns that are not those of the model, and for values that it cannot
        use."""
        inputs = self._part.inputs
        if lacking := [name for name in inputs if name not in features]:
            raise Refusal(422, f"features: '{lacking[0]}' is missing (null where the value is not known)")
        if unknown := [name for name in features if name not in inputs]:
            raise Refusal(422, f"features: '{unknown[0]}' is no column of the model")
        values = [features[name] for name in inputs]
        if self._are_numbers(values):
            return pd.DataFrame(np.array([values], np.float64), columns=self._names)
        return self._read(values)

    def _are_numbers(self, values: Sequence[Value]) -> bool:
        """Whether all are numbers in columns of numbers, and no codes, as mostly: no check of a table refuses them."""
        return self._plain and all(
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and abs(value) < EXACT
            and value not in self._codes
            for value in values
        )

    def _of_a_field(self, error: DataError) -> str:
        """What is wrong with a column of the table, said of one customer, whose caller knows no table and no row."""
        told = error.what.removeprefix(f"{self._party}: ").removeprefix("feature column ")
        return "features: " + told.replace(f" in {say_rows([1])}", "").rstrip(",")

    def _read(self, values: Sequence[Value]) -> pd.DataFrame:
        """The row of a table with these values.  Raises Refusal."""
        inputs = self._part.inputs
        frame = pd.DataFrame({ROW: ["1"], **{name: [value] for name, value in zip(inputs, values, strict=True)}})
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
            raise Refusal(422, self._of_a_field(error)) from None
        gaps = self._kind.gaps(self._part, table.features)
        if gaps.shape[1] and gaps.to_numpy().any():
            column = next(str(name) for name in gaps.columns if bool(gaps[name].iloc[0]))
            raise Refusal(422, f"features: the model needs a value of '{column}'")
        return table.features
