"""Aligns between institutions: `vfl align`.

files -> checks (nothing of a run sent; waiting parties receive an error's cause) -> mutual TLS -> alignment -> aligned.parquet or .csv (this party's own rows), alignment.json, report.html, ledger in the run's folder

It takes a job without [model], or the first step of one that has it.  With one host the guest and the host talk to each
other and to nobody else.
"""  # noqa: E501

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table as Grid

from protocols.alignment import Alignment, Ids, IdsAway, SizeNoise
from protocols.channel import Tap
from protocols.errors import ConfigError, ModelError
from protocols.session import Observer
from protocols.workers.cluster import Cluster
from vfl.compute.opening import opened
from vfl.compute.reading import RUN, Kept, ids_at_workers
from vfl.cost.memory import worker_bytes
from vfl.data import read_source, shapes
from vfl.data.extras import needed
from vfl.data.own_ids import OwnIds
from vfl.data.places import size_of
from vfl.data.readers.database import Windows
from vfl.data.readers.parquet import is_parquet, rows_of
from vfl.data.reordering import has_ranges, write_in_order
from vfl.data.shapes import Profile
from vfl.data.source import read_stored
from vfl.data.spill import scratch_in
from vfl.data.stored import Stored, StoredFrame
from vfl.job import Party, check_files, cross_check
from vfl.job.agreement import Matching
from vfl.job.alignment_job import AlignmentJob
from vfl.job.policy import rows_check
from vfl.models import accounting
from vfl.models.accounting import Spent
from vfl.models.results import environment
from vfl.report.noise import SIZES
from vfl.report.page import ALIGNMENT, FORMAT, no_run, write_alignment
from vfl.run.recovery import RunResult, take_part
from vfl.run.session import Ready, RunSession, peers_for
from vfl.screen.console import Console
from vfl.steps import alignment
from vfl.steps.alignment import MatchReport
from vfl.storage.files import private, written
from vfl.transport.identity import Identity

FORMATS = ("parquet", "csv")
SMALL = 1 << 20  # bytes of tags that a driver of workers keeps in memory
LARGE_FILE = 256 << 20  # of a larger file only the key columns are read before the protocol, and the others after it


@dataclass(frozen=True)
class Aligning(Ready[Matching]):
    """A party that has passed every check that can be made alone; ids are those of the table, None at the arbiter."""

    ids: tuple[Ids | IdsAway, ...] | None = None
    kept: NDArray[np.int64] | Kept | None = None  # which rows of the source the ids belong to
    rows: int = 0  # of the source
    stored: Stored | None = None  # the source, unless it is large
    format: str = "csv"

    @property
    def size(self) -> tuple[int, int]:
        return (0, 0) if self.ids is None else (len(self.ids[0]), 0 if self.stored is None else self.stored.width)

    @property
    def away(self) -> bool:
        """As `Ready.away`."""
        return any(isinstance(one, IdsAway) for one in self.ids or ())

    def input_digest(self) -> bytes:
        """What this party's randomness is bound to: the job and its own ids."""
        return hashlib.sha256(self.job.digest + b"".join(ids.digest() for ids in self.ids or ())).digest()

    @property
    def peers(self) -> tuple[str, ...]:
        """Whom this party meets."""
        return peers_for(self.job, self.party.name, "align")


