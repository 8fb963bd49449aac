"""Where scores go: once, in the format in which they were made, and never over a file that was there before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from protocols.errors import ConfigError
from vfl.run import scores_file
from vfl.run.scores_file import check_free, made_in, move
from vfl.storage.run_store import RunFacts, RunStore

JOB, INPUT = b"j" * 32, b"i" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a prediction whose process has died."""
    folder = tmp_path / "runs" / "predict-credit-20260101-090000"
    folder.mkdir(parents=True)
    facts = RunFacts("1", "predict", JOB, INPUT, b"r" * 16, b"s" * 32, "2026-01-01T09:00:00+00:00")
    RunStore(folder, facts).close()
    (folder / "scores.csv").write_text("id,score\na,0.5\n")
    return folder


def ready(tmp_path: Path, digest: bytes = INPUT) -> Any:
    party = SimpleNamespace(name="bank", run=SimpleNamespace(directory=tmp_path / "runs"))
    return SimpleNamespace(job=SimpleNamespace(name="credit", digest=JOB), party=party, input_digest=lambda: digest)


def test_scores_are_moved_in_the_format_in_which_they_were_made(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    pd.DataFrame({"id": ["a"], "score": [0.5]}).to_parquet(folder / "scores.parquet")
    assert made_in(folder) == folder / "scores.parquet"
    with pytest.raises(ConfigError, match=r"Give --out a name in \.parquet"):
        move(folder, tmp_path / "s.csv")  # a run that was begun with --out s.parquet and died at its very end
    move(folder, tmp_path / "s.PARQUET")
    assert pd.read_parquet(tmp_path / "s.PARQUET")["id"].tolist() == ["a"]
    assert made_in(folder) is None
    move(folder, tmp_path / "s.csv")  # once more: it is done
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "s.PARQUET"]
    assert (folder / scores_file.FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("unlinked", [False, True])
def test_a_run_that_has_moved_its_scores_resumes(folder: Path, tmp_path: Path, unlinked: bool) -> None:
    out, made = tmp_path / "s.csv", folder / "scores.csv"
    check_free(ready(tmp_path), out)
    data = made.read_bytes()
    move(folder, out)
    if not unlinked:  # the process died in between
        made.write_bytes(data)
    check_free(ready(tmp_path), out)
    move(folder, out)
    assert out.read_bytes() == data
    assert made_in(folder) is None


def test_a_file_of_another_origin_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    """Other content, another name, another table, a run that is given up or is over."""

    def refused(given: Any, out: Path, **fresh: bool) -> None:
        with pytest.raises(ConfigError, match="exists, and is not overwritten"):
            check_free(given, out, **fresh)

    out, other = tmp_path / "s.csv", tmp_path / "t.csv"
    out.write_text("mine")
    refused(ready(tmp_path), out)  # before anything was moved
    out.unlink()
    move(folder, out)
    check_free(ready(tmp_path), out)
    refused(ready(tmp_path), out, fresh=True)
    refused(ready(tmp_path, b"another table"), out)
    other.write_bytes(out.read_bytes())
    refused(ready(tmp_path), other)
    out.write_text("changed")
    refused(ready(tmp_path), out)
    out.write_bytes(other.read_bytes())
    check_free(ready(tmp_path), out)
    RunStore(folder).remove()
    refused(ready(tmp_path), out)
