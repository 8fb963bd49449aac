"""[compute] of a party file: one engine, and nothing that would be ignored."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocols.errors import ConfigError
from vfl.compute.engine import is_here
from vfl.job import load_party
from vfl.job.setup import init_party

KEY = 'key = "compute.key"\n'


def load(folder: Path, section: str):
    if not (folder / "party.toml").exists():
        init_party(folder, "arbiter", "trustco")
        (folder / "original").write_text((folder / "party.toml").read_text())
    (folder / "party.toml").write_text((folder / "original").read_text() + "\n" + section)
    return load_party(folder / "party.toml").compute


def test_without_the_section_a_party_works_alone(tmp_path: Path) -> None:
    found = load(tmp_path, "")
    assert (found.engine, found.workers, found.key) == ("inline", 0, None)


@pytest.mark.parametrize(
    ("engine", "address"),
    [
        ("ray", "local"),
        ("ray", "10.0.0.5:6379"),
        ("ray", "head.example:6379"),
        ("dask", "tls://10.0.0.5:8786"),
        ("dask", "tcp://[::1]:8786"),
    ],
)
def test_a_cluster(tmp_path: Path, engine: str, address: str) -> None:
    found = load(tmp_path, f'[compute]\nengine = "{engine}"\naddress = "{address}"\nworkers = 8\n{KEY}')
    assert (found.engine, found.address, found.workers) == (engine, address, 8)
    assert found.key == tmp_path / "compute.key"
    assert is_here(address) == (address in ("local", "tcp://[::1]:8786"))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("workers = 2", "compute.workers does nothing without a cluster"),
        ('address = "10.0.0.5:6379"', "compute.address does nothing without a cluster"),
        (KEY, "compute.key does nothing without a cluster"),
        ('engine = "spark"', '"spark"'),
        (f'engine = "ray"\n{KEY}', "compute.workers is missing or 0"),
        ('engine = "ray"\nworkers = 2', "compute.key is missing"),
        (f'engine = "ray"\nworkers = 2000\n{KEY}', "compute.workers"),
        (f'engine = "ray"\nworkers = -1\n{KEY}', "compute.workers"),
        (f'engine = "ray"\nworkers = 2\naddress = "ray://h:1"\n{KEY}', "ray://h:1"),
        (f'engine = "ray"\nworkers = 2\naddress = "tcp://h:1"\n{KEY}', "compute.address has a scheme"),
        (f'engine = "dask"\nworkers = 2\naddress = "h:8786"\n{KEY}', "compute.address has no scheme"),
        (f'engine = "dask"\nworkers = 2\naddress = "tls://h:99999"\n{KEY}', "compute.address"),
        (f'engine = "dask"\nworkers = 2\naddress = "somewhere"\n{KEY}', "compute.address"),
        (f'engine = "ray"\nworkers = 2\nmemory = 3\n{KEY}', "compute.memory"),
    ],
)
def test_what_is_refused(tmp_path: Path, lines: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"[compute]\n{lines}\n")
    assert says in re.sub(r" \(line \d+\)", "", str(caught.value))
    assert caught.value.remedy
