"""`vfl support`: what it packs, and that no content of a run's folder is in it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from protocols.alignment.ecdh import BlindedIds
from protocols.errors import ConfigError
from tests.unit.vfl.run.test_events import Kept
from tests.unit.vfl.run.test_events import run as write_events
from vfl.ledger import LedgerTap, LedgerWriter
from vfl.run.support import pack
from vfl.version import __version__

CANARY = "CANARY-00017"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with a canary wherever data, paths or names of people can stand."""
    folder = tmp_path / CANARY / "credit-20260101-090000"
    folder.mkdir(parents=True)
    write_events(folder, Kept())
    with (folder / "events.jsonl").open("a") as file:
        file.write(f'{{"id":"{CANARY}"}}\nnot JSON {CANARY}\n')
    with LedgerWriter(
        folder / "ledger.jsonl", job="credit", job_digest=bytes(32), party="bank", approved_by=CANARY
    ) as w:
        LedgerTap(w).sent("telecom", BlindedIds, CANARY.encode())
    for name in ("scores.csv", "report.json", "reasons.csv", "run.sqlite"):
        (folder / name).write_text(CANARY)
    return folder


def content(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_it_holds_versions_events_and_heads_and_no_data(run: Path, tmp_path: Path) -> None:
    out, names = pack(run, tmp_path / "support.zip")
    held = content(out)
    assert list(held) == names == ["versions.json", "ledger.json", "events.jsonl"]
    assert f'"vfl": "{__version__}"' in held["versions.json"]
    assert '"phase":"train"' in held["events.jsonl"]
    assert '"outcome": "done"' in held["ledger.json"]
    assert "BlindedIds" in held["ledger.json"]
    assert not [name for name, text in held.items() if CANARY in text]
    assert CANARY in (run / "events.jsonl").read_text()  # the planted ones were there
    assert CANARY in (run / "ledger.jsonl").read_text()
    assert out.stat().st_mode & 0o077 == 0


def test_what_is_no_run_is_refused_and_a_damaged_ledger_is_not(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no run's folder"):
        pack(tmp_path, tmp_path / "support.zip")
    with pytest.raises(ConfigError, match=r"is a folder\. Name a file in it"):
        pack(run, tmp_path)
    (run / "ledger.jsonl").write_text("torn")
    out, _ = pack(run, tmp_path / "support.zip")
    assert "ledger-broken" in content(out)["ledger.json"]
