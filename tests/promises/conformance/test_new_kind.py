"""A new kind of model is one folder and one line: added to a copy of the package, it works in Python, by job file, in
check, predict and the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.promises.packages import ROOT, cooked, python, there
from tests.promises.processes.institutions import KEY, institutions, tables
from vfl.job import PERMITS

LOCAL = """
import pandas as pd, vfl
from vfl.models.mean.kind import MeanOfLabel
guest = pd.DataFrame({"id": range(40), "y": [float(i % 7) for i in range(40)], "a": range(40)})
host = pd.DataFrame({"id": range(40), "b": range(40)})
fed = vfl.Federation.local(guest, {"telecom": host}, on="id", label="y")
model = fed.fit(MeanOfLabel(shift=0.5), split=vfl.Split(test=0.25))
assert set(model.predict(guest, {"telecom": host}).round(9)) == {round(model.parts["guest"].mean, 9)}
assert len(model.reports_["guest"].metrics)
try:
    MeanOfLabel(shift=2)
except vfl.errors.ConfigError as error:
    assert str(error) == "MeanOfLabel: shift = 2 is not possible. Expected a number from -1 to 1 (default 0): it is added to the mean", error
else:
    raise AssertionError
"""  # noqa: E501


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the kind: a folder and two lines of the registry, and nothing else."""
    return cooked(tmp_path_factory.mktemp("package"), "model")


def test_in_python(package: Path) -> None:
    done = python(package, "-c", LOCAL)
    assert done.returncode == 0, done.stderr


def test_without_the_registry_it_is_unknown(package: Path) -> None:
    """The planted fault: the folder without the line."""
    done = python(ROOT, "-c", "from vfl.job.model import MODELS; assert 'mean-of-label' not in MODELS")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_by_files(package: Path, tmp_path: Path) -> None:
    """`vfl job new`, `check`, `run` and `predict` of a bank and a telecom as processes, and the report."""
    with institutions(tmp_path) as parties:
        data = tables(60)
        data["bank"]["canarylabel"] = (data["bank"]["canarylabel"] == "canarybad").astype(float) + 1.5
        data["telecom"]["canarymore"] = (
            1.0 + data["telecom"]["canarybill"]
        )  # of fewer columns a job must say that it knows
        roles = {"bank": "guest", "telecom": "host"}
        parties.lay_out(data, roles, settings={"allow": tuple(PERMITS)}, kind="boosted-trees", membership="open")
        parties.job.unlink()
        names = ("--guest", "bank", "--host", "telecom", "--key", KEY, "--arbiter", "")
        made = parties.vfl("job", "new", parties.job, *names, "--kind", "mean-of-label", **there(package))
        assert made.code == 0, made.err
        parties.job.write_text(
            parties.job.read_text()
            .replace("shift = 0.0", "shift = 0.25")
            .replace("min_intersection = 100", "min_intersection = 5")
        )
        checked = parties.vfl("check", parties.job, parties.file("bank"), **there(package))
        assert checked.code == 0, checked.err
        assert "no estimate: the cost model does not know mean-of-label" in " ".join(checked.out.split())
        ended = parties.done(**there(package))
        report = json.loads(ended["bank"].report.read_text())
        assert (report["model"]["kind"], report["model"]["shift"]) == ("mean-of-label", 0.25)
        assert 1.75 < report["model"]["mean"] < 2.75
        assert report["metrics"]["test"]["joint"]
        assert "mean-of-label" in (ended["bank"].folder / "report.html").read_text()
        started = {
            n: parties.start(n, "--model", str(f), command="predict", **there(package))
            for n, f in parties.models(ended).items()
        }
        scored = {name: process.wait() for name, process in started.items()}
        assert [one.code for one in scored.values()] == [0, 0], [one.err for one in scored.values()]
        lines = (scored["bank"].folder / "scores.csv").read_text().splitlines()
        assert lines[0] == f"{KEY},score"
        assert {line.split(",")[1] for line in lines[1:]} <= {"", repr(report["model"]["mean"])}
