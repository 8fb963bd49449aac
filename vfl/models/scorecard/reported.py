"""What a report says of a scorecard: the key `model` of report.json."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from vfl.report.schema import Bin, Fitted, says


class ScorecardReport(Fitted, kw_only=True):
    """A scorecard."""

    base_points: Annotated[int | UnsetType | None, says("if the weights are known; null at a host")] = UNSET
    points: Annotated[
        list[Bin] | UnsetType, says("if they are known, the bins as in `woe`, each with its `points`")
    ] = UNSET
    wrong_signs: Annotated[
        list[str] | UnsetType, says("if they are known, own columns whose points run against the bins' event rates")
    ] = UNSET
