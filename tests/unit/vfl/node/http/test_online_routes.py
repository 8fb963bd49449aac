"""`POST /v1/score`: who may ask, and what becomes of the answers of the model's process."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.vfl.node.conftest import Bank
from tests.unit.vfl.node.http.test_http import Face
from vfl.job import load_job
from vfl.node.http import online_routes
from vfl.node.online.asked import Answered, Ask, NoScore, Score
from vfl.node.online.local_socket import MOST, answered_at

TOKEN = "s" * 32
ASK = {"id": "C-1", "features": {"age": 41.0, "town": None}}
SCORE = Score(
    score=0.25, classes=None, points=None, reasons=None, model_id="ab", epoch="cd", partial=False, why=None
)  # fmt: skip


@pytest.fixture
def face(bank: Bank) -> Iterator[Face]:
    token = bank.file.parent / "system"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    bank.file.write_text(bank.file.read_text() + '[node.http.access.system]\ntoken = "system"\nroles = ["score"]\n')
    with contextlib.closing(Face(bank)) as made:
        made.service.online.round = lambda: None  # type: ignore[method-assign]  # the test is the process
        yield made


def ask(face: Face, body: bytes, token: str = TOKEN) -> tuple[int, Any, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", face.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/score", body, {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers


def offer(face: Face, job: Path) -> str:
    return face.service.online.publications.offer(load_job(job), job.read_bytes(), None, None, "jane").digest


def test_who_may_ask(face: Face, bank: Bank) -> None:
    body = json.dumps(ASK).encode()
    assert ask(face, body, "x" * 32)[0] == 401
    for token in ("r" * 32, "j" * 40):
        assert ask(face, body, token)[0] == 403
    assert ask(face, body)[:2] == (404, {"detail": "no such model is published"})
    assert face.get("/v1/online", "reader") == (200, {"online": []})
    connection = http.client.HTTPConnection("127.0.0.1", face.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/v1/jobs", headers={"Authorization": f"Bearer {TOKEN}"})
        assert connection.getresponse().status == 403, "who may ask for scores may not read jobs"


def test_what_the_process_answers_is_handed_back(face: Face, bank: Bank) -> None:
    digest, heard = offer(face, bank.job), list[Ask]()
    answers = [
        Answered(score=SCORE),
        Answered(refused=NoScore(status=429, detail="used up", seconds=77)),
        Answered(refused=NoScore(status=422, detail="no column")),
    ]

    def process(line: bytes) -> bytes:
        heard.append(msgspec.json.decode(line, type=Ask))
        return msgspec.json.encode(answers[len(heard) - 1])

    body = json.dumps(ASK).encode()
    with answered_at(face.service.online.publications.socket(digest), process):
        status, found, headers = ask(face, body)
        assert (status, found["score"]["score"], headers["Cache-Control"]) == (200, 0.25, "no-store")
        _, document = face.get("/openapi.json")
        schema = {"$ref": "#/components/schemas/OneScore", "components": document["components"]}
        jsonschema.validate(found, schema)
        status, found, headers = ask(face, json.dumps(ASK | {"job": digest}).encode())
        assert (status, found, headers["Retry-After"]) == (429, {"detail": "used up"}, "77")
        assert ask(face, body)[:2] == (422, {"detail": "no column"})
    assert [one.id for one in heard] == ["C-1"] * 3
    status, found, headers = ask(face, body)
    assert (status, headers["Retry-After"]) == (503, "1"), "the process is gone"


@pytest.mark.parametrize("started", [True, False])
def test_a_process_that_starts_is_waited_for(started: bool, face: Face, bank: Bank) -> None:
    """One that was never started, or is gone, is not."""
    digest, publications = offer(face, bank.job), face.service.online.publications
    face.service.online.processes.lives = lambda _: started  # type: ignore[method-assign]
    statuses = list[int]()
    asker = threading.Thread(target=lambda: statuses.append(ask(face, json.dumps(ASK).encode())[0]))
    asker.start()
    asker.join(0.5)
    with answered_at(publications.socket(digest), lambda _: msgspec.json.encode(Answered(score=SCORE))):
        asker.join()
    assert statuses == [200 if started else 503]


def test_a_process_that_does_not_come_to_answer_is_given_up(face: Face, bank: Bank) -> None:
    offer(face, bank.job)
    face.service.online.processes.lives = lambda _: True  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(online_routes, "MARGIN", 0.2 - face.service.node.online.seconds)
        status, found, _ = ask(face, json.dumps(ASK).encode())
    assert (status, "vfl node status" in found["detail"]) == (503, True)


def test_the_metrics_count_queries_by_outcome_and_name_nobody(face: Face, bank: Bank) -> None:
    digest = offer(face, bank.job)
    answers = [
        Answered(score=SCORE),
        Answered(score=msgspec.structs.replace(SCORE, partial=True, why="unknown")),
        Answered(refused=NoScore(status=429, detail="used up", seconds=77)),
        Answered(refused=NoScore(status=422, detail="no column")),
    ]
    given = iter(answers)
    with answered_at(face.service.online.publications.socket(digest), lambda _: msgspec.json.encode(next(given))):
        for _ in answers:
            ask(face, json.dumps(ASK).encode())
    assert ask(face, json.dumps(ASK).encode())[0] == 503
    text = face.ask("GET", "/metrics", "reader")[1]
    families = {family.name: family for family in text_string_to_metric_families(text)}
    told = families["vfl_online_query_seconds"]
    assert told.type == "histogram"
    counts = {s.labels["outcome"]: s.value for s in told.samples if s.name.endswith("_count")}
    assert counts == dict.fromkeys(("answered", "unknown", "limited", "refused", "none"), 1)
    assert {s.labels["job"] for s in told.samples} == {load_job(bank.job).name}
    assert {"job", "outcome"} == set().union(*(s.labels for s in told.samples)) - {"le"}
    assert "C-1" not in text


def test_a_model_that_is_withdrawn_is_not_asked(face: Face, bank: Bank) -> None:
    """At once, however little time has passed."""
    body = json.dumps(ASK).encode()
    for _ in range(3):
        assert ask(face, body)[0] == 404
        digest = offer(face, bank.job)
        assert ask(face, body)[0] == 503
        face.service.online.publications.withdraw(digest)
    assert ask(face, body)[0] == 404


def test_another_process_is_asked_over_another_connection(face: Face, bank: Bank) -> None:
    digest, body, gone = offer(face, bank.job), json.dumps(ASK).encode(), threading.Event()

    def first(_: bytes) -> bytes:
        if gone.is_set():
            raise OSError
        return msgspec.json.encode(Answered(score=SCORE))

    where = face.service.online.publications.socket(digest)
    with answered_at(where, first):
        assert [ask(face, body)[0] for _ in range(2)] == [200, 200]
    gone.set()
    with answered_at(where, lambda _: msgspec.json.encode(Answered(refused=NoScore(status=429, detail="used up")))):
        assert ask(face, body)[0] == 429


def test_what_is_no_query_reaches_no_process(face: Face, bank: Bank) -> None:
    offer(face, bank.job)
    more = json.dumps(ASK | {"more": 1}).encode()
    for body in (b"", b"{", b"[]", b'{"id": "a"}', more, b'{"id": "' + b"a" * MOST + b'"'):
        status, found, _ = ask(face, body)
        assert status == 422, body[:20]
        assert "C-1" not in str(found)