def prepare(
    job: Matching,
    party: Party,
    format: str | None = None,
    profile: Profile | None = None,
    stack: contextlib.ExitStack | None = None,
) -> Aligning:
    """Checks files, policy and table; format: of the aligned table, by default Parquet where pyarrow is installed;
    profile: gets the shapes of its ids; stack: closes this party's workers, which read a large table, some time later.

    Raises ConfigError, DisclosureRefused, DataError.
    """
    if format not in (*FORMATS, None):
        raise ConfigError(f"--format {format} is not known", remedy='Use "parquet" or "csv"')
    has_parquet = importlib.util.find_spec("pyarrow") is not None
    if format == "parquet":
        needed("pyarrow", "--format parquet")
    cross_check(job, party)
    if party.role == "arbiter" and len(job.parties.hosts) == 1:
        raise ConfigError(
            f"{party.name}: the arbiter takes no part in an alignment with one host",
            remedy="Let the guest and the host run it, and nobody else",
            party=party.name,
        )
    check_files(party)
    identity = Identity.load(party.identity.key, party.identity.certificate, party.name)
    if party.data is None:
        return Aligning(job, party, identity, None)
    source = party.data
    large, profile = size_of(source.source) > LARGE_FILE, {} if profile is None else profile
    shared = large or is_parquet(source.source) or party.compute.database is not None
    if stack is not None and party.compute.engine != "inline" and shared and noise_of(job) is None:
        return _read_by_workers(job, party, identity, format or ("parquet" if has_parquet else "csv"), profile, stack)
    columns = [source.id_columns.get(column, column) for column in job.align.columns]
    if large:
        table, frame = None, read_source(source.source, keys=columns, only=columns, form=source.form)
    else:
        table = read_stored(source.source, source.query, form=source.form)
        frame = table.frame(columns)
    settings = source.settings()
    own = OwnIds.of(frame, party.name, job.align.keys, job.align.normalise, job.align.duplicates, settings, profile)
    rows_check(job, party, len(own.kept))
    return Aligning(
        job,
        party,
        identity,
        None,
        own.keys,
        own.kept,
        len(own.frame),
        table,
        format or ("parquet" if has_parquet else "csv"),
        cautions=tuple(shapes.cautions(profile, settings.by_own(job.align.normalise))),
    )


def _read_by_workers(
    job: Matching,
    party: Party,
    identity: Identity,
    format: str,
    profile: Profile,
    stack: contextlib.ExitStack,
) -> Aligning:
    """The same, of a table whose rows this process does not read, if the workers can."""
    source, compute = party.data, party.compute
    assert source is not None
    memory = worker_bytes(job, rows_of(source.source), 0, compute.workers)
    pool, settings = stack.enter_context(opened(compute, memory)), source.settings()
    assert pool is not None
    keys, normalise = settings.own_keys(job.align.keys), settings.by_own(job.align.normalise)
    cluster = Cluster(pool.caller(RUN))
    found = ids_at_workers(cluster, party, keys, normalise, job.align.duplicates, profile)
    if found is None:
        profile.clear()
        ready = prepare(job, party, format, profile)
        said = "the workers did not read the table, this process did: they read Parquet files that they see themselves"
        return dataclasses.replace(ready, pool=pool, cautions=(*ready.cautions, said))
    rows_check(job, party, len(found.kept))
    told = tuple(shapes.cautions(profile, normalise))
    rows = found.kept.rows
    return Aligning(job, party, identity, None, found.ids, found.kept, rows, None, format, pool=pool, cautions=told)


def align(
    ready: Aligning,
    watch: Observer,
    *,
    connect_timeout: float = 600.0,
    seed: bytes | None = None,
    fresh: bool = False,
    taps: Sequence[Tap] = (),
) -> tuple[Path, MatchReport | None]:
    """Takes part in the alignment, or resumes an interrupted one; returns the run's folder and, at a data party, the
    report.

    fresh, seed, taps: as of `vfl.run.train.run`.  Raises any VFLError, after telling the peers its code.
    """
    job = ready.job

    def work(meeting: RunSession) -> dict[str, Any]:
        scratch = scratch_in(meeting.folder, SMALL) if ready.pool is not None else scratch_in(meeting.folder)
        plan = alignment.AlignmentPlan(
            job.align.min_intersection,
            len(job.align.keys),
            job.align.cardinality_only,
            scratch,
            noise_of(job),
        )
        if ready.ids is None:
            alignment.arbiter(meeting.session, plan)
            return as_json(ready, meeting.started, None)
        found = alignment.data_party(meeting.session, ready.ids, plan)
        if not job.align.cardinality_only:
            with meeting.session.phase("write"):
                write_rows(ready, found, meeting.draft)
        repeated = {ready.party.name: ready.rows - len(ready.ids[0])}
        return as_json(
            ready, meeting.started, MatchReport.of(found, job.align.keys, repeated, job.align.cardinality_only)
        )

    def report(taken: RunResult) -> None:
        write_alignment(taken.folder, taken.result | taken.summary, taken.counting.phases)

    taken = take_part(
        ready,
        "align",
        ready.peers,
        watch,
        work,
        report,
        connect_timeout=connect_timeout,
        seed=seed,
        fresh=fresh,
        taps=taps,
    )
    return taken.folder, from_json(taken.result)


