"""`vfl audit RUN` of an alignment: the checks of this party's transcript, and attacks on a twin with generated ids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protocols.errors import ConfigError, ModelError
from protocols.ids import Ids
from protocols.session import Roles
from vfl.attacks.alignments import Aligning, record_alignment
from vfl.attacks.audit import MINUTES, Audit, about_of, attacked, one_thread
from vfl.attacks.own_checks import checked, named
from vfl.attacks.scene import ROWS
from vfl.job.agreement import Matching
from vfl.job.alignment_job import AlignmentJob
from vfl.job.job import Job, job_from
from vfl.run.align import noise_of, read_alignment
from vfl.schema.section import build
from vfl.steps.alignment import AlignmentPlan
from vfl.taps.transcript import read_transcript

ARBITER = "arbiter"  # of a twin whose job names none
NOTE = (
    f"The attacks ran on a twin: at most {ROWS} generated ids of each party, of which the same part is common, aligned "
    "by the same job in one process. A party does not have its partners' ids, so nothing could say whether an attack "
    "on the alignment itself was right."
)


def audit_alignment(folder: Path, seeds: int, minutes: int = MINUTES, until: float = math.inf) -> Audit:
    """As `audit_run`.  Raises ConfigError, ModelError."""
    content = read_alignment(folder)
    job = job_of(content, folder)
    transcript = read_transcript(folder, str(content["party"]))
    checks = checked(folder, transcript, job)
    with one_thread():
        scene = twin_of(content, job)
        tried, untried = attacked(scene, seeds, until=until)
    about = about_of(scene, seeds, "a twin of this alignment", minutes)
    return Audit(about | named(content) | {"note": NOTE}, tried, untried, checks)


def job_of(content: Mapping[str, Any], folder: Path) -> Job | AlignmentJob:
    """The job of an alignment.  Raises ModelError where its folder does not hold it."""
    try:
        document = content["job_file"]
        return job_from(document) if "model" in document else build(AlignmentJob, document, "job")
    except (ConfigError, KeyError, TypeError):
        raise ModelError(
            f"{folder} does not hold the job of its alignment",
            remedy="Audit an alignment that this release has made",
        ) from None


def twin_of(content: Mapping[str, Any], job: Matching) -> Aligning:
    """Ids of as many rows as the parties have, at most ROWS each; of these the same part is common to all."""
    parties, told = (job.parties.guest, *job.parties.hosts), content.get("rows") or {}
    rows = {party: max(1, int(told.get(party, ROWS))) for party in parties}
    share = min(1.0, content.get("common", ROWS / 2) / min(rows.values()))
    few = {party: min(ROWS, n) for party, n in rows.items()}
    common, keys = round(share * min(few.values())), dict[str, tuple[Ids, ...]]()
    for number, party in enumerate(parties):
        own = [k if k < common else (number + 1) * ROWS + k for k in range(few[party])]
        keys[party] = tuple(
            Ids.of([b"key %d of person %d" % (key, k) for k in own]) for key in range(len(job.align.keys))
        )
    plan = AlignmentPlan(keys=len(job.align.keys), size_only=job.align.cardinality_only, noise=noise_of(job))
    return record_alignment(Roles(parties[0], parties[1:], job.parties.arbiter or ARBITER), keys, plan)
