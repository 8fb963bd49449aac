"""Averaging on UCI credit data, cut into members: what rounds, local epochs, drawn members and quantised updates cost.

python -m benchmarks.averaging FOLDER              FOLDER holds uci_credit_card.csv (VFL_TEST_DATA of the tests)
python -m benchmarks.averaging FOLDER --privacy    what noise costs instead: AUC by epsilon

Printed as a table of docs/benchmarks.md: AUC on 6,000 rows that are held out, and bytes that one member sends and
receives per round.  The pooled models are scikit-learn's, on all other rows.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

import vfl
from protocols.channel import Tap
from protocols.message import Message

LABEL, HELD_OUT = "default.payment.next.month", 6000
BASE: dict[str, Any] = {"rounds": 30, "local_epochs": 3, "batch_size": 256, "learning_rate": 0.1}
PERCEPTRON: dict[str, Any] = {"estimator": "mlp", "rounds": 40, "local_epochs": 5, "batch_size": 32}
RUNS: tuple[tuple[int, dict[str, Any]], ...] = (
    (2, {"min_members": 2}),
    (3, {}),
    (10, {}),
    (50, {}),
    (50, {"fraction": 0.2, "window": "recent"}),
    (10, {"rounds": 90, "local_epochs": 1}),
    (10, {"rounds": 9, "local_epochs": 10}),
    (10, {"update_bits": 12, "max_rows": 1 << 15}),
    (10, {"update_bits": 6, "max_rows": 1 << 15}),
    (10, PERCEPTRON),
    (50, PERCEPTRON | {"learning_rate": 0.5}),
    (10, PERCEPTRON | {"update_bits": 12, "max_rows": 1 << 15}),
)

EPSILONS, DELTA = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0), 1e-6
BOUNDS = {  # what such columns may hold, without a view of the table: amounts in dollars of Taiwan
    "LIMIT_BAL": (0, 500_000),
    "SEX": (1, 2),
    "EDUCATION": (0, 6),
    "MARRIAGE": (0, 3),
    "AGE": (20, 80),
    **{f"PAY_{k}": (-2, 8) for k in (0, 2, 3, 4, 5, 6)},
    **{f"BILL_AMT{k}": (0, 300_000) for k in range(1, 7)},
    **{f"PAY_AMT{k}": (0, 30_000) for k in range(1, 7)},
}
PRIVATE: tuple[tuple[int, str, dict[str, Any], float], ...] = (
    (10, "row", {"rounds": 30, "learning_rate": 1.0}, 2.0),
    (50, "row", {"rounds": 30, "learning_rate": 1.0}, 2.0),
    (10, "member", {"rounds": 10, "learning_rate": 0.5, "local_epochs": 3}, 0.2),
    (50, "member", {"rounds": 10, "learning_rate": 0.5, "local_epochs": 3}, 0.2),
)


class Bytes(Tap):
    """What one party sends and receives."""

    def __init__(self) -> None:
        self.total = 0

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.total += len(data)

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.total += len(data)


def pooled(model: Any, rest: pd.DataFrame, held_out: pd.DataFrame) -> float:
    """The AUC of one model of all rows."""
    columns = rest.drop(columns=LABEL)
    scaled = [(part.drop(columns=LABEL) - columns.mean()) / columns.std() for part in (rest, held_out)]
    model.fit(scaled[0], rest[LABEL])
    return float(roc_auc_score(held_out[LABEL], model.predict_proba(scaled[1])[:, 1]))


def private(rest: pd.DataFrame, held_out: pd.DataFrame, count: int, unit: str, changes: Any, clip: float) -> str:
    """Runs with noise, by epsilon, as a line of the table."""
    members = vfl.Members.local({f"m{k}": rest.iloc[k::count] for k in range(count)}, label=LABEL)
    found = []
    for most in EPSILONS:
        privacy = vfl.Privacy(epsilon=most, delta=DELTA, unit=unit, clip=clip, bounds=BOUNDS)
        model = members.fit(vfl.Averaging(**changes), privacy=privacy)
        found.append(f"{roc_auc_score(held_out[LABEL], model.predict_score(held_out)):.4f}")
    return f"| {count} | {unit} | {changes['rounds']} | {clip:g} | {' | '.join(found)} |"


def row(rest: pd.DataFrame, held_out: pd.DataFrame, count: int, changes: dict[str, Any]) -> str:
    """One run as a line of the table."""
    spec, tap = vfl.Averaging(**BASE | changes), Bytes()
    members = vfl.Members.local({f"m{k}": rest.iloc[k::count] for k in range(count)}, label=LABEL)
    started = time.process_time()
    model = members.fit(spec, taps={"m0": [tap]})
    seconds = time.process_time() - started
    auc = roc_auc_score(held_out[LABEL], model.predict_score(held_out))
    changed = ", ".join(f"{name} = {value}" for name, value in changes.items() if name not in BASE) or "-"
    predicted = spec.cost(count, rest.shape[1] - 1).member_bytes
    sizes = " | ".join(f"{each / spec.rounds / 1000:.1f}" for each in (tap.total, predicted))
    sizes += f" | {seconds / spec.rounds:.2f}"
    return f"| {count} | {spec.rounds} | {spec.local_epochs} | {changed} | {auc:.4f} | {sizes} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--estimator", choices=["logistic", "mlp"], help="these rows of the table only")
    parser.add_argument("--privacy", action="store_true", help="what noise costs, in place of the rest")
    asked = parser.parse_args()
    table = pd.read_csv(asked.folder / "uci_credit_card.csv").drop(columns="ID")
    table = table.sample(frac=1, random_state=0, ignore_index=True)
    held_out, rest = table.iloc[:HELD_OUT], table.iloc[HELD_OUT:]
    if asked.privacy:
        print("| members | protected | rounds | clip |", " | ".join(f"epsilon {each:g}" for each in EPSILONS), "|")
        print("|---" * (4 + len(EPSILONS)) + "|")
        for line in PRIVATE:
            print(private(rest, held_out, *line), flush=True)
        return
    options: dict[str, Any] = {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.1, "batch_size": 32}
    perceptron = MLPClassifier((16,), activation="tanh", alpha=0, max_iter=20, random_state=0, **options)
    for name, model in (("logistic", LogisticRegression(max_iter=1000)), ("mlp", perceptron)):
        if asked.estimator in (None, name):
            print(f"pooled {name}: AUC {pooled(model, rest, held_out):.4f}")
    print("| members | rounds | local epochs | other parameters | AUC | kB per round | predicted | CPU s per round |")
    print("|---|---|---|---|---|---|---|---|")
    for count, changes in RUNS:
        if asked.estimator in (None, changes.get("estimator", "logistic")):
            print(row(rest, held_out, count, changes), flush=True)


if __name__ == "__main__":
    main()
