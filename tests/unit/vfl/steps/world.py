"""Tables and programs for searches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import vfl
from protocols.session import Roles, Session
from tests.plans import planned
from vfl.data import Objective, Table, split_folds, table_from_frame
from vfl.models.regression import program as glm
from vfl.models.regression.spec import LogisticRegression
from vfl.models.trees import program as boosting
from vfl.models.trees.spec import BoostedTrees
from vfl.steps.search import Search

Frames = tuple[pd.DataFrame, dict[str, pd.DataFrame]]
Programs = dict[str, Callable[[Session], Any]]


def frames(rows: int, columns: int = 2, hosts: int = 1, label: str = "binary", seed: int = 0) -> Frames:
    """A guest and hosts of `columns` columns each; all rows are common, in other orders."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns * (hosts + 1)))
    z = x @ rng.normal(size=x.shape[1])
    y: dict[str, Any] = {
        "binary": lambda: (z + rng.logistic(size=rows) > 0).astype(int),
        "numeric": lambda: 3 * z + rng.normal(size=rows),
        "count": lambda: rng.poisson(np.exp(0.3 * z)),
        "multiclass": lambda: np.digitize(z + rng.normal(size=rows), [-1, 1]),
    }
    ids = [f"c{i:05d}" for i in range(rows)]
    parts = np.split(x, hosts + 1, axis=1)
    guest = pd.DataFrame(parts[0], columns=[f"g{i}" for i in range(columns)]).assign(id=ids, y=y[label]())
    others = {
        f"host{k}": pd.DataFrame(part, columns=[f"h{k}{i}" for i in range(columns)])
        .assign(id=ids)
        .sample(frac=1, random_state=k)
        for k, part in enumerate(parts[1:], 1)
    }
    return guest, others


def federation(data: Frames, **changes: Any) -> vfl.Federation:
    return vfl.Federation.local(data[0], data[1], on="id", label="y", **changes, convergence=False)


def joined(data: Frames, cv: int = 5) -> tuple[pd.DataFrame, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Columns, labels and the fold of each row, by seed 0, in the guest's order."""
    table = data[0]
    for frame in data[1].values():
        table = table.merge(frame, on="id")
    read = as_table(data[0].drop(columns="y"), "guest", None)
    return table.drop(columns=["id", "y"]), table["y"].to_numpy(), split_folds(read.ids, cv, 0)


def as_table(frame: pd.DataFrame, party: str, label: str | None, objective: Objective = "binary") -> Table:
    return table_from_frame(
        frame,
        party=party,
        keys=["id"],
        normalise={"id": "text"},
        duplicates="error",
        label=label,
        columns=None,
        objective=objective,
    )


def regression(data: Frames, **changes: Any) -> tuple[Roles, Programs]:
    """A search over two penalties."""
    job = planned(LogisticRegression, **({"max_iter": 5, "score_bits": 10} | changes))
    asked = Search((job, dataclasses.replace(job, spec=job.spec.with_(C=1 / 30.0))), "binary", 2, "neg_log_loss", 0)
    return programs(data, glm, plan=job, asked=asked)


def trees(data: Frames, **changes: Any) -> tuple[Roles, Programs]:
    """A search over two depths."""
    given = {"n_estimators": 2, "max_depth": 2, "max_bin": 4, "min_bin_rows": 1} | changes
    job, shallow = (planned(BoostedTrees, **given | {"max_depth": depth}) for depth in (given["max_depth"], 1))
    return programs(data, boosting, plan=job, asked=Search((shallow, job), "binary", 2, "neg_log_loss", 0))


def programs(data: Frames, module: Any, **given: Any) -> tuple[Roles, Programs]:
    roles = Roles("guest", tuple(data[1]), "arbiter")
    found: Programs = {"guest": partial(module.guest, table=as_table(data[0], "guest", "y"), **given)}
    found |= {name: partial(module.host, table=as_table(frame, name, None), **given) for name, frame in data[1].items()}
    return roles, found | {"arbiter": partial(module.arbiter, **given)}
