"""Scores new rows with an averaged model: `vfl predict` at a member, which needs nobody: it holds the whole model.

RUN/scores.csv holds the columns of the new table that are neither features nor the label, such as ids, and the score.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.errors import ConfigError, ModelError
from vfl.data.writing import check_out, write_table
from vfl.job import Party
from vfl.job.members_job import MembersJob
from vfl.models.averaging import files
from vfl.models.averaging.joint import AveragedModel, features
from vfl.models.baseline import BASELINE, compare, load_baseline
from vfl.report.page import as_plain, write_report
from vfl.run.members.report import frame
from vfl.run.members.tables import frame_of
from vfl.run.new_table import new_data
from vfl.run.prediction_result import distribution
from vfl.run.session import new_folder
from vfl.storage.files import private, written
from vfl.storage.run_store import folder_name


@dataclass(frozen=True, repr=False)
class Scored:
    """What was scored: the run's folder, the file of scores, and how many rows of how many."""

    folder: Path
    file: Path
    rows: int
    scored: int

    @property
    def said(self) -> str:
        """How many rows have a score, and why the others have none."""
        if self.scored == self.rows:
            return f"all {self.rows:,} rows are scored" if self.rows > 1 else "the row is scored"
        return (
            f"{self.scored:,} of {self.rows:,} rows are scored; the score of the others is empty: a value that the "
            "model needs is missing"
        )


def predict(job: MembersJob, party: Party, model: Path | None, data: str | None, out: Path | None) -> Scored:
    """Scores new rows.  data: replaces [data] source; out: where the scores go.  Raises ConfigError, DataError,
    ModelError."""
    source, saved = _asked(job, party, model, data, out)
    assert model is not None
    table = frame_of(party, source, None)
    scores = _scores(files.load(model), table, party.name)
    now = datetime.datetime.now(datetime.UTC)
    name = f"{folder_name('predict', job.name)}-{now:%Y%m%d-%H%M%S}"
    folder = new_folder(party.run.directory, name)
    told = frame(job, party, now, "predict")
    told["model"] |= {"model_id": saved}
    told["prediction"] = _told(table[list(job.table.columns)], scores)
    if (model / BASELINE).exists() and (before := load_baseline(model)).party == party.name:
        told["stability"] = compare(before, table[list(job.table.columns)], scores)
    file = folder / "scores.csv" if out is None else out
    used = {*job.table.columns, job.table.label}
    rest = table[[column for column in table.columns if column not in used and column != "score"]]
    if not rest.shape[1]:
        rest = pd.DataFrame({"row": np.arange(1, len(table) + 1)}, index=table.index)
    with written(file.parent):
        write_table(rest.assign(score=scores), private(file), file.suffix)
    plain: dict[str, Any] = as_plain(told)
    write_report(folder, plain)
    return Scored(folder, file, len(table), int(np.isfinite(scores).sum()))


def _asked(job: MembersJob, party: Party, model: Path | None, data: str | None, out: Path | None) -> tuple[Any, str]:
    """The table's source and the model's name, checked."""

    def wrong(what: str, remedy: str) -> ConfigError:
        return ConfigError(f"{party.name}: {what}", remedy=remedy, party=party.name)

    if job.parties.role_of(party.name) != "member":
        raise wrong("only members score rows, each its own", "Give this command at a member of the job")
    if model is None:
        raise wrong(
            "--model is missing", "Name the model folder inside the run's folder, such as --model runs/RUN/model"
        )
    saved = files.named(model)
    if saved.job_digest != job.digest.hex():
        raise ModelError(
            f"{model} was trained by another job",
            expected=job.digest.hex()[:12],
            found=saved.job_digest[:12] or "a model without a job",
            remedy="Give the job file of that run (vfl job digest shows which one it is)",
        )
    if out is not None:
        check_out(out)
        if out.exists():
            raise wrong(f"{out} exists, and is not overwritten", "Move it away, or give --out another name")
        if not out.parent.is_dir():
            raise wrong(f"{out} cannot be written", "Name a file in a folder that this account may write")
    source = new_data(party, data)
    assert source is not None
    return source, saved.model_id


def _scores(model: AveragedModel, table: pd.DataFrame, party: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(n,) of each row, NaN where a value is missing."""
    columns = list(model.feature_names_in_)
    missing = [name for name in columns if name not in table.columns]
    there = table[[]] if missing else table[columns].dropna()
    features(table if missing else there, model.feature_names_in_, party, new=True)  # raises what is wrong with them
    scores = np.full(len(table), np.nan)
    scores[table.index.isin(there.index)] = model.predict_score(there).to_numpy(np.float64)
    return scores


def _told(own: pd.DataFrame, scores: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    """What report.json says of the rows."""
    known = np.isfinite(scores)
    gaps = own.isna().sum()
    told: dict[str, Any] = {
        "rows": len(own),
        "left_out": int((~known).sum()),
        "missing": {str(name): int(count) for name, count in gaps.items() if count},
        "unseen": {},
        "scored": int(known.sum()),
        "unknown": 0,
    }
    return told | ({"scores": distribution(scores[known])} if known.any() else {})
