"""Which value of a label of two values is the event: named, or said."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError
from tests.harness import KNOWN

N = 200
RNG = np.random.default_rng(0)
A, C = RNG.normal(size=(2, N))
EVENT = RNG.random(N) < 1 / (1 + np.exp(-(A + C)))


def fed(no: Any, yes: Any, **options: Any) -> vfl.Federation:
    guest = pd.DataFrame({"id": range(N), "y": [yes if event else no for event in EVENT], "a": A})
    host = pd.DataFrame({"id": range(N), "c": C})
    return vfl.Federation.local(guest, {"h": host}, on="id", label="y", cipher=Identity(), reveal=KNOWN, **options)


def coef(federation: vfl.Federation, estimator: Any = None) -> float:
    """Above 0 where the rows that EVENT marks are the event."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return float(federation.fit(estimator or vfl.LogisticRegression(link="taylor")).coef_["guest"].iloc[0])


@pytest.mark.parametrize(
    ("no", "yes"),
    [
        ("good", "bad"),
        pytest.param("paid", "default", marks=pytest.mark.slow),
        (2, 1),
        pytest.param(1.5, 0.5, marks=pytest.mark.slow),
        (True, False),
        pytest.param("yes", "no", marks=pytest.mark.slow),
    ],
)
def test_pos_label_is_the_event_whatever_the_order(no: Any, yes: Any) -> None:
    assert coef(fed(no, yes, pos_label=yes)) > 0.3
    assert coef(fed(no, yes, pos_label=no)) < -0.3  # the control
    model = fed(no, yes, pos_label=yes).fit(vfl.LogisticRegression(link="taylor"), split=vfl.Split(test=0.25))
    assert list(model.classes_) == [no, yes]
    assert model.reports_["guest"].result["metrics"]["test"]["joint"]["auc"] > 0.6


def test_two_texts_without_a_name_are_warned_of_and_opposites_are_not() -> None:
    with pytest.warns(
        UserWarning, match="guest: label column 'y': of its two texts the later one .* pos_label"
    ) as told:
        fed("bad", "good").fit(vfl.LogisticRegression(link="taylor"))
    assert not any("good" in str(one.message) for one in told)
    for no, yes in (("no", "yes"), ("N", "Y"), ("False", "True"), ("0", "1"), (0, 1), (False, True)):
        assert coef(fed(no, yes)) > 0.3


def test_other_kinds_of_model_follow() -> None:
    trees = vfl.BoostedTrees(n_estimators=2, max_depth=2)
    found = fed("good", "bad", pos_label="bad").fit(trees)
    assert list(found.classes_) == ["good", "bad"]
    card = fed("good", "bad", pos_label="bad").fit(vfl.Scorecard(min_bin_rows=10, link="taylor"))
    assert list(card.classes_) == ["good", "bad"]


def worth(y: Any, **options: Any) -> float:
    """The AUC of scores that are high where EVENT marks the row."""
    return float(vfl.evaluate(y, 1 / (1 + np.exp(-(A + C))), **options).metrics.loc["auc", "joint"])


@pytest.mark.parametrize(("no", "yes"), [("good", "bad"), ("paid", "default"), (2, 1), (True, False), ("yes", "no")])
def test_an_evaluation_takes_the_event_too(no: Any, yes: Any) -> None:
    y = np.array([yes if event else no for event in EVENT])
    assert worth(y, pos_label=yes) == worth(EVENT) > 0.7
    assert worth(y, pos_label=no) == pytest.approx(1 - worth(EVENT))  # the control
    assert vfl.evaluate(y, EVENT / 2, pos_label=yes).result["classes"] == [no, yes]


def test_an_evaluation_warns_of_a_guess_and_refuses_what_is_no_event() -> None:
    y = np.where(EVENT, "bad", "good")
    with pytest.warns(UserWarning, match="y: of its two texts the later one in the alphabet .* pos_label") as told:
        assert worth(y) < 0.3
    assert [one.filename for one in told] == [__file__]
    for no, yes in (("no", "yes"), (0, 1), (False, True)):
        assert worth(np.where(EVENT, yes, no)) > 0.7
    for wrong in ("worse", 1):
        with pytest.raises(DataError, match="y does not hold the value that pos_label names") as caught:
            worth(y, pos_label=wrong)
        assert "worse" not in str(caught.value)
    with pytest.raises(ConfigError, match="pos_label is a list"):
        worth(y, pos_label=["bad"])
    with pytest.raises(ConfigError, match='pos_label is not for outcome = "numeric"'):
        worth(EVENT, pos_label=1, outcome="numeric")


def test_the_report_of_a_federation_is_of_its_event() -> None:
    federation = fed("good", "bad", pos_label="bad")
    model = federation.fit(vfl.LogisticRegression(link="taylor"), split=vfl.Split(test=0.5))
    told = model.reports_["guest"].metrics.loc["auc"]
    assert told["joint"] > 0.7
    assert told["guest_alone"] > 0.6


def test_what_is_no_event_is_refused_without_a_value() -> None:
    for wrong in ("worse", 1):
        with pytest.raises(DataError, match="does not hold the value that pos_label names") as caught:
            fed("good", "bad", pos_label=wrong).fit(vfl.LogisticRegression())
        assert "worse" not in str(caught.value)
    with pytest.raises(DataError, match="is a number, which has no event"):
        fed(1.0, 2.0, pos_label=1.0).fit(vfl.LinearRegression())
    with pytest.raises(ConfigError, match="pos_label is a list"):
        fed(0, 1, pos_label=[1])
