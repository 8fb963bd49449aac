"""Generated tables of a hospital and an insurer that know partly the same patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vfl.schema.arguments import whole

KNOWN = 0.85  # of the patients, by each of the two


def readmission_sim(patients: int = 1200, seed: int = 3) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The hospital's discharges, with whether the patient came back within 30 days (about one in five), and the
    insurer's last year of the same and of other patients.

    Who comes back follows from traits that nobody sees: frailty, which both see traces of, how the patient is cared for
    at home, which the insurer's bills show, and how serious the stay was, which the hospital sees.
    """
    patients, seed = whole("patients", patients, 50), whole("seed", seed, 0)
    rng = np.random.default_rng([seed, 31])
    frail, care, serious = rng.normal(size=(3, patients))
    noise = rng.normal(size=(8, patients))
    back = rng.random(patients) < 1 / (1 + np.exp(2.2 - 1.0 * frail + 1.2 * care - 1.1 * serious))
    numbers = [f"{number:06d}" for number in rng.choice(10**6, patients, replace=False)]
    hospital = pd.DataFrame({
        "insured": numbers,
        "age": np.clip(np.round(64 + 9 * frail + 9 * noise[0]), 18, 100).astype(int),
        "days": np.maximum(1, np.round(np.exp(1.5 + 0.4 * serious + 0.3 * noise[1]))).astype(int),
        "diagnoses": np.maximum(1, np.round(4 + 1.2 * serious + noise[2])).astype(int),
        "creatinine": np.round(np.exp(0.1 + 0.15 * serious + 0.25 * noise[3]), 2),
        "back": back.astype(int),
    })  # fmt: skip
    insurer = pd.DataFrame({
        "insured": numbers,
        "visits": np.maximum(0, np.round(6 + 2.5 * frail + 2 * noise[4])).astype(int),
        "medicines": np.maximum(0, np.round(5 + 2 * frail + 1.5 * noise[5])).astype(int),
        "home_care_hours": np.maximum(0, np.round(5 + 4 * care + 1.5 * noise[6], 1)),
        "missed_checks": np.maximum(0, np.round(1 - 0.9 * care + 0.8 * noise[7])).astype(int),
    })  # fmt: skip
    return known_rows(hospital, rng, KNOWN), known_rows(insurer, rng, KNOWN)


def known_rows(table: pd.DataFrame, rng: np.random.Generator, share: float) -> pd.DataFrame:
    """The share of the rows that one party knows, in an order of its own."""
    chosen = rng.choice(len(table), round(share * len(table)), replace=False)
    return table.iloc[chosen].reset_index(drop=True)
