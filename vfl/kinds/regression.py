"""Regressions by files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from protocols.cipher import HEAD_ROOM
from protocols.glm import LOGISTIC_LINKS, Penalty
from protocols.glm.plan import rows_log2
from vfl.config.job import Job, Role
from vfl.config.models import LogisticRegression
from vfl.kinds.fitted import Fitted
from vfl.kinds.parts import Body, Head, check, tensors_of
from vfl.model import GlmPart
from vfl.preprocessing import Preprocessor, Standardiser
from vfl.printing import facts, grid, say
from vfl.programs import glm
from vfl.programs.glm import Family
from vfl.scorecard.report import feature_tables

FAMILIES: dict[str, Family] = {"logistic-regression": "logistic", "linear-regression": "linear", "poisson-regression": "poisson"}


class Rest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of manifest.json that a regression adds."""

    clip: float
    family: Literal["logistic", "linear", "poisson"]
    link: str
    score_bits: int
    intercept: list[float] | None
    label_mean: float
    label_scale: float
    preprocess: Preprocessor | None = None


def _model(job: Job) -> LogisticRegression:
    assert isinstance(job.model, LogisticRegression)
    return job.model


def described(job: Job) -> dict[str, str]:
    """The model in plain words."""
    model = _model(job)
    deals = f"; {job.parties.hosts[0]} deals for the link" if model.link == "exact" else ""
    return {
        **preprocessed(job),
        "train": f"{model.kind}: {model.max_iter} passes, C = {model.C:g}, link {model.link}, values cut at {model.clip:g}",
        "encrypt": f"Paillier, {job.crypto.key_bits} bits; {job.parties.arbiter} holds the key{deals}",
    }


def preprocessed(job: Job) -> dict[str, str]:
    """[preprocess] in plain words: what is set otherwise than by default."""
    if job.preprocess is None:
        return {}
    told = [f"{name} = {value}" for name, value in job.preprocess.model_dump(exclude_defaults=True).items()]
    return {"prepare": f"each party its own columns, on the training rows: {', '.join(told) or 'columns without any value are left out'}"}


def rounded(job: Job) -> list[str]:
    """How coarse what is opened is."""
    return [
        f"scores are rounded to multiples of 1/{2**job.score_bits} before they are opened",
        f"final weights are rounded to multiples of 1/{2 ** _model(job).weight_bits}",
    ]


def summary(job: Job) -> dict[str, Any]:
    """What report.json says about the model at every role."""
    model = _model(job)
    return {"passes": model.max_iter, "link": model.link, "C": model.C}


def carries(job: Job, rows: int) -> None:
    """Raises ConfigError unless a plaintext has room for one masked gradient over so many rows."""
    model, plain_bits = _model(job), job.crypto.key_bits - HEAD_ROOM - 1
    LOGISTIC_LINKS[model.link].plan(rows_log2(rows), Penalty(1 / model.C), model.max_iter, 1 + len(job.parties.hosts), plain_bits)


def program(job: Job, role: Role) -> Any:
    """The role function that trains."""
    model = _model(job)
    plan = glm.GlmJob(
        alpha=1 / model.C,
        max_iter=model.max_iter,
        link=model.link,
        clip=model.clip,
        weight_bits=model.weight_bits,
        score_bits=job.score_bits,
        min_intersection=job.align.min_intersection,
        keys=len(job.align.keys),
        test=job.split.test,
        seed=job.split.seed,
        preprocess=job.preprocess.steps if job.preprocess is not None else None,
        open_names=job.preprocess is not None and job.preprocess.open_names,
        measure_train=job.evaluation.train,
    )
    if role == "arbiter":
        return lambda session, table: glm.arbiter(session, plan) and None
    train = glm.guest if role == "guest" else glm.host
    return lambda session, table: train(session, table, plan)


def scorer(job: Job, role: Role, part: GlmPart) -> Any:
    """The role function that scores new rows."""
    least, keys = job.align.min_intersection, len(job.align.keys)
    if role == "arbiter":
        return lambda session, table: glm.predict_arbiter(session, least, keys)
    score = glm.predict_guest if role == "guest" else glm.predict_host
    return lambda session, table: score(session, table, part, least)


