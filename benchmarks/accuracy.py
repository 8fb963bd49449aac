"""How near regressions come to scikit-learn's, on the tables of the tests, with as many iterations as they took at
commit 1582fb9 and with the default, which ends when the weights have settled.

    VFL_TEST_DATA=FOLDER python -m benchmarks.accuracy [NAME ..]

Prepared iterations in the clear, `weight_bits = 24`, weights revealed.  Printed: the largest error of a coefficient
(intercept included) over the largest one.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

import vfl
from protocols.cipher import Identity

Floats = NDArray[np.float64]
OWN, WORST = 5, 1e-3  # columns of the guest in UCI credit; what issue and tests allow
MODELS = {"logistic": vfl.LogisticRegression, "linear": vfl.LinearRegression, "poisson": vfl.PoissonRegression}


@dataclass(frozen=True)
class Table:
    """Columns by party, the guest's first, and the labels."""

    parts: list[pd.DataFrame]
    y: pd.Series


@dataclass(frozen=True)
class Case:
    """A table, what is fitted, and the iterations that the tests of commit 1582fb9 gave it."""

    make: Callable[[], Table]
    iterations: int
    kind: str = "logistic"
    given: dict[str, Any] = field(default_factory=dict)


def read(name: str) -> pd.DataFrame:
    if "VFL_TEST_DATA" not in os.environ:
        raise SystemExit("VFL_TEST_DATA names no folder of real tables (CONTRIBUTING.md says which)")
    return pd.read_csv(Path(os.environ["VFL_TEST_DATA"]) / f"{name}.csv")


def uci(hosts: int) -> Table:
    table = read("uci_credit_card").iloc[:, 1:]
    y, own, rest = table.iloc[:, -1], table.iloc[:, :OWN], table.iloc[:, OWN:-1]
    return Table([own, *(rest[columns] for columns in np.array_split(rest.columns, hosts))], y)


def cut(name: str, key: str, label: str, *sides: str, hosts: int = 1) -> Table:
    """A table that lies in pieces; hosts: between how many the piece of an only one is cut."""
    guest, *rest = (read(f"{name}_hetero_{side}").sort_values(key).reset_index(drop=True) for side in ("guest", *sides))
    blocks = [table.drop(columns=key) for table in rest]
    if hosts > 1:
        blocks = [blocks[0][columns] for columns in np.array_split(blocks[0].columns, hosts)]
    return Table([guest.drop(columns=[key, label]), *blocks], guest[label])


def events() -> Table:
    """Seeded, one percent of events, two hosts."""
    rng, n = np.random.default_rng(0), 6000
    x = pd.DataFrame(rng.normal(size=(n, 8)) + 0.5 * rng.normal(size=(n, 1)))
    y = (rng.random(n) < 1 / (1 + np.exp(5.2 - x.to_numpy() @ rng.normal(0, 0.5, 8)))).astype(int)
    return Table([x.iloc[:, :3], x.iloc[:, 3:5], x.iloc[:, 5:]], pd.Series(y))


def seeded(kind: str) -> Table:
    """Seeded, two columns at each of three parties, whose labels are counts or numbers."""
    rng = np.random.default_rng(3)
    x = pd.DataFrame(rng.normal(size=(240, 6)))
    z = x.to_numpy() @ rng.normal(size=6)
    y = rng.poisson(np.exp(0.2 + 0.4 * z)) if kind == "counts" else 1e6 + 4e4 * (z + rng.normal(size=240))
    return Table([x.iloc[:, k : k + 2] for k in (0, 2, 4)], pd.Series(y))


