"""The routes of the local face, and who may call which.

No answer holds a key, id or value: jobs, runs and events are what `vfl node status`, `vfl runs` and `events.jsonl` say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from protocols.errors import ConfigError, VFLError
from vfl.job.node import Http, RoleName
from vfl.node.http import answers
from vfl.node.http.access import User, Users
from vfl.node.http.answers import Answer, Events, Health, Jobs, OneJob, OneRun
from vfl.node.http.answers import Runs as AllRuns
from vfl.node.http.metrics import TYPE, metrics_of
from vfl.node.http.page import POLICY, page_of
from vfl.node.inbox import approve
from vfl.node.service import Service
from vfl.node.telling import events_after, job_told
from vfl.storage.runs import Listed, listed
from vfl.version import __version__

BEARER = HTTPBearer(auto_error=False, description="a token of node.http.access")
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="of the job")]
RunName = Annotated[
    str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9._+-]{0,200}$", description="the name of the run's folder")
]
Token = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]


def _user(request: Request, token: Any, role: RoleName) -> User:
    """Raises HTTPException."""
    users: Users = request.app.state.users
    user = None if token is None else users.find(token.credentials)
    if user is None:
        raise HTTPException(401, "give a token of node.http.access", {"WWW-Authenticate": "Bearer"})
    if role not in user.roles:
        raise HTTPException(403, f"the roles of {user.name} do not include '{role}'")
    return user


def may_read(request: Request, token: Token) -> User:
    return _user(request, token, "read")


def may_approve(request: Request, token: Token) -> User:
    return _user(request, token, "approve")


Reader = Annotated[User, Depends(may_read)]
Approver = Annotated[User, Depends(may_approve)]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _said(answer: Answer) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json", headers={"Cache-Control": "no-store"})


def health() -> Response:
    """Whether the node runs.  Needs no token."""
    return _said(Health(ok=True))


def metrics(request: Request, _: Reader) -> Response:
    """Metrics in the text format of Prometheus."""
    return Response(metrics_of(_service(request)), media_type=TYPE)


def jobs(request: Request, _: Reader) -> Response:
    """All jobs of the node."""
    service = _service(request)
    told = [job_told(service.table, entry) for entry in service.table.entries()]
    return _said(Jobs(jobs=told, refused=dict(service.inbox.refused)))


def job(request: Request, digest: Digest, _: Reader) -> Response:
    """One job, with its file."""
    return _said(_one(_service(request), digest))


def approve_job(request: Request, digest: Digest, user: Approver) -> Response:
    """Lets the node start a job; the ledger of the run names the user of the token."""
    service = _service(request)
    _one(service, digest)
    _decided(lambda: approve(service.table, service.party, digest, user.name, "http"))
    return _said(_one(service, digest))


def cancel_job(request: Request, digest: Digest, user: Approver) -> Response:
    """Withdraws an approval; a run of the job is stopped."""
    service = _service(request)
    _one(service, digest)
    _decided(lambda: service.table.cancel(digest, user.name, "http"))
    return _said(_one(service, digest))


def runs(request: Request, _: Reader) -> Response:
    """All runs of this party."""
    return _said(AllRuns(runs=listed(_service(request).party.run.directory)))


def run(request: Request, run: RunName, _: Reader) -> Response:
    """One run."""
    return _said(OneRun(run=_run(_service(request), run)))


def events(
    request: Request, run: RunName, _: Reader, after: Annotated[int, Query(ge=0, description="of an answer before")] = 0
) -> Response:
    """What happened in a run after the first `after` lines; at most 1,000 events."""
    told, following = events_after(_run(_service(request), run).folder, after)
    return _said(Events(events=told, next=following))


def _one(service: Service, digest: str) -> OneJob:
    try:
        entry = service.table.get(digest)
    except ConfigError as error:
        raise HTTPException(404, error.what) from None
    text = service.table.job_file(digest).read_text(encoding="utf-8")
    return OneJob(job=job_told(service.table, entry), text=text)


def _decided(decide: Callable[[], object]) -> None:
    try:
        decide()
    except VFLError as error:
        raise HTTPException(409, str(error)) from None


def _run(service: Service, name: str) -> Listed:
    """By its name in the list, so that no name is a path."""
    found = [one for one in listed(service.party.run.directory) if one.folder.rpartition("/")[2] == name]
    if not found:
        raise HTTPException(404, "there is no such run")
    return found[0]


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


def make_app(service: Service, http: Http) -> FastAPI:
    """The application.  Raises ConfigError for tokens that cannot be used."""
    app = FastAPI(title=f"vfl node of {service.party.name}", version=__version__, openapi_url=None)
    app.state.service, app.state.users = service, Users(http.access)
    for method, path, function, responses in ROUTES:
        app.add_api_route(path, function, methods=[method], responses=responses, response_class=Response)
    app.add_api_route("/metrics", metrics, methods=["GET"], response_class=Response)
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
