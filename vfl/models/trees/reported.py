"""What a report says of boosted trees: the key `model` of report.json."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from vfl.report.schema import Model, says
from vfl.report.schema.part import Part


class Importance(Part, kw_only=True):
    """How much a column, or of a host all columns together, was used."""

    party: Annotated[int, says("0 for the guest, k for the k-th host")]
    column: Annotated[str | None, says("null for hosts, whose columns the guest cannot distinguish")]
    gain: Annotated[float | None, says("of open trees, the sum over the splits")]
    splits: Annotated[int, says("how many")]


class Splits(Part, kw_only=True):
    """How often a host's own column was split on."""

    column: Annotated[str, says("its name")]
    splits: Annotated[int, says("how many")]


class TreesReport(Model, kw_only=True):
    """Boosted trees."""

    trees: Annotated[int | UnsetType, says("at the guest, their number")] = UNSET
    importance: Annotated[
        list[Importance] | UnsetType,
        says(
            "at the guest: `party` (0 for the guest, k for the k-th host), `column` (null for hosts, whose columns the "
            "guest cannot distinguish), `gain` (null for sealed trees), `splits`"
        ),
    ] = UNSET
    splits: Annotated[list[Splits] | UnsetType, says("at a host, by own column: `column`, `splits`")] = UNSET
