"""The board: its page and scripts, the key of a browser, what it shows, live, and reports and ledgers of runs."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse

from protocols.errors import VFLError
from vfl.node.http import answers
from vfl.node.http.access import Keys, Tickets
from vfl.node.http.board import REPORT, Board, Boards
from vfl.node.http.guards import Known, Reader, Token, is_reader, may_read, own_page, said, service_of
from vfl.node.http.runs import RunName, run_of
from vfl.report.page import PAGE
from vfl.report.page import TEMPLATES as REPORTS
from vfl.run.ledger_shown import LedgerShow, ledger_shown

PAGES = Path(__file__).parent / "templates"
SCRIPTS = ("board.js", "node.js", "parts.js", "sections.js", "words.js")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
OF_REPORTS = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
OF_REPORTS += "frame-ancestors 'none'; sandbox"
MOST_STREAMS = 24
EVERY = 0.5  # seconds between two checks for something new
ALIVE = 15.0  # seconds after which a stream says that it lives


def open_key(request: Request, user: Known) -> Response:
    """A key for a browser: it does what the token or certificate does, and ends by itself."""
    own_page(request)
    keys: Keys = request.app.state.keys
    key, until = keys.open(user)
    text = datetime.datetime.fromtimestamp(until, datetime.UTC).isoformat(timespec="seconds")
    return said(answers.Key(key=key, until=text, user=user.name, roles=list(user.roles)))


def close_key(request: Request, token: Token) -> Response:
    """Ends the key that is given as the token."""
    keys: Keys = request.app.state.keys
    if token is not None:
        keys.close(token.credentials)
    return said(answers.Done(done=True))


def board(request: Request, _: Reader) -> Response:
    """What the board shows now."""
    return Response(_boards(request).json(), media_type="application/json", headers={"Cache-Control": "no-store"})


async def stream(request: Request, token: Token, _: Reader) -> Response:
    """The same whenever it has changed, as server-sent events named `board`."""
    state = request.app.state
    if state.streams >= MOST_STREAMS:
        raise HTTPException(503, "too many boards are open", {"Retry-After": "30"})
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(_stream(request, token), media_type="text/event-stream", headers=headers)


async def _stream(request: Request, token: Any) -> AsyncIterator[bytes]:
    state, before, quiet = request.app.state, b"", 0.0
    state.streams += 1
    try:
        while not state.ends.is_set() and is_reader(request, token):  # whose key may end meanwhile
            text = await asyncio.to_thread(_boards(request).json)
            if text != before:
                before, quiet = text, 0.0
                yield b"event: board\ndata: " + text + b"\n\n"
            elif (quiet := quiet + EVERY) >= ALIVE:
                quiet = 0.0
                yield b": alive\n\n"
            await asyncio.sleep(EVERY)
    finally:
        state.streams -= 1


def ledger(request: Request, run: RunName, _: Reader) -> Response:
    """What left and came in a run, as vfl ledger show prints it."""
    folder = Path(run_of(service_of(request), run).folder)
    try:
        told = ledger_shown(folder, messages=False)
    except VFLError as error:
        raise HTTPException(404, error.what) from None
    return Response(msgspec.json.encode(told), media_type="application/json", headers={"Cache-Control": "no-store"})


def report(
    request: Request,
    run: RunName,
    token: Token,
    until: Annotated[int, Query(ge=0, description="of the address on the board")] = 0,
    ticket: Annotated[str, Query(pattern="^[0-9a-f]{0,64}$", description="of the address on the board")] = "",
) -> Response:
    """The report of a run, as a page."""
    tickets: Tickets = request.app.state.tickets
    if not tickets.good(run, until, ticket):
        may_read(request, token)
    page = Path(run_of(service_of(request), run).folder) / PAGE
    try:
        text = page.read_bytes()
    except OSError:
        raise HTTPException(404, "the run has no report") from None
    return Response(text, media_type="text/html; charset=utf-8", headers=_headers(OF_REPORTS))


def _boards(request: Request) -> Boards:
    boards: Boards = request.app.state.boards
    return boards


def _headers(policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _file(path: Path, kind: str) -> Callable[[], Response]:
    text, headers = path.read_bytes(), _headers(POLICY)
    return lambda: Response(text, media_type=kind, headers=headers)


ROUTES = (
    ("POST", "/v1/keys", open_key, answers.of(answers.Key, 401, 403)),
    ("DELETE", "/v1/keys", close_key, answers.of(answers.Done)),
    ("GET", "/v1/board", board, answers.of(Board, 401, 403)),
    ("GET", "/v1/runs/{run}/ledger", ledger, answers.of(LedgerShow, 401, 403, 404)),
)
OTHERS = (  # which answer no JSON
    ("GET", "/v1/board/stream", stream, answers.text("text/event-stream", "events named `board`", 401, 403, 503)),
    ("GET", REPORT, report, answers.text("text/html", "the page", 401, 403, 404)),
)


def add_board(app: FastAPI) -> None:
    """The page and its files, which hold no data, and the routes that do."""
    app.state.boards = Boards(app.state.service, app.state.tickets)
    app.state.streams = 0
    for method, path, function, responses in (*ROUTES, *OTHERS):
        app.add_api_route(path, function, methods=[method], responses=responses, response_class=Response)
    files = {"/": ("board.html", "text/html; charset=utf-8"), "/board/board.css": ("board.css", "text/css")}
    files |= {f"/board/{name}": (name, "text/javascript") for name in SCRIPTS}
    files |= {"/board/icon.svg": ("icon.svg", "image/svg+xml")}
    for address, (name, kind) in files.items():
        app.add_api_route(address, _file(PAGES / name, kind), methods=["GET"], include_in_schema=False)
    style = _file(REPORTS / "style.css", "text/css")
    app.add_api_route("/board/report.css", style, methods=["GET"], include_in_schema=False)
