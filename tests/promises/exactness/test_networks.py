"""A sealed network is as good as scikit-learn's with the same initial weights, batches and schedule.

The sealed training equals its twin in the clear (tests/unit/protocols/network/test_training.py, and here on a part of a
real table), so that the twin stands for it where a training takes long.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from protocols.cipher import Identity
from protocols.glm.plan import Step
from protocols.network.descent import initial
from protocols.network.plan import FINE, Plan, Terms
from protocols.randomness import Seed
from tests.unit.protocols.network.networks import Started, opened, run
from tests.unit.protocols.network.twin import Twin

Floats = NDArray[np.float64]
CLIP = 8.0
CASES = {  # the table's terms
    "breast": Terms((16,), "tanh", "logistic", 40, 32, 0.05, alpha=1e-2, order=1),
    "breast, two layers": Terms((16, 8), "logistic", "logistic", 40, 32, 0.5, alpha=1e-2, order=1),
    "breast, rounded relu": Terms((16,), "relu", "logistic", 40, 32, 0.01, alpha=1e-2, order=1),
    "uci": Terms((16,), "tanh", "logistic", 6, 200, 0.05, alpha=1e-4, order=1),
}


def table(folder: Path, name: str) -> tuple[Floats, Floats]:
    if name == "uci":
        frame = pd.read_csv(folder / "uci_credit_card.csv")
        label = frame.columns[-1]
        return frame.drop(columns=["ID", label]).to_numpy(np.float64), frame[label].to_numpy(np.float64)
    guest, host = (pd.read_csv(folder / f"breast_hetero_{who}.csv") for who in ("guest", "host"))
    both = guest.merge(host, on="id")
    return both.drop(columns=["id", "y"]).to_numpy(np.float64), both["y"].to_numpy(np.float64)


def prepared(folder: Path, name: str, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Training and test rows, standardised by the former and limited."""
    x, y = table(folder, name)
    train, test, y_train, y_test = train_test_split(x, y, test_size=0.25, random_state=seed, stratify=y)
    scale = train.std(axis=0)
    rows = [np.clip((part - train.mean(axis=0)) / np.where(scale > 0, scale, 1), -CLIP, CLIP) for part in (train, test)]
    return rows[0], rows[1], y_train, y_test


def started(terms: Terms, rows: int, columns: int, seed: int) -> Twin:
    """With initial weights as two holders draw them."""

    def drawn(name: str, shape: tuple[int, ...], bound: float) -> NDArray[np.object_]:
        shares = [initial(Seed("", b"%-32d" % (2 * seed + k)).child(name), int(np.prod(shape)), bound) for k in (0, 1)]
        return np.array((shares[0] + shares[1]).to_ints(), dtype=object).reshape(shape)

    first = drawn("first", (terms.units, columns + 1), terms.bound(0, columns))
    further = [
        (drawn(f"W{k}", shape, terms.bound(k, columns)), drawn(f"C{k}", shape[:1], terms.bound(k, columns)))
        for k, shape in enumerate(terms.further, 1)
    ]
    return Twin(Plan(terms, rows, 2007), first, further)


def theirs(twin: Twin, x: Floats, y: Floats) -> MLPClassifier:
    """scikit-learn's from the same weights, over the same batches."""
    plan, terms = twin.plan, twin.plan.terms
    made = MLPClassifier(
        hidden_layer_sizes=terms.hidden, activation=terms.activation, solver="sgd", alpha=terms.alpha,
        batch_size="auto", learning_rate_init=terms.rate, momentum=terms.momentum, shuffle=False,
    )  # fmt: skip
    made.partial_fit(x[:2], y[:2], classes=[0, 1])
    first = twin.first.values.astype(np.float64) / 2.0**FINE
    weights = [first[:, :-1].T, *(w.values.astype(np.float64).T / 2.0**FINE for w, _ in twin.further)]
    intercepts = [first[:, -1], *(c.values.astype(np.float64) / 2.0**FINE for _, c in twin.further)]
    for own, wanted in zip([*made.coefs_, *made.intercepts_], [*weights, *intercepts], strict=True):
        own[...] = wanted
    del made._optimizer
    order = plan.order(twin_order(terms))
    for number in range(terms.epochs * plan.batches):
        rows = order.of(Step(0, 0, False, number))
        made.partial_fit(x[rows], y[rows])
    return made


def twin_order(terms: Terms) -> Seed:
    return Seed("", b"%-32d" % (terms.order or 0))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_auc_of_scikit_learn_in_the_median_of_five_seeds(name: str, data_folder: Path) -> None:
    terms, ours, others = CASES[name], list[float](), list[float]()
    for seed in range(5):
        x, new, y, known = prepared(data_folder, name.split(",")[0], seed)
        twin = started(terms, len(x), x.shape[1], seed)
        other = theirs(twin, x, y)
        twin.train(x, y, twin.plan.order(twin_order(terms)))
        ours.append(roc_auc_score(known, twin.predictors(new)))
        others.append(roc_auc_score(known, other.predict_proba(new)[:, 1]))
    assert np.median(others) > (0.75 if name == "uci" else 0.98)
    assert abs(np.median(ours) - np.median(others)) < 0.005
    assert max(abs(a - b) for a, b in zip(ours, others, strict=True)) < 0.01
    print(name, np.median(ours), np.median(others))


@pytest.mark.slow
def test_the_sealed_training_is_its_twin_on_breast_cancer(data_folder: Path) -> None:
    """A batch of weights as large as those of a real table: 30 columns, 426 rows, three epochs."""
    x, _, y, _ = prepared(data_folder, "breast", 0)
    terms = Terms((16,), "tanh", "logistic", 3, 64, 0.05, alpha=1e-2, order=1)
    with pytest.MonkeyPatch.context() as patch:
        begun = Started(patch)
        found = run([x[:, :10], x[:, 10:]], y, terms, Identity(2048), fixed=True)
    twin = begun.twin(["host1"])
    twin.train(x, y, begun.order)  # type: ignore[arg-type]
    steps = terms.epochs * twin.plan.batches
    assert np.abs(twin.flat() - opened(found, terms)).max() < 1e-4 * steps * terms.rate
