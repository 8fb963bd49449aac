"""What a permission discloses in one job: the sentence of permits.py without what is true of other jobs only.

Reports and packs are read by people who do not know which condition holds.  `vfl job`, policies and documents, which
are about any job, say the whole sentence.
"""

from __future__ import annotations

from collections.abc import Collection

from vfl.job.job import Job, needed_permits
from vfl.job.members_job import MembersJob
from vfl.job.permits import AVERAGES, PERMITS
from vfl.schema.section import listed

ABOUT = (
    "regressions and scorecards: ",
    "sealed trees with monotone constraints: ",
    "open trees with monotone constraints: ",
    "sealed trees: ",
    "open trees: ",
    "search: ",
    "boosted trees with top_rate only: ",
    "networks with several hosts: ",
    "with several keys, ",
)  # what a sentence is about, where that is the job's own
OTHERWISE = ("; without this permission", "; with one host the two")  # what follows is of jobs that have it not
HELD_OUT = "; where rows are held out, "
STOPS = "(the run stops unless there is none)"


def meaning(job: Job, name: str) -> str:
    """What this permission discloses in a job that needs it."""
    own = {
        "edge-count-to-arbiter": _edge,
        "label-scale-to-parties": _scale,
        "loss-verdict-to-parties": _verdict,
        "scores-to-guest": _scores,
    }
    if name in own:
        return own[name](job)
    return resolved(name)


def resolved(name: str) -> str:
    """What it discloses in any job that needs it."""
    text = PERMITS[name]
    text = next((text.removeprefix(start) for start in ABOUT if text.startswith(start)), text)
    for other in OTHERWISE:
        text = text.partition(other)[0]
    return text


def of_members(job: MembersJob) -> dict[str, str]:
    """What an averaging discloses, by permission."""
    found = {name: PERMITS[name] for name in job.permits}
    if (text := found.get(AVERAGES)) is not None:
        rounds, _, measures = text.partition(HELD_OUT)
        found[AVERAGES] = f"{rounds}; {measures}" if job.measures else rounds
    return found


def meanings(job: Job, names: Collection[str]) -> dict[str, str]:
    """Of several permissions, in the order of the job's list."""
    return {name: meaning(job, name) for name in job.disclosure.allow if name in names}


def _edge(job: Job) -> str:
    of = "a sum of any layer" if job.model.scores_by_table else "a score"
    text = f"the arbiter learns how many rows have {of} near the edge of the link's table {STOPS}"
    if _counts(job):
        text += (
            ", and how many rows have a mean far above the labels' mean (the run stops unless there is none at the end)"
        )
    return text


def _scale(job: Job) -> str:
    model, found = job.model, list[str]()
    if _counts(job):
        found.append("of the labels' mean")
    elif model.label == "numeric" and not model.shares_weights:
        found.append("of the labels' spread")
    if getattr(model, "weighted", False) or model.sample_weight or getattr(model, "class_weight", None):
        found.append("of the largest weight of a row (with balanced classes, the weight of the rarest class)")
    if getattr(model, "max_iter", None) == "auto":
        found.append("of p (1 - p) for the rarest class")
    return f"hosts and arbiter learn orders of magnitude, as powers of two: {listed(found, 'and')}"


def _verdict(job: Job) -> str:
    if job.model.shares_weights:
        rows = "held out for it" if getattr(job.model, "early_stopping", False) else "trained on (with the penalty)"
        said = (
            f"every n_iter_no_change iterations all parties learn whether the loss of the rows {rows} is lower than "
            "the lowest so far: by tol, by less, or not"
        )
        answers, times = "three", "at most 100 times in a training"
    elif job.model.scores_by_table:
        said = (
            "after each epoch guest and arbiter learn whether the loss of the rows held out for it is lower than after "
            "the best epoch so far by tol, hosts when training ends, and all which epoch was best"
        )
        answers, times = "two", "once an epoch"
    else:
        said = (
            "after each round guest and arbiter learn whether the loss of the validation rows is lower than the lowest "
            "so far, hosts whether training continues, and at the end all after which round it was lowest"
        )
        answers, times = "two", "once a round"
    return (
        f"{said}; nobody learns the loss; a party that deviates from the protocol can each time ask one question that "
        f"has {answers} possible answers (a host about labels, the arbiter about columns and labels), {times}, and up "
        "to three more each time where it breaks off"
    )


def _scores(job: Job) -> str:
    text = (
        "the guest learns, for every row scored, the joint score with a small error that is always the same for that "
        "row"
    )
    needed = needed_permits(job)
    if "guest-weights-to-guest" in needed:
        text += ", and with its own weights the hosts' part of the score"
    if len(job.candidates) > 1:
        text += ", and of each candidate of the search the joint score of every training row"
    if job.model.scores_by_table:
        text += (
            "; the guest learns for which customers a host's values changed, and the arbiter which rows were scored "
            "before with the same values"
        )
    return text


def _counts(job: Job) -> bool:
    return job.model.label == "count"
