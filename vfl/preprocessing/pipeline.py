"""The steps of one party in order: fitted on its training rows, saved as JSON, applied to any table that has the
columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pandas as pd

from protocols.binning.by_label import FineBins
from protocols.binning.merging import MergedBins
from protocols.errors import DataError, ModelError
from vfl.data.codes import unseen
from vfl.preprocessing.categories import OneHot, QuantileBins
from vfl.preprocessing.numbers import Clipper, Imputer, Keep
from vfl.preprocessing.selection import weak, without_values
from vfl.preprocessing.settings import Preprocessing
from vfl.preprocessing.woe import FineColumn, Woe, fine_bins, fine_column

Step = Keep | Imputer | Clipper | OneHot | QuantileBins | Woe


class Preprocessor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """inputs: the columns that it was fitted on, `texts` those of them that hold texts; columns: what comes out, all
    numbers."""

    inputs: tuple[str, ...]
    texts: tuple[str, ...]
    steps: tuple[Step, ...]
    columns: tuple[str, ...]

    def transform(self, frame: pd.DataFrame, party: str) -> pd.DataFrame:
        """(n, len(columns)) float64, in that order whatever the order of the table.

        Raises DataError for columns that the table lacks, and for missing values that no step fills.
        """
        check_columns(frame, self.inputs, party)
        result = frame[list(self.inputs)]
        for step in self.steps:
            result = step.apply(result)
        return complete(result[list(self.columns)], party)

    def gaps(self, frame: pd.DataFrame, party: str) -> pd.DataFrame:
        """(n, columns) by column that must have a value: where it is missing, and no step fills it or has a bin for
        it."""
        check_columns(frame, self.inputs, party)
        result, found = frame[list(self.inputs)], dict[str, pd.Series]()
        for step in self.steps:
            if isinstance(step, QuantileBins):
                found |= {c: result[c].isna() for c in step.without_missing(self.columns)}
            result = step.apply(result)
        found |= {c: result[c].isna() for c in self.columns if c in self.inputs}
        return pd.DataFrame(found, index=frame.index, dtype=np.bool_)

    def unseen(self, frame: pd.DataFrame) -> pd.DataFrame:
        """(n, columns) by column of texts: where a text stands that no step knows."""
        return unseen(frame, self._known)

    @property
    def woe(self) -> Woe | None:
        """The step that binned the columns by the label."""
        return next((step for step in self.steps if isinstance(step, Woe)), None)

    @property
    def dropped(self) -> dict[str, str]:
        """Columns that were left out, and why."""
        return {c: why for step in self.steps if isinstance(step, Keep) for c, why in step.dropped.items()}

    @property
    def categories(self) -> dict[str, frozenset[str]]:
        """Of each input that holds categories, those that were fitted on; none of one that was left out."""
        return {name: self._known.get(name, frozenset()) for name in self.texts}

    @property
    def _known(self) -> dict[str, frozenset[str]]:
        """The texts that the steps know, by column."""
        known: dict[str, frozenset[str]] = {}
        for step in self.steps:
            known |= step.names if isinstance(step, OneHot | Woe) else {}
        return known

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @staticmethod
    def from_json(data: bytes) -> Preprocessor:
        """Raises ModelError for what `to_json` cannot have written."""
        try:
            found = msgspec.json.decode(data, type=Preprocessor)
        except (msgspec.MsgspecError, RecursionError):
            found = None
        if found is None or not found.fits():
            raise ModelError(
                "the preprocessing of this model part is damaged", remedy="Restore it from a copy of the run's folder"
            )
        return found

    def fits(self) -> bool:
        """Whether the steps fit each other and the columns, when they were read from a file: tried on a table without
        rows."""
        if len(set(self.inputs)) < len(self.inputs) or not all(step.fits() for step in self.steps):
            return False
        empty = {c: pd.Series(dtype=object if c in self.texts else np.float64) for c in self.inputs}
        try:
            made = self.transform(pd.DataFrame(empty, columns=list(self.inputs)), "")
        except (KeyError, ValueError, DataError):
            return False
        return list(made.columns) == list(self.columns) and set(self.texts) <= set(self.inputs)


@dataclass(frozen=True, eq=False)
class Fitting:
    """The steps before the label is needed: `frame` is what they make of the training rows, and `fine` its columns'
    fine bins (encode = "woe")."""

    settings: Preprocessing
    party: str
    inputs: tuple[str, ...]
    texts: tuple[str, ...]
    steps: tuple[Step, ...]
    frame: pd.DataFrame
    fine: tuple[FineColumn, ...] = ()

    @classmethod
    def start(cls, frame: pd.DataFrame, settings: Preprocessing, party: str) -> Fitting:
        """frame (n, d): a party's training rows, numbers as float64, texts as objects.  Raises DataError."""
        inputs, texts = (
            tuple(map(str, frame.columns)),
            tuple(str(c) for c, kind in frame.dtypes.items() if kind.kind == "O"),
        )
        steps: list[Step] = []

        def add(step: Step) -> None:
            nonlocal frame
            steps.append(step)
            frame = step.apply(frame)

        if empty := without_values(frame, settings.max_missing):
            add(Keep(tuple(c for c in map(str, frame.columns) if c not in empty), empty))
        numbers = [str(c) for c in frame.columns if c not in texts]
        if settings.impute != "none" and numbers:
            add(Imputer.fit(frame, numbers, settings.impute, settings.fill_value, settings.add_indicator))
        if settings.clip_quantiles is not None and numbers:
            add(Clipper.fit(frame, numbers, settings.clip_quantiles))
        words = [c for c in texts if c in frame.columns]
        if settings.encode == "quantile" and numbers:
            add(QuantileBins.fit(frame, numbers, settings.n_bins))
        if settings.encode in ("onehot", "quantile") and words:
            add(OneHot.fit(frame, words, settings.min_frequency, party))
        if settings.encode == "none" and words:
            raise DataError(
                f"{party}: the column '{words[0]}' holds texts",
                remedy='Choose encode = "onehot" or "woe", or leave the column out',
                party=party,
            )
        if not frame.columns.is_unique:
            raise DataError(
                f"{party}: a column that a step makes has the name of another", remedy="Rename the column", party=party
            )
        fine = (
            tuple(fine_column(frame[c], settings, text=c in words) for c in frame.columns)
            if settings.encode == "woe"
            else ()
        )
        return cls(settings, party, inputs, texts, tuple(steps), frame, fine)

    @property
    def bins(self) -> FineBins:
        """As the protocol takes them."""
        return fine_bins(self.fine, len(self.frame))

    def finish(self, merged: Sequence[MergedBins] = ()) -> Preprocessor:
        """merged: of each column what the protocol made of its fine bins.  Raises DataError where no column is left, or
        values are missing."""
        steps, frame, iv = self.steps, self.frame, dict[str, float]()
        if self.settings.encode == "woe":
            woe = Woe(tuple(column.final(m) for column, m in zip(self.fine, merged, strict=True)))
            steps, frame, iv = (*steps, woe), woe.apply(frame), {c.name: c.iv for c in woe.columns}
        weaker = weak(complete(frame, self.party), self.settings, iv)
        kept = tuple(c for c in map(str, frame.columns) if c not in weaker)
        if self.inputs and not kept:
            raise DataError(
                f"{self.party}: the selection leaves no column",
                remedy="Relax min_iv, min_variance, max_missing, max_correlation or max_vif",
                party=self.party,
            )
        if weaker:
            steps = (*steps, Keep(kept, weaker))
        return Preprocessor(self.inputs, self.texts, steps, kept)


def check_columns(frame: pd.DataFrame, wanted: Sequence[str], party: str) -> None:
    """Raises DataError for columns that the table lacks."""
    lacking = [c for c in wanted if c not in frame.columns]
    if lacking:
        raise DataError(
            f"{party}'s table lacks the columns {', '.join(lacking)} that the model was trained with",
            remedy="Add them; a column without a single value is fine where missing values are",
            party=party,
        )


def complete(frame: pd.DataFrame, party: str) -> pd.DataFrame:
    """`frame` itself.  Raises DataError where a number is missing that no step fills."""
    gaps = [str(c) for c in frame.columns if np.isnan(frame[c].to_numpy(np.float64)).any()]
    if gaps:
        raise DataError(
            f"{party}: the columns {', '.join(gaps)} miss values",
            remedy='Choose impute or encode = "woe", or fill them in before the run',
            party=party,
        )
    return frame
