"""Scores new rows with a joint model: `vfl predict`.  Every party that holds a part of the model runs it, data parties
with their own new table.

files -> checks (nothing of a run sent; waiting parties receive an error's code) -> mutual TLS -> all name their model -> align -> the rows' scores to the guest -> scores.csv at the guest

The arbiter takes part where it keeps a part of the model (weights that stay shared, leaf values of sealed trees), and
where there are two or more hosts, whose blinded ids it compares.  Shares of weights move on in every run: what a party
had and what it has now stand side by side in its model folder until all parties have theirs on the disk
(vfl/models/shared_weights.py).
"""  # noqa: E501

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.channel import Tap, broadcast
from protocols.errors import ConfigError, DataError, DisclosureRefused, ModelError
from protocols.glm.scoring import ModelName
from protocols.glm.shares import WeightShares
from protocols.session import Observer, Session
from vfl.data.cells import write_csv
from vfl.data.form import Form
from vfl.data.places import place_of
from vfl.data.source import suffix_of
from vfl.data.writing import WRITERS, check_out, write_table
from vfl.job import Job, Party, check_files, cross_check
from vfl.job.partners import own_columns_check
from vfl.job.party import Data
from vfl.job.policy import few_columns_check
from vfl.models.baseline import BASELINE, Baseline, compare, load_baseline
from vfl.models.content import ArbiterPart, Head, Part
from vfl.models.new_rows import NewRows, new_rows
from vfl.models.part_files import add_shares, drop_shares, load_part
from vfl.models.registry import ARBITER_KINDS, kind_of
from vfl.models.results import plain_report
from vfl.report.page import write_report
from vfl.run.budget import Opened
from vfl.run.prediction_result import prediction_result
from vfl.run.recovery import Taken, take_part
from vfl.run.result_frame import result_frame
from vfl.run.session import Meeting, Ready, peers_for
from vfl.run.train import inputs, read_table
from vfl.storage.files import private, write_private, written
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
        return Opened(self.job.model.vectors, self.inputs_of_model, self.own_name)

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
    ids: pd.DataFrame | None  # (n, keys) the table's rows as they came
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
    frame, table = read_table(job, party, source, scored_by=part)
    if party.role == "guest" and len(table) < job.predict.min_rows:
        raise DataError(
            f"{party.name}: the new table has fewer rows than this job's predict.min_rows",
            expected=f"at least {job.predict.min_rows}",
            found=len(table),
            remedy="Score more rows at once, or agree on a job with a smaller predict.min_rows",
            party=party.name,
        )
    ids = (
        frame[[source.id_columns.get(column, column) for column in job.align.columns]]
        if len(frame) == len(table)
        else table.index.to_frame(index=False)
    )  # of a host, repeated ids may have gone
    before = load_baseline(model) if (model / BASELINE).exists() else None  # a model of an earlier release has none
    if before and (before.party != party.name or before.model_id != part.model_id.hex()):
        raise ModelError(
            f"{model / 'baseline.json'} belongs to another part", remedy="Restore it from a copy of the run's folder"
        )
    rows = 0 if before is None else before.table_rows
    new = new_rows(table, kind_of(job.model), part)
    gone = _gone(new, before)
    inputs, told = tuple(part.inputs), (*new.cautions, *gone)
    own = Prepared(job, party, identity, new.table, part.model_id, part.own_name, inputs, rows, cautions=told)
    return Scoring(own, part, model, ids, out, before, new, (*new.sentences(), *gone))


def _gone(new: NewRows, before: Baseline | None) -> list[str]:
    """A sentence for each column of the model that holds no value now, and did in training."""
    known = (
        {c for c, r in before.columns.items() if r.counts[-1] < sum(r.counts)} if before else set(new.features.columns)
    )
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


def new_data(party: Party, data: str | None) -> Data | None:
    """[data] of the party file, with another source if one was given."""
    if party.data is None or data is None:
        return party.data
    is_database = place_of(data) == "database"
    query = party.data.query if is_database else None
    if is_database and query is None:
        raise ConfigError(
            "--data is a database address, and [data] has no query", remedy="Add query to [data], or give a file"
        )
    own = {"format": None} if suffix_of(data, Form()) else {}  # the name of the new file says it
    return party.data.model_copy(update={"source": data, "query": query, **own})


