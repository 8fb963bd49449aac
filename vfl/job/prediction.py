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
        description="the minimum number of rows of a prediction that all parties know, 1 or more (default 1); in a "
        "small batch a host learns whom the guest scores",
    )
