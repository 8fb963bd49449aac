"""A party's own columns, as they were in training: kept with its model part, so that a later table can be held against
them.

Nothing of it leaves the party.  `baseline.json` holds counts a bin and the edges of the bins, which are values of
single rows: mode 0600.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError, ModelError
from vfl.metrics import Bins, by_chance, mark, psi
from vfl.storage.files import write_private, written

FORMAT, BASELINE = 1, "baseline.json"
Scored = Literal["train", "test", "out_of_time"]
Features = pd.DataFrame | Mapping[str, pd.Series]  # of one column at a time


class Reference(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One column's bins (`vfl.metrics.Bins`) and how many training rows each held."""

    edges: tuple[float, ...] | None
    values: tuple[float | str, ...] | None
    counts: list[int]

    @property
    def bins(self) -> Bins:
        return Bins(self.edges, self.values)

    @property
    def sound(self) -> bool:
        """Whether edges, values and counts fit each other."""
        if self.edges is not None:
            good = (
                self.values is None
                and len(self.edges) > 0
                and bool((np.diff(self.edges) > 0).all() and np.isfinite(self.edges).all())
            )
        else:
            good = self.values is not None and len({type(v) for v in self.values}) <= 1
        return good and len(self.counts) == len(self.bins.names()) and 0 <= min(self.counts) <= max(self.counts) < 2**53

    @classmethod
    def of(cls, column: pd.Series) -> Reference:
        bins = Bins.fit(column)
        return cls(bins.edges, bins.values, bins.count(column))