def own_part(job: Job, party: Party, folder: Path) -> Part:
    """A data party's part of a model of this job.  Raises ModelError, and DisclosureRefused if it uses a column that
    the party file withholds now."""
    part, manifest = load_part(folder)
    check_part(job, party, folder, manifest)
    if manifest.kind != job.model.kind or part.is_guests != (party.role == "guest"):
        raise ModelError(
            f"{folder} is no {party.role}'s part of this job's model",
            remedy="Restore it from a copy of the run's folder",
        )
    allowed = party.data.columns if party.data else None
    withheld = [c for c in part.inputs if allowed is not None and c not in allowed]
    if withheld:
        raise DisclosureRefused(
            f"{party.name}: the model uses columns that data.columns does not list: {', '.join(withheld)}",
            remedy="Train a model without them, or, if the person responsible for this party's data agrees, add "
            "them to [data] columns",
            party=party.name,
        )
    return cast("Part", part)


def arbiters_part(job: Job, party: Party, folder: Path, identity: Identity) -> ArbiterPart:
    """What the arbiter keeps of a model of this job.  Raises ModelError."""
    part, manifest = load_part(folder, identity)
    check_part(job, party, folder, manifest)
    if manifest.kind not in ARBITER_KINDS or part.kind != job.model.kind:
        raise ModelError(
            f"{folder} is no arbiter's part of this job's model", remedy="Restore it from a copy of the run's folder"
        )
    return cast("ArbiterPart", part)


def check_part(job: Job, party: Party, folder: Path, manifest: Head) -> None:
    """Raises ModelError unless the part is this party's, of a model that this job trained."""
    if manifest.party != party.name:
        raise ModelError(
            f"{folder} is the part of another party",
            expected=party.name,
            found=manifest.party,
            remedy="Name this party's own",
        )
    if manifest.job_digest != job.digest.hex():
        raise ModelError(
            f"{folder} was trained by another job",
            expected=job.digest.hex()[:12],
            found=manifest.job_digest[:12],
            remedy="Give the job file of that run (vfl job digest shows which one it is)",
        )


def predict(
    scoring: Scoring,
    watch: Observer,
    *,
    connect_timeout: float = 120.0,
    seed: bytes | None = None,
    fresh: bool = False,
    taps: Sequence[Tap] = (),
) -> tuple[Path, Path | None, int]:
    """Takes part in a prediction, or resumes an interrupted one: (the run's folder, the guest's file of scores, rows
    scored).

    fresh, seed, taps and what is raised: as of `vfl.run.train.run`.
    """
    ready, part = scoring.ready, scoring.part
    job, party = ready.job, ready.party
    peers = peers_for(job, party.name, "predict")

    def work(meeting: Meeting) -> dict[str, Any]:
        if part is not None:
            with meeting.session.phase("align"):
                same_model(meeting.session, part.model_id, arbiter=job.arbiter_keeps)
        least, keys = job.predict.min_rows, len(job.align.keys)
        found, moved = kind_of(job.model).score(party.role, meeting.session, ready.table, part, least, keys)
        result = result_frame(job, party, meeting.started, "predict")
        if part is not None:
            result["model"]["model_id"] = part.model_id.hex()
        predicted = None
        if found is not None:
            assert scoring.new is not None
            rows, scores = scoring.new.rows[found[0]], found[1]
            predicted = kind_of(job.model).predictions(part, scores)
            result["alignment"] = {"guest_rows": len(scoring.new.index), "host_rows": None, "intersection": len(rows)}
            _write_scores(scoring, meeting, rows, scores)
        _write_reasons(scoring, meeting)
        result["prediction"] = _prediction(scoring, predicted)
        result |= {"cautions": list(ready.cautions)} if ready.cautions else {}
        result |= _stability(scoring, predicted)
        if moved:
            assert scoring.folder is not None
            result["model"]["shares"] = {
                of: {"before": [n.hex() for n in _names(part, of)], "now": one.name.hex()} for of, one in moved.items()
            }
            add_shares(scoring.folder, moved, ready.identity)
        return plain_report(kind_of(job.model), result | inputs(ready))

    def report(taken: Taken) -> None:
        if scoring.folder is not None and (used := taken.result["model"].get("shares")):
            drop_shares(
                scoring.folder,
                {of: frozenset(map(bytes.fromhex, one["before"])) for of, one in used.items()},
                ready.identity,
            )
        write_report(taken.folder, taken.result | taken.told)
        if scoring.out is not None:
            _publish(taken.folder, scoring.out)

    taken = take_part(
        ready, "predict", peers, watch, work, report, connect_timeout=connect_timeout, seed=seed, fresh=fresh, taps=taps
    )
    if party.role != "guest":
        return taken.folder, None, 0
    return taken.folder, scoring.out or _made(taken.folder), taken.result["alignment"]["intersection"]


