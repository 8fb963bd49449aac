"""Generated tables of hospitals that hold the same columns of different patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vfl.schema.arguments import whole

WEIGHTS = {"age": 0.35, "days": 0.5, "earlier_stays": 0.8, "diagnoses": 0.45, "creatinine": 0.3, "home": -0.4}


def hospitals_sim(hospitals: int = 12, seed: int = 5) -> dict[str, pd.DataFrame]:
    """By name, each hospital's discharges and whether the patient came back within 30 days (about one in six).

    Hospitals have 80 to 1,200 discharges each, and differ in their patients: means of all columns are shifted.  Who
    comes back follows from the same weights everywhere, and from chance.
    """
    hospitals, seed = whole("hospitals", hospitals, 1), whole("seed", seed, 0)
    rng = np.random.default_rng([seed, 30])
    tables = {}
    for number, rows in enumerate(np.geomspace(80, 1200, hospitals).round().astype(int), 1):
        shift = rng.normal(0, 0.35, len(WEIGHTS))
        unseen = rng.normal(size=(rows, len(WEIGHTS))) + shift
        signal = unseen @ np.array(list(WEIGHTS.values()))
        back = rng.random(rows) < 1 / (1 + np.exp(2.1 - signal))
        tables[f"hospital-{number:02}"] = pd.DataFrame(
            {
                "age": np.clip(np.round(66 + 13 * unseen[:, 0]), 18, 100).astype(int),
                "days": np.maximum(1, np.round(np.exp(1.4 + 0.6 * unseen[:, 1]))).astype(int),
                "earlier_stays": np.maximum(0, np.round(0.8 + 1.1 * unseen[:, 2])).astype(int),
                "diagnoses": np.maximum(1, np.round(4 + 2 * unseen[:, 3])).astype(int),
                "creatinine": np.round(np.exp(0.1 + 0.35 * unseen[:, 4]), 2),
                "home": (unseen[:, 5] > -0.5).astype(int),
                "back": back.astype(int),
            }
        )
    return tables
