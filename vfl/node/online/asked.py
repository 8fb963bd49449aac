"""What is asked and answered about one customer, within this party."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Value = str | int | float | bool | None
Why = Literal["unknown", "silent", "closed"]


class Ask(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A customer of whom the score is asked."""

    id: Annotated[
        str | int | dict[str, str | int],
        Meta(description="the id, or an object of the job's key columns if there are several"),
    ]
    features: Annotated[dict[str, Value], Meta(description="this party's own columns of the model; null where missing")]
    job: Annotated[str | None, Meta(description="the digest of the job, if several models are published")] = None


class Reason(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A column of this party in which the customer lost points against the best bin."""

    bin: str
    lost: int


class Score(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A score."""

    score: Annotated[
        float | None, Meta(description="the probability of the event, or the expected value; null for several classes")
    ]
    classes: Annotated[dict[str, float] | None, Meta(description="by class its probability, for several classes")]
    points: Annotated[int | None, Meta(description="of a scorecard")]
    reasons: Annotated[
        list[Reason] | None,
        Meta(description="of a scorecard whose points this party knows; the most points lost first"),
    ]
    model_id: str
    epoch: Annotated[str | None, Meta(description="of the lists that answered; null if none did")]
    partial: Annotated[bool, Meta(description="whether the score is of this party's own columns alone")]
    why: Annotated[
        Why | None,
        Meta(
            description="of a partial score: a partner does not know the customer (unknown), did not answer in time "
            "(silent), or no lists are published at the moment (closed)"
        ),
    ]


class NoScore(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why there is none: the status of HTTP, and for 429 in how many seconds to ask again."""

    status: int
    detail: str
    seconds: int | None = None


class Answered(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One of the two."""

    score: Score | None = None
    refused: NoScore | None = None