def predictions(part: GlmPart, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities or expected values from joint predictors (n, models)."""
    return part.means(scores)


def guest_alone(job: Job, fitted: Fitted, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Probabilities (rows,) from the minimiser of the same objective under the same link on the guest's own columns."""
    aligned, part, train, C = fitted.aligned, fitted.part, ~fitted.held_out, _model(job).C
    assert aligned.label is not None
    assert isinstance(part, GlmPart)
    x = np.column_stack([part.standardiser.transform(aligned.features, part.party), np.ones(len(train))])
    y = aligned.label.to_numpy(np.float64)
    weights: NDArray[np.float64]
    if part.link == "exact":
        weights = minimised(x[train], y[train], C)
    else:
        penalty = np.diag([1.0] * (x.shape[1] - 1) + [0.0])
        weights = np.asarray(np.linalg.solve(C * x[train].T @ x[train] / 4 + penalty, C * x[train].T @ (y[train] - 0.5)), np.float64)
    return predictions(part, (x[rows] @ weights)[:, np.newaxis])


def minimised(x: NDArray[np.float64], y: NDArray[np.float64], C: float) -> NDArray[np.float64]:
    """The weights (d,) that minimise C * (logistic loss summed) + |w|^2 / 2, the last column's weight un-penalised, by Newton's method with halved steps."""
    penalty = np.r_[np.ones(x.shape[1] - 1), 0.0]
    w = np.zeros(x.shape[1])

    def loss(w: NDArray[np.float64]) -> float:
        return float(C * (np.logaddexp(0, x @ w) - y * (x @ w)).sum() + (penalty * w**2).sum() / 2)

    for _ in range(100):
        p = 0.5 * (1 + np.tanh(x @ w / 2))
        gradient = C * x.T @ (p - y) + penalty * w
        step = np.linalg.lstsq(C * (x.T * (p * (1 - p))) @ x + np.diag(penalty), gradient, rcond=None)[0]
        size, before = 1.0, loss(w)
        while loss(w - size * step) > before and size > 1e-9:
            size /= 2
        w = w - size * step
        if np.abs(size * step).max() <= 1e-10 * max(1.0, np.abs(w).max()):
            break
    return w


def columns(part: GlmPart, scores: NDArray[np.float64]) -> dict[str, Any]:
    """None: the predictions say everything."""
    return {}


def explained(part: GlmPart, features: pd.DataFrame) -> None:
    """A row's reasons are not told."""


def fitted_summary(fitted: Fitted) -> dict[str, Any]:
    """This party's own coefficients, and what [preprocess] found."""
    assert isinstance(fitted, glm.Fitted)
    part = fitted.part
    rows = zip(part.columns, part.coef, part.coef_raw, strict=True)
    intercept = None if part.intercept is None else part.intercept[0]
    coefficients = [{"column": c, "coef": float(v), "coef_raw": float(raw)} for c, v, raw in rows]
    return {"coefficients": coefficients, "intercept": intercept} | feature_tables(part.standardiser.steps, fitted.binned)


def print_part(part: GlmPart, console: Console) -> None:
    """The coefficients as a table."""
    told = {"link": part.link}
    if part.classes is not None:
        told["scores"] = f"the probability of {part.classes[1]!r} rather than {part.classes[0]!r}"
    if part.intercept is not None:
        told["intercept"] = ", ".join(f"{value:.6f}" for value in part.intercept) + ", on the standardised scale"
    facts(console, {name: escape(text) for name, text in told.items()})
    console.print()
    table = grid("column", "coef", "coef_raw", "mean", "scale", numbers=4)
    for row in zip(part.columns, part.coef, part.coef_raw, part.standardiser.mean, part.standardiser.scale, strict=True):
        table.add_row(escape(row[0]), *(f"{v:.6g}" for v in row[1:]))
    console.print(table, highlight=False)
    console.print()
    say(
        console,
        f"coef: a standard deviation of the column (standardised values are cut to +-{part.standardiser.clip:g}); coef_raw: a unit as it came.",
    )


def pack(part: GlmPart) -> Body:
    """`weights` (models, columns), `mean` and `scale` (columns,) float64."""
    standardiser = part.standardiser
    intercept = None if part.intercept is None else list(part.intercept)
    rest = Rest(
        standardiser.clip, part.family, part.link, part.score_bits, intercept, part.label_mean, part.label_scale, standardiser.steps
    )
    return Body(msgspec.to_builtins(rest), {"weights": part.weights, "mean": standardiser.mean, "scale": standardiser.scale})


def unpack(head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> GlmPart:
    """The part; raises Damaged."""
    told = msgspec.convert(rest, Rest)
    width = len(head.columns)
    vectors = dict.fromkeys(("mean", "scale"), (np.float64, (width,)))
    arrays = tensors_of(tensors, {"weights": (np.float64, (None, width)), **vectors})
    models, classes = len(arrays["weights"]), head.values
    check((arrays["scale"] > 0).all(), told.clip > 0, told.link in LOGISTIC_LINKS, 0 <= told.score_bits <= 20)
    check(told.intercept is None or len(told.intercept) == models, models >= 1, np.isfinite([told.label_mean, *(told.intercept or ())]))
    check(told.family == FAMILIES[head.kind], told.intercept is not None or classes is None, 0 < told.label_scale < np.inf)
    if told.intercept is not None:
        check(
            models == (len(classes) if classes and len(classes) != 2 else 1),
            classes is None or len(classes) >= 2,
            (told.family == "logistic") == (classes is not None),
        )
    check(told.preprocess is None or (told.preprocess.fits() and list(told.preprocess.columns) == head.columns))
    standardiser = Standardiser(tuple(head.columns), arrays["mean"], arrays["scale"], told.clip, told.preprocess)
    intercept = None if told.intercept is None else tuple(told.intercept)
    scale = (told.label_mean, told.label_scale)
    return GlmPart(
        head.party, head.name, standardiser, arrays["weights"], told.family, told.link, told.score_bits, intercept, classes, *scale
    )