def _prediction(scoring: Scoring, predicted: NDArray[np.float64] | None) -> dict[str, Any]:
    """What the report says of the rows; empty at an arbiter, which has none."""
    if scoring.new is None or scoring.part is None:
        return {}
    return prediction_result(scoring.new, scoring.part.classes, predicted)


def _stability(scoring: Scoring, predicted: NDArray[np.float64] | None) -> dict[str, Any]:
    """How far this party's table, and at the guest the predictions, moved since the training; empty where there is
    nothing to compare with."""
    if scoring.new is None or scoring.before is None:
        return {}
    single = predicted if predicted is not None and predicted.ndim == 1 else None
    return {"stability": compare(scoring.before, scoring.new.features, single)}


def _names(part: Part | ArbiterPart | None, of: str) -> tuple[bytes, ...]:
    """Of the shares that a part had when the run began."""
    shares: Mapping[str, WeightShares] | WeightShares = getattr(part, "shares")  # noqa: B009  # only parts that have shares move them
    return shares.names if isinstance(shares, WeightShares) else shares[of].names


def same_model(session: Session, model_id: bytes, *, arbiter: bool) -> None:
    """The guest and everybody else who holds a part tell each other which model it is of, before any id is sent.
    Raises ModelError unless it is the same."""
    channels = (
        [session.guest]
        if session.me != session.roles.guest
        else [*session.hosts, *([session.arbiter] if arbiter else [])]
    )
    broadcast(channels, ModelName(model_id))
    for channel in channels:
        if channel.recv(ModelName).model_id != model_id:
            raise ModelError(
                f"{channel.peer} holds a part of another model than {session.me}",
                remedy="Give every party the model folder of the same run",
                party=channel.peer,
            )


def _write_scores(scoring: Scoring, meeting: Meeting, rows: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
    """scores.csv, or with the suffix of --out: the key columns as they came, and `score` (of several classes
    `score_CLASS` for each), empty where not all parties know the id.

    One line per row, in the table's order.
    """
    assert scoring.ids is not None
    assert scoring.part is not None
    found = kind_of(scoring.ready.job.model).predictions(scoring.part, scores)
    names = ["score"] if found.ndim == 1 else [f"score_{c}" for c in scoring.part.classes or ()]
    columns = dict(zip(names, found.reshape(len(rows), len(names)).T, strict=True)) | kind_of(
        scoring.ready.job.model
    ).columns(scoring.part, scores)
    table = pd.DataFrame(columns, index=rows).reindex(range(len(scoring.ids))).set_index(scoring.ids.index)
    with written(meeting.folder):
        suffix = ".csv" if scoring.out is None else scoring.out.suffix.lower()
        write_table(scoring.ids.assign(**table), private(meeting.draft / f"scores{suffix}"), suffix)


def _write_reasons(scoring: Scoring, meeting: Meeting) -> None:
    """reasons.csv, where the kind of model has words for it: of each row of this party's own table what speaks against
    it in its own columns."""
    ready, part = scoring.ready, scoring.part
    if part is None or scoring.new is None or scoring.ids is None:
        return
    found = kind_of(ready.job.model).explained(part, scoring.new.features)
    if found is not None:
        with written(meeting.folder):
            path = private(meeting.draft / "reasons.csv")
            write_csv(scoring.ids.assign(**found.set_index(scoring.ids.index)), path)


def _made(folder: Path) -> Path | None:
    """The file of scores in a run's folder; None where it was moved."""
    return next((path for suffix in WRITERS if (path := folder / f"scores{suffix}").exists()), None)


def _publish(folder: Path, out: Path) -> None:
    """Moves the scores to where they were asked for; does nothing where that is done."""
    made = _made(folder)
    if made is None:
        return
    if made.suffix != out.suffix.lower():  # the run was begun with another --out
        raise ConfigError(f"the scores of this run are {made}", remedy=f"Give --out a name in {made.suffix}, or none")
    with written(out.parent):
        write_private(out, made.read_bytes())
        made.unlink()
