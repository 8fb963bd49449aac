"""No value is limited unless the job asks for it, or the protocol's numbers end; what is limited is counted by column
and said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import vfl
from protocols.cipher import Identity
from tests.harness import KNOWN
from vfl.preprocessing.standardise import FARTHEST, Standardiser
from vfl.report.words import cautions

N = 800
pytestmark = pytest.mark.filterwarnings(
    "ignore:.* far out(side of all others|.*leaves little of the others):UserWarning"
)


def heavy() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both parties have a column with heavy tails, whose largest values say little of the label."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N, 4))
    x[:, 1], x[:, 3] = np.sinh(3 * x[:, 1]), np.sinh(3 * x[:, 3])
    z = x[:, 0] + 1.5 * np.tanh(x[:, 1] / 5) - x[:, 2] + 1.5 * np.tanh(x[:, 3] / 5)
    y = (rng.random(N) < 1 / (1 + np.exp(-z))).astype(int)
    guest = pd.DataFrame({"id": range(N), "y": y, "a": x[:, 0], "tail": x[:, 1]})
    return guest, pd.DataFrame({"id": range(N), "c": x[:, 2], "far": x[:, 3]})


def fit(
    guest: pd.DataFrame, host: pd.DataFrame, split: Any = None, reveal: tuple[str, ...] = KNOWN, **parameters: Any
) -> Any:
    fed = vfl.Federation.local(guest, {"h": host}, on="id", label="y", cipher=Identity(), reveal=reveal)
    return fed.fit(vfl.LogisticRegression(weight_bits=20, **parameters), split=split)


def test_the_default_is_the_centralised_model() -> None:
    guest, host = heavy()
    joined = guest.merge(host, on="id")
    x = joined[["a", "tail", "c", "far"]]
    x, y = (x - x.mean()) / x.std(ddof=0), joined["y"]
    assert np.abs(x.to_numpy()).max() > 10
    oracle = LogisticRegression(tol=1e-10).fit(x, y)
    model = fit(guest, host)
    found = np.concatenate([model.coef_["guest"], model.coef_["h"]])
    assert np.abs(found - oracle.coef_[0]).max() < 1e-3 * np.abs(oracle.coef_).max()
    scores = model.predict_score(guest.drop(columns="y"), {"h": host})
    assert roc_auc_score(y, scores) == pytest.approx(roc_auc_score(y, oracle.decision_function(x)), abs=5e-4)


def test_clip_changes_the_model_and_is_counted_in_a_warning_and_in_each_partys_report() -> None:
    guest, host = heavy()
    with pytest.warns(UserWarning, match="values were limited to") as told:
        model = fit(guest, host, split=vfl.Split(test=0.25), clip=2.0)
    said = [str(one.message) for one in told]
    counts = {
        party: part.standardiser.beyond(table, party)
        for (party, part), table in zip(model.parts.items(), (guest, host), strict=True)
    }
    assert set(counts["guest"]) == {"a", "tail"}  # of all rows; of the training rows there are some fewer
    for party, report in model.reports_.items():
        (own,) = (s for s in said if s.startswith(f"{party}: values were limited to 2 standard deviations"))
        limited = report.result["model"]["clipped"]
        assert set(limited) == set(counts[party])  # its own columns alone
        assert all(0 < rows <= counts[party][name] for name, rows in limited.items())
        assert all(f"'{name}' ({rows:,})" in own for name, rows in limited.items())
        assert own.removeprefix(f"{party}: ") in cautions(report.result["model"])
    plain = fit(guest, host, split=vfl.Split(test=0.25))
    assert not any("limited" in said for said in cautions(plain.reports_["guest"].result["model"]))
    assert abs(plain.coef_["guest"]["tail"] - model.coef_["guest"]["tail"]) > 0.1  # the control: it matters


@pytest.mark.parametrize("reveal", [KNOWN, ()], ids=["known weights", "shared weights"])
def test_beyond_the_head_room_values_are_limited_aloud(reveal: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=20_000)
    values[7] = 1e9
    own = Standardiser.fit(pd.DataFrame({"x": values, "y": rng.normal(size=20_000)}), None)
    assert own.clip == FARTHEST
    frame = pd.DataFrame({"x": values, "y": 0.0})
    assert own.beyond(frame, "bank") == {"x": 1}
    assert np.abs(own.transform(frame, "bank")).max() == FARTHEST
    guest, host = heavy()
    model = fit(guest, host, reveal=reveal)
    new = guest.drop(columns="y").assign(a=np.where(np.arange(N) < 3, 1e6, guest["a"]))
    with pytest.warns(UserWarning, match=r"limited to 128 .* new rows of 'a' \(3\)"):
        model.predict_score(new, {"h": host})


def test_no_value_is_in_any_sentence() -> None:
    guest, host = heavy()
    with pytest.warns(UserWarning, match="values were limited to") as told:
        fit(guest.assign(tail=guest["tail"].mask(guest.index == 5, 123456.75)), host, clip=20.0)
    assert not any("123456" in str(one.message) or "e+" in str(one.message) for one in told)


def test_values_limited_in_the_folds_of_a_search_are_counted() -> None:
    guest, host = heavy()
    guest["rare"] = np.where(guest["id"] == 17, 1.0, 0.001 * (guest["id"] % 2))  # beyond 128 where a fold has no row 17
    fed = vfl.Federation.local(guest, {"h": host}, on="id", label="y", cipher=Identity(), reveal=KNOWN)
    asked = vfl.GridSearchCV(vfl.LogisticRegression(max_iter=20), {"C": [0.1, 1.0]}, cv=2)
    with pytest.warns(UserWarning, match="in the folds of the search") as told:
        found = fed.fit(asked, split=vfl.Split(test=0.2, seed=1)).best_estimator_
    said = [str(one.message) for one in told if "in the folds" in str(one.message)]
    assert said == ["guest: in the folds of the search values were limited too, in the fold that has most in rows of "
                    "'rare' (1)"]  # fmt: skip
    told_by_guest = found.reports_["guest"].result["model"]
    assert told_by_guest["clipped_in_folds"] == {"rare": 1}
    assert "clipped" not in told_by_guest  # the training has row 17, whose value is within the head-room
    assert any("in the folds" in one for one in cautions(told_by_guest))
    assert "clipped_in_folds" not in found.reports_["h"].result["model"]


def test_counts_of_folds_are_of_rows_trained_on_and_scored() -> None:
    """The planted fault is a count of one of both."""
    from vfl.models.regression.limited import InFolds

    guest, _ = heavy()
    features = guest[["a", "tail"]]
    inside, outside = (Rows(features.iloc[rows].reset_index(drop=True)) for rows in (slice(0, 600), slice(600, N)))
    standardiser = Standardiser.fit(inside.features, 2.0)
    counted = InFolds()
    counted.add(standardiser, inside, outside, "guest")
    values = (features - features[:600].mean()) / features[:600].std(ddof=0)
    assert counted.counts == {name: int((values[name].abs() > 2).sum()) for name in features}
    counted.add(Standardiser.fit(inside.features, None), inside, outside, "guest")  # a candidate that limits none
    assert counted.counts == {name: int((values[name].abs() > 2).sum()) for name in features}


class Rows:
    """What is counted of a table."""

    def __init__(self, features: pd.DataFrame) -> None:
        self.features = features
