"""A party that cuts, removes, or writes its ledger anew is found out: by itself where a run resumes, by its partner at
`vfl ledger reconcile`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocols.channel import Count
from protocols.errors import ConfigError, RemoteProtocolError
from tests.promises.processes.institutions import Institutions, institutions
from tests.promises.processes.test_resumed_runs import until_sent
from vfl.ledger import LedgerBroken, Witness, read_ledger, reconcile, signatures
from vfl.ledger.witness import FILE
from vfl.ledger.writing import START, encode, signed_part
from vfl.storage.run_store import FILE as STORE
from vfl.transport.identity import Identity, create_identity

Lines = list[dict[str, Any]]
DENIED = "signed as broken off before the last messages came"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Institutions]:
    """Two real processes that have aligned their ids."""
    with institutions(tmp_path_factory.mktemp("ended")) as made:
        made.lay_out()
        started = {name: made.start(name, command="align") for name in ("bank", "telecom")}
        assert [process.wait(60).code for process in started.values()] == [0, 0]
        yield made


@pytest.fixture
def runs(ended: Institutions, tmp_path: Path) -> dict[str, Path]:
    """A copy of each one's folder of the run."""
    found = {}
    for name in ("bank", "telecom"):
        (folder,) = (ended.folder / name / "runs").glob("credit-risk-*")
        found[name] = Path(shutil.copytree(folder, tmp_path / name))
    return found


def signed_anew(lines: Lines, identity: Identity, outcome: str) -> bytes:
    """The ledger that these lines would be, chained, closed and signed by its own party."""
    written, previous, sent = list[bytes](), START, [line for line in lines if line["type"] == "message"]
    counts: dict[tuple[str, str], int] = {}
    for number, line in enumerate(sent, 1):
        pair = line["to"], line["message"]
        counts[pair] = counts.get(pair, 0) + 1
        line |= {"number": number, "count": counts[pair]}
    end = {
        "type": "end",
        "time": "2026-01-01T00:00:00.000Z",
        "outcome": outcome,
        "messages": len(sent),
        "bytes": sum(x["bytes"] for x in sent),
    }
    for line in [*lines, end]:
        line["previous"] = previous
        if line is end:
            line["signature"] = base64.b64encode(identity.sign(signed_part(line))).decode()
        previous = hashlib.sha256(encode(line)).hexdigest()
        written.append(encode(line) + b"\n")
    return b"".join(written)


def cut(lines: Lines) -> Lines:
    """Without the last message that came before Kept, and all that follows it: Kept itself bears the signatures."""
    last = max(i for i, line in enumerate(lines) if line["type"] == "received" and line["message"] != "Kept")
    return lines[:last]


def denied(lines: Lines) -> Lines:
    """Without the last two messages that came: the party says that it never got them."""
    came = [line for line in lines if line["type"] == "received" and line["seq"]]
    return [line for line in lines if line not in came[-3:]]  # Kept, which bears the signatures, and two before it


def other_history(lines: Lines) -> Lines:
    """The first message that came had another content."""
    first = next(line for line in lines if line["type"] == "received" and line["seq"] == 1)
    return [line | ({"sha256": "ab" * 32} if line is first else {}) for line in lines]


def identity_of(ended: Institutions, name: str) -> Identity:
    folder = ended.folder / name / "identity"
    return Identity.load(folder / "key.pem", folder / "cert.pem")


EDITS: dict[str, Callable[[Lines, Identity], bytes]] = {
    "cut, and left open": lambda lines, _: b"".join(encode(line) + b"\n" for line in cut(lines)),
    "cut, and signed as broken off": lambda lines, identity: signed_anew(cut(lines), identity, "peer-closed"),
    "begun anew": lambda lines, identity: signed_anew(lines[:1], identity, "peer-closed"),
    DENIED: lambda lines, identity: signed_anew(denied(lines), identity, "peer-closed"),
}


