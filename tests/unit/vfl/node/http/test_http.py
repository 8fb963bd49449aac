"""The local face: each route, who may call it, and that it answers as its OpenAPI document declares."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import openapi_spec_validator
import pytest
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from prometheus_client.parser import text_string_to_metric_families

from protocols.errors import ConfigError
from tests.unit.vfl.node.conftest import Bank
from vfl.data import extras
from vfl.demo.run import free_ports
from vfl.job import load_party
from vfl.node.http.access import Users
from vfl.node.inbox import submit
from vfl.node.service import Service, with_face
from vfl.node.telling import MOST_EVENTS, events_after
from vfl.screen.events import Event

TOKENS = {"reader": "r" * 32, "jane": "j" * 40}
JOB = "credit-risk"
RUN = f"{JOB}-20261130-120000"


def with_http(bank: Bank, more: str = "") -> int:
    """Adds the face to the party file, with two users."""
    (port,) = free_ports(1)
    text = f'\n[node.http]\nlisten = "127.0.0.1:{port}"\n{more}'
    for name, token in TOKENS.items():
        file = bank.file.parent / name
        file.touch(mode=0o600)
        file.write_text(token + "\n")
        roles = '["read"]' if name == "reader" else '["read", "approve"]'
        text += f'[node.http.access.{name}]\ntoken = "{name}"\nroles = {roles}\n'
    bank.file.write_text(bank.file.read_text() + text)
    return port


class Face:
    """A node with its local face, in a thread."""

    def __init__(self, bank: Bank, more: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.port, self._tls = with_http(bank, more), tls
        self.service: Service = with_face(bank.service())
        self._stop, self._loop = asyncio.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self.service.run(self._stop)])
        self._thread.start()
        deadline = time.monotonic() + 20
        while True:
            try:
                assert self.get("/healthz")[0] == 200
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def ask(self, method: str, path: str, user: str | None = None, token: str | None = None) -> tuple[int, str, Any]:
        """(status, body, headers)."""
        if self._tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self._tls)
        with contextlib.closing(connection):
            token = token or (TOKENS[user] if user else None)
            connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers

    def get(self, path: str, user: str | None = None) -> tuple[int, Any]:
        """(status, JSON)."""
        status, body, _ = self.ask("GET", path, user)
        return status, json.loads(body)

    def post(self, path: str, user: str | None = None) -> tuple[int, Any]:
        status, body, _ = self.ask("POST", path, user)
        return status, json.loads(body)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def face(bank: Bank) -> Iterator[Face]:
    with contextlib.closing(Face(bank)) as made:
        yield made


def event(step: int) -> Event:
    return Event(
        time="2026-11-30T12:00:00.000+00:00", event="step", job="credit-risk", party="bank", command="run", run=RUN,
        attempt=1, phase="train", step=step, of=9, seconds_left=2.5, bytes_sent=70, missing=["telecom"],
    )  # fmt: skip


def a_run(bank: Bank, events: int) -> Path:
    """The folder of a run that is under way."""
    folder = bank.file.parent / "runs" / RUN
    folder.mkdir(parents=True)
    lines = b"".join(msgspec.json.encode(event(k)) + b"\n" for k in range(events))
    (folder / "events.jsonl").write_bytes(lines + b'{"half')
    return folder


def test_a_job_is_approved_over_http_by_who_may(bank: Bank, face: Face) -> None:
    digest = submit(face.service.table, face.service.party, bank.job).digest
    route = f"/v1/jobs/{digest}"
    assert face.get("/v1/jobs", "reader")[1]["jobs"][0]["state"] == "waiting"
    assert face.get(route, "reader")[1]["text"] == bank.job.read_text()
    for method, path in (("GET", "/v1/jobs"), ("POST", f"{route}/approve"), ("GET", "/metrics"), ("GET", "/v1/runs")):
        status, body, headers = face.ask(method, path)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer"), path
        assert face.ask(method, path, token="x" * 32)[0] == 401
        assert "rrrr" not in body
    assert face.post(f"{route}/approve", "reader") == (403, {"detail": "the roles of reader do not include 'approve'"})
    assert face.get("/v1/jobs", "reader")[1]["jobs"][0]["state"] == "waiting"
    status, told = face.post(f"{route}/approve", "jane")
    assert (status, told["job"]["decisions"][0]["who"], told["job"]["decisions"][0]["how"]) == (200, "jane", "http")
    approval = face.service.table.get(digest).approval
    assert approval is not None
    assert (approval.by, approval.how) == ("jane", "http")  # what the ledger will say
    assert face.post(f"{route}/approve", "jane")[0] == 409
    assert face.post(f"{route}/cancel", "jane")[0] == 200
    assert face.post(f"/v1/jobs/{'0' * 64}/approve", "jane")[0] == 404
    assert face.post("/v1/jobs/0/approve", "jane")[0] == 422


def test_a_policy_that_has_changed_since_refuses(bank: Bank, face: Face) -> None:
    digest = submit(face.service.table, face.service.party, bank.job).digest
    face.service.party = load_party(bank.file).model_copy(update={"name": "another"})
    status, told = face.post(f"/v1/jobs/{digest}/approve", "jane")
    assert status == 409
    assert "another" in told["detail"]
    assert face.service.table.get(digest).state == "waiting"


def test_runs_and_their_events(bank: Bank, face: Face) -> None:
    a_run(bank, 3)
    (listed,) = face.get("/v1/runs", "reader")[1]["runs"]
    assert listed["folder"].endswith(RUN)
    assert face.get(f"/v1/runs/{RUN}", "reader")[1]["run"] == listed
    status, told = face.get(f"/v1/runs/{RUN}/events?after=1", "reader")
    assert (status, [one["step"] for one in told["events"]], told["next"]) == (200, [1, 2], 3)
    for name in ("..", "%2e%2e", "..%2fbank", "nothing", "runs", "."):
        assert face.ask("GET", f"/v1/runs/{name}/events", "reader")[0] in (404, 422), name


def test_events_come_in_pieces_of_bounded_size(bank: Bank) -> None:
    folder = a_run(bank, MOST_EVENTS + 5)
    first, following = events_after(str(folder), 0)
    assert (len(first), following) == (MOST_EVENTS, MOST_EVENTS)
    rest, following = events_after(str(folder), following)
    assert ([one.step for one in rest][-1], following) == (MOST_EVENTS + 4, MOST_EVENTS + 5)
    assert events_after(str(folder), following) == ([], following)


def test_the_parser_of_prometheus_reads_the_metrics(bank: Bank, face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face.service, "round", lambda: None)  # no process runs the job
    digest = submit(face.service.table, face.service.party, bank.job).digest
    a_run(bank, 4)
    face.service.table.approve(digest, "jane", "command")
    face.service.table.move(digest, "approved", "running")
    families = {f.name: f for f in text_string_to_metric_families(face.ask("GET", "/metrics", "reader")[1])}
    values = {(s.name, *sorted(s.labels.values())): s.value for f in families.values() for s in f.samples}
    assert values["vfl_node_callers_total", "passed"] == 0
    assert sum(v for k, v in values.items() if k[0] == "vfl_node_jobs") == 1
    assert values["vfl_run_bytes", JOB, "sent"] == 70
    assert values["vfl_run_step", JOB, "train"] == 3
    assert values["vfl_run_peers_missing", JOB] == 1
    assert values["vfl_certificate_expires_seconds", "telecom"] > time.time()


def test_the_document_validates_and_every_answer_is_as_it_declares(bank: Bank, face: Face) -> None:
    status, document = face.get("/openapi.json")
    assert status == 200
    openapi_spec_validator.validate(document)
    with pytest.raises(OpenAPIValidationError):  # planted: a parameter of a path that is declared nowhere
        openapi_spec_validator.validate(json.loads(json.dumps(document).replace('/{digest}"', '/{planted}"')))
    digest = submit(face.service.table, face.service.party, bank.job).digest
    a_run(bank, 2)
    names = {"{digest}": digest, "{run}": RUN}
    checked = 0
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            here = path
            for name, value in names.items():
                here = here.replace(name, value)
            if "application/json" not in about["responses"]["200"]["content"]:
                continue
            for user in (None, "reader", "jane"):
                status, body, _ = face.ask(method.upper(), here, user)
                content = about["responses"][str(status)]["content"]["application/json"]["schema"]
                schema = content | {"components": document["components"]}
                jsonschema.Draft202012Validator(schema).validate(json.loads(body))
                checked += 1
    assert checked >= 20
    planted = {"$ref": "#/components/schemas/Health", "components": document["components"]}
    assert not jsonschema.Draft202012Validator(planted).is_valid({"ok": True, "id": "CANARY"})


def test_the_page_needs_nothing_from_elsewhere(face: Face) -> None:
    status, page, headers = face.ask("GET", "/docs")
    assert status == 200
    assert "/v1/jobs/{digest}/approve" in page
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page
    assert "`" not in page
    assert "server-sent events named <code>board</code>." in page
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert face.ask("GET", "/redoc")[0] == 404


def test_tls(bank: Bank, tmp_path: Path) -> None:
    """The face has a certificate of its own; here, that of the party serves."""
    certificate = bank.file.parent / "identity" / "cert.pem"
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with contextlib.closing(
        Face(bank, 'certificate = "identity/cert.pem"\nkey = "identity/key.pem"\n', tls=context)
    ) as face:
        assert face.get("/v1/jobs", "reader")[0] == 200
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", face.port, timeout=5)) as plain:
            plain.request("GET", "/healthz")
            with pytest.raises((OSError, http.client.HTTPException)):
                plain.getresponse()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('listen = "127.0.0.1', 'listen = "0.0.0.0'), "is reached by other machines, and has no TLS"),
        (("[node.http]\n", '[node.http]\nkey = "identity/key.pem"\n'), "certificate.* is missing: TLS needs"),
        (('["read", "approve"]', '["read", "write"]'), "roles"),
    ],
)
def test_a_face_that_others_could_read_is_refused(bank: Bank, change: tuple[str, str], says: str) -> None:
    with_http(bank)
    bank.file.write_text(bank.file.read_text().replace(*change))
    with pytest.raises(ConfigError, match=says):
        load_party(bank.file)


def test_tokens_that_are_no_secrets_are_refused(bank: Bank) -> None:
    with_http(bank)
    node = load_party(bank.file).node
    assert node is not None
    assert node.http is not None
    access = node.http.access
    assert Users(access).find(TOKENS["jane"]) is not None
    assert Users(access).find("") is None
    assert TOKENS["jane"] not in repr(Users(access).find(TOKENS["jane"]))
    file = access["jane"].token
    for text, says in (
        ("short", "no token of at least 32"),
        (TOKENS["reader"], "have the same token"),
        ("é" * 40, "no token"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=says):
            Users(access)
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by other users"):
        Users(access)
    file.unlink()
    with pytest.raises(ConfigError, match=r"cannot be read .*openssl rand"):
        Users(access)


def test_a_face_without_the_extra_is_refused_by_name(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    with_http(bank)

    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(extras.importlib, "import_module", absent)
    with pytest.raises(ConfigError, match=r"needs fastapi, which comes with the extra 'node'"):
        with_face(bank.service())
