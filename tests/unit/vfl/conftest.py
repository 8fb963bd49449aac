from pathlib import Path

import pytest

from protocols.alignment.ecdh import BlindedIds, IntersectionSize
from protocols.glm.training import Columns
from vfl.job import Party, load_job, load_party, starter_job
from vfl.ledger import LedgerTap, LedgerWriter
from vfl.transport.identity import create_identity


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "job.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    return create_identity(tmp_path_factory.mktemp("bank"), "bank")


@pytest.fixture(scope="module")
def other_identity(tmp_path_factory):
    return create_identity(tmp_path_factory.mktemp("telecom"), "telecom")


@pytest.fixture
def ledger(tmp_path: Path, identity) -> Path:
    path = tmp_path / "ledger.jsonl"
    with LedgerWriter(path, job="credit-risk", job_digest=bytes(32), party="bank", sign=identity.sign) as writer:
        tap = LedgerTap(writer)
        for peer, kind, data in [
            ("telecom", BlindedIds, b"x" * 100),
            ("trustco", Columns, b"yy"),
            ("telecom", IntersectionSize, b"z"),
            ("telecom", BlindedIds, b"w" * 50),
        ]:
            tap.sent(peer, kind, data)
    return path


@pytest.fixture
def load(tmp_path: Path):
    def load(text: str) -> Party:
        (tmp_path / "party.toml").write_text(text)
        return load_party(tmp_path / "party.toml")

    return load


@pytest.fixture
def job(tmp_path: Path):
    def job(**options):
        (tmp_path / "job.toml").write_text(starter_job(**options))
        return load_job(tmp_path / "job.toml")

    return job