TAYLOR = {"link": "taylor"}
CASES = {
    "UCI credit, one host": Case(lambda: uci(1), 60),
    "UCI credit, two hosts": Case(lambda: uci(2), 120),
    "UCI credit, one host, taylor": Case(lambda: uci(1), 60, given=TAYLOR),
    "UCI credit, two hosts, taylor": Case(lambda: uci(2), 120, given=TAYLOR),
    "breast cancer, one host": Case(lambda: cut("breast", "id", "y", "host"), 400),
    "breast cancer, two hosts": Case(lambda: cut("breast", "id", "y", "host", hosts=2), 400),
    "breast cancer, one host, taylor": Case(lambda: cut("breast", "id", "y", "host"), 350, given=TAYLOR),
    "breast cancer, two hosts, taylor": Case(lambda: cut("breast", "id", "y", "host", hosts=2), 350, given=TAYLOR),
    "vehicles, four classes": Case(lambda: cut("vehicle_scale", "id", "y", "host"), 400),
    "motor, two hosts, numbers": Case(lambda: cut("motor", "idx", "motor_speed", "host_1", "host_2"), 400, "linear"),
    "1% of events, two hosts": Case(events, 200),
    "1% of events, balanced": Case(events, 200, given={"class_weight": "balanced"}),
    "seeded numbers, two hosts": Case(lambda: seeded("numbers"), 80, "linear"),
    "seeded counts, two hosts": Case(lambda: seeded("counts"), 150, "poisson", {"alpha": 0.1}),
}


def optimum(case: Case, table: Table) -> Floats:
    """(models, columns + 1): scikit-learn's coefficients on the standardised joined table, the intercept last; of
    `taylor` the closed form."""
    x, y = np.column_stack([part.to_numpy(float) for part in table.parts]), table.y.to_numpy(float)
    x = (x - x.mean(0)) / x.std(0)
    if case.given.get("link") == "taylor":
        x = np.column_stack([x, np.ones(len(y))])
        penalty = np.diag([1.0] * (x.shape[1] - 1) + [0.0])
        return np.asarray(np.linalg.solve(x.T @ x / 4 + penalty, x.T @ (y - 0.5)))[None]
    if case.kind == "linear":
        y = (y - y.mean()) / y.std()
    classes = np.unique(y) if case.kind == "logistic" else np.array([])
    targets = [y == value for value in classes] if len(classes) > 2 else [y]
    oracle = {
        "logistic": LogisticRegression(tol=1e-10, max_iter=100_000, class_weight=case.given.get("class_weight")),
        "linear": Ridge(alpha=1.0),
        "poisson": PoissonRegressor(alpha=case.given.get("alpha", 1.0), tol=1e-12, max_iter=10_000),
    }[case.kind]
    coefficients = list[Floats]()
    for target in targets:
        fit = oracle.fit(x, target)
        coefficients.append(np.append(np.ravel(fit.coef_), fit.intercept_))
    return np.stack(coefficients)


def fitted(case: Case, table: Table, **steps: Any) -> tuple[Floats, int]:
    """(models, columns + 1) weights, and the iterations of the longest training; steps: without, until it settles."""
    guest, *hosts = (
        part.set_axis([f"x{c}" for c in part.columns], axis=1).assign(id=part.index) for part in table.parts
    )
    federation = vfl.Federation.local(
        guest.assign(label=table.y),
        {f"host{k}": host for k, host in enumerate(hosts, 1)},
        on="id",
        label="label",
        cipher=Identity(),
        reveal=("guest", "hosts"),
        convergence=not steps,
    )
    model = federation.fit(MODELS[case.kind](weight_bits=24, **case.given, **steps))
    own = np.concatenate([np.atleast_2d(np.asarray(coef).T) for coef in model.coef_.values()], axis=1)
    return np.column_stack([own, np.atleast_1d(model.intercept_)]), int(np.max(model.n_iter_))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts of names of tables; all of them by default")
    options = parser.parse_args()
    print("| table | rows | columns | iterations at 1582fb9 | error with as many | iterations by default | error |")
    print("|---|---|---|---|---|---|---|")
    missed = 0
    for name, case in CASES.items():
        if options.names and not any(part in name for part in options.names):
            continue
        table = case.make()
        best, errors = optimum(case, table), []
        for steps in ({"max_iter": case.iterations}, {}):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # columns clipped, weights that have not settled
                found, made = fitted(case, table, **steps)
            if case.kind == "linear":
                best[:, -1] = found[:, -1]  # the mean, in units of its own
            errors.append(float(np.abs(found - best).max() / np.abs(best).max()))
        missed += errors[0] > WORST
        shape = " + ".join(str(part.shape[1]) for part in table.parts)
        cells = (name, f"{len(table.y):,}", shape, case.iterations, f"{errors[0]:.0e}", made, f"{errors[1]:.0e}")
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    return missed


if __name__ == "__main__":
    raise SystemExit(main())
