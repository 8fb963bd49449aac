"""An average of members equals the weighted average computed in one place, to fixed-point units; and a model of all
rows, where each round is one step."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import vfl
from vfl.models.averaging.course import Scaling
from vfl.models.averaging.families import Family, Floats

pytestmark = pytest.mark.filterwarnings("ignore:one member that drops out")

SIZES = (40, 25, 60, 10)
LABELS = {"logistic": "event", "mlp": "event", "linear": "number", "poisson": "count"}


def frame(rows: int = sum(SIZES)) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(rows, 3)) * [1, 50, 0.1] + [0, 700, 3]
    signal = (x - [0, 700, 3]) / [1, 50, 0.1] @ [1.0, -0.5, 0.3]
    event = (rng.random(rows) < 1 / (1 + np.exp(-signal))).astype(int)
    number, count = 1000 * signal + rng.normal(size=rows), rng.poisson(np.exp(signal / 2))
    return pd.DataFrame(x, columns=["a", "b", "c"]).assign(event=event, number=number, count=count)


def cut(label: str, sizes: tuple[int, ...] = SIZES) -> dict[str, pd.DataFrame]:
    ends = np.cumsum(sizes)
    table = frame(sum(sizes))[["a", "b", "c", label]]
    return {f"m{k}": table.iloc[end - size : end] for k, (size, end) in enumerate(zip(sizes, ends, strict=True))}


class Central:
    """The same model with all rows in one place: numpy, without masks, units or messages."""

    def __init__(self, tables: dict[str, pd.DataFrame], label: str, spec: vfl.Averaging) -> None:
        every = pd.concat(tables.values())
        x, y = every[["a", "b", "c"]].to_numpy(), every[label].to_numpy(float)
        number = spec.label == "numeric"
        deviation = float(y.std()) if number else 1.0
        self.scaling = Scaling(x.mean(axis=0), x.std(axis=0), float(y.mean()) if number else 0.0, deviation)
        self.family, self.spec = Family.of(spec, 3), spec
        self.start = self.family.start(0.0 if number else float(y.mean()), spec.random_state)
        self.pooled = self._scaled(every, label)
        self.members = [self._scaled(table, label) for table in tables.values()]

    def _scaled(self, table: pd.DataFrame, label: str) -> tuple[Floats, Floats]:
        x = self.scaling.columns(table[["a", "b", "c"]].to_numpy())
        return x, self.scaling.label(table[label].to_numpy(float))

    def averaged(self) -> Floats:
        """The weighted average of members' weights after local training, round by round."""
        weights = self.start
        for number in range(1, self.spec.rounds + 1):
            ends = [self._local(weights, x, y, number, place) for place, (x, y) in enumerate(self.members)]
            weights = np.average(ends, axis=0, weights=[len(y) for _, y in self.members])
        return weights

    def _local(self, start: Floats, x: Floats, y: Floats, number: int, place: int) -> Floats:
        weights, order = start, np.random.default_rng([self.spec.random_state, number, place])
        size = self.spec.batch_size or len(y)
        for _ in range(self.spec.local_epochs):
            rows = order.permutation(len(y)) if size < len(y) else np.arange(len(y))
            for first in range(0, len(y), size):
                at = rows[first : first + size]
                pull = self.spec.mu * (weights - start)
                weights = weights - self.spec.learning_rate * (self.family.gradient(weights, x[at], y[at]) + pull)
        return weights

    def descended(self) -> Floats:
        """Gradient descent on all rows."""
        weights = self.start
        for _ in range(self.spec.rounds):
            weights = weights - self.spec.learning_rate * self.family.gradient(weights, *self.pooled)
        return weights


@pytest.mark.parametrize("estimator", LABELS)
def test_an_average_equals_the_centralised_one_to_units(estimator: str) -> None:
    label = LABELS[estimator]
    spec = vfl.Averaging(
        estimator=estimator, rounds=1, local_epochs=3, batch_size=8, learning_rate=0.05, alpha=0.1, mu=0.2
    )
    tables = cut(label)
    model = vfl.Members.local(tables, label=label).fit(spec)
    central = Central(tables, label, spec)
    assert np.abs(model.weights_ - central.averaged()).max() < spec.unit(len(SIZES)) / 2 + 1e-12
    assert np.abs(central.averaged() - central.start).max() > 1000 * spec.unit(len(SIZES))


@pytest.mark.parametrize("estimator", LABELS)
def test_one_step_per_round_is_gradient_descent_on_all_rows(estimator: str) -> None:
    label = LABELS[estimator]
    spec = vfl.Averaging(estimator=estimator, rounds=12, learning_rate=0.1, alpha=0.01)
    tables = cut(label)
    model = vfl.Members.local(tables, label=label).fit(spec)
    central = Central(tables, label, spec).descended()
    assert np.abs(model.weights_ - central).max() < 12 * spec.unit(len(SIZES))


def test_planted_fault_an_average_without_weights_is_another_model() -> None:
    spec = vfl.Averaging(rounds=1, local_epochs=3, learning_rate=0.5)
    central = Central(cut("event"), "event", spec)
    ends = [central._local(central.start, x, y, 1, k) for k, (x, y) in enumerate(central.members)]
    assert np.abs(np.mean(ends, axis=0) - central.averaged()).max() > 1000 * spec.unit(len(SIZES))


def test_many_rounds_reach_scikit_learn_s_optimum() -> None:
    tables = cut("event")
    model = vfl.Members.local(tables, label="event").fit(vfl.Averaging(rounds=70, learning_rate=3.0, alpha=0.05))
    x, y = Central(tables, "event", vfl.Averaging()).pooled
    reference = LogisticRegression(C=1 / (0.05 * len(y)), tol=1e-10).fit(x, y)
    assert model.weights_ == pytest.approx(np.append(reference.coef_, reference.intercept_), abs=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [2, 10, 50])
def test_uci_credit_within_five_thousandths_of_the_pooled_model(data_folder: Path, count: int) -> None:
    """Two members, which read each other, and many.  Pooled: scikit-learn's logistic regression."""
    table = pd.read_csv(data_folder / "uci_credit_card.csv").drop(columns="ID")
    label = "default.payment.next.month"
    table = table.sample(frac=1, random_state=0, ignore_index=True)
    held, rest = table.iloc[:6000], table.iloc[6000:]
    options: dict[str, Any] = {"rounds": 30, "local_epochs": 3, "batch_size": 256, "learning_rate": 0.1}
    members = vfl.Members.local({f"m{k}": rest.iloc[k::count] for k in range(count)}, label=label)
    least = {"min_members": 2} if count == 2 else {}
    with contextlib.nullcontext() if count >= 10 else pytest.warns(UserWarning, match="of two members each reads"):
        model = members.fit(vfl.Averaging(**options, **least))
    averaged = roc_auc_score(held[label], model.predict_score(held))
    columns = rest.drop(columns=label)
    scaled = [(part.drop(columns=label) - columns.mean()) / columns.std() for part in (rest, held)]
    reference = LogisticRegression(max_iter=1000).fit(scaled[0], rest[label])
    pooled = roc_auc_score(held[label], reference.predict_proba(scaled[1])[:, 1])
    print(f"{count} members: AUC {averaged:.4f}, pooled {pooled:.4f}")
    assert abs(averaged - pooled) < 0.005
