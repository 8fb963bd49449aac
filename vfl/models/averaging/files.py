"""An averaged model in a folder: `AveragedModel.save` and `vfl.load_model`.

FOLDER/model.json      what all members have: parameters, columns, means and deviations, weights, and the rounds
FOLDER/members.json    what a local run knows of each member; a folder without it loads too

Numbers are written so that the same float64 comes back.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from protocols.errors import ConfigError
from vfl.models.accounting import Spent
from vfl.models.averaging.course import Scaling
from vfl.models.averaging.families import Family
from vfl.models.averaging.joint import AveragedModel
from vfl.models.averaging.spec import Averaging
from vfl.models.saved_files import FORMAT, NAME, damaged, new_folder, read, restored, stored, write
from vfl.schema.arguments import path
from vfl.schema.section import build

KIND, MEMBERS = "averaging", "members.json"


class Saved(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """The content of model.json.  rounds: by column of `rounds_`, a number for each round; privacy: as `privacy_`;
    job_digest, model_id: of a model that `vfl run` wrote, the job's digest and a hash of the rest, the same at all
    parties."""

    format: int
    kind: str
    parameters: dict[str, Any]
    columns: tuple[str, ...]
    means: list[float]
    deviations: list[float]
    label_mean: float
    label_deviation: float
    weights: list[float]
    rounds: dict[str, list[int]]
    privacy: Spent | None = None
    job_digest: str = ""
    model_id: str = ""


class Members(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The content of members.json.  measures: by column of `by_member_` a number of each member, None where a measure
    has none; left: as `left_`."""

    members: tuple[str, ...]
    measures: dict[str, list[int | float | None]]
    left: dict[str, str]


def save(model: AveragedModel, folder: str | os.PathLike[str], job: bytes = b"") -> str:
    """Writes a model into a new folder; job: the digest of the job that made it.  Returns the model's name, "" without
    a job.  Raises ConfigError."""
    target, scaling, spec = path("folder", folder), model.scaling, model.estimator
    saved = Saved(
        FORMAT,
        KIND,
        {name: stored(getattr(spec, name)) for name in spec.parameters()},
        model.feature_names_in_,
        scaling.mean.tolist(),
        scaling.deviation.tolist(),
        scaling.label_mean,
        scaling.label_deviation,
        model.weights_.tolist(),
        {str(name): column.tolist() for name, column in model.rounds_.items()},
        model.privacy_,
    )
    if job:
        saved = msgspec.structs.replace(saved, job_digest=job.hex())
        saved = msgspec.structs.replace(saved, model_id=hashlib.sha256(msgspec.json.encode(saved)).hexdigest()[:32])
    by_member = model.by_member_
    measures = {str(name): [_known(one) for one in column] for name, column in by_member.items()}
    with new_folder(target) as draft:
        write(draft / MEMBERS, Members(tuple(map(str, by_member.index)), measures, dict(model.left_)))
        write(draft / NAME, saved)
    return saved.model_id


def _known(number: Any) -> int | float | None:
    """A measure as JSON has it."""
    plain = number.item() if isinstance(number, np.generic) else number
    return plain if plain is not None and np.isfinite(plain) else None


def named(folder: Path) -> Saved:
    """What model.json holds.  Raises ModelError."""
    return read(folder / NAME, Saved)


def load(folder: Path) -> AveragedModel:
    """A model that `save` wrote.  Raises ModelError."""
    saved = named(folder)
    own = read(folder / MEMBERS, Members) if (folder / MEMBERS).exists() else Members((), {}, {})
    try:
        parameters = {name: restored(value) for name, value in saved.parameters.items()}
        spec = build(Averaging, parameters, str(folder / NAME))
    except (ConfigError, TypeError, ValueError, KeyError):
        raise damaged(folder) from None
    if not _fits(saved, spec) or not all(len(column) == len(own.members) for column in own.measures.values()):
        raise damaged(folder)
    rounds = pd.DataFrame(saved.rounds, index=pd.RangeIndex(1, len(saved.rounds["members"]) + 1, name="round"))
    by_member = pd.DataFrame(own.measures, index=list(own.members)) if own.members else pd.DataFrame()
    means, deviations = (np.array(each, np.float64) for each in (saved.means, saved.deviations))
    scaling = Scaling(means, deviations, saved.label_mean, saved.label_deviation)
    weights, left = np.array(saved.weights), dict(own.left)
    return AveragedModel(spec, saved.columns, weights, scaling, rounds, by_member, left, saved.privacy)


def _fits(saved: Saved, spec: Averaging) -> bool:
    """Whether what was read is one model."""
    columns, lengths = len(saved.columns), {len(column) for column in saved.rounds.values()}
    return (
        0 < columns == len(set(saved.columns)) == len(saved.means) == len(saved.deviations)
        and len(saved.weights) == Family.of(spec, columns).size
        and all(each > 0 for each in (*saved.deviations, saved.label_deviation))
        and {"members"} <= set(saved.rounds)
        and ("rows" in saved.rounds or saved.privacy is not None)
        and len(lengths) == 1
        and 0 not in lengths
    )
