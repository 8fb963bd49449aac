"""Regressions by files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from protocols.cipher import HEAD_ROOM
from protocols.glm import LOGISTIC_LINKS, Kept
from protocols.glm.plan import MOST_PASSES, planned_passes, rows_log2
from protocols.glm.terms import NO_SCALE, scaled
from protocols.session import Session
from vfl.data import Table
from vfl.job import searched
from vfl.job.job import Job, Role
from vfl.models import shared_weights as shared
from vfl.models.content import Body, Head, Tensors, check, tensors_of
from vfl.models.fitted import Fitted, Scored
from vfl.models.part import GlmPart, SharedWeights, unknown_weights
from vfl.models.regression import plaintext as alone
from vfl.models.regression import program as glm
from vfl.models.regression.program import TOL, Family
from vfl.models.regression.section import LinearRegression, LogisticRegression, PoissonRegression
from vfl.models.regression.solvers import sgd_of
from vfl.models.regression.stopping import STOPPING
from vfl.models.regression.targets import ClassWeight
from vfl.preprocessing import Preprocessor, Standardiser
from vfl.schema.section import listed
from vfl.screen.tables import facts, grid, say
from vfl.steps.feature_tables import feature_tables

CURVES = {
    ("logistic", "exact"): alone.logistic,
    ("logistic", "taylor"): alone.taylor,
    ("linear", "exact"): alone.squared,
    ("poisson", "exact"): alone.poisson,
}
FAMILIES: dict[str, Family] = {"logistic-regression": "logistic", "linear-regression": "linear", "poisson-regression": "poisson"}


class Rest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of manifest.json that a regression adds.  known: whether the party knows its weights; arbiter: whether any party's are shared with the arbiter."""

    clip: float
    family: Literal["logistic", "linear", "poisson"]
    link: str
    score_bits: int
    known: bool
    arbiter: bool
    guest: bool
    intercept: bool
    label_mean: float
    label_scale: float
    preprocess: Preprocessor | None = None


Model = LogisticRegression | LinearRegression | PoissonRegression


def _model(job: Job) -> Model:
    assert isinstance(job.model, Model)
    return job.model


def described(job: Job) -> dict[str, str]:
    """The model in plain words."""
    model, parties = _model(job), job.parties
    penalty = f"C = {model.C:g}, link {model.link}" if isinstance(model, LogisticRegression) else f"alpha = {model.alpha:g}"
    told = {
        **preprocessed(job),
        "train": f"{model.kind}: {passes_of(job)}{_in_batches(model)}, {penalty}, values limited to {model.clip:g}",
    }
    if model.stops:
        told["stop"] = stopping_of(job)
    if isinstance(model, LogisticRegression) and model.num_class > 2:
        told["classes"] = f"{model.num_class}, each against the rest: as many trainings, and as many weights per column"
    if weighted := [name for name in ("class_weight", "sample_weight") if getattr(model, name, None)]:
        told["rows"] = f"weighted, by {' and '.join(weighted)} at {parties.guest}"
    if isinstance(model, PoissonRegression) and model.exposure:
        told["rows"] = f"events per unit of exposure, weighted by the exposures at {parties.guest}; predictions are such frequencies"
    deals = f"; {parties.hosts[0]} deals for the link" if "edge-count-to-arbiter" in model.permits else ""
    told["weights"] = weights_of(job)
    return told | {"encrypt": f"Paillier, {job.crypto.key_bits} bits; {parties.arbiter} holds the key{deals}"}


def weights_of(job: Job) -> str:
    """Who learns final weights, in words."""
    parties, known = job.parties, set(job.reveal)
    who = {True: list[str](), False: list[str]()}
    who["guest" in known].append(parties.guest)
    who["hosts" in known].extend(parties.hosts)
    told = (
        [f"those of {listed(who[False], 'and')} stay shared with {parties.arbiter}, without which no row can be scored"]
        if who[False]
        else []
    )
    told += [f"{name} learns its own" for name in who[True]]
    return "; ".join(told)


def _in_batches(model: Model) -> str:
    if model.solver == "preconditioned":
        return ""
    size = "an eighth of the rows, at most 8,192" if model.batch_size == "auto" else f"at most {model.batch_size:,} rows"
    return f" in mini-batches of {size} (momentum {model.momentum:g}, first rate {model.learning_rate_init:g})"


