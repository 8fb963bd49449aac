"""Tables of report.json: a structure is one row."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from vfl.report.schema.part import Number, Part, says


class Column(Part, kw_only=True):
    """One of this party's own columns, on the training rows."""

    column: Annotated[str, says("its name")]
    type: Annotated[str, says("`number` or `text`")]
    rows: Annotated[int, says("how many")]
    missing: Annotated[Number, says("the share of rows without a value")]
    distinct: Annotated[int, says("how many different values")]
    histogram: Annotated[
        list[int] | UnsetType,
        says("rows in 20 equal bins from the 1st to the 99th percentile, or of the 20 most frequent texts"),
    ] = UNSET
    mean: Annotated[Number | UnsetType, says("of numbers, as the next four")] = UNSET
    sd: Annotated[Number | UnsetType, says("standard deviation")] = UNSET
    p5: Annotated[Number | UnsetType, says("5th percentile")] = UNSET
    median: Annotated[Number | UnsetType, says("median")] = UNSET
    p95: Annotated[Number | UnsetType, says("95th percentile")] = UNSET


class Moved(Part, kw_only=True):
    """A column, or the score, in two sets of rows."""

    column: Annotated[str, says("its name, or `joint score`")]
    psi: Annotated[Number, says("population stability index")]
    expected: Annotated[Number, says("the mean index of as many rows of one population")]
    mark: Annotated[str | None, says("`stable`, `watch` or `shifted`; null if there are no rows")]
    rows: Annotated[int, says("rows that are compared with the training rows")]
    missing_before: Annotated[Number, says("share of training rows without a value")]
    missing: Annotated[Number, says("share of the compared rows without a value")]
    bins: Annotated[list[str], says("the bins")]
    before: Annotated[list[int], says("training rows per bin")]
    now: Annotated[list[int], says("compared rows per bin")]


class Compared(Part, kw_only=True):
    """One set of rows compared with the training rows."""

    columns: Annotated[list[Moved], says("own columns")]
    score: Annotated[Moved | None, says("at the guest")] = None


class Stability(Compared, kw_only=True):
    """Held-out rows, or for a prediction new rows, compared with the training rows."""

    out_of_time: Annotated[
        Compared | UnsetType,
        says(
            "the same for out-of-time rows, whose score is compared with that of the training "
            "rows, or of the held-out rows if training rows are not scored"
        ),
    ] = UNSET


class Bin(Part, kw_only=True):
    """One bin of a column, and what it says of the label."""

    column: Annotated[str | UnsetType, says("the column")] = UNSET
    bin: Annotated[str, says("its bounds, or its values")]
    rows: Annotated[int, says("how many")]
    events: Annotated[int, says("how many of them")]
    event_rate: Annotated[Number, says("the share")]
    woe: Annotated[Number, says("weight of evidence")]
    iv: Annotated[Number, says("its part of the information value")]
    points: Annotated[int | UnsetType, says("of a scorecard")] = UNSET


class InformationValue(Part, kw_only=True):
    """What a column of this party's own says of the label."""

    column: Annotated[str, says("its name")]
    iv: Annotated[Number, says("information value")]
    strength: Annotated[str, says("in a word")]
    bins: Annotated[int, says("how many")]
    dropped: Annotated[str | None, says("why it was left out; null: it was not")]


class HostColumn(Part, kw_only=True):
    """The same of a host's column, at the guest."""

    host: Annotated[str, says("whose")]
    column: Annotated[int | str, says("a number, unless names are opened")]
    iv: Annotated[Number, says("information value")]
    strength: Annotated[str, says("in a word")]
    table: Annotated[list[Bin], says("its bins")]


class Coefficient(Part, kw_only=True):
    """The weight of a column."""

    column: Annotated[str, says("its name")]
    coef: Annotated[float, says("of the standardised column")]
    coef_raw: Annotated[float | UnsetType, says("of the column as it is")] = UNSET
    name: Annotated[str | UnsetType, says("with several classes, which")] = msgspec.field(name="class", default=UNSET)
    intercept: Annotated[float | UnsetType, says("with several classes, that of the class")] = UNSET
