"""What a party keeps to itself is readable by its own account only, whatever the umask says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vfl.job.setup import init_party, trust_peer


@pytest.fixture(params=[0o022, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("umask")
def test_a_new_party_is_private(tmp_path: Path) -> None:
    bank, telecom = tmp_path / "bank", tmp_path / "telecom"
    init_party(bank, "guest", "bank", label="bad", listen="127.0.0.1:7443")
    init_party(telecom, "host", "telecom")
    assert (mode(bank), mode(bank / "identity")) == (0o700, 0o700)
    assert (mode(bank / "party.toml"), mode(bank / "identity" / "key.pem")) == (0o600, 0o600)
    trust_peer(bank, telecom / "identity" / "cert.pem")  # writes the party file anew
    assert mode(bank / "party.toml") == 0o600
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    before = mode(there)
    init_party(there, "host", "shop")
    assert mode(there) == before  # a folder of somebody's own is left as it was
    assert mode(there / "party.toml") == 0o600
