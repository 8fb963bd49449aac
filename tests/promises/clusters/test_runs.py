"""`vfl align` on a cluster: a worker dies, the command dies, the next one has other workers, and the rows are right."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from tests.promises.clusters.clusters import Cluster, children, name, started
from tests.promises.processes.institutions import KEY, Ended, Institutions, Process, institutions, tables

ROWS = 30_000
STARTS = 240  # seconds for workers to start, on a machine with other work too
ALONE = {"PYTHONUNBUFFERED": "1"}  # as a process of its own, since engines start threads


def section(there: Institutions, text: str) -> None:
    file = there.file("bank")
    file.write_text(file.read_text().split("\n[compute]")[0] + text)


def rows(ended: Ended) -> list[str]:
    assert ended.code == 0, ended.err
    assert all(json.loads(line) for line in ended.out.splitlines() if line.startswith("{"))
    return pd.read_parquet(ended.folder / "aligned.parquet")[KEY].tolist()


def end_workers(cluster: Cluster) -> int:
    """Kills the processes of all workers; how many there were."""
    found = [pid for pid in children(cluster.pid) if name(pid).startswith("ray::Cell")]
    if cluster.engine == "dask":  # below each nanny, of which only workers have no children but a tracker
        found = [pid for pid in children(cluster.pid) if "spawn_main" in name(pid)]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_workers_die_the_command_dies_and_others_go_on(cluster: Cluster, tmp_path: Path) -> None:
    expected = sorted(set(tables(ROWS)["telecom"][KEY]))
    with institutions(tmp_path) as there:
        there.lay_out(tables(ROWS), reconnect=STARTS)
        tables(ROWS)["bank"].to_parquet(there.folder / "bank" / "customers.parquet")  # so that workers have the ids
        there.change("bank", 'source = "customers.csv"', 'source = "customers.parquet"')
        section(there, cluster.section(2))
        telecom = there.start("telecom", command="align", timeout=STARTS)
        bank = there.start("bank", command="align", timeout=STARTS, environment=ALONE)
        bank.until(lambda events: any(event["phase"] == "align" for event in events), STARTS)
        assert end_workers(cluster) >= 2
        bank.until(lambda events: any(event["phase"] == "align" and (event["step"] or 0) > 1 for event in events))
        bank.kill()
        bank.wait()
        section(there, cluster.section(3))
        again = there.start("bank", command="align", timeout=STARTS, environment=ALONE).wait(STARTS)
        assert rows(again) == rows(telecom.wait())
        assert sorted(rows(again)) == expected
        assert "ray" not in again.err.lower()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_a_cluster_that_is_gone_and_started_again(engine: str, tmp_path: Path) -> None:
    """Exit code 8, the run is kept at both, and the same command resumes it on another cluster with fewer workers."""
    data = tables(ROWS)
    clusters = tmp_path / "clusters"
    clusters.mkdir()
    with institutions(tmp_path) as there:
        there.lay_out(data)

        def begin() -> list[Process]:
            options = {"bank": {"environment": ALONE}, "telecom": {}}
            return [there.start(who, command="align", timeout=STARTS, **more) for who, more in options.items()]

        with started(engine, 2, clusters) as cluster:
            section(there, cluster.section(2))
            bank, telecom = begin()
            bank.until(lambda events: any(event["phase"] == "align" for event in events), STARTS)
            for pid in [cluster.pid, *children(cluster.pid)]:
                if engine == "dask" or "/raylet " in name(pid) or "/gcs_server " in name(pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            ended = bank.wait(STARTS)
            assert ended.code == 8
            said = ended.err.splitlines()[-1]
            assert "lost workers of this party for good" in said
            assert "The run is kept" in said
            telecom.wait().says(4, "bank could not use its own workers", "The run is kept")
        with started(engine, 1, clusters) as cluster:
            section(there, cluster.section(1))
            bank, telecom = begin()
            assert rows(bank.wait(STARTS)) == rows(telecom.wait())
        assert len(list((tmp_path / "bank" / "runs").glob("*/alignment.json"))) == 1
