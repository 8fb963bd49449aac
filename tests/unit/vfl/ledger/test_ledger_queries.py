"""One signed line per hour counts online queries."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from protocols.glm.training import Columns
from vfl.ledger import LedgerBroken, LedgerWriter, read_ledger, verify_ledger
from vfl.ledger.writing import encode
from vfl.run.ledger_shown import ledger_shown
from vfl.transport.identity import Identity


@pytest.fixture
def ledger(tmp_path: Path, identity: Identity) -> Path:
    path = tmp_path / "ledger.jsonl"
    with LedgerWriter(path, job="j", job_digest=bytes(32), party="bank", sign=identity.sign) as writer:
        writer.record("telecom", Columns, b"x", 1)
        writer.queries("2026-12-01T12", {"telecom": 3, "carrier": 2})
        writer.queries("2026-12-01T13", {"telecom": 1})
    (tmp_path / "cert.pem").write_bytes(identity.certificate_pem)
    return path


def certificate(ledger: Path) -> bytes:
    return (ledger.parent / "cert.pem").read_bytes()


def test_hours_of_queries_stand_in_the_ledger(ledger: Path) -> None:
    check = verify_ledger(ledger, certificate(ledger))
    assert (check.signed, check.messages) == (True, 1)
    assert ledger_shown(ledger, messages=False).queries == {"telecom": 4, "carrier": 2}


def rewritten(ledger: Path, number: int, **change: object) -> None:
    """The chain is made again after the change, as whoever can write the file could."""
    lines, previous = list(read_ledger(ledger)), "0" * 64
    lines[number] |= change
    out = list[bytes]()
    for line in lines:
        line["previous"] = previous
        out.append(encode(line))
        previous = hashlib.sha256(out[-1]).hexdigest()
    ledger.write_bytes(b"\n".join(out) + b"\n")


@pytest.mark.parametrize("change", [{"partners": {"telecom": 1}}, {"hour": "2026-12-01T11"}, {"signature": None}])
def test_a_changed_count_is_found_by_its_signature(ledger: Path, change: dict[str, object]) -> None:
    rewritten(ledger, 2, **change)
    with pytest.raises(LedgerBroken, match=r"line 3 (is not signed by|bears no signature)"):
        verify_ledger(ledger, certificate(ledger))


@pytest.mark.parametrize("partners", [[], {"telecom": 0}, {"telecom": "3"}, None])
def test_a_line_that_counts_nothing_is_no_line(ledger: Path, partners: object) -> None:
    rewritten(ledger, 2, partners=partners)
    with pytest.raises(LedgerBroken, match="not a line as the ledger writes it"):
        verify_ledger(ledger)