def passes_of(job: Job) -> str:
    """The number of iterations, in words."""
    model, parties = _model(job), 1 + len(job.parties.hosts)
    if model.max_iter == "auto":
        return f"iterations planned from {job.parties.guest}'s labels, {planned_passes(0, parties)} to {MOST_PASSES:,}, more if events are rarer"
    return f"{'at most ' if model.stops else ''}{model.max_iter} iterations"


def stopping_of(job: Job) -> str:
    """What ends training before the last iteration, in words."""
    model, every = _model(job), _model(job).n_iter_no_change
    whose = f"{model.validation_fraction:.0%} of the training rows, held out for it," if model.early_stopping else "the training rows"
    looks = f", {model.max_iter // every} times at most" if isinstance(model.max_iter, int) else ""
    looks += ", for each class" if isinstance(model, LogisticRegression) and model.num_class > 2 else ""
    tol = TOL if model.tol is None else model.tol
    return f"{job.parties.arbiter} opens the mean loss of {whose} every {every} iterations{looks}; training ends when it no longer improves by {tol:g}"


def preprocessed(job: Job) -> dict[str, str]:
    """[preprocess] in plain words: what is set otherwise than by default."""
    if job.preprocess is None:
        return {}
    told = [f"{name} = {value}" for name, value in job.preprocess.model_dump(exclude_defaults=True).items()]
    return {"prepare": f"each party its own columns, on the training rows: {', '.join(told) or 'columns without any value are left out'}"}


def rounded(job: Job) -> list[str]:
    """How coarse what is opened is."""
    weights = [f"final weights are rounded to multiples of 1/{2 ** _model(job).weight_bits}"] if job.reveal else []
    return [
        f"scores are opened with an error of up to 1/{2 ** (job.score_bits + 1)} per host, which is always the same for a row",
        *weights,
    ]


def summary(job: Job) -> dict[str, Any]:
    """What report.json says about the model at every role."""
    model = _model(job)
    return {"passes": None if model.max_iter == "auto" else model.max_iter, **model.model_dump(exclude={"kind", "max_iter"})}


def carries(job: Job, rows: int) -> None:
    """Raises ConfigError unless a plaintext has room for one masked gradient over this number of rows, where labels' means and weights of rows are 1."""
    terms, plain_bits = plan_of(job).terms, job.crypto.key_bits - HEAD_ROOM - 1
    link = scaled(terms, NO_SCALE)
    link.plan(rows_log2(rows), terms.penalty, terms.passes or MOST_PASSES, 1 + len(job.parties.hosts), plain_bits, terms.sgd)


def plan_of(job: Job, classes: tuple[Any, ...] = ()) -> glm.GlmJob:
    """As the program takes it; classes: the label's values, which at the guest a file's names of them are looked up among."""
    model = _model(job)
    own: dict[str, Any]
    exposed = isinstance(model, PoissonRegression) and model.exposure
    if isinstance(model, LogisticRegression):
        weights, models = _class_weight(model.class_weight, classes), model.num_class if model.num_class > 2 else 1
        own = {"alpha": 1 / model.C, "link": model.link, "class_weight": weights, "models": models}
    else:
        own = {"alpha": model.alpha, "models": 1}
    return glm.GlmJob(
        family=FAMILIES[model.kind],
        **own,
        max_iter=None if model.max_iter == "auto" else model.max_iter,
        sgd=sgd_of(model.solver, model.batch_size, model.momentum, model.learning_rate_init),
        **{name: getattr(model, name) for name in STOPPING},
        fit_intercept=model.fit_intercept,
        weighted=model.sample_weight or exposed,
        exposure=exposed,
        clip=model.clip,
        weight_bits=model.weight_bits,
        reveal=job.reveal,
        score_bits=job.score_bits,
        min_intersection=job.align.min_intersection,
        keys=len(job.align.keys),
        test=job.split.test,
        seed=job.split.seed,
        out_of_time=job.split.cut_off,
        preprocess=job.preprocess.steps if job.preprocess is not None else None,
        open_names=job.preprocess is not None and job.preprocess.open_names,
        measure_train=job.evaluation.train,
    )


def _class_weight(given: str | dict[str, float] | None, classes: tuple[Any, ...]) -> ClassWeight:
    """By the label's own values where a file can only name texts."""
    if given is None or isinstance(given, str):
        return given
    known = {str(value): value for value in classes}
    return tuple((known.get(name, name), weight) for name, weight in given.items())


