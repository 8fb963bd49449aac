"""A search by files: what the programs are asked, and what the report says of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from vfl.job.job import Job
from vfl.schema.section import shown
from vfl.steps.grid import combinations
from vfl.steps.search import Searched


def best_candidate(job: Job, searched: Searched | None) -> Job:
    """The job of the best candidate; itself where nothing was searched."""
    return job if searched is None else job.candidates[searched.best]


def described(job: Job) -> dict[str, str]:
    """The search in plain words, one fact an entry; empty where the job has none."""
    if job.search is None:
        return {}
    asked, n = job.search, len(job.candidates)
    grid = "; ".join(f"{name} {', '.join(map(shown, values))}" for name, values in sorted(asked.param_grid.items()))
    what = f"{n} candidates ({grid})" if n > 1 else "one candidate"
    last = "the best is trained once more on all of them" if n > 1 else "it is trained once more on all of them"
    cost = (
        "nobody learns a weight of a fold; the guest learns the rounded score of each training row for every candidate"
        if job.model.folds_are_hidden
        else f"from every fold's model, hosts and guest learn what they learn from a model: {job.models_told} "
        f"count against policy.models_per_label"
    )
    return {
        "search": f"{what} on {asked.cv} folds of the training rows, by {asked.scoring}; {last}: {job.trainings} "
        f"trainings",
        "of the folds": cost,
    }


def summary(job: Job, searched: Searched | None = None) -> dict[str, Any]:
    """The key `search` of report.json, as far as a party knows it; empty where the job has none."""
    if job.search is None:
        return {}
    candidates = combinations(job.search.param_grid)
    found: dict[str, Any] = {
        "cv": job.search.cv,
        "scoring": job.search.scoring,
        "candidates": candidates,
        "trainings": job.trainings,
        "models_told": job.models_told,
    }
    if searched is not None:
        found |= {"best": searched.best, "fold_rows": list(searched.rows)}
        if searched.scores is not None:
            mean, sd = searched.scores.mean(axis=1), searched.scores.std(axis=1)
            found |= {"scores": searched.scores.tolist(), "mean": mean.tolist(), "sd": np.asarray(sd).tolist()}
    return {"search": found}
