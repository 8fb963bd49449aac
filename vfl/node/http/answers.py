"""What the local face answers; the OpenAPI document is written from these declarations."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from vfl.node.telling import NodeJob
from vfl.screen.events import Event
from vfl.storage.runs import Listed


class Answer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of every answer."""


class Health(Answer):
    """The node runs."""

    ok: bool


class Jobs(Answer):
    """All jobs of the node."""

    jobs: Annotated[list[NodeJob], Meta(description="the latest change first")]
    refused: Annotated[dict[str, str], Meta(description="by the name of a file in the inbox, why it was not taken")]


class OneJob(Answer):
    """A job, and what it does and discloses."""

    job: NodeJob
    text: Annotated[str, Meta(description="the job file, as it was submitted")]


class Runs(Answer):
    """All runs of this party."""

    runs: Annotated[list[Listed], Meta(description="the oldest first")]


class OneRun(Answer):
    """A run."""

    run: Listed


class Events(Answer):
    """What happened in a run."""

    events: Annotated[list[Event], Meta(description="the oldest first")]
    next: Annotated[int, Meta(ge=0, description="to be given as `after`, for what happens later")]


class Problem(Answer):
    """Why a request was refused."""

    detail: str


ANSWERS: tuple[type[Answer], ...] = (Health, Jobs, OneJob, Runs, OneRun, Events, Problem)


def schemas() -> dict[str, Any]:
    """By name, the JSON schemas of all answers and of what is in them."""
    _, parts = msgspec.json.schema_components(ANSWERS, ref_template="#/components/schemas/{name}")
    return parts


def of(kind: type[Answer], *refusals: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer, for the OpenAPI document."""
    good = {200: {"description": (kind.__doc__ or "").partition("\n")[0], "content": _content(kind)}}
    why = {401: "no token, or none that is known", 403: "the token's roles do not include it", 404: "there is none"}
    why |= {409: "not in this state, or the policy forbids it"}
    return good | {code: {"description": why[code], "content": _content(Problem)} for code in refusals}  # type: ignore[return-value]


def _content(kind: type[Answer]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