def program(job: Job, role: Role) -> Any:
    """The role function that trains."""
    if role == "arbiter":
        return lambda session, table: kept_part(job, session, glm.arbiter(session, plan_of(job), searched.asked(job, plan_of)))
    train = glm.guest if role == "guest" else glm.host

    def run(session: Session, table: Table) -> glm.Fitted:
        plan = partial(plan_of, classes=table.classes or ())
        return train(session, table, plan(job), searched.asked(job, plan))

    return run


def kept_part(job: Job, session: Session, kept: Kept) -> SharedWeights | None:
    """The arbiter's part of what was trained, if it keeps any."""
    return SharedWeights(session.me, kept.model_id, job.model.kind, kept.shares) if kept.shares else None


def scorer(job: Job, role: Role, part: Any) -> Any:
    """The role function that scores new rows; part: a data party's, or what the arbiter keeps."""
    least, keys = job.align.min_intersection, len(job.align.keys)

    def run(session: Session, table: Table | None) -> Scored:
        if role == "arbiter":
            return Scored(moved=glm.predict_arbiter(session, part, least, keys))
        assert table is not None
        if role == "guest":
            rows, scores, own = glm.predict_guest(session, table, part, least)
            return Scored((rows, scores), {} if own is None else {part.party: own})
        own = glm.predict_host(session, table, part, least)
        return Scored(moved={} if own is None else {part.party: own})

    return run


