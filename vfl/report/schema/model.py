"""The key `model` of report.json: each kind of model adds a structure of its own."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, UnsetType

from vfl.report.schema.part import Part, says
from vfl.report.schema.rows import Bin, Coefficient, HostColumn, InformationValue


class Model(Part, kw_only=True):
    """The key `model`, besides the parameters of the job's [model]: each kind adds keys of its own."""

    kind: Annotated[str | UnsetType, says("as in the job file")] = UNSET
    key_bits: Annotated[int | UnsetType, says("size of the Paillier key")] = UNSET
    model_id: Annotated[str | UnsetType, says("the model's name, in hex")] = UNSET
    caution: Annotated[
        str | UnsetType,
        says("if a continued model is evaluated on rows that its earlier rounds may have been trained on"),
    ] = UNSET
    shares: Annotated[
        dict[str, Any] | UnsetType,
        says("of a prediction by a model that stays shared: the names of the shares before and after it"),
    ] = UNSET


class Fitted(Model, kw_only=True):
    """Of models whose weights may stay shared."""

    passes: Annotated[int | UnsetType | None, says("`max_iter`; null: planned")] = UNSET
    passes_made: Annotated[list[int] | UnsetType, says("one number per class")] = UNSET
    ended: Annotated[
        list[str] | UnsetType,
        says("how each training ended: `planned`, `limit`, `loss`, `settled`, `unsettled` or `edge`"),
    ] = UNSET
    settled: Annotated[
        bool | UnsetType,
        says("false if the weights or the loss should have ended training and did not; absent where nobody watched"),
    ] = UNSET
    weights_known: Annotated[bool | UnsetType, says("whether this party knows its weights")] = UNSET
    coefficients: Annotated[
        list[Coefficient] | UnsetType,
        says(
            "if they are known: `column`, `coef` (standardised), of a regression `coef_raw`, with "
            "several classes `class` and its `intercept`"
        ),
    ] = UNSET
    iv: Annotated[
        list[InformationValue] | UnsetType,
        says(
            "of columns that are binned by the label, by falling IV: `column`, `iv`, `strength`, "
            "`bins`, `dropped` (null, or the reason)"
        ),
    ] = UNSET
    woe: Annotated[
        list[Bin] | UnsetType,
        says(
            "their bins, also of columns that were left out: `column`, `bin`, `rows`, `events`, "
            "`event_rate`, `woe`, `iv`"
        ),
    ] = UNSET
    host_columns: Annotated[
        list[HostColumn] | UnsetType,
        says(
            "at the guest: `host`, `column` (a number unless names are opened), `iv`, `strength`, `table` of its bins"
        ),
    ] = UNSET
