"""What the board is made of: its answers, its stream, its pages and the ways in."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from protocols.errors import ConfigError
from tests.unit.vfl.node.conftest import Bank
from tests.unit.vfl.node.http.test_http import RUN, TOKENS, Face, a_run, event, with_http
from tests.unit.vfl.transport.certificates import authority, expired, signed_by
from vfl.job import Job, load_agreement, load_party
from vfl.ledger import LedgerWriter
from vfl.node.http import access
from vfl.node.http.access import Keys, Tickets, User, Users
from vfl.node.http.board_routes import PAGES, SCRIPTS
from vfl.node.inbox import submit
from vfl.run.ledger_shown import ledger_shown
from vfl.screen.progress import PHASES
from vfl.storage.runs import Listing
from vfl.transport.identity import create_identity


@pytest.fixture
def face(bank: Bank) -> Iterator[Face]:
    with contextlib.closing(Face(bank)) as made:
        yield made


def sign_in(face: Face, user: str) -> str:
    status, body, _ = face.ask("POST", "/v1/keys", user)
    assert status == 200
    assert TOKENS[user] not in body
    return str(json.loads(body)["key"])


def board(face: Face) -> Any:
    time.sleep(0.45)  # for which all see the same
    return face.get("/v1/board", "reader")[1]


def test_the_board_shows_jobs_runs_budgets_and_certificates(
    bank: Bank, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face.service, "round", lambda: None)
    digest = submit(face.service.table, face.service.party, bank.job).digest
    shown = board(face)
    assert [(job["job_digest"], job["state"], job["progress"]) for job in shown["jobs"]] == [(digest, "waiting", None)]
    assert {one["partner"] for one in shown["partners"]} == {"telecom", "trustco"}
    for one in [shown["own"], *shown["partners"]]:
        assert one["days_left"] > 300
    limits = {(one["budget"], one["used"], one["limit"]) for one in shown["partners"][0]["budgets"]}
    assert limits == {("runs_per_partner_per_month", 0, 20), ("predictions_per_partner_per_month", 0, 200)}
    one = face.get(f"/v1/jobs/{digest}", "reader")[1]["shown"]
    assert any("each data party learns which of its own rows" in p["discloses"] for p in one["disclosed"]["permits"])
    face.service.table.approve(digest, "jane", "http")
    face.service.table.move(digest, "approved", "running")
    folder = a_run(bank, 4)
    (job,), (run,) = board(face)["jobs"], board(face)["runs"]
    assert (job["approved_by"], job["progress"]["step"], job["progress"]["of"]) == ("jane", 3, 9)
    assert (job["progress"]["missing"], job["progress"]["bytes_sent"]) == (["telecom"], 70)
    assert (run["run"], run["report"], run["ledger"]) == (RUN, None, False)
    line = msgspec.json.encode(msgspec.structs.replace(event(8), event="done"))
    (folder / "events.jsonl").write_bytes(line + b"\n")
    assert board(face)["jobs"][0]["progress"] is None  # of a run that is over


def test_a_stream_says_what_has_changed_and_ends_with_its_key(bank: Bank, face: Face) -> None:
    key = sign_in(face, "reader")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", face.port, timeout=10)) as connection:
        connection.request("GET", "/v1/board/stream", headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")

        def following() -> Any:
            assert answer.readline() == b"event: board\n"
            line = answer.readline()
            assert answer.readline() == b"\n"
            return json.loads(line.removeprefix(b"data: "))

        assert following()["jobs"] == []
        submit(face.service.table, face.service.party, bank.job)
        assert [job["state"] for job in following()["jobs"]] == ["waiting"]
        assert face.ask("DELETE", "/v1/keys", token=key)[0] == 200
        submit_again = bank.job.with_name("again.toml")
        submit_again.write_text(bank.job.read_text().replace('"credit-risk"', '"again"'))
        submit(face.service.table, face.service.party, submit_again)
        assert b"again" not in answer.read()  # what came after the key had ended
    assert face.ask("GET", "/v1/board", token=key)[0] == 401


def test_a_key_has_the_rights_of_its_user_and_ends(face: Face, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = submit(face.service.table, face.service.party, bank.job).digest
    key = sign_in(face, "reader")
    assert face.ask("GET", "/v1/jobs", token=key)[0] == 200
    assert face.ask("POST", f"/v1/jobs/{digest}/approve", token=key)[0] == 403
    assert face.ask("POST", "/v1/keys", token=key)[0] == 401  # a key makes no further key
    later = time.time() + 3600 * access.HOURS + 1
    monkeypatch.setattr(access, "time", SimpleNamespace(time=lambda: later))
    assert face.ask("GET", "/v1/jobs", token=key)[0] == 401


def test_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    keys, jane = Keys(), User("jane", ("read",), b"")
    every = [keys.open(jane)[0] for _ in range(access.MOST_KEYS + 1)]
    assert keys.find(every[0]) is None
    assert all(keys.find(key) is jane for key in every[1:])


def test_a_page_of_another_site_makes_no_browser_approve(bank: Bank, face: Face) -> None:
    digest = submit(face.service.table, face.service.party, bank.job).digest
    for origin, status in (("http://elsewhere.example", 403), ("null", 403), (f"http://127.0.0.1:{face.port}", 200)):
        connection = http.client.HTTPConnection("127.0.0.1", face.port, timeout=10)
        headers = {"Authorization": f"Bearer {TOKENS['jane']}", "Origin": origin}
        connection.request("POST", f"/v1/jobs/{digest}/approve", headers=headers)
        assert connection.getresponse().status == status, origin
        connection.close()


def test_a_report_opens_by_its_address_on_the_board_alone(
    bank: Bank, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_run(bank, 1)
    (folder / "report.html").write_text("<script>alert(1)</script>")
    (folder / "report.json").write_text("{}")
    path = board(face)["runs"][0]["report"]
    status, body, headers = face.ask("GET", path)
    assert (status, body) == (200, "<script>alert(1)</script>")
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert headers["Content-Security-Policy"].endswith("sandbox")  # whatever the file says, nothing runs
    name = path.replace(RUN, f"{RUN}+")
    last = "0" if path[-1] != "0" else "1"
    for wrong in (name, path.partition("?")[0], path[:-1] + last, path.replace("until=", "until=9")):
        assert face.ask("GET", wrong)[0] in (401, 404), wrong
    assert face.ask("GET", path.partition("?")[0], "reader")[0] == 200
    later = time.time() + 2 * Tickets.SECONDS + 1
    monkeypatch.setattr(access, "time", SimpleNamespace(time=lambda: later))
    assert face.ask("GET", path)[0] == 401


def test_a_ledger_is_what_vfl_ledger_show_prints(bank: Bank, face: Face) -> None:
    folder = a_run(bank, 1)
    assert face.get(f"/v1/runs/{RUN}/ledger", "reader")[0] == 404
    with LedgerWriter(folder / "ledger.jsonl", job="credit-risk", job_digest=bytes(32), party="bank"):
        pass
    status, body, _ = face.ask("GET", f"/v1/runs/{RUN}/ledger", "reader")
    assert (status, body.encode()) == (200, msgspec.json.encode(ledger_shown(folder, messages=False)))
    assert face.ask("GET", f"/v1/runs/{RUN}/ledger")[0] == 401


def test_pages_and_scripts_hold_no_data_and_need_nothing_from_elsewhere(face: Face) -> None:
    _, page, headers = face.ask("GET", "/")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert {f"/board/{name}" for name in SCRIPTS} >= set(re.findall(r'src="([^"]+)"', page))
    for address in ("/", "/board/board.css", "/board/report.css", "/board/icon.svg", *(f"/board/{n}" for n in SCRIPTS)):
        status, text, headers = face.ask("GET", address)
        assert status == 200, address
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)|url\(|<script>|style=\"|\son\w+=", text), address
    assert {path.name for path in PAGES.glob("*.js")} == set(SCRIPTS)
    for name in SCRIPTS:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", (PAGES / name).read_text())


def test_the_board_has_words_for_every_phase() -> None:
    told = re.search(r"const PHASES = \{(.*?)\};", (PAGES / "words.js").read_text(), re.DOTALL)
    assert told is not None
    assert re.findall(r"(\w+): \"", told[1]) == list(PHASES)


def identity(folder: Path, name: str) -> tuple[Path, Path]:
    """(certificate, key) of a user."""
    create_identity(folder / name, name)
    return folder / name / "cert.pem", folder / name / "key.pem"


def caller(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def test_mutual_tls(bank: Bank) -> None:
    """A user with a certificate needs no token; one with another certificate is refused in the handshake."""
    home = bank.file.parent
    jane, strange = identity(home, "jane-cert"), identity(home, "stranger")
    tls = 'certificate = "identity/cert.pem"\nkey = "identity/key.pem"\n'
    tls += '[node.http.access.gateway]\ncertificate = "jane-cert/cert.pem"\nroles = ["read", "approve"]\n'
    expired(home / "old")
    careless = authority(home / "careless", "careless")
    (home / "careless" / "cert.pem").write_bytes(careless.certificate_pem)
    issued = signed_by(careless, home / "issued", "jane")
    for user in ("old", "careless"):
        tls += f'[node.http.access.{user}]\ncertificate = "{user}/cert.pem"\nroles = ["read"]\n'
    own = home / "identity" / "cert.pem"
    with contextlib.closing(Face(bank, tls, tls=caller(own, None))) as face:
        digest = submit(face.service.table, face.service.party, bank.job).digest
        assert face.get("/v1/jobs")[0] == 401  # neither token nor certificate
        assert face.get("/v1/jobs", "reader")[0] == 200  # a token is enough
        shown = caller(own, None)
        shown.load_cert_chain(*jane)
        face._tls = shown
        assert face.get("/v1/jobs")[0] == 200
        status, told = face.post(f"/v1/jobs/{digest}/approve")
        assert (status, told["job"]["decisions"][0]["who"]) == (200, "gateway")
        assert face.ask("GET", "/v1/jobs", token="x" * 32)[0] == 401  # a wrong token is not made good by a certificate
        for wrong in (strange, (home / "old" / "cert.pem", home / "old" / "key.pem")):
            face._tls = caller(own, None)
            face._tls.load_cert_chain(*wrong)
            with pytest.raises((ssl.SSLError, OSError)):
                face.get("/v1/jobs")
        face._tls = caller(own, None)  # a user's certificate that may sign others makes no further users
        face._tls.load_cert_chain(issued.certificate_path, issued.key_path)
        assert face.get("/v1/jobs")[0] == 401


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('certificate = "identity/cert.pem"\nroles = ["read"]\n', "has no TLS to ask for it"),
        ('roles = ["read"]\n', "neither token nor certificate"),
        ('token = "reader"\ncertificate = "identity/cert.pem"\nroles = ["read"]\n', "a token and a certificate"),
    ],
)
def test_a_user_is_known_by_one_thing(bank: Bank, lines: str, says: str) -> None:
    with_http(bank)
    bank.file.write_text(bank.file.read_text() + f"[node.http.access.gateway]\n{lines}")
    with pytest.raises(ConfigError, match=says):
        load_party(bank.file)


def test_certificates_that_cannot_serve_are_refused(bank: Bank) -> None:
    with_http(bank, 'certificate = "identity/cert.pem"\nkey = "identity/key.pem"\n')
    text = bank.file.read_text()
    for files, says in (
        (("identity/cert.pem", "identity/cert.pem"), "the same certificate"),
        (("party.toml",), "holds no certificate"),
        (("nothing.pem",), "cannot be read"),
        (("identity/key.pem",), "holds a private key"),
    ):
        users = [f'[node.http.access.u{k}]\ncertificate = "{file}"\nroles = ["read"]\n' for k, file in enumerate(files)]
        bank.file.write_text(text + "".join(users))
        node = load_party(bank.file).node
        assert node is not None
        assert node.http is not None
        with pytest.raises(ConfigError, match=says):
            Users(node.http.access)


def test_a_listing_reads_again_what_has_changed(bank: Bank) -> None:
    directory = bank.file.parent / "runs"
    folder = a_run(bank, 1)
    (folder / "run.sqlite").touch()
    listing = Listing(directory)
    assert [one.outcome for one in listing.runs()] == ["unfinished"]
    first = listing.runs()
    assert listing.runs()[0] is first[0]  # nothing was read
    (folder / "report.json").write_text("{}")
    assert [one.outcome for one in listing.runs()] == ["done"]


def test_published_models_are_on_the_board(bank: Bank, face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face.service, "round", lambda: None)  # no process is started for it
    assert board(face)["online"] == []
    job = load_agreement(bank.job)
    assert isinstance(job, Job)
    face.service.online.publications.offer(job, bank.job.read_bytes(), None, None, "jane")
    (one,) = board(face)["online"]
    assert (one["job"], one["job_digest"], one["by"]) == ("credit-risk", job.digest.hex(), "jane")
    assert one["runs"] is False
