"""What report.json says of an averaging: at a member what the model is worth on its own rows, at all parties who took
part."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vfl.job import Party
from vfl.job.meanings import of_members
from vfl.job.members_job import MembersJob
from vfl.models.averaging.course import Course
from vfl.models.averaging.held_out import measures
from vfl.models.averaging.joint import AveragedModel
from vfl.models.averaging.spec import Averaging
from vfl.models.baseline import describe
from vfl.models.evaluation import measured
from vfl.models.results import environment
from vfl.report.page import as_plain
from vfl.run.members.ready import MemberReady

MODEL = "model"  # the folder of the model in that of a run
CLASSES = [0, 1]


@dataclass
class Ended:
    """A run, as far as it has come.  kept: its results are here for good; left: at the aggregator, who is gone, and
    why; confirmed: at the aggregator, which members have said that they have the model."""

    name: bytes
    folder: Path
    started: datetime.datetime
    course: Course | None = None
    model: AveragedModel | None = None
    model_id: str = ""
    kept: bool = False
    left: dict[str, str] | None = None
    confirmed: tuple[str, ...] = ()


def frame(job: MembersJob, party: Party, started: datetime.datetime, purpose: str) -> dict[str, Any]:
    """The part that every report has."""
    return {
        "format": 1,
        "purpose": purpose,
        "job": job.name,
        "job_digest": job.digest.hex(),
        "role": party.role,
        "party": party.name,
        "parties": {"members": list(job.parties.members), "arbiter": job.parties.arbiter},
        "outcome": job.model.label,
        "started": started.isoformat(timespec="seconds"),
        "alignment": {},
        "metrics": {},
        "phases": [],
        "disclosure": [],
        "permits": of_members(job) if purpose == "run" else {},
        "model": {"kind": job.model.kind, **chosen(job.model)},
        "environment": environment(),
        "job_file": json.loads(job.canonical),
        "plots": {},
    }


def chosen(spec: Averaging) -> dict[str, Any]:
    """The parameters that decide the model, as the job says them."""
    names = ("estimator", "rounds", "local_epochs", "learning_rate", "min_members", "window")
    more = (name for name in spec.parameters() if name in spec.model_fields_set)
    return {name: getattr(spec, name) for name in dict.fromkeys((*names, *more))}


def own_measures(ready: MemberReady, course: Course) -> pd.DataFrame:
    """What a member alone knows: its rows, and what the model is worth on those that it held out."""
    if ready.own is None or not ready.own.held.any():
        return pd.DataFrame()
    held = ready.own.held_out
    sizes = {"rows": len(held.training.y), "held_out": len(held.rows.y)}
    found = measures(ready.job.model, held.rows.y, held.averaged(course))
    return pd.DataFrame.from_dict({ready.party.name: sizes | found}, orient="index")


def report_of(ready: MemberReady, ended: Ended) -> dict[str, Any]:
    """The content of report.json, but for what is measured while it runs."""
    course, model = ended.course, ended.model
    assert course is not None
    assert model is not None
    result = frame(ready.job, ready.party, ended.started, "run")
    result["model"] |= {"model_id": ended.model_id, **_weights(model)}
    result["averaging"] = _averaging(ready, ended, course)
    result |= {} if model.privacy_ is None else {"privacy": {**asdict(model.privacy_), "on": "sums"}}
    result |= {"inputs": ready.inputs_told} if ready.own is not None else {}
    result |= {"cautions": list(ready.cautions)} if ready.cautions else {}
    if ready.own is not None:
        own = ready.own
        result["columns"] = describe(own.features[~own.held])
        if own.held.any():
            held = own.held_out
            predictions = {"joint": held.averaged(course), "guest_alone": held.alone}
            if not np.isfinite(held.alone).all():
                del predictions["guest_alone"]  # its own training diverged
            classes = CLASSES if ready.job.model.label == "binary" else None
            result |= measured(held.rows.y, predictions, ready.job.model.label, classes, ready.job.split.seed)
            result |= {"classes": classes}
    plain: dict[str, Any] = as_plain(result)
    return plain


def _weights(model: AveragedModel) -> dict[str, Any]:
    """The coefficients of a regression, on both scales."""
    if model.estimator.estimator == "mlp":
        return {}
    scale = model.scaling.label_deviation / model.scaling.deviation
    rows = zip(model.feature_names_in_, model.coef_, model.coef_ * scale, strict=True)
    return {
        "intercept": model.intercept_,
        "coefficients": [{"column": name, "coef": coef, "coef_raw": raw} for name, coef, raw in rows],
    }


def _averaging(ready: MemberReady, ended: Ended, course: Course) -> dict[str, Any]:
    """Who took part in which round, and what of the models' measures was opened."""
    members = ready.job.parties.members
    rounds = [
        {
            "round": one.number,
            "members": one.members,
            "rows": one.rows,
            "without": [m for m in members if m not in one.names],
        }
        for one in course.rounds
    ]
    found: dict[str, Any] = {
        "members": [{"member": m, "rounds": sum(m in one.names for one in course.rounds)} for m in members],
        "rounds": rounds,
    }
    if course.measures:
        found["over_members"] = {
            name: {"members": one.members, "averaged": one.averaged, "alone": one.alone}
            for name, one in course.measured.items()
        }
        found |= {} if course.better is None else {"better": course.better}
    if ready.own is not None:
        own = ready.own
        found |= {"rows": int((~own.held).sum()), "held_out": int(own.held.sum())}
    else:
        found |= {"left": dict(ended.left or {}), "confirmed": list(ended.confirmed)}
    return found
