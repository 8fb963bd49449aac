"""Routes of online scores: hand a query to the process of a publication, and its answer back."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Request, Response

from vfl.node.http import answers
from vfl.node.http.access import User
from vfl.node.http.answers import OneScore
from vfl.node.http.answers import Publications as Published
from vfl.node.http.guards import Reader, Token, may, said, service_of
from vfl.node.http.metrics import OnlineTimes
from vfl.node.online.asked import Answered, Ask, NoScore
from vfl.node.online.local_socket import MOST, Lines
from vfl.node.online.publications import Publications

MARGIN = 2.0  # seconds that the process may take beyond its own deadline
PAUSE = 0.05  # seconds between two looks for a process that starts

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ask"}}},
    }
}


async def may_score(request: Request, token: Token) -> User:  # in the loop: it is not worth a thread
    return may(request, token, "score")


async def score(request: Request, _: Annotated[User, Depends(may_score)]) -> Response:
    """The score of one customer: partners do not learn whose.  Answered by this party's own model if they are
    silent."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) >= MOST:
            raise HTTPException(422, "a query is shorter than that")
    return said(await asked(request, bytes(body)))


def online(request: Request, _: Reader) -> Response:
    """The models that are published for online scores."""
    return said(Published(online=service_of(request).online.told()))


def add_online(app: FastAPI) -> None:
    """Adds the routes."""
    app.state.lines, app.state.online_times = dict[str, Lines](), OnlineTimes()  # lines: by digest
    found = answers.of(OneScore, 401, 403, 404, 422, 429, 503)
    add = app.add_api_route
    add("/v1/score", score, methods=["POST"], responses=found, response_class=Response, openapi_extra=BODY)
    found = answers.of(Published, 401, 403)
    add("/v1/online", online, methods=["GET"], responses=found, response_class=Response)


async def asked(request: Request, body: bytes) -> OneScore:
    """The score of the customer in a request.  Raises HTTPException."""
    began, service = time.perf_counter(), service_of(request)
    try:
        ask = msgspec.json.decode(body, type=Ask)
    except msgspec.MsgspecError as error:
        raise HTTPException(422, f"this is no query: {error}") from None
    digest, name = _model(service.online.publications, ask)
    try:
        answer = await _answer(request, digest, msgspec.json.encode(ask))
        found = msgspec.json.decode(answer, type=Answered)
    except (OSError, msgspec.MsgspecError):
        why = "the process of this model starts or has ended: see vfl node status"
        found = Answered(refused=NoScore(status=503, detail=why, seconds=1))
    times: OnlineTimes = request.app.state.online_times
    times.add(name, found, time.perf_counter() - began)
    if found.refused is not None:
        refused = found.refused
        headers = None if refused.seconds is None else {"Retry-After": str(refused.seconds)}
        raise HTTPException(refused.status, refused.detail, headers)
    assert found.score is not None
    return OneScore(score=found.score)


def _model(publications: Publications, ask: Ask) -> tuple[str, str]:
    """The digest and the name of the job whose model is asked.  Raises HTTPException."""
    offered = publications.names()
    digest = next(iter(offered)) if ask.job is None and len(offered) == 1 else ask.job
    if digest in offered:
        return digest, offered[digest]
    several = "several models are published: name the digest of one as 'job'"
    raise HTTPException(404, several if offered and ask.job is None else "no such model is published")


async def _answer(request: Request, digest: str, line: bytes) -> bytes:
    """What the process of a publication answers; one that has just been started is waited for.  Raises OSError."""
    service, lines = service_of(request), _lines(request, digest)
    until = time.monotonic() + service.node.online.seconds + MARGIN
    while True:
        try:
            return await lines.ask(line, until - time.monotonic())
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > until or not service.online.processes.lives(digest):
                raise
        await asyncio.sleep(PAUSE)


def _lines(request: Request, digest: str) -> Lines:
    """Connections to the process of a publication."""
    every: dict[str, Lines] = request.app.state.lines
    if digest not in every:
        every[digest] = Lines(service_of(request).online.publications.socket(digest))
    return every[digest]
