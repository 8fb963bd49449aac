"""What a report says of a sealed network: the key `model` of report.json."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from vfl.report.schema import Model, says


class NetworkReport(Model, kw_only=True):
    """A sealed network."""

    passes_made: Annotated[list[int] | UnsetType, says("with early_stopping, the epochs that were made")] = UNSET
    ended: Annotated[
        list[str] | UnsetType, says("how: `loss`, which no longer improved, or `limit`, after `max_iter` epochs")
    ] = UNSET
    settled: Annotated[bool | UnsetType, says("whether the loss ended training")] = UNSET
    best_epoch: Annotated[int | UnsetType, says("after which epoch the weights were kept")] = UNSET
    clipped: Annotated[dict[str, int] | UnsetType, says("by own column, training rows whose values were limited")] = (
        UNSET
    )
    clipped_in_folds: Annotated[
        dict[str, int] | UnsetType,
        says("of a search: by own column, rows whose values were limited in the fold that has most"),
    ] = UNSET
    clipped_at: Annotated[float | UnsetType, says("the limit, in standard deviations")] = UNSET
    label_mean: Annotated[float | UnsetType, says("at the guest, of a numeric label")] = UNSET
    label_scale: Annotated[float | UnsetType, says("its standard deviation")] = UNSET
