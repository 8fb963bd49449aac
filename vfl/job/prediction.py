"""The section [predict] of a job file: what a batch of new rows must be, to be scored by the job's model."""

from __future__ import annotations

from pydantic import Field

from vfl.schema.section import Section

ROWS = 2**31


class Prediction(Section):
    """Predictions by the job's model."""

    min_rows: int = Field(
        default=1,
        ge=1,
        le=ROWS,
        description="stop a prediction if some, but fewer rows than this are known to all data parties. In a "
        "small batch a host learns whom the guest scores: which of its own ids are in the batch. "
        "If no row is known to all, nothing else is learnt, all scores are empty, and the "
        "prediction ends normally. Every batch, also of one row, counts against "
        "policy.predictions_per_partner_per_month",
    )