def noise_of(job: Matching) -> SizeNoise | None:
    """On the size, where the job asks for it."""
    return job.noise if isinstance(job, AlignmentJob) else None


def write_rows(ready: Aligning, found: Alignment, folder: Path) -> None:
    """This party's own common rows, every column as it is stored in the source, in the shared order."""
    assert ready.kept is not None
    rows, path = ready.kept[found.rows], folder / f"aligned.{ready.format}"
    if ready.stored is not None:
        table = ready.stored.take(rows)
    else:
        assert ready.party.data is not None
        source = ready.party.data.source
        if is_parquet(source) and not has_ranges(source):
            with written(folder):
                write_in_order(source, rows, ready.rows, private(path))
            return
        common = np.zeros(ready.rows, np.bool_)
        common[rows] = True
        if ready.party.data.is_database:
            table = StoredFrame(windows_of(ready.party, ready.job).taken(common))
        else:
            table = read_stored(source, rows=common, form=ready.party.data.form)
        table = table.take(np.cumsum(common)[rows] - 1)
    with written(folder):
        private(path)
        table.write(path)


def windows_of(party: Party, job: Matching) -> Windows:
    """The rows of a database as its workers have read them."""
    data, compute = party.data, party.compute
    assert data is not None
    assert data.query is not None
    assert compute.split_by is not None
    keys = data.settings().own_keys(job.align.keys)
    return Windows(data.source, data.query, compute.split_by, tuple(dict.fromkeys(c for key in keys for c in key)))


def as_json(ready: Aligning, started: datetime.datetime, report: MatchReport | None) -> dict[str, Any]:
    """The content of alignment.json, but for what is measured."""
    job, party = ready.job, ready.party
    content: dict[str, Any] = {
        "format": FORMAT,
        "job": job.name,
        "job_digest": job.digest.hex(),
        "party": party.name,
        "role": party.role,
        "started": started.isoformat(timespec="seconds"),
        "job_file": json.loads(job.canonical),
        "environment": environment(),
    }
    if isinstance(job, AlignmentJob) and job.privacy is not None and (noise := job.noise) is not None:
        delta = job.privacy.delta
        spent = Spent("id", accounting.epsilon([(noise.multiplier, 1)], delta), delta, float(noise.multiplier), 1)
        content |= {"privacy": dataclasses.asdict(spent) | {"on": SIZES}}
    if report is not None:
        content |= report.content(party.name) | {"file": None if report.size_only else f"aligned.{ready.format}"}
    return content


def from_json(content: dict[str, Any]) -> MatchReport | None:
    """The report in the content of alignment.json; None of an arbiter's."""
    if "rows" not in content:
        return None
    by_key = {" + ".join(key["columns"]): key["matched"] for key in content["by_key"]}
    return MatchReport(
        content["rows"], content["common"], by_key, {content["party"]: content["repeated"]}, content["file"] is None
    )


def read_alignment(folder: Path) -> dict[str, Any]:
    """The content of a run's alignment.json.  Raises ModelError if it is none, or of another format."""
    path = folder / ALIGNMENT
    if not path.exists():
        raise no_run(folder)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = found["format"] == FORMAT and {"job", "job_digest", "party", "role", "started"} <= set(found)
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(
            f"{path} is no report of an alignment", remedy="Restore it from a copy of the run's folder"
        ) from None
    if not known:
        raise ModelError(
            f"{path} has another format",
            expected=FORMAT,
            found=found["format"],
            remedy="Read it with the version that wrote it",
        )
    return dict(found)


def print_report(report: MatchReport, console: Console) -> None:
    """The match-rate report as a table."""
    grid = Grid(box=None, show_header=False, padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(justify="right")
    for what, much in report.lines():
        grid.add_row(what, much)
    console.print(grid, highlight=False, markup=False)
