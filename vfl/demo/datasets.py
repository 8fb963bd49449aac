"""Tables for the demo: one institution with the label, a partner with other columns of partly the same people.

All three are seeded: the same call gives the same tables everywhere.  Nothing is downloaded, nothing is stored here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.errors import DataError
from vfl.schema.arguments import whole

FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")


@dataclass(frozen=True)
class Demo:
    """Two or more tables that share a `key`; `normalise` is the rule that makes both sides' spelling of it equal."""

    name: str
    title: str
    guest_name: str
    guest: pd.DataFrame = field(repr=False)
    hosts: dict[str, pd.DataFrame] = field(repr=False)
    key: str
    label: str
    normalise: str
    sentence: str


def breast_clinics(seed: int = 7) -> Demo:
    """The Wisconsin breast-cancer table of scikit-learn (569 patients) between a clinic and a laboratory.

    The table holds ten measures of a cell nucleus, each as mean, standard error and worst value.  The clinic has the
    diagnosis (1 = malignant, 37 %) and all ten means, the laboratory the twenty others; each knows 87 % of the
    patients, so about three quarters are common.  This is the table's own seam: no column was taken from the clinic to
    make it weaker.  scikit-learn's logistic regression (C = 1, 4-fold cross-validation on all 569, 8 repeats) gives
    the clinic alone AUC .984, KS .870, log-loss .150, and both together AUC .995, KS .955, log-loss .075.  The AUC has
    little room left; the log-loss, which halves, and the KS show what the partner adds.  On held-out quarters of the
    common patients (60 draws) the joint model has the better KS in 98 %, log-loss and AUC in 95 % of the draws.
    """
    from sklearn.datasets import load_breast_cancer  # takes a second to import

    rng = np.random.default_rng([whole("seed", seed, 0), 1])
    bunch: Any = load_breast_cancer(as_frame=True)
    table: pd.DataFrame = bunch.data.rename(columns=lambda c: str(c).replace(" ", "_"))
    ids = _distinct_numbers(rng, len(table), 6)
    means = [c for c in table.columns if c.startswith("mean_")]
    clinic = table[means].assign(malignant=1 - bunch.target)
    clinic.insert(0, "patient_id", [f"P-{i}" for i in ids])
    laboratory = table.drop(columns=means)
    laboratory.insert(0, "patient_id", [f"p {i[:3]} {i[3:]}" for i in ids])
    return Demo(
        name="breast",
        title="Breast cancer: a clinic and a laboratory",
        guest_name="clinic",
        guest=_some_rows(clinic, rng, 0.87),
        hosts={"laboratory": _some_rows(laboratory, rng, 0.87)},
        key="patient_id",
        label="malignant",
        normalise="digits",
        sentence="Wisconsin breast-cancer table: the clinic knows the diagnosis and ten mean measures of each cell "
        "nucleus, the laboratory twenty further measures of partly the same patients.",
    )


