"""How many numbers a job opens.  Score vectors, to the guest: each is one number per row that is computed from a host's
columns.

As many different vectors as a host has columns determine these columns up to an invertible map, so a host counts them
(`policy.score_vectors`).
Numbers computed from labels, to hosts, where bins are chosen by the label, or splits win: the guest counts them
(`policy.rows_per_label_number`).
"""

from __future__ import annotations

from vfl.job.job import Job
from vfl.job.party import Party
from vfl.job.plan import plan_of
from vfl.models.registry import kind_of
from vfl.screen.sentences import listed


def vectors_opened(job: Job) -> int:
    """In a training: of each candidate of a search, and of the model itself where rows are held out or measured."""
    searched = 0 if job.search is None else sum(one.model.vectors for one in job.candidates)
    return searched + (job.model.vectors if job.split.test or job.split.out_of_time or job.evaluation.train else 0)


def rows_taken(job: Job, party: Party) -> list[str]:
    """At the guest, a sentence on how many training rows a job takes whose bins are chosen by the label, or whose hosts
    learn which splits win; else none."""
    if party.role != "guest":
        return []
    fine, rate = kind_of(job.model).fine_bins(plan_of(job)), party.policy.rows_per_label_number
    if numbers := numbers_of_wins(job):
        return [
            f"the splits that hosts win count as {numbers} numbers computed from the labels: with "
            f"policy.rows_per_label_number = {rate}"
            f" the job needs {numbers * rate:,} training rows; fewer trees (n_estimators) need fewer rows"
        ]
    if fine is None or job.privacy is not None:  # of events with noise policy.epsilon is the budget
        return []
    return [
        f"bins are chosen by the label, so each fine bin discloses a number: with max_n_prebins = {fine} and "
        f"policy.rows_per_label_number = {rate}"
        f" the job needs {(fine - 1) * rate:,} training rows for each host column; fewer fine bins need fewer rows"
    ]


def numbers_added(job: Job) -> str:
    """How many numbers computed from labels a job tells hosts, in words, as `policy.rows_per_label_number` counts
    them."""
    plan, found = plan_of(job), list[str]()
    if job.privacy is not None:
        return "none: what hosts learn carries noise, which policy.epsilon counts"
    models = job.model.num_class if job.model.label == "multiclass" else 1
    if wins := numbers_of_wins(job):
        found.append(f"{wins:,} for the splits that hosts win")
    if (fine := kind_of(job.model).fine_bins(plan)) is not None:
        found.append(f"up to {fine - 1} for each host column, whose bins are chosen by the label")
    if "hosts" in plan.reveal:
        found.append(f"{models} for each weight of a host")
    if plan.settles or job.model.stops:
        found.append(f"{models} for each host, which learns when training ended")
    return listed(found, "and") or "none"


def numbers_of_wins(job: Job) -> int:
    """Over all models that the job trains."""
    if job.search is None:
        return job.model.label_numbers
    every = [one.model.label_numbers for one in job.candidates]
    return job.search.cv * sum(every) + max(every)