def test_untouched_ledgers_agree_and_both_have_signed(ended: Institutions, runs: dict[str, Path]) -> None:
    found = ended.here("ledger", "reconcile", runs["bank"], runs["telecom"])
    assert found.code == 0
    mark = identity_of(ended, "telecom").fingerprint()
    assert mark[:20] in found.out.replace("\n", "")
    assert "telecom signed them" in found.out
    assert "bank signed them" in found.out
    assert (runs["bank"] / FILE).stat().st_mode & 0o777 == 0o600
    statement = signatures(runs["bank"] / FILE)["telecom"].statement
    lines = list(read_ledger(runs["telecom"] / "ledger.jsonl"))
    assert (
        statement["sent"] == sum(line["type"] == "message" and line["seq"] > 0 for line in lines) - 1
    )  # all before Kept
    assert statement["sent"] > 3


@pytest.mark.parametrize("edit", EDITS)
def test_the_partner_finds_what_was_cut_or_written_anew(ended: Institutions, runs: dict[str, Path], edit: str) -> None:
    ledger = runs["telecom"] / "ledger.jsonl"
    lines = [line for line in read_ledger(ledger) if line["type"] != "end"]
    ledger.write_bytes(EDITS[edit](lines, identity_of(ended, "telecom")))
    found = ended.here("ledger", "reconcile", runs["bank"], runs["telecom"])
    assert found.code == 5
    assert "is not the ledger of which telecom signed" in " ".join(found.err.split())
    (runs["bank"] / FILE).unlink()
    (runs["telecom"] / FILE).unlink()
    found = ended.here("ledger", "reconcile", runs["bank"], runs["telecom"])
    if edit == DENIED:  # the control: without signatures, messages that never arrived look so
        assert found.code == 0
        assert "No signature of telecom is kept" in found.out
    else:
        assert "that telecom did not send" in " ".join(found.err.split())


def test_a_removed_ledger_is_missed(ended: Institutions, runs: dict[str, Path]) -> None:
    (runs["telecom"] / "ledger.jsonl").unlink()
    found = ended.here("ledger", "reconcile", runs["bank"], runs["telecom"])
    assert found.code == 5
    assert "is missing, and" in " ".join(found.err.split())
    (runs["bank"] / FILE).unlink()
    found = ended.here("ledger", "reconcile", runs["bank"], runs["telecom"])
    assert found.code == 2  # the control: a file that is not there


def test_two_parties_that_write_another_history_together_do_not_fit_their_signatures(
    ended: Institutions, runs: dict[str, Path]
) -> None:
    """Both change one message, and sign their ledgers: what each signed before still tells."""
    ledgers = {
        name: [line for line in read_ledger(folder / "ledger.jsonl") if line["type"] != "end"]
        for name, folder in runs.items()
    }
    lines = other_history(ledgers["telecom"])
    (runs["telecom"] / "ledger.jsonl").write_bytes(signed_anew(lines, identity_of(ended, "telecom"), "done"))
    first = next(line for line in ledgers["bank"] if line["type"] == "message" and line["seq"] == 1)
    changed = [line | ({"sha256": "ab" * 32} if line is first else {}) for line in ledgers["bank"]]
    (runs["bank"] / "ledger.jsonl").write_bytes(signed_anew(changed, identity_of(ended, "bank"), "done"))
    with pytest.raises(LedgerBroken, match="signed"):
        reconcile(runs["bank"] / "ledger.jsonl", runs["telecom"] / "ledger.jsonl")


@pytest.mark.parametrize("change", [{"sent": 1}, {"received_sha256": "cd" * 32}, {"run": "00" * 16}, {"party": "shop"}])
def test_an_edited_signature_does_not_hold(runs: dict[str, Path], change: dict[str, Any]) -> None:
    path = runs["bank"] / FILE
    content = json.loads(path.read_bytes())
    content["partners"]["telecom"] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(LedgerBroken, match="telecom's signature does not hold"):
        reconcile(runs["bank"] / "ledger.jsonl", runs["telecom"] / "ledger.jsonl")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"format":2,"partners":{}}', b'{"format":1,"partners":{"a":{}}}', b"[" * 9000, b"\xff"]
)
def test_a_file_that_no_run_wrote_is_refused(runs: dict[str, Path], content: bytes) -> None:
    (runs["bank"] / FILE).write_bytes(content)
    with pytest.raises(ConfigError, match="is not what a run wrote"):
        reconcile(runs["bank"] / "ledger.jsonl", runs["telecom"] / "ledger.jsonl")


