"""How many numbers a job opens.  Score vectors, to the guest: each is one number per row that is computed from a host's columns.

As many different vectors as a host has columns determine these columns up to an invertible map, so a host counts them (`policy.score_vectors`).
Numbers computed from labels, to hosts, where bins are chosen by the label: the guest counts each fine bin (`policy.rows_per_label_number`).
"""

from __future__ import annotations

from vfl.job.job import Job
from vfl.job.party import Party
from vfl.models.scorecard.section import Scorecard


def vectors_of(job: Job) -> int:
    """Of one model, whatever is made of it: of two classes one, of trees of K classes K - 1, whose margins add up to nothing; a regression of K classes has K,
    one against the rest each, which do not."""
    classes = getattr(job.model, "num_class", 1)
    return max(1, classes - 1) if classes < 3 or job.model.kind == "boosted-trees" else classes


def vectors_opened(job: Job) -> int:
    """In a training: of each candidate of a search, and of the model itself where rows are held out or measured."""
    searched = 0 if job.search is None else sum(vectors_of(one) for one in job.candidates)
    return searched + (vectors_of(job) if job.split.test or job.split.out_of_time or job.evaluation.train else 0)


def rows_taken(job: Job, party: Party) -> list[str]:
    """At the guest, a sentence on how many training rows a job takes whose bins are chosen by the label; else none."""
    if isinstance(job.model, Scorecard):
        fine = job.model.max_n_prebins
    elif job.preprocess is not None and job.preprocess.encode == "woe":
        fine = job.preprocess.max_n_prebins
    else:
        return []
    if party.role != "guest":
        return []
    rate = party.policy.rows_per_label_number
    return [
        f"bins are chosen by the label, so each fine bin discloses a number: with max_n_prebins = {fine} and policy.rows_per_label_number = {rate}"
        f" the job needs {(fine - 1) * rate:,} training rows for each host column; fewer fine bins need fewer rows"
    ]
