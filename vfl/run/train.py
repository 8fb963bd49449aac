"""Runs one party of a job in this process: `vfl run`.

files -> checks (nothing of a run sent; waiting parties receive an error's cause) -> mutual TLS to every peer -> align, train, score -> model part, ledger, report in the run's folder
"""  # noqa: E501

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pandas as pd

from protocols.channel import Tap
from protocols.errors import ConfigError, DataError, ModelError, VFLError
from protocols.session import Observer, Session
from vfl.compute.memory import give_back
from vfl.data import Table, read_source, shapes, table_from_frame
from vfl.data.places import place_of
from vfl.data.shapes import Profile
from vfl.job import Job, Party, check_files, cross_check, job_from, searched
from vfl.job.partners import own_columns_check
from vfl.job.plan import plan_of, roles_of, search_of
from vfl.job.policy import columns_check, few_columns_check, few_values_check, rows_check
from vfl.job.table import Data
from vfl.models import own_columns
from vfl.models.content import ArbiterPart, Head, Part
from vfl.models.evaluation import Sampling, optimistic
from vfl.models.part_files import find_part, load_part, save_part
from vfl.models.registry import ARBITER_KINDS, kind_of
from vfl.models.results import baseline, data_party_result, plain_report
from vfl.report.page import read_report, write_report
from vfl.run.preflight import check_held_out
from vfl.run.recovery import RunResult, take_part
from vfl.run.result_frame import encryption, measuring_of, result_frame, settled
from vfl.run.session import Ready, RunSession
from vfl.schema.section import listed
from vfl.transport.identity import Identity


def prepare(job: Job, party: Party, profile: Profile | None = None) -> Ready:
    """Checks files, policy and table; profile: gets the shapes of its ids.  Raises ConfigError, DisclosureRefused,
    DataError."""
    cross_check(job, party)
    check_files(party)
    if party.compute.engine != "inline":
        give_back()  # before the table is read
    identity = Identity.load(party.identity.key, party.identity.certificate, party.name)
    part, caution = part_before(job, party, identity)
    table, cautions, profile = None, list[str](), {} if profile is None else profile
    if party.data is not None:
        read = partial(read_table, job, party, party.data, before=cast("Part | None", part))
        table = read(profile=profile)[1]
        if place_of(party.data.source) == "here":
            table = dataclasses.replace(table, again=lambda: read()[1])
        rows_check(job, party, len(table))
        columns_check(party, party.name, table.features.shape[1])
        few_columns_check(job, party, table.features.shape[1])
        few_values_check(job, party, table.features)
        own_columns_check(job, party, [str(name) for name in table.features.columns])
        check_held_out(job, table)
        cautions = own_columns.cautions(table, job.model, job.preprocess)
        cautions += shapes.cautions(profile, party.data.settings().by_own(job.align.normalise))
    if part is not None:
        kind_of(job.model).check_continues(plan_of(job), roles_of(job), part, table)
    return Ready(job, party, identity, table, before=part, caution=caution, cautions=tuple(cautions))


def part_before(job: Job, party: Party, identity: Identity) -> tuple[Part | ArbiterPart | None, str]:
    """This party's part of the model that the job continues, found in its run directory, and what to say of its
    measures; None where it continues none.

    Raises ModelError.
    """
    name = getattr(job.model, "continue_from", None)
    if name is None or (party.data is None and not job.model.keeps_leaves):
        return None, ""
    folder, kind = find_part(party.run.directory, name), kind_of(job.model)
    part, head = load_part(folder, identity)
    if not _is_own(part, head, kind.name, party):
        raise ModelError(
            f"{party.name}: the part of the model {head.model_id} is not one that this party can continue",
            remedy=f"Name a model of {kind.name} in which {party.name} was the {party.role}, with the same membership",
            party=party.name,
        )
    return part, "" if party.data is None else _said_of(job, folder.parent)


def _is_own(part: Any, head: Head, kind: str, party: Party) -> bool:
    """Whether a part is this party's, in its role."""
    if party.role == "arbiter":
        return head.kind in ARBITER_KINDS and part.kind == kind and part.party == party.name
    return head.kind == kind and part.party == party.name and part.is_guests == (party.role == "guest")


def _said_of(job: Job, earlier: Path) -> str:
    """What to say of measures of a model that continues the one of an earlier run, by that run's folder."""
    if not job.split.test and not job.split.cut_off:
        return ""
    try:
        report = read_report(earlier)
        before = job_from(report["job_file"])
    except (VFLError, KeyError):
        return (
            "it is not known here which rows the earlier rounds were trained on: on these rows the model "
            "seems better than it is"
        )
    return optimistic(_drawn(job), _drawn(before)) or str(report["model"].get("caution", ""))


def _drawn(job: Job) -> Sampling:
    return Sampling(
        job.split.test, job.split.seed, job.split.cut_off, repr((job.align.keys, sorted(job.align.normalise.items())))
    )


