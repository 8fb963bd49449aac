"""What the local face answers; the OpenAPI document is written from these declarations."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from vfl.job.shown import JobShow
from vfl.node.http.board import Board
from vfl.node.http.part import Answer
from vfl.node.online.asked import Ask, Score
from vfl.node.online.publications import Published
from vfl.node.telling import NodeJob
from vfl.run.ledger_shown import LedgerShow
from vfl.screen.events import Event
from vfl.storage.runs import Listed


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
    shown: Annotated[JobShow, Meta(description="what it asks and discloses, as vfl job show prints it")]


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


class OneScore(Answer):
    """The score of a customer."""

    score: Score


class Publications(Answer):
    """The models that are published for online scores."""

    online: list[Published]


class Problem(Answer):
    """Why a request was refused."""

    detail: str


class Key(Answer):
    """What a browser gives in place of a token."""

    key: str
    until: Annotated[str, Meta(description="when it ends, unless the node ends before, ISO 8601")]
    user: str
    roles: list[str]


class Done(Answer):
    """It is done."""

    done: bool


ANSWERS: tuple[type[msgspec.Struct], ...] = (
    *(Health, Jobs, OneJob, Runs, OneRun, Events, Key, Done, Board, LedgerShow, OneScore, Publications, Problem),
    Ask,  # what a body holds
)


def schemas() -> dict[str, Any]:
    """By name, the JSON schemas of all answers and of what is in them."""
    _, parts = msgspec.json.schema_components(ANSWERS, ref_template="#/components/schemas/{name}")
    return parts


def of(kind: type[msgspec.Struct], *refusals: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer, for the OpenAPI document."""
    good = {200: {"description": (kind.__doc__ or "").partition("\n")[0], "content": _content(kind)}}
    return good | _refusals(*refusals)


def text(media: str, what: str, *refusals: int) -> dict[int | str, dict[str, Any]]:
    """The same for a route that answers no JSON."""
    return {200: {"description": what, "content": {media: {"schema": {"type": "string"}}}}} | _refusals(*refusals)


def _refusals(*refusals: int) -> dict[int | str, dict[str, Any]]:
    why = {401: "no token, or none that is known", 403: "the token's roles do not include it", 404: "there is none"}
    why |= {409: "not in this state, or the policy forbids it", 422: "no query of this model"}
    why |= {429: "a budget or rate is used up; Retry-After says for how long", 503: "nobody can answer now"}
    return {code: {"description": why[code], "content": _content(Problem)} for code in refusals}


def _content(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
