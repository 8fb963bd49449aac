"""What a run's report says: the content of report.json, as `vfl.report.schema` declares it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.cipher import backend
from protocols.session import Roles
from vfl.data import KeyLists, Objective
from vfl.data.table import ColumnsOf
from vfl.models.baseline import Baseline, Scored, compare, describe
from vfl.models.evaluation import measured
from vfl.models.fitted import Fitted
from vfl.models.kind import Kind
from vfl.models.plan import Plan
from vfl.report.page import as_plain
from vfl.report.schema import checked_model

VERSIONS = ("vfl", "numpy", "pandas", "cryptography")


def environment() -> dict[str, Any]:
    """Versions and machine, as far as they decide a number."""
    return {
        "python": platform.python_version(),
        "platform": platform.system(),
        "processor": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "backend": backend(),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
    }


def plain_report(kind: Kind[Any, Any], result: dict[str, Any]) -> dict[str, Any]:
    """The report as JSON values, its model as the kind declares it.  Raises TypeError, a fault of the program, where it
    is not."""
    plain: dict[str, Any] = as_plain(result)
    checked_model(plain["model"], kind.reported, kind.spec.model_fields)
    return plain


@dataclass(frozen=True)
class Measuring:
    """What a report needs to know of a run, whether a job file or an estimator asked for it; plan: the job as the
    program took it."""

    kind: Kind[Any, Any]
    plan: Plan[Any]
    outcome: Objective
    parties: Roles
    seed: int
    keys: KeyLists  # by which ids were aligned


def data_party_result(result: dict[str, Any], by: Measuring, fitted: Fitted, before: Baseline) -> dict[str, Any]:
    """Adds alignment, this party's own columns and part of the model and, at the guest, what every part of the split
    says.  before: of the training rows."""
    hosts = {h: fitted.sizes[h] for h in by.parties.hosts}
    result["alignment"] = {
        "guest_rows": fitted.sizes[by.parties.guest],
        "host_rows": hosts if len(hosts) > 1 else next(iter(hosts.values())),
        "intersection": len(fitted.aligned),
        "train_rows": int((~(fitted.held_out | fitted.validation)).sum()),
        "test_rows": int((fitted.held_out & ~fitted.later).sum()),
    }
    result["alignment"]["repeated"] = fitted.aligned.repeated
    if len(by.keys) > 1:
        result["alignment"]["by_key"] = {
            " + ".join(key): n for key, n in zip(by.keys, fitted.aligned.matched, strict=True)
        }
    result["alignment"] |= {"out_of_time_rows": int(fitted.later.sum())} if fitted.later.any() else {}
    result["alignment"] |= {"validation_rows": int(fitted.validation.sum())} if fitted.validation.any() else {}
    result["model"] |= {"model_id": fitted.part.model_id.hex(), **by.kind.fitted_summary(fitted)}
    result["columns"] = describe(ColumnsOf(fitted.aligned, ~fitted.held_out))
    moved = {
        part: compare(before, ColumnsOf(fitted.aligned, rows), comparable(by, fitted, part, scores))
        for part, rows, scores in parts_of(fitted)
        if part != "train" and rows.any()
    }
    if moved:
        result["stability"] = moved.pop("test", {"columns": [], "score": None}) | moved
    if by.parties.guest == result["party"]:
        result["classes"] = fitted.aligned.classes
        evaluate(result, by, fitted)
    return result


def parts_of(fitted: Fitted) -> list[tuple[Scored, NDArray[np.bool_], NDArray[np.float64] | None]]:
    """Of each part of the split its name, its rows (n,) and, at the guest, their scores; None where they were not
    scored."""
    later, scores = fitted.later[fitted.held_out], fitted.scores
    return [
        ("test", fitted.held_out & ~fitted.later, None if scores is None else scores[~later]),
        ("out_of_time", fitted.later, None if scores is None else scores[later]),
        ("train", ~fitted.held_out, fitted.train_scores),
    ]


def baseline(by: Measuring, fitted: Fitted) -> Baseline:
    """The party's columns on the training rows, and at the guest the scores of these, or else of the held-out rows:
    what later tables are held against."""
    by_part = {part: scores for part, _, scores in parts_of(fitted) if scores is not None and len(scores)}
    part: Scored = "train" if fitted.train_scores is not None else next(iter(by_part), "train")
    return Baseline.of(
        fitted.part.party,
        fitted.part.model_id,
        ColumnsOf(fitted.aligned, ~fitted.held_out),
        single(by, fitted, by_part.get(part)),
        fitted.sizes[fitted.part.party],
        part,
    )


def comparable(
    by: Measuring, fitted: Fitted, part: str, scores: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """The predictions of a part, unless those of the baseline are its own."""
    own = fitted.train_scores is None and (part == "test" or not (fitted.held_out & ~fitted.later).any())
    return None if own else single(by, fitted, scores)


def single(by: Measuring, fitted: Fitted, scores: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """The predictions (n,) that belong to scores; None where there are none, or several a row."""
    found = None if scores is None or not len(scores) else by.kind.predictions(fitted.part, scores)
    return found if found is not None and found.ndim == 1 else None


def evaluate(result: dict[str, Any], by: Measuring, fitted: Fitted) -> None:
    """Joint and guest-alone predictions of each part that was scored: metrics, plots, and of rows that neither has seen
    how sure the difference is."""
    assert fitted.aligned.has_label
    for part, rows, scores in parts_of(fitted):
        if scores is None or not rows.any():
            continue
        found = {
            "joint": by.kind.predictions(fitted.part, scores),
            "guest_alone": by.kind.guest_alone(by.plan, fitted, rows),
        }
        y, weight = by.plan.held_against(fitted.aligned.take(np.flatnonzero(rows)))
        classes = fitted.aligned.classes
        told = measured(y, found, by.outcome, classes, by.seed, part=part, weight=weight)
        result |= {name: result.get(name, {}) | numbers for name, numbers in told.items()}
