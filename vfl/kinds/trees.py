"""Boosted trees by files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from protocols.boosting import hidden, objective, scoring, shared, twin
from protocols.boosting.ensemble import Rounds
from protocols.boosting.params import Params
from protocols.errors import ConfigError
from protocols.session import Session
from vfl.config.job import Job, Role
from vfl.config.models import BoostedTrees
from vfl.data import Table
from vfl.data.codes import coded
from vfl.kinds import searched
from vfl.kinds.fitted import Fitted, Scored
from vfl.kinds.trees_part import pack, unpack
from vfl.model import TreesPart
from vfl.printing import facts, grid, say
from vfl.programs import boosting

__all__ = [
    "carries",
    "columns",
    "described",
    "explained",
    "fitted_summary",
    "guest_alone",
    "pack",
    "plan_of",
    "predictions",
    "print_part",
    "program",
    "rounded",
    "scorer",
    "summary",
    "unpack",
]


def _model(job: Job) -> BoostedTrees:
    assert isinstance(job.model, BoostedTrees)
    return job.model


def described(job: Job) -> dict[str, str]:
    """The model in plain words."""
    model, parties = _model(job), job.parties
    deals = f"; {parties.arbiter} deals the transfers" if model.membership == "hidden" else ""
    classes = f", {model.num_class} classes" if model.num_class > 1 else ""
    rate = f"learning_rate {model.learning_rate:g}"
    goes_on = f", those of the model {model.continue_from} included" if model.continue_from else ""
    return {
        "train": f"{model.kind}: {model.n_estimators} rounds of depth {model.max_depth}{goes_on}, {rate}, objective {model.objective}{classes}",
        "rows of nodes": "hosts never learn them" if model.membership == "hidden" else "hosts learn them (membership = shared)",
        "encrypt": f"Paillier, {job.crypto.key_bits} bits; {parties.guest} holds the key{deals}",
    }


def rounded(job: Job) -> list[str]:
    """How coarse what is opened is."""
    model = _model(job)
    return [
        f"gradients are rounded to {model.gradient_bits} bits at random, anew for every tree, before they are summed",
        f"no bin of a host has fewer than {model.min_bin_rows} rows",
    ]


def summary(job: Job) -> dict[str, Any]:
    """What report.json says about the model at every role."""
    return _model(job).model_dump(exclude={"kind"})


def carries(job: Job, rows: int) -> None:
    """Raises ConfigError unless a plaintext has room for the sums of all nodes of a level over so many rows."""
    params = _model(job).params()
    if params.membership == "hidden":
        hidden.packings(params, rows, job.crypto.key_bits)
    else:
        shared.layout(params, rows, job.crypto.key_bits)


def plan_of(job: Job, classes: tuple[Any, ...] = ()) -> boosting.BoostingJob:
    """As the program takes it."""
    model = _model(job)
    return boosting.BoostingJob(
        params=model.params(),
        validation=model.validation,
        min_intersection=job.align.min_intersection,
        keys=len(job.align.keys),
        test=job.split.test,
        seed=job.split.seed,
        out_of_time=job.split.cut_off,
        measure_train=job.evaluation.train,
        continues=model.continue_from is not None,
    )


def program(job: Job, role: Role) -> Any:
    """The role function that trains."""
    plan, wanted = plan_of(job), searched.asked(job, plan_of)
    if role == "arbiter":
        return lambda session, table: boosting.arbiter(session, plan, wanted)
    train = boosting.guest if role == "guest" else boosting.host
    return lambda session, table, before=None: train(session, table, plan, before, wanted)


def check_continues(job: Job, part: TreesPart, table: Table) -> None:
    """Raises ConfigError or DataError unless the job can add rounds to the model that `part` belongs to, with this table."""
    model, party = _model(job), part.party
    boosting.check_columns(table, part)
    if part.ensemble is None:
        depth = model.max_depth if model.membership == "hidden" else 0
        if part.depth != depth:
            raise ConfigError(
                f"{party}: a model is continued with its own membership and max_depth",
                remedy="Set them as they were",
                expected=part.depth or "shared",
                found=depth or "shared",
                party=party,
            )
        return
    if part.hosts != job.parties.hosts:
        raise ConfigError(
            f"{party}: a model is continued with its own hosts, in their order",
            remedy="Name them as they were",
            expected=", ".join(part.hosts),
            found=", ".join(job.parties.hosts),
            party=party,
        )
    boosting.check_label(table, part)
    model.params().check_continues(part.ensemble.params, len(part.ensemble.trees))


def scorer(job: Job, role: Role, part: TreesPart) -> Any:
    """The role function that scores new rows."""
    least = job.align.min_intersection
    if role == "arbiter":
        deals = _model(job).membership == "hidden"

        def serve(session: Session, table: Table | None) -> Scored:
            boosting.predict_arbiter(session, least, deals=deals, keys=len(job.align.keys))
            return Scored()

        return serve
    score = boosting.predict_guest if role == "guest" else boosting.predict_host
    return lambda session, table: Scored(score(session, table, part, least))


def predictions(part: TreesPart, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) probabilities of the event, means or counts, or (n, classes) probabilities, from margins (n, outputs)."""
    assert part.ensemble is not None
    return _means(part.ensemble.params, scores)