class Baseline(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The content of baseline.json: own columns on the training rows; at the guest the score on the rows that were
    scored, and which part of the split these are; rows: how many the party's own table had.  None in one of an earlier
    release."""

    format: int
    party: str
    model_id: str
    columns: dict[str, Reference]
    score: Reference | None = None
    rows: int | None = None
    score_of: Scored | None = None

    @classmethod
    def of(
        cls,
        party: str,
        model_id: bytes,
        features: Features,
        scores: NDArray[np.float64] | None = None,
        rows: int | None = None,
        score_of: Scored = "train",
    ) -> Baseline:
        """features: of the training rows; scores (m,): predictions of the joint model, None where there are none;
        rows: of the whole table, by default those of `features`, a frame; score_of: the part of the split that the
        scores are of."""
        score = None if scores is None or not len(scores) else Reference.of(pd.Series(scores))
        columns = {name: Reference.of(column) for name, column in _columns(features)}
        whole = len(features) if rows is None else rows
        return cls(FORMAT, party, model_id.hex(), columns, score, whole, None if score is None else score_of)

    @property
    def table_rows(self) -> int:
        """How many rows the party's table had; of an earlier release, how many it was trained on."""
        if self.rows is not None:
            return self.rows
        return max((sum(reference.counts) for reference in self.columns.values()), default=0)

    def save(self, folder: Path) -> None:
        """Writes it into a model folder.  Raises ConfigError if it cannot be written."""
        with written(folder):
            write_private(folder / BASELINE, msgspec.json.encode(self) + b"\n")


def load_baseline(folder: Path) -> Baseline:
    """The baseline of a model folder.  Raises ModelError: none there (a model of an earlier release), damaged, another
    format."""
    path = folder / BASELINE
    try:
        content = path.read_bytes()
    except OSError:
        raise ModelError(
            f"{folder} has no {BASELINE}", remedy="Name the model folder of a finished run, RUN/model"
        ) from None
    try:
        found = msgspec.json.decode(content, type=Baseline)
    except msgspec.MsgspecError:
        raise ModelError(f"{path} is damaged", remedy="Restore it from a copy of the run's folder") from None
    if found.format != FORMAT:
        raise ModelError(
            f"{path} has another format", expected=FORMAT, found=found.format, remedy="Use the release that wrote it"
        )
    references = [*found.columns.values(), *([found.score] if found.score else [])]
    if not 0 <= found.table_rows < 2**53 or not all(r.sound for r in references):
        raise ModelError(f"{path} is damaged", remedy="Restore it from a copy of the run's folder")
    return found


def compare(
    baseline: Baseline, features: Features, scores: Sequence[float] | NDArray[np.float64] | None = None
) -> dict[str, Any]:
    """How far a new table has moved: `columns`, a list in the order of training (`column`, `psi`, `expected`, `mark`,
    `rows`, `missing_before`, `missing`, `bins`, `before`, `now`), and `score`, the same of the scores that are not
    missing.  expected: the mean index of as many rows of one population.

    The order of columns, and columns that the model does not use, do not matter.  Raises DataError naming every column
    that is not there.
    """
    absent = [name for name in baseline.columns if name not in features]
    if absent:
        raise DataError(
            f"{baseline.party}: the new table lacks {', '.join(repr(c) for c in absent)}, which the model uses",
            remedy="Give a table with every column of training; their order does not matter",
            party=baseline.party,
        )
    out: dict[str, Any] = {
        "columns": [_line(name, r, features[name]) for name, r in baseline.columns.items()],
        "score": None,
    }
    if scores is not None and baseline.score is not None:
        out["score"] = _line("joint score", baseline.score, pd.Series(np.asarray(scores, np.float64)).dropna())
    return out


def _line(name: str, reference: Reference, column: pd.Series) -> dict[str, Any]:
    now, before = reference.bins.count(column), reference.counts
    index, chance = psi(before, now), by_chance(before, now)
    shares = [counts[-1] / sum(counts) if sum(counts) else None for counts in (before, now)]
    return {
        "column": name,
        "psi": index,
        "expected": None if chance is None else chance[0],
        "mark": mark(before, now),
        "rows": len(column),
        "missing_before": shares[0],
        "missing": shares[1],
        "bins": reference.bins.names(),
        "before": before,
        "now": now,
    }


def describe(features: Features) -> list[dict[str, Any]]:
    """A line for each column: `column`, `type` ("number" or "text"), `rows`, `missing` (share), `distinct`,
    `histogram`, and of numbers `mean`, `sd`, `p5`, `median`, `p95`.

    histogram: of numbers the rows in 20 equal bins from the 1st to the 99th percentile, what lies outside in the end
    bins; of texts the rows of the 20 most frequent ones.
    """
    return [_described(name, column) for name, column in _columns(features)]


def _columns(features: Features) -> Iterator[tuple[str, pd.Series]]:
    if isinstance(features, pd.DataFrame):
        return ((str(name), features[name]) for name in features.columns)
    return iter(features.items())


def _described(name: str, column: pd.Series) -> dict[str, Any]:
    known = column.dropna()
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    line: dict[str, Any] = {
        "column": name,
        "type": "number" if numeric else "text",
        "rows": len(column),
        "missing": 1 - len(known) / len(column) if len(column) else None,
        "distinct": _distinct(known.to_numpy(np.float64)) if numeric else int(known.nunique()),
    }
    if line["type"] == "number" and len(known):
        numbers = known.to_numpy(np.float64)
        p5, median, p95 = (float(v) for v in np.quantile(numbers, [0.05, 0.5, 0.95]))
        line |= {"mean": float(numbers.mean()), "sd": float(numbers.std()), "p5": p5, "median": median, "p95": p95}
        low, high = (float(v) for v in np.quantile(numbers, [0.01, 0.99]))
        rows = np.histogram(np.clip(numbers, low, high), 20, (low, high) if high > low else None)[0]
    else:
        rows = np.sort(known.astype(str).value_counts().to_numpy())[::-1][:20]
    return line | {"histogram": [int(n) for n in rows]}


def _distinct(numbers: NDArray[np.float64]) -> int:
    """How many different ones there are: in order, which takes less memory than a table of them."""
    ordered = np.sort(numbers)
    return min(1, len(ordered)) + int(np.count_nonzero(ordered[1:] != ordered[:-1]))
