"""What the showing commands say of a ledger, to somebody who must judge a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.alignment.ecdh import BlindedIds, IntersectionSize
from protocols.cipher import CipherVec
from protocols.errors import ConfigError
from protocols.glm.training import Columns
from protocols.message import Disclosure, registry
from vfl.cli.ledgers import print_ledger
from vfl.ledger import LedgerTap, LedgerWriter, continued
from vfl.run.ledger_shown import ledger_shown
from vfl.screen.console import Console


def test_every_kind_of_message_says_what_its_receiver_learns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed = next(
        kind
        for kind in registry().values()
        if kind.disclosure is Disclosure.SEALED and any(field is CipherVec for _, field in kind.schema())
    )
    path = tmp_path / "ledger.jsonl"
    with LedgerWriter(path, job="credit", job_digest=bytes(32), party="bank") as writer:
        tap = LedgerTap(writer)
        for kind in (BlindedIds, IntersectionSize, Columns, sealed):
            tap.sent("telecom", kind, b"x")
        for size in (100, 900):
            tap.received("telecom", BlindedIds, bytes(size))
    print_ledger(ledger_shown(path, messages=False), Console(width=140))
    shown = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if line.startswith(" telecom")}
    assert "nothing: random numbers" in shown["BlindedIds"]
    assert "how many ids all parties have in common" in shown["IntersectionSize"]
    assert "what the job says" in shown["Columns"]
    assert "nothing: it has no key" in shown[sealed.kind]


def test_a_folder_without_a_ledger_is_named_with_the_cause(tmp_path: Path) -> None:
    """`runs/latest` can be a prediction of a member, which sends nothing."""
    with pytest.raises(ConfigError, match=r"holds no ledger\. .*a prediction of a member.*vfl runs PARTY\.toml lists"):
        ledger_shown(tmp_path, messages=False)


def test_what_came_and_interruptions_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ledger.jsonl"
    options = {"job": "credit", "job_digest": bytes(32), "party": "bank"}
    with LedgerWriter(path, **options) as writer:  # type: ignore[arg-type]
        tap = LedgerTap(writer)
        for size in (100, 900):
            tap.received("telecom", BlindedIds, bytes(size))
    whole = path.read_bytes()
    path.write_bytes(whole.rsplit(b"\n", 2)[0] + b"\n")  # killed before its last line
    continued(path, sign=None, **options).close()  # type: ignore[arg-type]
    print_ledger(ledger_shown(path, messages=False), Console(width=140))
    text = " ".join(capsys.readouterr().out.split())
    assert "received from telecom: 2 messages" in text
    assert "resumed after an interruption or vfl prepare: 20" in text
