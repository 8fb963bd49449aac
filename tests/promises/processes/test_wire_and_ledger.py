"""What crosses between guest and host is TLS 1.3, what the ledger says left is what left, and what is not allowed does
not leave."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from protocols import channel
from protocols.errors import DisclosureRefused
from protocols.message import REVEALED, Message
from protocols.session import Observer, Session
from tests.promises.processes.institutions import CANARIES, Institutions
from tests.unit.vfl.transport.test_tls_only import check_tls13_only, recorder
from tests.unit.vfl.transport.world import at_once
from vfl.job import load_job, load_party
from vfl.ledger import read_ledger, verify_ledger
from vfl.run import session as meeting
from vfl.run import train as runner
from vfl.run.train import prepare

REPORT_KEYS = {
    "format",
    "job",
    "job_digest",
    "role",
    "alignment",
    "metrics",
    "phases",
    "disclosure",
    "environment",
}  # job-and-party.md
ADDED_KEYS = {
    "run",
    "purpose",
    "party",
    "parties",
    "started",
    "outcome",
    "model",
    "permits",
    "job_file",
    "plots",
    "encryption",
    "peak_memory",
}  # docs/file-formats.md
AGREEING = ["Standing", "Counted", "Counted"]  # what a host says before the run itself: to the guest, and to both
MAYBE = {"cautions"}  # where this party's own table deserves a word
OF_DATA = {"columns", "stability", "inputs"}  # at parties with a table
OF_LABELS = {"uplift", "classes", "outcome_column"}  # at the guest


def found(capture: bytes) -> list[bytes]:
    """The canaries in a capture."""
    return [canary for canary in CANARIES if canary in capture]


def test_a_recorder_between_guest_and_host_sees_tls_only(parties: Institutions) -> None:
    parties.lay_out()
    port = int(parties.ports["bank"].rpartition(":")[2])
    with recorder(port) as between:
        parties.change("telecom", parties.ports["bank"], f"127.0.0.1:{between.port}")
        results = parties.done()
    assert len(between.seen) == 1
    to_guest, to_host = map(bytes, between.seen[0])
    check_tls13_only(to_guest, to_host)
    assert len(to_guest) + len(to_host) > 10_000
    assert found(to_guest + to_host) == []
    clear = b"".join(
        f.read_bytes()
        for f in (parties.folder / "telecom" / "customers.csv", parties.folder / "bank" / "customers.csv")
    )
    assert found(clear) == list(CANARIES)  # planted: the same search in what was hidden
    check_report(results["bank"].report, "guest")
    check_report(results["telecom"].report, "host")
    check_report(results["trustco"].report, "arbiter")


def check_report(path: Path, role: str) -> None:
    """report.json has the contract's keys, all of them and no other; its disclosure is the ledger's."""
    report = json.loads(path.read_text())
    own = {"guest": OF_DATA | OF_LABELS, "host": OF_DATA, "arbiter": set[str]()}[role]
    assert set(report) - MAYBE == REPORT_KEYS | ADDED_KEYS | own
    assert (report["format"], report["role"]) == (1, role)
    assert set(report["alignment"]) >= ({"guest_rows", "host_rows", "intersection"} if role != "arbiter" else set())
    assert all(set(p) >= {"name", "seconds", "bytes_sent", "bytes_received"} for p in report["phases"])
    assert [p["name"] for p in report["phases"]][-3:] == ["evaluate", "write", "finish"]
    assert 50e6 < report["peak_memory"] < 4e9
    assert all(set(d) == {"message", "class", "to", "count", "bytes", "learns"} for d in report["disclosure"])
    if role == "guest":
        assert set(report["metrics"]) == {"test"}
        assert set(report["metrics"]["test"]) == {"joint", "guest_alone"}
        assert all({"auc", "ks", "gini", "log_loss", "brier"} <= set(m) for m in report["metrics"]["test"].values())
    lines = [line for line in read_ledger(path.parent / "ledger.jsonl") if line["type"] == "message"]
    assert sum(d["count"] for d in report["disclosure"]) == len(lines)
    assert (
        sum(d["bytes"] for d in report["disclosure"])
        == sum(line["bytes"] for line in lines)
        == sum(p["bytes_sent"] for p in report["phases"])
    )


class Leak(Message, disclosure=REVEALED, permit="raw-rows-to-guest", learns="everything (planted by a test)"):
    rows: bytes


def in_threads(parties: Institutions, **instead: Any) -> dict[str, Any]:
    """`vfl run` of all parties in this process, over TLS all the same; returns each one's folder, or its error."""
    ready = {name: prepare(load_job(parties.job), load_party(parties.file(name))) for name in parties.roles}
    works = [lambda one=one: runner.run(one, Observer(), connect_timeout=20) for one in ready.values()]
    return dict(zip(ready, at_once(*works), strict=True))


