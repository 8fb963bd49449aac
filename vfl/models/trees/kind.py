"""Boosted trees by files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from protocols.boosting import objective, open, sealed, twin
from protocols.boosting.ensemble import Rounds
from protocols.boosting.params import Params
from protocols.boosting.sealed_parts import GuestTrees
from protocols.boosting.tree import walker
from protocols.errors import ConfigError
from protocols.session import Session
from vfl.data import Table
from vfl.data.codes import coded
from vfl.job import searched
from vfl.job.job import Job, Role
from vfl.models.fitted import Fitted, Scored
from vfl.models.part import TreesPart
from vfl.models.section import BoostedTrees
from vfl.models.trees import program as boosting
from vfl.models.trees.part_files import pack, unpack
from vfl.screen.tables import facts, grid, say

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


SEALED_ROWS = "nobody sees a row's gradient, score, node or direction; the arbiter sees sums of gradients over unnamed bins"
OPEN_ROWS = (
    "assume that the guest learns, without the column's name, the bin of every row in every column that wins (correlation .96 and more in tests), "
    "and that hosts learn the labels of all training rows (AUC .997 and more in tests; membership = open)"
)


def _model(job: Job) -> BoostedTrees:
    assert isinstance(job.model, BoostedTrees)
    return job.model


def described(job: Job) -> dict[str, str]:
    """The model in plain words."""
    model, parties = _model(job), job.parties
    sealed = model.membership == "sealed"
    holder = parties.arbiter if sealed else parties.guest
    classes = f", {model.num_class} classes" if model.num_class > 1 else ""
    rate = f"learning_rate {model.learning_rate:g}"
    goes_on = f", those of the model {model.continue_from} included" if model.continue_from else ""
    return {
        "train": f"{model.kind}: {model.n_estimators} rounds of depth {model.max_depth}{goes_on}, {rate}, objective {model.objective}{classes}",
        "rows": SEALED_ROWS if sealed else OPEN_ROWS,
        "encrypt": f"Paillier, {job.crypto.key_bits} bits; {holder} holds the key" + (" and the leaf values" if sealed else ""),
    }


def rounded(job: Job) -> list[str]:
    """How coarse what is opened is."""
    model = _model(job)
    bits = f"{model.gradient_bits} bits" if model.gradient_bits else "12 bits (below 5,000 rows) or 8 bits"
    told = [
        f"gradients are randomly rounded to {bits} for every tree before they are summed",
        f"no bin of a host has fewer than {model.min_bin_rows} rows",
    ]
    if model.membership == "sealed":
        told.append(f"scores are rounded to multiples of 1/{2**job.score_bits} before they are opened")
    return told


def summary(job: Job) -> dict[str, Any]:
    """What report.json says about the model at every role."""
    return _model(job).model_dump(exclude={"kind"})


def carries(job: Job, rows: int) -> None:
    """Raises ConfigError unless a plaintext has room for the sums of all nodes of a level over this number of rows."""
    model = _model(job)
    params = model.params()
    if params.sealed:
        sealed.layout_of(params, rows, job.crypto.key_bits, model.sample_weight)
    else:
        open.layout(params, rows, job.crypto.key_bits)


def plan_of(job: Job, classes: tuple[Any, ...] = ()) -> boosting.BoostingJob:
    """As the program takes it."""
    model = _model(job)
    return boosting.BoostingJob(
        params=model.params(job.disclosure.score_bits),
        validation=model.validation,
        min_intersection=job.align.min_intersection,
        keys=len(job.align.keys),
        test=job.split.test,
        seed=job.split.seed,
        out_of_time=job.split.cut_off,
        measure_train=job.evaluation.train,
        continues=model.continue_from is not None,
        weighted=model.sample_weight,
    )


def program(job: Job, role: Role) -> Any:
    """The role function that trains."""
    plan, wanted = plan_of(job), searched.asked(job, plan_of)
    if role == "arbiter":
        return lambda session, table, before=None: boosting.arbiter(session, plan, before, wanted)
    train = boosting.guest if role == "guest" else boosting.host
    return lambda session, table, before=None: train(session, table, plan, before, wanted)


def check_continues(job: Job, part: TreesPart, table: Table) -> None:
    """Raises ConfigError or DataError unless the job can add rounds to the model that `part` belongs to, with this table."""
    model, party = _model(job), part.party
    boosting.check_columns(table, part)
    if part.ensemble is None:
        depth = model.max_depth if model.membership == "sealed" else 0
        if part.depth != depth:
            raise ConfigError(
                f"{party}: a model is continued with its own membership and max_depth",
                remedy="Set them as they were",
                expected=part.depth or "open",
                found=depth or "open",
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
    model.params().check_continues(part.trees.params, tree_count(part))


def scorer(job: Job, role: Role, part: Any) -> Any:
    """The role function that scores new rows; part: at the arbiter of sealed trees its leaf values."""
    least = job.align.min_intersection
    if role == "arbiter":

        def serve(session: Session, table: Table | None) -> Scored:
            boosting.predict_arbiter(session, least, part, keys=len(job.align.keys))
            return Scored()

        return serve
    score = boosting.predict_guest if role == "guest" else boosting.predict_host
    return lambda session, table: Scored(score(session, table, part, least))


def predictions(part: TreesPart, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) probabilities of the event, means or counts, or (n, classes) probabilities, from margins (n, outputs)."""
    return _means(part.trees.params, scores)


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
    steps = [tree.value[tree.route(len(own), walker(own, tree, ()))] for tree in ensemble.trees]
    return _means(params, ensemble.margin(steps, len(own)))


