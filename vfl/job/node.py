"""`[node]` of a party file: how this party's `vfl node` works.

It is no part of a job: each party decides for itself, and no partner learns it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

from pydantic import BeforeValidator, Field

from vfl.job.partners import DIGESTS, Digests
from vfl.job.table import resolved
from vfl.schema.described import Values
from vfl.schema.section import Section


class Node(Section):
    """One process that runs all jobs of this party behind one port."""

    directory: Annotated[Annotated[Path, BeforeValidator(resolved)], Values('a folder, such as directory = "node"')] = (
        Field(
            default=cast(Path, "node"),
            validate_default=True,
            description="where the node keeps its inbox, its list of jobs and the logs of their processes",
        )
    )
    approved: Annotated[Digests, Values(DIGESTS)] = Field(
        default=(), description="these jobs start without vfl node approve; all others wait for it"
    )
    jobs_at_once: int = Field(
        default=4, ge=1, le=64, description="the number of jobs that run at once; further ones wait"
    )
    patience_hours: int = Field(
        default=168,
        ge=1,
        le=8760,
        description="how long an approved job is started again and again, in hours, while its partners are absent or "
        "its process was killed",
    )