def test_a_partner_that_signs_something_else_is_named(tmp_path: Path) -> None:
    bank, telecom = (create_identity(tmp_path / name, name) for name in ("bank", "telecom"))
    both = (telecom.certificate_pem, bank.certificate_pem)  # as while the bank renews its own
    mine = Witness(tmp_path, bytes(32), bytes(16), "bank", bank.sign, {"telecom": (telecom.certificate_pem,)})
    theirs = Witness(
        tmp_path,
        bytes(32),
        bytes(16),
        "telecom",
        telecom.sign,
        {"bank": both},
    )
    count = Count(3, 4, b"c" * 32, b"p" * 32)
    mine.accept("telecom", count.mirrored(), theirs.sign("bank", count.mirrored()))
    for wrong in (Count(3, 4, b"c" * 32, b"q" * 32).mirrored(), count._replace(sent=2).mirrored(), count):
        with pytest.raises(RemoteProtocolError, match="did not sign") as caught:
            mine.accept("telecom", count.mirrored(), theirs.sign("bank", wrong))
        assert caught.value.party == "telecom"
    with pytest.raises(RemoteProtocolError):
        mine.accept("telecom", count.mirrored(), bank.sign(b"anything"))
    assert signatures(tmp_path / FILE)["telecom"].holds


# -- where a run resumes


def interrupted(parties: Institutions) -> Path:
    """The bank's ledger of a run in which it was killed."""
    parties.lay_out(max_iter=12)
    started = {name: parties.start(name) for name in parties.roles}
    until_sent(parties, "bank", 14)
    started["bank"].kill(signal.SIGKILL)
    for process in started.values():
        process.wait(30)
    (ledger,) = (parties.folder / "bank").rglob("ledger.jsonl")
    assert (ledger.parent / STORE).exists()
    return ledger


def hears(parties: Institutions, code: int, words: str) -> None:
    """What the bank is told when it gives its command again, alone."""
    found = parties.here("run", "--progress", "lines", "--connect-timeout", "1", parties.job, parties.file("bank"))
    assert found.code == code, found.err
    assert re.search(words, " ".join(found.err.split())), found.err


@pytest.mark.slow
def test_no_run_resumes_without_its_ledger(parties: Institutions, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner hears of it before anything is sent; when the ledger is back, the same command resumes.  (What was sent
    since the last checkpoint, here since the chunk began, only partners miss.)"""
    ledger = interrupted(parties)
    data = ledger.read_bytes()
    lines = data.split(b"\n")
    ledger.unlink()
    hears(parties, 2, "the ledger .* of the interrupted run cannot be read .* Put it back")
    with (
        monkeypatch.context() as planted
    ):  # whoever does not look takes it for a run to resume, and only misses its peers
        planted.setattr("vfl.run.stored_run.read_unfinished", lambda path, head: None)
        hears(parties, 4, "telecom did not call this party")
    rows = [line for line in map(json.loads, lines[:-1]) if line["type"] != "end"]
    folder = parties.folder / "bank" / "identity"
    anew = signed_anew(other_history(rows), Identity.load(folder / "key.pem", folder / "cert.pem"), "peer-closed")
    for changed in (b"", *(b"".join(line + b"\n" for line in lines[:count]) for count in (1, 3, -12)), anew):
        ledger.write_bytes(changed)
        hears(
            parties, 5, "lacks lines that this party had written: it was cut or rewritten. Put the unchanged file back"
        )
    ledger.write_bytes(data)
    results = parties.together()
    assert [result.code for result in results.values()] == [0, 0, 0], [result.err for result in results.values()]
    assert json.loads(results["bank"].report.read_text())["resumed"]
