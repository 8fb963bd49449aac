"""`vfl bench` as one types it: both files, a comparison, and a readable refusal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vfl.bench import command, plan
from vfl.bench.workload import Workload


def vfl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "vfl", "bench", *arguments], capture_output=True, text=True, check=False)


def test_an_older_result_that_is_none_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("{}")
    done = vfl("--compare", str(tmp_path / "old.json"), "--out", str(tmp_path))
    assert done.returncode == 2
    assert "is no result of vfl bench" in done.stderr
    assert not (tmp_path / "overhead.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_measurement_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    tiny = (Workload("logistic", 24, 2, 3, passes=5), Workload("trees", 40, 2, 3, trees=1, depth=2))
    larger = (Workload("logistic", 60, 2, 3, passes=5), Workload("trees", 80, 2, 3, trees=1, depth=2))
    ids = Workload("alignment", 100)
    sweeps = ((ids, {"rows": (50, 100)}), (larger[0], {"rows": (30, 60, 10**7)} | plan.KEY_AXIS), (larger[1], {"depth": (2, 3)}))
    kinds = (Workload("linear", 60, 2, 3, passes=5),)
    monkeypatch.setattr(plan, "QUICK", plan.Size((ids, *larger), tiny, sweeps, kinds, share_s=300.0, repeat_s=0.0))
    command.bench(False, tmp_path, False, None, None, Console(width=160))
    result = json.loads((tmp_path / "overhead.json").read_text())
    assert {run["mode"] for run in result["modes"]} == {"joined", "clear", "psi", "paillier", "phe"}
    assert {run["axis"] for run in result["sweeps"]} >= {"rows", "depth", "key_bits"}
    assert [run["value"] for run in result["sweeps"] if "skipped" in run] == [10**7]
    assert [run["work"]["kind"] for run in result["kinds"]] == ["linear"]
    assert all(row["products_error"] < 1 for row in result["model"])
    assert "</html>" in (tmp_path / "overhead.html").read_text()
    capsys.readouterr()
    command.bench(False, tmp_path, False, tmp_path / "overhead.json", None, Console(width=160))
    assert "products:" not in capsys.readouterr().out.split("cost model")[1]  # the same work: no count has grown