def predictions(part: GlmPart, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities or expected values from joint predictors (n, models)."""
    return part.means(scores)


def guest_alone(plan: glm.GlmJob, fitted: Fitted, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Predictions of these rows from the minimiser of the same objective under the same link on the guest's own columns."""
    assert isinstance(fitted, glm.Fitted)
    aligned, part, train = fitted.aligned, fitted.part, np.flatnonzero(~(fitted.held_out | fitted.validation))
    x = part.standardiser.transform(aligned.features, part.party)
    if plan.fit_intercept:
        x = np.column_stack([x, np.ones(len(x))])
    wanted, curve = plan.targets(aligned.take(train), len(train)), CURVES[plan.family, plan.link]
    C = 1 / (plan.alpha * (len(train) if plan.terms.penalty.mean else 1))
    weights = [None] * len(wanted.y) if wanted.weights is None else list(wanted.weights)
    found = [alone.minimised(x[train], y, C, curve, w, intercept=plan.fit_intercept) for y, w in zip(wanted.y, weights, strict=True)]
    return predictions(part, x[rows] @ np.stack(found, axis=1))


def columns(part: GlmPart, scores: NDArray[np.float64]) -> dict[str, Any]:
    """None: the predictions say everything."""
    return {}


def explained(part: GlmPart, features: pd.DataFrame) -> None:
    """There are no reasons for a row."""


def fitted_summary(fitted: Fitted) -> dict[str, Any]:
    """This party's own coefficients, if it knows them; of several classes those of each; after how many iterations training ended; and what [preprocess] found."""
    assert isinstance(fitted, glm.Fitted)
    part = fitted.part
    told: dict[str, Any] = {"passes_made": list(fitted.passes), "weights_known": part.known}
    told |= coefficients(part) if part.known else {}
    if part.family == "linear" and part.is_guests:
        told |= {"label_mean": part.label_mean, "label_scale": part.label_scale}
    told |= {} if fitted.settled else {"settled": False}
    return told | feature_tables(part.standardiser.steps, fitted.binned)


def coefficients(part: GlmPart) -> dict[str, Any]:
    """Of a party that knows them: a row for each column, of several classes for each column of each, and the intercept."""
    rows = list[dict[str, Any]]()
    for k, (name, weights) in enumerate(zip(_models(part), part.weights, strict=True)):
        intercept = {} if part.intercept is None or part.models == 1 else {"intercept": part.intercept[k]}
        raw = weights / part.standardiser.scale
        each = {} if name is None else {"class": name, **intercept}
        rows += [{"column": c, "coef": float(w), "coef_raw": float(r), **each} for c, w, r in zip(part.columns, weights, raw, strict=True)]
    return {"coefficients": rows, "intercept": part.intercept[0] if part.intercept is not None and part.models == 1 else None}


def _models(part: GlmPart) -> list[str | None]:
    """What each of several models is of: a value of the label, or at a host its number."""
    if part.models == 1:
        return [None]
    return [str(c) for c in part.classes or range(1, part.models + 1)]


def print_part(part: GlmPart, console: Console) -> None:
    """The coefficients as a table, if this party knows them; of several classes one after the other."""
    told = {"link": part.link} if part.family == "logistic" else {}
    if part.classes is not None and len(part.classes) == 2:
        told["scores"] = f"the probability of {part.classes[1]!r} rather than {part.classes[0]!r}"
    elif part.classes is not None:
        told["scores"] = "the probability of each of " + ", ".join(repr(c) for c in part.classes)
    if part.known and part.intercept is not None:
        told["intercept"] = ", ".join(f"{value:.6f}" for value in part.intercept) + ", on the standardised scale"
    if part.family == "linear" and part.is_guests:
        told["label"] = f"standardised: mean {part.label_mean:.6g}, standard deviation {part.label_scale:.6g}"
    facts(console, {name: escape(text) for name, text in told.items()})
    if not part.known:
        print_shared(part, console)
        return
    for name, weights in zip(_models(part), part.weights, strict=True):
        console.print("" if name is None else escape(f"\nclass {name}"), highlight=False)
        table = grid("column", "coef", "coef_raw", "mean", "scale", numbers=4)
        for row in zip(
            part.columns, weights, weights / part.standardiser.scale, part.standardiser.mean, part.standardiser.scale, strict=True
        ):
            table.add_row(escape(row[0]), *(f"{v:.6g}" for v in row[1:]))
        console.print(table, highlight=False)
    unit = " in standard deviations of the label" if part.family == "linear" else ""
    cut = f"(standardised values are cut to +-{part.standardiser.clip:g})"
    say(console, f"\ncoef: a standard deviation of the column {cut}; coef_raw: a unit as it came{';' + unit if unit else ''}.")


def print_shared(part: GlmPart, console: Console) -> None:
    """The columns of a part whose weights nobody knows."""
    table = grid("column", "mean", "scale", numbers=2)
    for row in zip(part.columns, part.standardiser.mean, part.standardiser.scale, strict=True):
        table.add_row(escape(row[0]), *(f"{v:.6g}" for v in row[1:]))
    console.print(table, highlight=False)
    say(console, f"\n{escape(unknown_weights(part.party, guest=part.is_guests).what)}.")


def pack(part: GlmPart) -> Body:
    """`mean` and `scale` (columns,) float64; `shares` and `share_names` as vfl/models/shared_weights.py says; at a host `score_key` (32,) uint8."""
    standardiser = part.standardiser
    rest = Rest(
        standardiser.clip,
        part.family,
        part.link,
        part.score_bits,
        part.known,
        part.arbiter,
        part.is_guests,
        part.intercepts,
        part.label_mean,
        part.label_scale,
        standardiser.steps,
    )
    key = {} if part.is_guests else {"score_key": np.frombuffer(part.score_key, np.uint8)}
    arrays: Tensors = {"mean": standardiser.mean, "scale": standardiser.scale, **key, **shared.tensors_of_shares(part.shares)}
    return Body(msgspec.to_builtins(rest), arrays)


def unpack(head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> GlmPart:
    """The part; raises Damaged."""
    told = msgspec.convert(rest, Rest)
    width, classes = len(head.columns), head.values
    shares = shared.shares_from(tensors, known=told.known)
    own = {name: array for name, array in tensors.items() if name not in ("shares", "share_names")}
    key: dict[str, tuple[type[Any], tuple[int]]] = {} if told.guest else {"score_key": (np.uint8, (32,))}
    arrays = tensors_of(own, {**dict.fromkeys(("mean", "scale"), (np.float64, (width,))), **key})
    models, weights = shares.latest.shape
    check((arrays["scale"] > 0).all(), told.clip > 0, told.link in LOGISTIC_LINKS, 0 <= told.score_bits <= 20, told.known or told.arbiter)
    check(weights == width + told.intercept, told.guest or not told.intercept, np.isfinite(told.label_mean))
    check(told.family == FAMILIES[head.kind], told.guest or classes is None, 0 < told.label_scale < np.inf)
    if told.guest:
        check(
            models == (len(classes) if classes and len(classes) != 2 else 1),
            classes is None or len(classes) >= 2,
            (told.family == "logistic") == (classes is not None),
        )
    check(told.preprocess is None or (told.preprocess.fits() and list(told.preprocess.columns) == head.columns))
    return GlmPart(
        head.party,
        head.name,
        Standardiser(tuple(head.columns), arrays["mean"], arrays["scale"], told.clip, told.preprocess),
        shares,
        told.family,
        told.link,
        told.score_bits,
        told.arbiter,
        told.guest,
        told.intercept,
        b"" if told.guest else arrays["score_key"].tobytes(),
        classes,
        told.label_mean,
        told.label_scale,
    )
