"""`vfl bench` as one types it: both files, a comparison, and a readable refusal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from vfl.bench import command, plan
from vfl.cli.results import Bench
from vfl.models.workload import Workload


def vfl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vfl", "bench", *arguments], capture_output=True, text=True, check=False
    )


def test_an_older_result_that_is_none_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("{}")
    done = vfl("--compare", str(tmp_path / "old.json"), "--out", str(tmp_path))
    assert done.returncode == 2
    assert "is no result of vfl bench" in done.stderr
    assert not (tmp_path / "overhead.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_measurement_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    tiny, ids = Workload("trees", 40, 2, 3, trees=1, depth=2), Workload("alignment", 100)
    sweeps = ((tiny, {"depth": (2, 3), "rows": (10**8,)}),)
    whole = plan.Size(
        (ids, Workload("trees", 80, 2, 3, trees=1, depth=2)),
        (tiny,),
        sweeps,
        (Workload("linear", 60, 2, 3, passes=5),),
        300.0,
        0.0,
    )
    monkeypatch.setattr(plan, "QUICK", whole)
    folder, result = command.bench(False, tmp_path, None, None, None)
    assert capsys.readouterr().out == ""
    assert result == json.loads((tmp_path / "overhead.json").read_text())
    told = msgspec.json.encode(Bench(folder=str(folder), overhead=result))
    assert msgspec.json.decode(told, type=Bench).overhead == result
    assert {run["mode"] for run in result["modes"]} == {"joined", "clear", "psi", "paillier", "phe"}
    assert [(run["axis"], "skipped" in run) for run in result["sweeps"]] == [
        ("base", False),
        ("depth", False),
        ("rows", True),
    ]
    assert [run["work"]["kind"] for run in result["kinds"]] == ["linear"]
    assert {row["work"]["kind"] for row in result["model"]} == {"alignment", "trees", "linear"}
    assert "</html>" in (tmp_path / "overhead.html").read_text()
    capsys.readouterr()
    result["sweeps"][1]["bytes"] -= 1  # as if less had been sent then
    (tmp_path / "old.json").write_text(json.dumps(result))
    monkeypatch.setattr(plan, "QUICK", plan.Size((), (), sweeps, (), 300.0, 0.0))
    command.bench(False, tmp_path, tmp_path / "old.json", None, Console(width=160))
    more = [
        line
        for line in capsys.readouterr().out.splitlines()
        if "costs more" in line and ("products" in line or "bytes" in line)
    ]
    assert len(more) == 1
    assert "depth = 3" in more[0]
