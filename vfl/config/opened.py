"""How many score vectors a job opens to the guest: each is one number per row that is computed from a host's columns.

As many different vectors as a host has columns determine these columns up to an invertible map, so a host counts them (`policy.score_vectors`).
"""

from __future__ import annotations

from vfl.config.job import Job


def vectors_of(job: Job) -> int:
    """Of one model, whatever is made of it: of two classes one, of trees of K classes K - 1, whose margins add up to nothing; a regression of K classes has K,
    one against the rest each, which do not."""
    classes = getattr(job.model, "num_class", 1)
    return max(1, classes - 1) if classes < 3 or job.model.kind == "boosted-trees" else classes


def vectors_opened(job: Job) -> int:
    """In a training: of each candidate of a search, and of the model itself where rows are held out or measured."""
    searched = 0 if job.search is None else sum(vectors_of(one) for one in job.candidates)
    return searched + (vectors_of(job) if job.split.test or job.split.out_of_time or job.evaluation.train else 0)
