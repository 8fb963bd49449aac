"""What noise on labels costs a logistic regression whose host learns its weights: AUC by epsilon.

python -m benchmarks.label_noise FOLDER        FOLDER holds uci_credit_card.csv (VFL_TEST_DATA of the tests)

The guest has 12 columns and the label, the host 11.  Without encryption, since noise does not depend on it; 24,000
rows are trained on, and the AUC is of 6,000 others.  A line of the table in docs/benchmarks.md for each number of
training rows.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score

import vfl
from protocols.cipher import Identity

LABEL, HELD_OUT = "default.payment.next.month", 6000
EPSILONS, DELTA = (None, 8.0, 4.0, 2.0, 1.0, 0.5, 0.25), 1e-6
OF_HOST = [*(f"BILL_AMT{k}" for k in range(1, 7)), *(f"PAY_AMT{k}" for k in range(1, 6))]


def measured(rows: pd.DataFrame, held_out: pd.DataFrame, most: float | None) -> float:
    """The AUC of one fit on these rows."""
    guest, host = rows.drop(columns=OF_HOST), rows[["ID", *OF_HOST]]
    fed = vfl.Federation.local(
        guest, {"telecom": host}, on="ID", label=LABEL, cipher=Identity(), reveal=("guest", "hosts")
    )
    privacy = None if most is None else vfl.Privacy(unit="label", epsilon=most, delta=DELTA)
    model = fed.fit(vfl.LogisticRegression(C=0.001, link="taylor"), privacy=privacy)
    scores = model.predict_score(held_out.drop(columns=OF_HOST), {"telecom": held_out[["ID", *OF_HOST]]})
    return float(roc_auc_score(held_out.set_index("ID")[LABEL].loc[scores.index], scores))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    table = pd.read_csv(asked.folder / "uci_credit_card.csv").sample(frac=1, random_state=0, ignore_index=True)
    held_out, rest = table.iloc[:HELD_OUT], table.iloc[HELD_OUT:]
    heads = ("without noise" if each is None else f"epsilon {each:g}" for each in EPSILONS)
    print("| training rows |", " | ".join(heads), "|")
    print("|---" * (1 + len(EPSILONS)) + "|")
    for rows in (24_000, 6_000):
        found = (f"{measured(rest.iloc[:rows], held_out, most):.4f}" for most in EPSILONS)
        print(f"| {rows:,} |", " | ".join(found), "|", flush=True)


if __name__ == "__main__":
    main()
