"""Routes of online scores: hand a query to the process of a publication, and its answer back."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Request, Response

from vfl.node.http import answers
from vfl.node.http.access import User
from vfl.node.http.answers import OneScore
from vfl.node.http.answers import Publications as Published
from vfl.node.http.guards import Reader, Token, may, said, service_of
from vfl.node.online.asked import Answered, Ask
from vfl.node.online.local_socket import MOST, Line
from vfl.node.online.publications import Publications
from vfl.node.service import Service

MARGIN = 2.0  # seconds that the process may take beyond its own deadline
THREADS = ThreadPoolExecutor(64, "vfl node, queries")  # as many as there can be requests at once
lines = threading.local()  # by thread, the open connections by digest

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ask"}}},
    }
}


def may_score(request: Request, token: Token) -> User:
    return may(request, token, "score")


async def score(request: Request, _: Annotated[User, Depends(may_score)]) -> Response:
    """The score of one customer: partners do not learn whose.  Answered by this party's own model if they are
    silent."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) >= MOST:
            raise HTTPException(422, "a query is shorter than that")
    loop = asyncio.get_running_loop()
    return said(await loop.run_in_executor(THREADS, asked, service_of(request), bytes(body)))


def online(request: Request, _: Reader) -> Response:
    """The models that are published for online scores."""
    return said(Published(online=service_of(request).online.told()))


def add_online(app: FastAPI) -> None:
    """Adds the routes."""
    found = answers.of(OneScore, 401, 403, 404, 422, 429, 503)
    add = app.add_api_route
    add("/v1/score", score, methods=["POST"], responses=found, response_class=Response, openapi_extra=BODY)
    found = answers.of(Published, 401, 403)
    add("/v1/online", online, methods=["GET"], responses=found, response_class=Response)


def asked(service: Service, body: bytes) -> OneScore:
    """The score of the customer in a request.  Raises HTTPException."""
    try:
        ask = msgspec.json.decode(body, type=Ask)
    except msgspec.MsgspecError as error:
        raise HTTPException(422, f"this is no query: {error}") from None
    digest = _digest(service.online.publications, ask)
    try:
        answer = _line(service.online.publications, digest).ask(
            msgspec.json.encode(ask), service.node.online.seconds + MARGIN
        )
        found = msgspec.json.decode(answer, type=Answered)
    except (OSError, msgspec.MsgspecError):
        raise HTTPException(503, "the process of this model does not answer", {"Retry-After": "1"}) from None
    if found.refused is not None:
        refused = found.refused
        headers = None if refused.seconds is None else {"Retry-After": str(refused.seconds)}
        raise HTTPException(refused.status, refused.detail, headers)
    assert found.score is not None
    return OneScore(score=found.score)


def _digest(publications: Publications, ask: Ask) -> str:
    offered = [one.digest for one in publications.all()]
    if ask.job is None and len(offered) == 1:
        return offered[0]
    if ask.job in offered:
        return ask.job
    several = "several models are published: name the digest of one as 'job'"
    raise HTTPException(404, several if offered and ask.job is None else "no such model is published")


def _line(publications: Publications, digest: str) -> Line:
    """A connection that stays open, of this thread."""
    kept: dict[str, Line] = lines.__dict__.setdefault("kept", {})
    if digest not in kept:
        kept[digest] = Line(publications.socket(digest))
    return kept[digest]