def read_table(
    job: Job,
    party: Party,
    data: Data,
    *,
    scored_by: Part | None = None,
    before: Part | None = None,
    profile: Profile | None = None,
) -> tuple[pd.DataFrame, Table]:
    """What stands in `data`, and as the job wants it; scored_by: the part of a model, when rows are to be scored and
    need no label; before: that of a model to which the training adds; profile: gets the shapes of the ids."""
    guest = party.role == "guest"
    outcome = [c for c in (data.label, data.weight, data.date) if c] if guest and scored_by is None else []
    columns, settings = data.columns if scored_by is None else scored_by.inputs, data.settings()
    codes = [name for name, kind in settings.types.items() if kind == "category"]
    if codes and scored_by is None and not job.takes_texts:
        raise ConfigError(
            f"{party.name}: [data] says that {listed(codes, 'and')} holds categories, and this job's model takes "
            f"numbers only",
            remedy='Agree on encode = "onehot" in [preprocess], or on another kind of model, or remove it from '
            "data.categories and data.types",
            party=party.name,
        )
    keys = [data.id_columns.get(column, column) for column in job.align.columns]
    only = None if columns is None else [*keys, *columns, *outcome]  # of a wide file, no other is read
    known = scored_by or before
    schema = None if known is None else known.schema
    texts, missing = (codes, ()) if schema is None else ((*schema.categories, *codes), schema.missing)
    missing = (*missing, *settings.missing)
    frame = read_source(data.source, data.query, keys=keys, only=only, texts=texts, missing=missing, form=data.form)
    table = table_from_frame(
        frame,
        party=party.name,
        keys=job.align.keys,
        normalise=job.align.normalise,
        duplicates=job.align.duplicates
        if scored_by is None or not guest
        else "error",  # no row to be scored is dropped
        label=data.label if scored_by is None else None,
        columns=columns,
        need_label=guest and scored_by is None,
        need_features=not guest,
        objective=job.model.label,
        missing=job.takes_missing or scored_by is not None,  # of rows to be scored, those without a value are left out
        texts=job.takes_texts,
        weights=data.weight if scored_by is None else None,
        date=data.date if scored_by is None else None,
        settings=settings,
        schema=schema,
        profile=profile,
    )
    check_classes(job, party, table)
    if scored_by is None:
        job.model.check_table(table)
    # a column of weights, or of dates, is no feature of any job
    weighted = getattr(job.model, "sample_weight", False) or getattr(job.model, "exposed", False)
    return frame, dataclasses.replace(
        table, weight=table.weight if weighted else None, date=table.date if job.split.out_of_time else None
    )


def check_classes(job: Job, party: Party, table: Table) -> None:
    """Raises DataError unless a label of several classes has as many values as the job says."""
    agreed = getattr(job.model, "num_class", None)
    if table.label is not None and job.model.label == "multiclass" and len(table.classes or ()) != agreed:
        raise DataError(
            f"{party.name}: label column '{table.label.name}' holds {len(table.classes or ())} different "
            f"values, and the job says model.num_class = {agreed}",
            remedy="Correct num_class in the job at every party, or the label",
            party=party.name,
        )


def program(ready: Ready) -> Callable[[Session], Any]:
    """The role function of this party; a data party's returns its part and what it measured, the arbiter's what it
    keeps."""
    job, role = ready.job, ready.party.role
    kind, plan, search = kind_of(job.model), plan_of(job), search_of(job)
    return lambda session: kind.train(role, session, ready.table, plan, search, ready.before)


def inputs(ready: Ready) -> dict[str, Any]:
    """What the run was given, for whoever runs it again: the digest of this party's own table."""
    return {} if ready.table is None else {"inputs": {"own table": ready.table.digest().hex()}}


def run(
    ready: Ready,
    watch: Observer,
    *,
    connect_timeout: float = 120.0,
    seed: bytes | None = None,
    fresh: bool = False,
    taps: Sequence[Tap] = (),
) -> Path:
    """Takes part in the job, or resumes an interrupted run of it; returns the run's folder.  Raises any VFLError, after
    telling the peers its code.

    fresh: gives an interrupted run up.  seed: 32 secret bytes that decide all of this party's randomness, taps: see
    every message (tests and `vfl chaos` only: no file, option or variable sets them).
    """
    job, party = ready.job, ready.party

    def work(meeting: RunSession) -> dict[str, Any]:
        fitted = program(ready)(meeting.session)
        meeting.session.allowance.training({}, 0)  # a kind whose program counts no model
        result = result_frame(job, party, meeting.started, "run")
        if party.role == "arbiter" and fitted is not None:
            save_part(
                fitted, meeting.draft / "model", kind=fitted.STORED, job_digest=job.digest, identity=ready.identity
            )
            result["model"] |= {"model_id": fitted.model_id.hex()}
        elif fitted is not None:
            save_part(fitted.part, meeting.draft / "model", kind=job.model.kind, job_digest=job.digest)
            best = searched.best_candidate(job, fitted.searched)
            result["model"] |= settled(best)
            result |= searched.summary(job, fitted.searched)
            by = measuring_of(best)
            before = baseline(by, fitted)
            before.save(meeting.draft / "model")
            alone = by.kind.fallback(by.plan, fitted) if party.role == "guest" else None
            if alone is not None:
                alone.save(meeting.draft / "model")
            result = data_party_result(result, by, fitted, before)
            result["model"] |= {"caution": ready.caution} if ready.caution else {}
            result |= {"cautions": list(ready.cautions)} if ready.cautions else {}
        return plain_report(kind_of(job.model), result | inputs(ready))

    def report(taken: RunResult) -> None:
        told = taken.summary
        write_report(taken.folder, taken.result | told | encryption(taken.counting, told))

    peers = job.parties.peers_of(party.name)
    return take_part(
        ready, "run", peers, watch, work, report, connect_timeout=connect_timeout, seed=seed, fresh=fresh, taps=taps
    ).folder
