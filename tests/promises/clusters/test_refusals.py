"""What is wrong with a cluster is said in one typed error with a remedy, before anything is sent to a partner."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.errors import ComputeError, ConfigError, VFLError
from tests.places import ROOT
from tests.promises.clusters.clusters import KEY, Cluster, SlowCell, started, write_key
from tests.promises.processes.institutions import Institutions
from vfl.compute import dask, opening, ray
from vfl.compute.opening import opened


def refused(cluster: Cluster, workers: int = 2, memory: int = 0, kind: type[VFLError] = ComputeError) -> str:
    with pytest.raises(kind) as caught, opened(cluster.compute(workers), memory):
        pass
    assert caught.value.remedy
    return str(caught.value)


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """An address where nobody listens, and nobody else begins to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_more_workers_than_there_are(cluster: Cluster) -> None:
    assert "expected 40, found 3" in refused(cluster, 40)


def test_workers_that_others_use(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the three, another command has two; what it had is free again when it has ended."""
    if cluster.engine == "ray":
        with contextlib.ExitStack() as stack:

            def places(count: int) -> contextlib.closing[ray.RayEngine]:
                return contextlib.closing(ray.RayEngine(cluster.address, count, str(cluster.key)))

            stack.enter_context(places(1))
            for _ in range(2):
                with places(2), monkeypatch.context() as patch:
                    patch.setattr(ray, "PLACE_SECONDS", 2.0)
                    assert "fewer free workers than [compute] asks for (expected 1, found 0)" in refused(cluster, 1)


def test_workers_that_have_a_place_and_do_not_start(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a CPU, so machines are not added and others need not end: they are too slow."""
    module = {"ray": ray, "dask": dask}[cluster.engine]
    monkeypatch.setattr(module, "PLACE_SECONDS", 2.0)
    monkeypatch.setattr(module, "Cell", SlowCell)
    said = refused(cluster)
    assert "has a place for every worker, but not all have started within 180 s" in said
    assert "(expected 2, found 0)" in said
    assert "busy or slow" in said


def test_too_little_memory(cluster: Cluster) -> None:
    said = refused(cluster, 2, 1 << 45)
    assert "too little memory for 2 workers" in said
    assert "expected 67,108,864 MiB free, found " in said


def test_another_key(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "own_key", lambda file: b"x" * 32)
    assert "does not hold this party's key" in refused(cluster)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("5a5a", "does not hold 64"),
        ("zz" * 32, "does not hold 64"),
    ],
)
def test_no_key_that_is_one(cluster: Cluster, tmp_path: Path, content: str | None, says: str) -> None:
    key = tmp_path / "own.key"
    if content:
        write_key(key, content)
    said = refused(dataclasses.replace(cluster, key=key), kind=ConfigError)
    assert says in said
    assert f"(umask 077 && openssl rand -hex 32 > {key})" in said
    assert content is None or content not in said


def test_a_key_that_others_can_read(cluster: Cluster, tmp_path: Path) -> None:
    key = tmp_path / "own.key"
    write_key(key)
    key.chmod(0o640)
    said = refused(dataclasses.replace(cluster, key=key), kind=ConfigError)
    assert f"can be read by other users. Run chmod 600 {key}" in said
    assert KEY.hex() not in said


def test_nobody_listens(cluster: Cluster) -> None:
    with closed_port() as address:
        where = address if cluster.engine == "ray" else f"tcp://{address}"
        assert f"no {cluster.engine.capitalize()} cluster answers at {where} (Connection refused)" in refused(
            dataclasses.replace(cluster, address=where)
        )


def test_the_engine_is_not_installed(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    library = {"ray": "ray", "dask": "distributed"}[cluster.engine]
    monkeypatch.setitem(sys.modules, library, None)
    said = refused(cluster, kind=ConfigError)
    assert f"pip install 'vfl[{cluster.engine}]'" in said


@pytest.mark.parametrize("version", ["0.0.9", None])
def test_workers_of_another_release(tmp_path: Path, version: str | None) -> None:
    """Another version, or none at all; by Dask, whose start is the quicker one."""
    path = tmp_path / "installed"
    (path / "vfl").mkdir(parents=True)
    for file in (ROOT / "vfl").iterdir():
        if file.name not in ("version.py", "compute") or (version and file.name == "compute"):
            (path / "vfl" / file.name).symlink_to(file)
    (path / "protocols").symlink_to(ROOT / "protocols")
    (path / "vfl" / "version.py").write_text(f'__version__ = "{version}"\n')
    with started("dask", 1, tmp_path, path) as cluster:
        said = refused(cluster, 1)
    assert "the workers of the Dask cluster do not have this release of vfl" in said
    assert not version or f"found {version}" in said


def test_commands_say_so_before_they_meet_anybody(tmp_path: Path) -> None:
    """`vfl check`, `run` and `align`: exit code 8, one line, and no run folder."""
    there = Institutions(tmp_path).lay_out()
    write_key(tmp_path / "bank" / "compute.key")
    file = there.file("bank")
    with closed_port() as address:
        file.write_text(
            f'{file.read_text()}\n[compute]\nengine = "ray"\naddress = "{address}"\nworkers = 2\nkey = "compute.key"\n'
        )
        for command in ("check", "run", "align"):
            there.here(command, there.job, file).says(8, f"no Ray cluster answers at {address}", "Check \\[compute\\]")
    assert not list((tmp_path / "bank").glob("runs/*"))


def test_a_waiting_partner_hears_only_that_it_could_not_use_its_own_workers(tmp_path: Path) -> None:
    there = Institutions(tmp_path).lay_out()
    write_key(tmp_path / "telecom" / "compute.key")
    bank = there.start("bank", command="align")
    with closed_port() as address:
        section = f'[compute]\nengine = "dask"\naddress = "tcp://{address}"\nworkers = 2\nkey = "compute.key"\n'
        there.file("telecom").write_text(f"{there.file('telecom').read_text()}\n{section}")
        there.vfl("align", there.job, there.file("telecom")).says(8, "no Dask cluster answers")
    ended = bank.wait()
    ended.says(4, "telecom could not use its own workers")
    assert address not in ended.err
    assert json.dumps(address) not in ended.out
    assert os.environ["RAY_AUTH_TOKEN"] not in ended.err


def test_ray_that_was_imported_without_a_token(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local cluster would be open to everybody on this machine."""
    if cluster.engine == "ray":
        monkeypatch.delenv("RAY_AUTH_MODE")
        said = refused(dataclasses.replace(cluster, address="local"))
        assert "before it had a token" in said


def test_a_local_cluster_that_cannot_be_started(cluster: Cluster, tmp_path: Path) -> None:
    """Ray's sockets need a short path; Dask gives up on a busy machine."""
    if cluster.engine == "dask":

        def slow(**options: object) -> None:
            raise TimeoutError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("distributed.LocalCluster", slow)
            said = refused(dataclasses.replace(cluster, address="local"))
        assert "a local Dask cluster cannot be started (TimeoutError)" in said
    else:
        long = tmp_path / ("long" * 30)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_TMPDIR", str(long))
            said = refused(dataclasses.replace(cluster, address="local"))
        assert "a local Ray cluster cannot be started (OSError)" in said