def credit_sim(rows: int = 20000, seed: int = 7) -> Demo:
    """A simulated bank and telecom of `rows` customers each, 70 % common, with national ids as people type them.

    Behind each customer stand three unseen traits: strain (money is short), order (bills are paid in time) and wealth.
    Both companies see their traces, each in its own columns; default follows from some columns of each side and chance,
    so that neither side alone can know it.  About 15 % default.  With 20,000 rows scikit-learn's logistic regression
    gives the bank alone AUC .749, KS .381, log-loss .378 and both together .829, .518, .330 on a held-out quarter.
    Long because every column has a line.
    """
    rows, seed = whole("rows", rows, 0), whole("seed", seed, 0)
    if rows < 10:
        raise DataError("the simulated bank needs at least 10 customers", expected="10 or more rows", found=rows)
    rng = np.random.default_rng([seed, 2])
    common = round(0.7 * rows)
    n = 2 * rows - common
    ids = _distinct_numbers(rng, n, 11)
    strain, order, wealth = rng.normal(size=(3, n))
    noise = rng.normal(size=(12, n))

    age = np.clip(np.round(43 + 6 * wealth + 12 * noise[0]), 18, 85)
    utilisation = 1 / (1 + np.exp(-(-0.7 + 0.9 * strain - 0.3 * wealth + 0.8 * noise[1])))
    bank = pd.DataFrame(
        {
            "limit": np.round(np.exp(8.3 + 0.5 * wealth - 0.1 * strain + 0.4 * noise[2]), -2),
            "age": age.astype(np.int64),
            "months_on_book": np.minimum(rng.gamma(2.0, 30.0, n), (age - 17) * 12).astype(np.int64) + 1,
            "utilisation": np.round(utilisation, 4),
            "cash_advances": rng.poisson(np.exp(-0.9 + 0.5 * strain)),
            "enquiries_12m": rng.poisson(np.exp(0.1 + 0.3 * strain + 0.2 * noise[3])),
            "salary_to_account": (noise[4] + 0.4 * wealth + 0.3 * order > -0.2).astype(np.int64),
        }
    )
    telecom = pd.DataFrame(
        {
            "tenure_months": (rng.gamma(2.2, 22.0, n) * np.exp(0.15 * order)).astype(np.int64) + 1,
            "late_bills": rng.poisson(np.exp(-0.5 - 0.75 * order + 0.3 * strain)),
            "days_late": np.round(np.exp(0.8 - 0.6 * order + 0.5 * noise[5]), 1),
            "top_up_amount": np.round(np.exp(2.6 - 0.35 * strain + 0.2 * wealth + 0.5 * noise[6]), 2),
            "data_usage_gb": np.round(np.exp(1.9 - 0.02 * (age - 43) + 0.6 * noise[7]), 2),
            "night_calls_share": np.round(1 / (1 + np.exp(1.9 - 0.4 * strain + 0.2 * order - 0.7 * noise[8])), 4),
            "handset_price": np.round(np.exp(5.6 + 0.4 * wealth + 0.5 * noise[9]), -1),
            "number_changes": rng.poisson(np.exp(-1.6 - 0.3 * order)),
        }
    )
    logit = (
        -3.3
        + 2.2 * (utilisation - 0.35)
        + 0.35 * np.minimum(bank["cash_advances"], 4)
        + 0.15 * np.minimum(bank["enquiries_12m"], 5)
        - 0.6 * bank["salary_to_account"]
        - 0.012 * (age - 43)
        + 0.6 * np.minimum(telecom["late_bills"], 5)
        + 0.65 * np.log1p(telecom["days_late"])
        - 0.7 * (np.log(telecom["top_up_amount"]) - 2.6)
        - 0.008 * np.minimum(telecom["tenure_months"], 90)
        + 0.3 * noise[10]
    )
    bank["default"] = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    bank.insert(0, "national_id", _as_typed(ids, (3, 3, 3, 2), " ", rng))
    telecom.insert(0, "national_id", _as_typed(ids, (2, 6, 3), "-", rng))
    return Demo(
        name="credit-sim",
        title="Credit default: a bank and a telecom",
        guest_name="bank",
        guest=bank.iloc[rng.permutation(rows)].reset_index(drop=True),
        hosts={"telecom": telecom.iloc[rng.permutation(np.arange(n - rows, n))].reset_index(drop=True)},
        key="national_id",
        label="default",
        normalise="digits",
        sentence="Simulated customers: the bank knows who defaulted, the telecom how bills are paid; "
        "70 % are customers of both, and each side writes the national id in its own way.",
    )


