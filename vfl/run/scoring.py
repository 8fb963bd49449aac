"""A party of a prediction: its part of the model and its new table, with every check that it can make alone."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pandas as pd

from protocols.errors import ConfigError, ModelError
from vfl.data.kept_frame import KeptFrame
from vfl.data.writing import check_out
from vfl.job import Job, Party, check_files, cross_check
from vfl.job.partners import own_columns_check
from vfl.job.policy import few_columns_check
from vfl.models.baseline import BASELINE, Baseline, load_baseline
from vfl.models.content import ArbiterPart, Part
from vfl.models.new_rows import NewRows
from vfl.models.part_files import load_part
from vfl.models.registry import ARBITER_KINDS
from vfl.run.budget import Opened
from vfl.run.new_table import check_part, new_data, new_table, own_part
from vfl.run.scores_file import check_free
from vfl.run.scoring_apart import new_table_apart
from vfl.run.session import Ready
from vfl.transport.identity import Identity


@dataclass(frozen=True)
class Prepared(Ready[Job]):
    """A party of a prediction; model_id: of its part, b"" where it has none; own_name: under which a host counts what
    the model opens."""

    model_id: bytes
    own_name: bytes = b""
    inputs_of_model: tuple[str, ...] = ()  # the own columns that the part uses
    rows_before: int = 0  # of the table that the model was trained on

    @property
    def opened(self) -> Opened | None:
        if self.party.role != "host":
            return None
        model = self.job.model
        return Opened(model.vectors, self.inputs_of_model, self.own_name, ever=model.scores_count_for_good)

    @property
    def own_rows(self) -> int:
        return self.rows_before

    @property
    def inputs(self) -> str:
        return "the table or the model"

    def input_digest(self) -> bytes:
        return hashlib.sha256(super().input_digest() + self.model_id).digest()


@dataclass(frozen=True)
class Scoring:
    """A party that has passed every check that can be made alone; part, folder (the part's), before, ids and out are
    None where the role has none."""

    ready: Prepared
    part: Part | ArbiterPart | None
    folder: Path | None
    ids: pd.DataFrame | KeptFrame | None  # (n, keys) the table's rows as they came
    out: Path | None
    before: Baseline | None = None  # of the training rows
    new: NewRows | None = None  # which of the rows take part
    cautions: tuple[str, ...] = ()  # what deserves a word before the rows are scored

    def scored(self, rows: int) -> str:
        """At the guest, how many rows have a score, and why the others have none."""
        assert self.new is not None
        total, lacking = len(self.new.index), self.new.left_out
        if rows == total:
            return f"all {total:,} rows are scored" if total > 1 else "the row is scored"
        unknown = f"{total - rows - lacking:,} that a partner does not know, or cannot score either"
        reasons = [f"{lacking:,} in which a value is missing here"] * (lacking > 0)
        reasons += [unknown] * (total > rows + lacking)
        return (
            f"{rows:,} of {total:,} rows are scored; the score of the other {total - rows:,} is empty: "
            f"{' and '.join(reasons)}"
        )


def prepare(job: Job, party: Party, model: Path | None, data: str | None, out: Path | None) -> Scoring:
    """Checks files, policy, model part and table; data: replaces [data] source.  Raises ConfigError, DisclosureRefused,
    DataError, ModelError."""
    cross_check(job, party)
    _check_options(job, party, model, data, out)
    source = new_data(party, data)
    check_files(party.model_copy(update={"data": source}))
    identity = Identity.load(party.identity.key, party.identity.certificate, party.name)
    if model is None:
        return Scoring(Prepared(job, party, identity, None, b""), None, None, None, None)
    if source is None:
        kept = arbiters_part(job, party, model, identity)
        return Scoring(Prepared(job, party, identity, None, kept.model_id), kept, model, None, None)
    part = own_part(job, party, model)
    few_columns_check(job, party, len(part.inputs))
    own_columns_check(job, party, part.inputs)
    found = new_table_apart(job, party, part, model, data) if party.compute.engine != "inline" else None
    new, ids, of_ids = found or new_table(job, party, source, part)
    before = load_baseline(model) if (model / BASELINE).exists() else None  # a model of an earlier release has none
    if before and (before.party != party.name or before.model_id != part.model_id.hex()):
        raise ModelError(
            f"{model / 'baseline.json'} belongs to another part", remedy="Restore it from a copy of the run's folder"
        )
    rows = 0 if before is None else before.table_rows
    gone = _gone(new, before)
    inputs, told = tuple(part.inputs), (*new.cautions, *gone, *of_ids)
    own = Prepared(job, party, identity, new.table, part.model_id, part.own_name, inputs, rows, cautions=told)
    if out is not None:
        check_free(own, out)
    return Scoring(own, part, model, ids, out, before, new, (*new.sentences(), *gone, *of_ids))


def _gone(new: NewRows, before: Baseline | None) -> list[str]:
    """A sentence for each column of the model that holds no value now, and did in training."""
    known = {c for c, r in before.columns.items() if r.counts[-1] < sum(r.counts)} if before else set(new.features)
    return [
        f"column '{c}': every value is missing in the new table, and was not in training"
        for c in new.empty
        if c in known
    ]


def _check_options(job: Job, party: Party, model: Path | None, data: str | None, out: Path | None) -> None:
    def wrong(what: str, remedy: str) -> ConfigError:
        return ConfigError(f"{party.name}: {what}", remedy=remedy, party=party.name)

    if party.role == "arbiter":
        if not job.arbiter_scores:
            raise wrong(
                "the arbiter takes no part in a prediction with one host",
                "Let the guest and the host run it, and nobody else",
            )
        if data is not None:
            raise wrong("the arbiter holds no data", "Leave --data out")
        if model is not None and not job.arbiter_keeps:
            raise wrong("the arbiter holds no part of the model", "Leave --model out")
        if model is None and job.arbiter_keeps:
            what = (
                f"--model is missing: the arbiter's {'leaf values' if job.model.keeps_leaves else 'shares'} "
                f"are needed to score with this model"
            )
            raise wrong(what, "Name the model folder inside the run's folder, such as --model runs/RUN/model")
    elif model is None:
        raise wrong(
            "--model is missing", "Name the model folder inside the run's folder, such as --model runs/RUN/model"
        )
    if out is not None and party.role != "guest":
        raise wrong("only the guest gets scores", "Leave --out out")
    if out is not None:
        check_out(out)
    if out is not None and (out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK)):
        raise wrong(f"{out} cannot be written", "Name a file in a folder that this account may write")


def arbiters_part(job: Job, party: Party, folder: Path, identity: Identity) -> ArbiterPart:
    """What the arbiter keeps of a model of this job.  Raises ModelError."""
    part, manifest = load_part(folder, identity)
    check_part(job, party, folder, manifest)
    if manifest.kind not in ARBITER_KINDS or part.kind != job.model.kind:
        raise ModelError(
            f"{folder} is no arbiter's part of this job's model", remedy="Restore it from a copy of the run's folder"
        )
    return cast("ArbiterPart", part)
