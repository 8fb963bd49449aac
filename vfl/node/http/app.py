"""The routes of the local face, and who may call which.

No answer holds a key, id or value: jobs, runs and events are what `vfl node status`, `vfl runs` and `events.jsonl` say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse

from protocols.errors import ConfigError, VFLError
from vfl.job import load_agreement
from vfl.job.shown import job_shown
from vfl.node.http import answers
from vfl.node.http.access import Keys, Tickets, Users
from vfl.node.http.answers import Events, Health, Jobs, OneJob, OneRun
from vfl.node.http.answers import Runs as AllRuns
from vfl.node.http.board_routes import add_board
from vfl.node.http.guards import Approver, Reader, said, service_of
from vfl.node.http.metrics import TYPE, metrics_of
from vfl.node.http.online_routes import add_online
from vfl.node.http.page import POLICY, page_of
from vfl.node.http.runs import RunName, run_of
from vfl.node.inbox import approve
from vfl.node.service import Service
from vfl.node.telling import events_after, job_told
from vfl.storage.runs import listed
from vfl.version import __version__

Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="of the job, or of the prediction")]


def health() -> Response:
    """Whether the node runs.  Needs no token."""
    return said(Health(ok=True))


def metrics(request: Request, _: Reader) -> Response:
    """Metrics in the text format of Prometheus."""
    return Response(metrics_of(service_of(request), request.app.state.online_times), media_type=TYPE)


def jobs(request: Request, _: Reader) -> Response:
    """All jobs of the node."""
    service = service_of(request)
    told = [job_told(service.table, entry) for entry in service.table.entries()]
    return said(Jobs(jobs=told, refused=dict(service.inbox.refused)))


def job(request: Request, digest: Digest, _: Reader) -> Response:
    """One job, with its file."""
    return said(_one(service_of(request), digest))


def approve_job(request: Request, digest: Digest, user: Approver) -> Response:
    """Lets the node start a job; the ledger of the run names the user of the token."""
    service = service_of(request)
    _one(service, digest)
    _decided(lambda: approve(service.table, service.party, digest, user.name, "http"))
    return said(_one(service, digest))


def cancel_job(request: Request, digest: Digest, user: Approver) -> Response:
    """Withdraws an approval; a run of the job is stopped."""
    service = service_of(request)
    _one(service, digest)
    _decided(lambda: service.table.cancel(digest, user.name, "http"))
    return said(_one(service, digest))


def runs(request: Request, _: Reader) -> Response:
    """All runs of this party."""
    return said(AllRuns(runs=listed(service_of(request).party.run.directory)))


def run(request: Request, run: RunName, _: Reader) -> Response:
    """One run."""
    return said(OneRun(run=run_of(service_of(request), run)))


def events(
    request: Request, run: RunName, _: Reader, after: Annotated[int, Query(ge=0, description="of an answer before")] = 0
) -> Response:
    """What happened in a run after the first `after` lines; at most 1,000 events."""
    told, following = events_after(run_of(service_of(request), run).folder, after)
    return said(Events(events=told, next=following))


def _one(service: Service, digest: str) -> OneJob:
    try:
        entry = service.table.get(digest)
    except ConfigError as error:
        raise HTTPException(404, error.what) from None
    file = service.table.job_file(digest)
    try:
        shown, text = job_shown(load_agreement(file)), file.read_text(encoding="utf-8")
    except (OSError, ConfigError):
        raise HTTPException(404, "its file cannot be read any more") from None
    return OneJob(job=job_told(service.table, entry), text=text, shown=shown)


def _decided(decide: Callable[[], object]) -> None:
    try:
        decide()
    except VFLError as error:
        raise HTTPException(409, str(error)) from None


ROUTES: tuple[tuple[str, str, Callable[..., Response], dict[int | str, dict[str, Any]]], ...] = (
    ("GET", "/healthz", health, answers.of(Health)),
    ("GET", "/v1/jobs", jobs, answers.of(Jobs, 401, 403)),
    ("GET", "/v1/jobs/{digest}", job, answers.of(OneJob, 401, 403, 404)),
    ("POST", "/v1/jobs/{digest}/approve", approve_job, answers.of(OneJob, 401, 403, 404, 409)),
    ("POST", "/v1/jobs/{digest}/cancel", cancel_job, answers.of(OneJob, 401, 403, 404, 409)),
    ("GET", "/v1/runs", runs, answers.of(AllRuns, 401, 403)),
    ("GET", "/v1/runs/{run}", run, answers.of(OneRun, 401, 403, 404)),
    ("GET", "/v1/runs/{run}/events", events, answers.of(Events, 401, 403, 404)),
)


def make_app(service: Service, users: Users) -> FastAPI:
    """The application; its `state.ends` ends what is streamed."""
    app = FastAPI(title=f"vfl node of {service.party.name}", version=__version__, openapi_url=None)
    state = app.state
    state.service, state.users, state.keys, state.tickets = service, users, Keys(), Tickets()
    state.ends = threading.Event()
    for method, path, function, responses in ROUTES:
        app.add_api_route(path, function, methods=[method], responses=responses, response_class=Response)
    told = answers.text("text/plain", "all metrics", 401, 403)
    app.add_api_route("/metrics", metrics, methods=["GET"], responses=told, response_class=Response)
    add_online(app)
    add_board(app)
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    document["components"]["schemas"] |= answers.schemas()
    page = page_of(document)

    def docs() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})

    def openapi() -> JSONResponse:
        return JSONResponse(document)

    for path, function in (("/docs", docs), ("/openapi.json", openapi)):
        app.add_api_route(path, function, methods=["GET"], include_in_schema=False)
    return app