def guest_alone(plan: boosting.BoostingJob, fitted: Fitted, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The same of some aligned rows from the same trees on the guest's own columns, trained in the clear."""
    params, aligned, test = plan.params, fitted.aligned, fitted.held_out
    assert isinstance(fitted, boosting.Fitted)
    assert aligned.label is not None
    part, y = fitted.part, aligned.label.to_numpy(np.float64)
    weight = None if aligned.weight is None else aligned.weight.to_numpy(np.float64)[~test]
    binner, x = part.binner, coded(aligned.features, part.columns, part.names)
    rounds = Rounds(params, y[~test], weight=weight, held_out=fitted.validation[~test])
    twin.train([binner.transform(x[~test])], params, rounds)
    own, ensemble = binner.transform(x[rows]), rounds.ensemble(b"")
    steps = [tree.value[tree.route(len(own), scoring.walker(own, tree, ()))] for tree in ensemble.trees]
    return _means(params, ensemble.margin(steps, len(own)))


def columns(part: TreesPart, scores: NDArray[np.float64]) -> dict[str, Any]:
    """None: the predictions say everything."""
    return {}


def explained(part: TreesPart, features: pd.DataFrame) -> None:
    """A row's reasons are not told."""


def fitted_summary(fitted: Fitted) -> dict[str, Any]:
    """What this party knows of the trees."""
    assert isinstance(fitted.part, TreesPart)
    return part_summary(fitted.part)


def part_summary(part: TreesPart) -> dict[str, Any]:
    """At the guest how much each of its columns, and each host as a whole, brought; at a host how often each of its own columns was split on."""
    if part.ensemble is None:
        return {"splits": splits_by_column(part)}
    gain, count = part.ensemble.importance("gain"), part.ensemble.importance("split")
    rows = [
        {"party": party, "column": part.columns[k] if party == 0 else None, "gain": gain[party, k], "splits": int(count[party, k])}
        for party, k in sorted(gain)  # 0 is the guest; of a host's columns it cannot tell one from another
    ]
    return {"importance": rows, "trees": len(part.ensemble.trees)}


def splits_by_column(part: TreesPart) -> list[dict[str, Any]]:
    """How often a host's columns were split on, in its own table's order."""
    assert part.splits is not None
    count = np.bincount(np.array(part.splits.feature, dtype=np.int64), minlength=len(part.columns))
    return [{"column": column, "splits": int(n)} for column, n in zip(part.columns, count, strict=True)]


def print_part(part: TreesPart, console: Console) -> None:
    """The importance of columns, and for the guest's part what its scores are."""
    if part.ensemble is None:
        say(console, "This host's columns, and how often each was split on; what a split gained is known to the guest alone.\n")
        table = grid("column", "splits", numbers=1)
        for row in splits_by_column(part):
            table.add_row(escape(row["column"]), str(row["splits"]))
        console.print(table, highlight=False)
        return
    params, told = part.ensemble.params, {}
    told["trees"] = f"{len(part.ensemble.trees)}, of depth {params.max_depth} at most; objective {params.objective}"
    if part.classes is not None and len(part.classes) == 2:
        told["scores"] = f"the probability of {part.classes[1]!r} rather than {part.classes[0]!r}"
    elif part.classes is not None:
        told["scores"] = "the probability of each of " + ", ".join(repr(c) for c in part.classes)
    facts(console, {name: escape(text) for name, text in told.items()})
    console.print()
    rows = part_summary(part)["importance"]
    total = sum(row["gain"] for row in rows) or 1.0
    table = grid("column", "gain", "share", "splits", numbers=3)
    for row in sorted(rows, key=lambda row: -row["gain"]):
        name = row["column"] if row["party"] == 0 else f"host {row['party']} of the job, all columns"
        table.add_row(escape(name), f"{row['gain']:.6g}", f"{row['gain'] / total:.1%}", str(row["splits"]))
    console.print(table, highlight=False)


def _means(params: Params, margins: NDArray[np.float64]) -> NDArray[np.float64]:
    means = objective.predictions(params, margins)
    return means if means.shape[1] > 1 else means[:, 0]
