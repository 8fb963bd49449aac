"""What a joint model is worth compared with the guest's own, from labels and predictions: for notebooks, and for the
report of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from protocols.errors import ConfigError
from vfl import metrics
from vfl.data import Objective
from vfl.metrics.scorers import MEASURES
from vfl.models.given import of_arguments
from vfl.report import write_report
from vfl.report.page import check_new
from vfl.schema.arguments import flag, impossible, one_of, path, value, whole
from vfl.schema.section import listed, said
from vfl.screen import html
from vfl.screen.sentences import counted

SERIES: dict[Objective, Callable[..., dict[str, Any]]] = {
    "binary": lambda y, p, _, weight: metrics.plot_series(y, p, weight),
    "multiclass": metrics.class_series,
    "numeric": lambda y, p, _, weight: metrics.numeric_series(y, p, weight),
    "count": lambda y, p, _, weight: metrics.numeric_series(y, p, weight),
}


def measured(
    y: NDArray[np.float64],
    predictions: Mapping[str, NDArray[np.float64]],
    outcome: Objective,
    classes: Sequence[Any] | None,
    seed: int,
    *,
    part: str = "test",
    weight: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """`metrics`, `plots` and, of two models on rows that they have not seen, `uplift`, each of one part of the split,
    as report.json holds them.

    y (n,) 0 and 1, codes or numbers; predictions: "joint" and perhaps "guest_alone", (n,) or (n, classes); weight (n,):
    of the rows (with exposures y and predictions are rates, and the exposures weigh).
    """
    found: dict[str, Any] = {
        "metrics": {part: {name: MEASURES[outcome](y, p, weight) for name, p in predictions.items()}},
        "plots": {part: {name: SERIES[outcome](y, p, classes, weight) for name, p in predictions.items()}},
    }
    if (
        "guest_alone" in predictions and part != "train"
    ):  # on rows that both models have seen the difference says little
        found["uplift"] = {
            part: metrics.uplift_interval(
                y, predictions["joint"], predictions["guest_alone"], outcome, seed=seed, weight=weight
            )
        }
    return found


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What `vfl.evaluate` found, or at one party a fit with a `Split`.

    Parameters
    ----------
    result : dict
        The content of report.json, as far as it is known.

    Attributes
    ----------
    metrics : DataFrame
        One row per measure, one column per model.
    uplift : DataFrame
        By measure, joint minus guest alone, and the ends of its 95 % interval.
    stability : DataFrame
        How far rows that were held out have moved from the training rows (population stability index).

    Notes
    -----
    What each party learns: nothing; all of it is computed from what the party has.

    Cost: none is encrypted. The intervals draw the rows 200 to 1,000 times.

    Examples
    --------
    >>> model = fed.fit(vfl.LogisticRegression(link="taylor"), split=vfl.Split(test=0.25))
    >>> model.reports_["guest"].metrics.columns.tolist()
    ['joint', 'guest_alone']
    """

    result: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.result, Mapping):
            raise impossible("result", self.result, "Use vfl.evaluate, or the reports_ of a model")

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per measure, one column per model; for a run with several parts of the split, columns (part, model).
        Empty at a host."""
        found = self.result.get("metrics") or {}
        if set(found) <= {"test"}:
            return pd.DataFrame(found.get("test") or {})
        return pd.DataFrame(pd.concat({part: pd.DataFrame(models) for part, models in found.items()}, axis=1))

    @property
    def uplift(self) -> pd.DataFrame:
        """One row per measure: `change` (joint minus guest alone) and the ends `low`, `high` of its 95 % interval;
        empty without the guest's own predictions.

        On held-out rows, or where there are none, on out-of-time rows.
        """
        parts = self.result.get("uplift") or {}
        found = parts.get("test") or parts.get("out_of_time") or {"measures": {}}
        return pd.DataFrame.from_dict(found["measures"], orient="index", columns=["change", "low", "high"])

    @property
    def stability(self) -> pd.DataFrame:
        """How far held-out rows differ from the training rows: `part`, `column`, `psi`, `expected` (of as many
        rows of one population), `mark`, a line for the score and each own column."""
        told = self.result.get("stability") or {}
        parts = {"test": told, "out_of_time": told.get("out_of_time") or {}}
        lines = [
            {"part": part, **{k: line.get(k) for k in ("column", "psi", "expected", "mark")}}
            for part, found in parts.items()
            for line in [*([found["score"]] if found.get("score") else []), *(found.get("columns") or [])]
        ]
        return pd.DataFrame(lines, columns=["part", "column", "psi", "expected", "mark"])

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Writes report.html, report.json and report.csv into a folder; the path of the page.

        overwrite: replaces a report that is there.  Raises ConfigError where one is and it is not to be replaced, or
        if they cannot be written.
        """
        place = path("folder", folder)
        check_new(place, flag("overwrite", overwrite))
        return write_report(place, self.result).with_name("report.html")

    def __repr__(self) -> str:
        told = self.result.get("metrics") or {}
        if not told:
            return "Evaluation at a host, which holds no labels: see stability and result"
        rows = sum(int(models["joint"]["n"]) for models in told.values())
        return f"Evaluation of {counted(rows, 'row')}\n{self.metrics.to_string(float_format='{:.4f}'.format)}"

    def _repr_html_(self) -> str:
        """The measures of each part of the rows, one row per measure and one column per model."""
        told = self.result.get("metrics") or {}
        if not told:
            return html.card("Evaluation", "at a host, which holds no labels: see stability and result")
        parts = []
        for part, models in told.items():
            frame = pd.DataFrame(models)
            head = (f"{_words(part)} rows", *(_words(name) for name in models))
            lines = (
                (_words(str(name)), *map(_shown, values))
                for name, values in zip(frame.index, frame.to_numpy(), strict=True)
            )
            parts.append(html.table(head, lines, numbers=len(models), strong=1))
        rows = sum(int(models["joint"]["n"]) for models in told.values())
        return html.card("Evaluation", counted(rows, "row"), *parts)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: object) -> str:
    """A measure: whole numbers in full, others to four decimals; nothing where it is not defined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, int | float):
        return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4f}"
    return str(value)


def evaluate(
    y: ArrayLike | pd.Series,
    joint: ArrayLike | pd.Series | pd.DataFrame,
    guest_alone: ArrayLike | pd.Series | pd.DataFrame | None = None,
    *,
    outcome: Objective = "binary",
    pos_label: str | float | bool | None = None,
    sample_weight: ArrayLike | pd.Series | None = None,
    name: str = "evaluation",
    seed: int = 0,
) -> Evaluation:
    """Measures a joint model, and how sure its advantage over the guest's own model is (a paired bootstrap).

    Rows are matched by position; pandas objects must have the same index. Rows that `joint` does not score (missing:
    not all parties know them) are left out of both; a warning says how many are measured.

    Parameters
    ----------
    y : array-like of shape (n,)
        What happened.
    joint : array-like of shape (n,), or DataFrame
        Of a "binary" outcome the probability of the event (`predict_score`); of "multiclass" a frame with a column per class
        (`predict_proba`); for "numeric" and "count" the mean.
    guest_alone : array-like of shape (n,), or DataFrame, default None
        The same of the guest's own model.
    outcome : {"binary", "multiclass", "numeric", "count"}, default "binary"
        What y holds.
    pos_label : str, int, float or bool, default None
        Which of the two values of a "binary" outcome is the event, as in `Federation.local`: None takes the larger, of texts the later one in
        the alphabet, and warns if these are not such as "no" and "yes".
    sample_weight : array-like of shape (n,), default None
        A weight above 0 for each row, which then counts by it in every measure, curve and table, as in scikit-learn; only n and the columns
        "rows" count rows. Of counts with exposures y and the predictions are rates (count / exposure), and the exposures are the weights.
    name : str, default "evaluation"
        The title of the report's page.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Evaluation
        Metrics, uplift and the page.

    Raises
    ------
    ConfigError
        The outcome is not known, or has no event that `pos_label` could name.
    DataError
        `pos_label` is none of two values, lengths or indices differ, labels or weights do not fit, or no row has a prediction.

    Notes
    -----
    What each party learns: nothing; the guest calls this function with what it has. Cost: none is encrypted.

    Examples
    --------
    >>> found = vfl.evaluate(bank["default"], bank["age"].rank(pct=True))
    >>> bool(found.metrics.loc["auc", "joint"] > 0.5)
    True
    """  # noqa: E501
    one_of("outcome", outcome, tuple(MEASURES))
    seed, event = whole("seed", seed, 0), value("pos_label", pos_label)
    if event is not None and outcome != "binary":
        raise ConfigError(f'pos_label is not for outcome = "{outcome}"', remedy="Leave it out")
    if not isinstance(name, str):
        raise impossible("name", name, "name is the title of the page, a text")
    given = of_arguments(y, joint, guest_alone, sample_weight, outcome, event)
    found = measured(given.labels, given.predictions, outcome, given.classes, seed, weight=given.weight)
    return Evaluation(
        {
            "format": 1,
            "job": name,
            "job_digest": "none: made from predictions",
            "role": "guest",
            "outcome": outcome,
            "classes": given.classes,
        }
        | found
    )


class NoReport(ConfigError, KeyError):
    """A model has no report of this party."""


class Reports(dict[str, Evaluation]):
    """By party, what it says of a fitted model, where rows were held out."""

    def __missing__(self, party: object) -> Evaluation:
        if not self:
            remedy = "Pass split=vfl.Split(test=0.25) to fit"
            raise NoReport("the model was fitted without a split, so it has no report", remedy=remedy)
        raise NoReport(f"there is no report of {said(party)}", remedy=f"There are those of {listed([*self], 'and')}")


@dataclass(frozen=True)
class Sampling:
    """Which common rows a training left out: a part of them, drawn by a seed from the ids, and those on or after a day
    (ISO 8601; empty: none).

    ids: by which keys they were matched and how these were written, in any words; another way is another draw.
    """

    test: float = 0.0
    seed: int = 0
    cut_off: str = ""
    ids: str = ""

    def __str__(self) -> str:
        return f"test = {self.test:g}, seed = {self.seed}" + (f", out_of_time = {self.cut_off}" if self.cut_off else "")


def optimistic(now: Sampling, earlier: Sampling) -> str:
    """What to say of a continued model that is measured on other rows than its earlier rounds left out; empty if they
    left these out."""
    same = (now.seed, now.ids) == (earlier.seed, earlier.ids) and now.test <= earlier.test
    if (not now.test or same) and (not now.cut_off or "" < earlier.cut_off <= now.cut_off):
        return ""
    return (
        f"rows held out now ({now}) were trained on by the earlier rounds, unless they are new; these left "
        f"out others ({earlier}): "
        "on rows that were trained on the model seems better than it is"
    )