def columns(part: TreesPart, scores: NDArray[np.float64]) -> dict[str, Any]:
    """None: the predictions say everything."""
    return {}


def explained(part: TreesPart, features: pd.DataFrame) -> None:
    """There are no reasons for a row."""


def fitted_summary(fitted: Fitted) -> dict[str, Any]:
    """What this party knows of the trees."""
    assert isinstance(fitted.part, TreesPart)
    return part_summary(fitted.part)


def part_summary(part: TreesPart) -> dict[str, Any]:
    """At the guest how often each of its columns, and each host as a whole, was split on, of open trees with the gains; at a host how often each of its columns."""
    if part.ensemble is None:
        return {"splits": splits_by_column(part)}
    trees = part.trees
    count: Mapping[tuple[int, int], float] = trees.importance() if isinstance(trees, GuestTrees) else trees.importance("split")
    gain = {} if isinstance(trees, GuestTrees) else trees.importance("gain")
    rows = [
        {"party": party, "column": part.columns[k] if party == 0 else None, "gain": gain.get((party, k)), "splits": int(count[party, k])}
        for party, k in sorted(count)  # 0 is the guest; of a host's columns it cannot tell one from another
    ]
    return {"importance": rows, "trees": tree_count(part)}


def tree_count(part: TreesPart) -> int:
    """How many trees a guest's part knows."""
    return part.trees.trees if isinstance(part.trees, GuestTrees) else len(part.trees.trees)


def splits_by_column(part: TreesPart) -> list[dict[str, Any]]:
    """How often a host's columns were split on, in its own table's order."""
    assert part.splits is not None
    count = np.bincount(np.array(part.splits.feature, dtype=np.int64), minlength=len(part.columns))
    return [{"column": column, "splits": int(n)} for column, n in zip(part.columns, count, strict=True)]


def print_part(part: TreesPart, console: Console) -> None:
    """The importance of columns, and for the guest's part what its scores are."""
    if part.ensemble is None:
        say(console, "This host's columns, and how often each was split on; what a split gained is not known to it.\n")
        table = grid("column", "splits", numbers=1)
        for row in splits_by_column(part):
            table.add_row(escape(row["column"]), str(row["splits"]))
        console.print(table, highlight=False)
        return
    params, told = part.trees.params, {}
    told["trees"] = f"{tree_count(part)}, of depth {params.max_depth} at most; objective {params.objective}"
    if params.sealed:
        told["leaf values"] = "at the arbiter alone; scoring needs it"
    if part.classes is not None and len(part.classes) == 2:
        told["scores"] = f"the probability of {part.classes[1]!r} rather than {part.classes[0]!r}"
    elif part.classes is not None:
        told["scores"] = "the probability of each of " + ", ".join(repr(c) for c in part.classes)
    facts(console, {name: escape(text) for name, text in told.items()})
    console.print()
    rows = part_summary(part)["importance"]
    measure = "splits" if params.sealed else "gain"
    total = sum(row[measure] for row in rows) or 1.0
    table = grid("column", *(() if params.sealed else ("gain",)), "share", "splits", numbers=2 if params.sealed else 3)
    for row in sorted(rows, key=lambda row: -row[measure]):
        name = row["column"] if row["party"] == 0 else f"host {row['party']} of the job, all columns"
        gain = () if params.sealed else (f"{row['gain']:.6g}",)
        table.add_row(escape(name), *gain, f"{row[measure] / total:.1%}", str(row["splits"]))
    console.print(table, highlight=False)


def _means(params: Params, margins: NDArray[np.float64]) -> NDArray[np.float64]:
    means = objective.predictions(params, margins)
    return means if means.shape[1] > 1 else means[:, 0]