def test_the_ledger_lists_exactly_the_bytes_that_went_into_the_channel(
    parties: Institutions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded below every tap, at the wire."""
    put: dict[str, list[tuple[str, bytes]]] = {name: [] for name in ("bank", "telecom", "trustco")}

    class Recorded(meeting.TlsNetwork):
        def connect(self) -> Any:
            wires = super().connect()
            return {peer: RecordedWire(wire, put[wire.me]) for peer, wire in wires.items()}

    class RecordedWire:
        def __init__(self, wire: channel.Wire, seen: list[tuple[str, bytes]]) -> None:
            self._wire, self._seen, self.me, self.peer, self.recv = wire, seen, wire.me, wire.peer, wire.recv

        def send(self, data: bytes) -> None:
            self._seen.append((self.peer, data))
            self._wire.send(data)

    monkeypatch.setattr(meeting, "TlsNetwork", Recorded)
    parties.lay_out()
    folders = in_threads(parties)
    for name, folder in folders.items():
        check = verify_ledger(folder / "ledger.jsonl", (parties.folder / name / "identity" / "cert.pem").read_bytes())
        lines = [line for line in read_ledger(folder / "ledger.jsonl") if line["type"] == "message"]
        assert [(x["to"], x["bytes"], x["sha256"]) for x in lines] == [
            (p, len(d), hashlib.sha256(d).hexdigest()) for p, d in put[name]
        ]
        assert check.bytes == sum(len(d) for _, d in put[name]) > 1000
        assert all(x["message"].encode() in d for x, (_, d) in zip(lines, put[name], strict=True))
        whole = (folder / "ledger.jsonl").read_bytes() + b"".join(d for _, d in put[name])
        assert found(whole) == []
    # planted: the search sees an id that does cross
    assert found(
        b"".join(d for _, d in put["bank"]) + pd.read_csv(parties.folder / "bank" / "customers.csv").iloc[0, 0].encode()
    ) == [b"CANARY"]


def test_a_planted_leak_does_not_leave(parties: Institutions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host's program that sends its rows to the guest: refused before it is encoded, and the others stop."""

    honest = runner.program

    def leaking(ready: meeting.Ready) -> Any:
        def host(session: Session) -> Any:
            session.guest.send(Leak((parties.folder / "telecom" / "customers.csv").read_bytes()))

        return host if ready.party.role == "host" else honest(ready)

    monkeypatch.setattr(runner, "program", leaking)
    parties.lay_out()
    results = in_threads(parties)
    refused = results["telecom"]
    assert isinstance(refused, DisclosureRefused)
    assert "Leak was not sent to bank: it needs the permission 'raw-rows-to-guest'" in str(refused)
    for name in ("bank", "trustco"):
        assert results[name].party == "telecom"
    (ledger,) = (parties.folder / "telecom").rglob("ledger.jsonl")
    assert [line["message"] for line in read_ledger(ledger) if line["type"] == "message"] == AGREEING
    assert [line.get("outcome") for line in read_ledger(ledger)][-1] == "disclosure-refused"
    for name in ("bank", "trustco"):
        assert found(b"".join(p.read_bytes() for p in (parties.folder / name / "runs").rglob("*") if p.is_file())) == []
