"""What messages declare, in the words of one run: without what is true of other jobs only.

A declaration is about any job that sends the message.  Whoever reads a pack does not know which condition holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocols.errors import ConfigError
from vfl.evidence.recorded import Recorded
from vfl.job.members_job import MembersJob
from vfl.report import words
from vfl.schema.section import build

Content = Mapping[str, Any]
PARTS = ", but no party's own part of it"
SEVERAL = (
    ". With several hosts only the sum tells something; with shared weights it does so only together with what the "
    "arbiter sends. With a single host that knows its weights, it is that host's own linear predictor"
)
NOISY = " (with privacy: all of it computed from events with noise)"
COUNTS = ", and for counts how many rows have a mean far above the labels' mean"
SCORED = "; of rows to be scored, how many of them the model can score"
TOGETHER = "with those of the threshold"
SHARES = "of which as many as the threshold say something"
DERIVATIVES = "quantised g and h"
PHRASES = (PARTS, SEVERAL, NOISY, COUNTS, SCORED, TOGETHER, SHARES, DERIVATIVES)


def members_job(run: Recorded) -> MembersJob | None:
    """The job of an averaging; None of other runs, and where the report does not hold it."""
    if not words.of_members(run.report) or not run.report.get("job_file"):
        return None
    try:
        return build(MembersJob, run.report["job_file"], "job")
    except ConfigError:
        return None


def permitted(run: Recorded) -> frozenset[str]:
    """The permissions of the job."""
    return frozenset(((run.report.get("job_file") or {}).get("disclosure") or {}).get("allow") or ())


def learnt(text: str, run: Recorded) -> str:
    """What a message tells, in this run.  Unchanged where the report does not hold the job."""
    job = run.report.get("job_file")
    if not job:
        return text
    for phrase, said in _said(run, job).items():
        text = text.replace(phrase, said)
    return text


def _said(run: Recorded, job: Content) -> dict[str, str]:
    """By phrase, what holds in this run."""
    found = {DERIVATIVES: "quantised first and second derivatives of the loss (g and h)"}
    if (of_members := members_job(run)) is not None:
        needed = of_members.model.terms(of_members.parties.members).threshold
        return found | {TOGETHER: f"with those of {needed} members in all", SHARES: f"of which {needed} say something"}
    allow, hosts = permitted(run), len((job.get("parties") or {}).get("hosts") or ())
    if "guest-weights-to-guest" in allow:
        found[PARTS] = ", and with the guest's own weights, which it knows, the sum of the hosts' parts"
    shared = "host-weights-to-host" not in allow
    if hosts > 1:
        found[SEVERAL] = ". Only the sum of all hosts tells something"
        found[SEVERAL] += ", and only together with what the arbiter sends" if shared else ""
    else:
        by_itself = ". It is that host's own linear predictor"
        found[SEVERAL] = ". It tells something only together with what the arbiter sends" if shared else by_itself
    if not job.get("privacy"):
        found[NOISY] = ""
    if words.outcome_of(run.report) != "count":
        found[COUNTS] = ""
    return found | ({SCORED: ""} if run.purpose != "predict" else {})
