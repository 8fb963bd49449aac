"""A regression in words: what a job does, and what a part shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.glm import Terms, gram
from protocols.glm.plan import MOST_PASSES, planned_passes
from protocols.session import Roles
from vfl.models.plan import Plan
from vfl.models.regression.base import Regression
from vfl.models.regression.part import GlmPart, unknown_weights
from vfl.models.regression.program import TOL, terms_of
from vfl.models.regression.spec import LogisticRegression
from vfl.schema.section import listed
from vfl.schema.spec import Spec
from vfl.screen.shown import Heading, Shown, Table


def described(plan: Plan[Regression], roles: Roles) -> dict[str, str]:
    """The model in plain words."""
    model = plan.spec
    penalty = (
        f"C = {model.C:g}, link {model.link}"
        if isinstance(model, LogisticRegression)
        else f"alpha = {model.strength:g}"
    )
    told = {
        **preprocessed(plan),
        "train": f"{model.kind}: {passes_of(plan, roles)}{_in_batches(model)}, {penalty}"
        + ("" if model.clip is None else f", values limited to {model.clip:g}"),
    }
    if model.stops:
        told["stop"] = stopping_of(plan, roles)
    if isinstance(model, LogisticRegression) and model.num_class > 2:
        told["classes"] = (
            f"{model.num_class}, each compared with the rest: one training and one weight per column for each class"
        )
    if weighted := [name for name in ("class_weight", "sample_weight") if getattr(model, name, None)]:
        told["rows"] = f"weighted, by {' and '.join(weighted)} at {roles.guest}"
    if model.exposed:
        told["rows"] = (
            f"events per unit of exposure, weighted by the exposures at {roles.guest}; predictions are such frequencies"
        )
    deals = (
        f"; {roles.hosts[0]} hands out the random numbers for the link"
        if "edge-count-to-arbiter" in model.permits
        else ""
    )
    told["weights"] = weights_of(plan, roles)
    when = prepared_of(plan, terms_of(plan), roles)
    return told | {"encrypt": f"Paillier, {model.key_bits} bits; {roles.arbiter} holds the key{deals}{when}"}


def prepared_of(plan: Plan[Spec], terms: Terms, roles: Roles) -> str:
    """When products under encryption are made."""
    if not plan.prepared:
        return "; each iteration computes with ciphertexts"
    said = "; products under encryption are made before the iterations, for several at once"
    if gram.may(terms, len(roles.hosts)):
        said += (
            f", or where that is cheaper between columns once, under keys of {roles.guest} and {roles.hosts[0]}, which "
            "tells each of the two how many columns the other has"
        )
    return said


def weights_of(plan: Plan[Spec], roles: Roles) -> str:
    """Who learns final weights, in words."""
    known = set(plan.reveal)
    who = {True: list[str](), False: list[str]()}
    who["guest" in known].append(roles.guest)
    who["hosts" in known].extend(roles.hosts)
    told = (
        [f"those of {listed(who[False], 'and')} stay shared with {roles.arbiter}, without which no row can be scored"]
        if who[False]
        else []
    )
    told += [f"{name} learns its own" for name in who[True]]
    return "; ".join(told)


def _in_batches(model: Regression) -> str:
    if model.solver == "preconditioned":
        return ""
    size = (
        "an eighth of the rows, at most 8,192" if model.batch_size == "auto" else f"at most {model.batch_size:,} rows"
    )
    return f" in mini-batches of {size} (momentum {model.momentum:g}, first rate {model.learning_rate_init:g})"


def passes_of(plan: Plan[Regression], roles: Roles) -> str:
    """The number of iterations, in words."""
    model, parties = plan.spec, len(roles.data_parties)
    if model.max_iter == "auto":
        return (
            f"iterations planned from {roles.guest}'s labels, {planned_passes(0, parties)} to "
            f"{MOST_PASSES:,}, more if events are rarer"
        )
    return f"{'at most ' if model.stops else ''}{model.max_iter} iterations"


def stopping_of(plan: Plan[Regression], roles: Roles) -> str:
    """What ends training before the last iteration, in words."""
    model, every = plan.spec, plan.spec.n_iter_no_change
    whose = (
        f"{model.validation_fraction:.0%} of the training rows, held out for it,"
        if model.early_stopping
        else "the training rows"
    )
    looks = f", {model.max_iter // every} times at most" if isinstance(model.max_iter, int) else ""
    looks += ", for each class" if isinstance(model, LogisticRegression) and model.num_class > 2 else ""
    tol = TOL if model.tol is None else model.tol
    return (
        f"all parties learn whether the mean loss of {whose} has improved, every {every} iterations{looks}; training "
        f"ends when it no longer improves by {tol:g}"
    )


def preprocessed(plan: Plan[Regression]) -> dict[str, str]:
    """[preprocess] in plain words: what is set otherwise than by default."""
    if plan.preprocess is None:
        return {}
    changed = {
        name: value
        for name, value in plan.preprocess.get_params(deep=False).items()
        if value != getattr(type(plan.preprocess)(), name)
    }
    changed |= {"open_names": True} if plan.open_names else {}
    told = [f"{name} = {value}" for name, value in changed.items()]
    return {
        "prepare": f"each party its own columns, on the training rows: "
        f"{', '.join(told) or 'columns without any value are left out'}"
    }


def coefficients(part: GlmPart) -> dict[str, Any]:
    """Of a party that knows them: a row for each column, of several classes for each column of each, and the
    intercept."""
    rows = list[dict[str, Any]]()
    for k, (name, weights) in enumerate(zip(_models(part), part.weights, strict=True)):
        intercept = {} if part.intercept is None or part.models == 1 else {"intercept": part.intercept[k]}
        raw = weights / part.standardiser.scale
        each = {} if name is None else {"class": name, **intercept}
        rows += [
            {"column": c, "coef": float(w), "coef_raw": float(r), **each}
            for c, w, r in zip(part.columns, weights, raw, strict=True)
        ]
    return {
        "coefficients": rows,
        "intercept": part.intercept[0] if part.intercept is not None and part.models == 1 else None,
    }


def _models(part: GlmPart) -> list[str | None]:
    """What each of several models is of: a value of the label, or at a host its number."""
    if part.models == 1:
        return [None]
    return [str(c) for c in part.classes or range(1, part.models + 1)]


def shown(part: GlmPart) -> Shown:
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
    if not part.known:
        unknown = f"{unknown_weights(part.party, guest=part.is_guests).what}."
        return Shown(facts=told, tables=[_table(part, {})], notes=[unknown])
    tables = [
        _table(part, {"coef": weights, "coef_raw": weights / part.standardiser.scale}, name)
        for name, weights in zip(_models(part), part.weights, strict=True)
    ]
    unit = "; in standard deviations of the label" if part.family == "linear" else ""
    cut = f"(standardised values are limited to +-{part.standardiser.clip:g})"
    meaning = f"coef: a standard deviation of the column {cut}; coef_raw: one unit of the original column{unit}."
    return Shown(facts=told, tables=tables, notes=[meaning])


def _table(part: GlmPart, numbers: Mapping[str, NDArray[np.float64]], name: str | None = None) -> Table:
    """A row for each column, with its mean and scale; name: the class that the numbers are of."""
    columns = {**numbers, "mean": part.standardiser.mean, "scale": part.standardiser.scale}
    rows = [[c, *map(float, row)] for c, *row in zip(part.columns, *columns.values(), strict=True)]
    title = "" if name is None else f"class {name}"
    return Table([Heading("column"), *(Heading(each, ".6g") for each in columns)], rows, title)