def from_csv(path: str | Path, label: str, guest_columns: Sequence[str], seed: int = 7) -> Demo:
    """A real table cut in two: the guest keeps `guest_columns` and the label, the partner the other numeric columns.

    Each side keeps another 90 % of the rows.  The first column is the id if it is called so (ID, customer_id, ...) and
    never repeats; else each row gets a number that says nothing of its place.  Raises DataError for a missing file,
    label or column, a label that does not hold two values, a text column among `guest_columns`, missing or infinite
    values.
    """
    path, asked = Path(path), [label, *guest_columns]
    table = _read_csv(path, asked)
    rng = np.random.default_rng([whole("seed", seed, 0), 3])
    key = str(table.columns[0])
    named_id = re.search(r"(^|[_ .-])(id|idx)$", key, re.IGNORECASE) and key not in asked
    if named_id and table[key].is_unique and table[key].notna().all():
        ids = table.pop(key).astype(str).tolist()
    else:
        key, ids = "row_id", _distinct_numbers(rng, len(table), len(str(len(table))) + 3)
    numeric = [str(c) for c in table.select_dtypes("number").columns]
    theirs = [c for c in numeric if c not in asked]
    if not guest_columns or not theirs:
        raise DataError(
            "one of the two parties would have no column",
            remedy="Name at least one guest column and leave at least one numeric column to the partner",
        )
    for column in [*guest_columns, *theirs]:
        if column not in numeric:
            raise DataError(f"the column '{column}' is not numeric", remedy="Encode it first or leave it out")
        if not np.isfinite(table[column].to_numpy(dtype=np.float64)).all():
            raise DataError(f"the column '{column}' has missing or infinite values", remedy="Fill or remove it first")
    guest, partner = table[[*guest_columns, label]].copy(), table[theirs].copy()
    guest.insert(0, key, ids)
    partner.insert(0, key, ids)
    return Demo(
        name=re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:40] or "csv",
        title=f"{path.name}: a bank and a partner",
        guest_name="bank",
        guest=_some_rows(guest, rng, 0.9),
        hosts={"partner": _some_rows(partner, rng, 0.9)},
        key=key,
        label=label,
        normalise="exact",
        sentence=f"{len(table)} rows of {path.name}: the bank keeps the label and {len(guest_columns)} columns, "
        f"the partner {len(theirs)} others, each of a different 90 % of the rows.",
    )


def _read_csv(path: Path, asked: Sequence[str]) -> pd.DataFrame:
    """A CSV file with these columns, of which the first is a label of two values.  Raises DataError."""
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise DataError(f"there is no file {path.name}", remedy="Give the path of a CSV file with a header") from None
    except (OSError, ValueError) as error:  # a wrong encoding and pandas' own errors are ValueErrors
        raise DataError(
            f"{path.name} cannot be read as CSV ({type(error).__name__})",
            remedy="Give a comma-separated UTF-8 file with a header",
        ) from None
    for column in asked:
        if column not in table.columns:
            known = ", ".join(map(str, table.columns))
            raise DataError(f"{path.name} has no column '{column}'", remedy=f"Its columns are: {known}")
        if asked.count(column) > 1:
            raise DataError(f"the column '{column}' is named twice", remedy="Name the label and each guest column once")
    label = asked[0]
    if table[label].isna().any() or table[label].nunique() != 2:
        raise DataError(
            f"the label '{label}' has missing values, or not exactly two different ones",
            remedy="Give a column with two classes and no gaps",
        )
    return table


def _some_rows(table: pd.DataFrame, rng: np.random.Generator, share: float) -> pd.DataFrame:
    """A random `share` of the rows in a random order."""
    return table.iloc[rng.permutation(len(table))[: round(share * len(table))]].reset_index(drop=True)


def _distinct_numbers(rng: np.random.Generator, n: int, digits: int) -> list[str]:
    """`n` different numbers of `digits` digits, in no order."""
    low = 10 ** (digits - 1)
    if digits <= 8:
        return [str(low + int(i)) for i in rng.choice(9 * low, size=n, replace=False)]
    drawn = np.unique(rng.integers(low, 10 * low, size=n + n // 50 + 100))
    return [str(i) for i in rng.permutation(drawn)[:n]]


def _as_typed(ids: Sequence[str], groups: Sequence[int], mark: str, rng: np.random.Generator) -> list[str]:
    """Ids as people write them: most in this side's `groups`, some plain, in blanks or in full-width digits."""
    cuts = np.cumsum([0, *groups])
    grouped = [mark.join(i[a:b] for a, b in itertools.pairwise(cuts)) for i in ids]
    habit = rng.random(len(ids))
    return [
        g if h < 0.7 else plain if h < 0.85 else f" {g} " if h < 0.93 else g.translate(FULL_WIDTH)
        for plain, g, h in zip(ids, grouped, habit, strict=True)
    ]
