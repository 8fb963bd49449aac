"""Runs one party of a job in this process: `vfl run`.

files -> checks (nothing of a run sent; waiting parties receive an error's cause) -> mutual TLS to every peer -> align, train, score -> model part, ledger, report in the run's folder
"""  # noqa: E501

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from protocols.channel import Tap
from protocols.errors import ModelError, VFLError
from protocols.session import Observer, Session
from protocols.workers.cluster import Cluster
from vfl.compute.memory import give_back
from vfl.compute.opening import Pool, opened
from vfl.compute.reading import RUN, ids_at_workers
from vfl.cost.memory import worker_bytes
from vfl.data.kept_table import KeptTable
from vfl.data.readers.parquet import is_parquet
from vfl.data.shapes import Profile
from vfl.job import Job, Party, check_files, cross_check, job_from, searched
from vfl.job.plan import plan_of, roles_of, search_of
from vfl.models.content import ArbiterPart, Head, Part
from vfl.models.evaluation import Sampling, optimistic
from vfl.models.part_files import find_part, load_part, save_part
from vfl.models.registry import ARBITER_KINDS, kind_of
from vfl.models.results import baseline, data_party_result, plain_report
from vfl.report.page import read_report, write_report
from vfl.run.own_table import own_table
from vfl.run.reading_apart import read_apart
from vfl.run.recovery import RunResult, take_part
from vfl.run.result_frame import encryption, measuring_of, result_frame, settled
from vfl.run.session import Ready, RunSession
from vfl.transport.identity import Identity


def prepare(job: Job, party: Party, profile: Profile | None = None, stack: contextlib.ExitStack | None = None) -> Ready:
    """Checks files, policy and table; profile: gets the shapes of its ids; stack: closes this party's workers, which
    read the ids of a table of Parquet files, some time later.  Raises ConfigError, DisclosureRefused, DataError."""
    cross_check(job, party)
    check_files(party)
    if party.compute.engine != "inline":
        give_back()  # before the table is read
    identity = Identity.load(party.identity.key, party.identity.certificate, party.name)
    part, caution = part_before(job, party, identity)
    table, cautions, pool, profile = None, list[str](), None, {} if profile is None else profile
    if party.data is not None:
        found = read_apart(job, party, profile) if party.compute.engine != "inline" else None
        table, cautions = found or own_table(job, party, cast("Part | None", part), profile)
        if stack is not None and isinstance(table, KeptTable) and is_parquet(party.data.source):
            pool = _with_ids_at_workers(job, party, table, stack)
    if part is not None:
        kind_of(job.model).check_continues(plan_of(job), roles_of(job), part, table)
    return Ready(job, party, identity, table, before=part, caution=caution, cautions=tuple(cautions), pool=pool)


def _with_ids_at_workers(job: Job, party: Party, table: KeptTable, stack: contextlib.ExitStack) -> Pool | None:
    """This party's workers; they have read the ids of a table that is kept, if they could.  Raises as `opened`."""
    compute, settings = party.compute, table.settings
    needs = worker_bytes(job, *table.shape, compute.workers, None if party.role == "member" else party.role)
    pool = stack.enter_context(opened(compute, needs))
    assert pool is not None
    keys, normalise = settings.own_keys(job.align.keys), settings.by_own(job.align.normalise)
    found = ids_at_workers(Cluster(pool.caller(RUN)), party, keys, normalise, job.align.duplicates, {})
    if found is not None and [own.digest() for own in found.ids] == [own.digest() for own in table.keys]:
        table.with_ids_at(found.ids)
    return pool


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


def program(ready: Ready) -> Callable[[Session], Any]:
    """The role function of this party; a data party's returns its part and what it measured, the arbiter's what it
    keeps."""
    job, role = ready.job, ready.party.role
    kind, plan, search = kind_of(job.model), plan_of(job), search_of(job)
    return lambda session: kind.train(role, session, ready.table, plan, search, ready.before)


def inputs(ready: Ready) -> dict[str, Any]:
    """What the run was given, for whoever runs it again: the digest of this party's own table."""
    return {} if ready.table is None else {"inputs": {"own table": ready.table.digest().hex()}}


def evaluated(ready: Ready, meeting: RunSession, fitted: Any) -> dict[str, Any]:
    """Stores this party's part of the model, and returns what the report says of it.  fitted: what `program` gave."""
    job, party = ready.job, ready.party
    result = result_frame(job, party, meeting.started, "run")
    if party.role == "arbiter" and fitted is not None:
        save_part(fitted, meeting.draft / "model", kind=fitted.STORED, job_digest=job.digest, identity=ready.identity)
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
        with meeting.session.phase("evaluate"):
            return evaluated(ready, meeting, fitted)

    def report(taken: RunResult) -> None:
        told = taken.summary
        result = taken.result | told | encryption(taken.counting, told)
        write_report(taken.folder, result, taken.counting.phases)

    peers = job.parties.peers_of(party.name)
    return take_part(
        ready, "run", peers, watch, work, report, connect_timeout=connect_timeout, seed=seed, fresh=fresh, taps=taps
    ).folder
