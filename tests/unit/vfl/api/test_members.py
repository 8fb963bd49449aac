"""Members with the same columns: what is averaged, what is refused, and what becomes of those who leave."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.averaging.secure_sum import MaskedUpdate
from protocols.averaging.setup import Identities
from protocols.channel import Tap
from protocols.errors import ConfigError, DataError, ModelError, PlaintextOverflow
from protocols.message import Message
from protocols.randomness import Randomness
from protocols.session import Session
from vfl.models.averaging import program

FEW = vfl.Averaging(rounds=3)
pytestmark = pytest.mark.filterwarnings("ignore:one member that drops out")  # test_departures.py


def frame(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    event = rng.random(rows) < 1 / (1 + np.exp(-(x @ [1.5, -1.0, 0.5])))
    return pd.DataFrame(x, columns=["a", "b", "c"]).assign(
        event=event.astype(int),
        number=x @ [1.0, 2.0, 0.0] + 3 + rng.normal(size=rows),
        count=rng.poisson(np.exp(x[:, 0])),
    )


def members(count: int = 5, label: str = "event", rows: int = 400) -> vfl.Members:
    table = frame(rows)[["a", "b", "c", label]]
    return vfl.Members.local({f"m{k}": table.iloc[k::count] for k in range(count)}, label=label)


def names(count: int) -> list[str]:
    return [f"m{k}" for k in range(count)]


class Counting(Tap):
    def __init__(self) -> None:
        self.bytes, self.updates = 0, list[bytes]()

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.bytes += len(data)
        if kind is MaskedUpdate:
            self.updates.append(data)


def test_a_model_of_all_rows() -> None:
    model = members().fit(vfl.Averaging(rounds=25), split=vfl.Split(test=0.25))
    assert model.coef_["a"] > model.coef_["c"] > 0 > model.coef_["b"]
    assert model.rounds_["members"].tolist() == [5] * 25
    assert model.rounds_["rows"].tolist() == [300] * 25
    assert model.by_member_["rows"].tolist() == [60] * 5
    assert model.by_member_["held_out"].tolist() == [20] * 5
    assert model.by_member_["auc"].min() > 0.6
    spread = model.by_member_["auc"].max() - model.by_member_["auc"].min()
    assert model.fairness_["auc"] == pytest.approx(spread)
    assert set(model.fairness_) == {"auc", "log_loss", "base_rate", "mean_predicted"}
    assert repr(model) == "AveragedModel(logistic: 25 rounds, 5 members in the last one)"
    assert "m4" in model._repr_html_()


@pytest.mark.parametrize(
    ("estimator", "label", "measure"),
    [("linear", "number", "r2"), ("poisson", "count", "deviance"), ("mlp", "event", "auc")],
)
def test_other_estimators(estimator: str, label: str, measure: str) -> None:
    spec = vfl.Averaging(estimator=estimator, rounds=25, local_epochs=2, learning_rate=0.3)
    model = members(4, label).fit(spec, split=vfl.Split(test=0.2))
    assert measure in model.by_member_.columns
    worth = {"r2": lambda v: v.min() > 0.6, "deviance": lambda v: v.max() < 2, "auc": lambda v: v.mean() > 0.7}
    assert worth[measure](model.by_member_[measure])
    predicted = model.predict_score(frame()[["a", "b", "c"]])
    assert predicted.mean() == pytest.approx(frame()[label].mean(), abs=0.15)
    if estimator == "mlp":
        with pytest.raises(ModelError, match="weights_"):
            _ = model.coef_


def test_two_that_leave_are_left_out() -> None:
    """Of twelve, in different rounds; every sum still involves nine at least, and differs by none or by three."""
    model = members(12).fit(vfl.Averaging(rounds=6), leaves={"m3": 2, "m7": 4})
    assert set(model.left_) == {"m3", "m7"}
    assert "left in round 2" in model.left_["m3"]
    sizes = model.rounds_["members"].tolist()
    assert sizes[0] == 12
    assert min(sizes) >= 9
    assert max(sizes[1:3]) <= 11


def test_members_are_drawn_for_each_round() -> None:
    seen = Counting()

    def same() -> dict[str, Randomness]:
        return {name: Randomness(name, name.encode().ljust(32), b"") for name in (*names(12), "aggregator")}

    spec = vfl.Averaging(rounds=6, fraction=0.5, window="recent")
    model = members(12).fit(spec, taps={"m0": [seen]}, randomness=same())
    assert set(model.rounds_["members"]) <= {5, 6}
    assert 1 <= len(seen.updates) <= 6  # of seven sums
    again = members(12).fit(spec, randomness=same())
    assert (again.weights_ == model.weights_).all()


def test_quantised_updates_take_fewer_bytes() -> None:
    wide, narrow = Counting(), Counting()
    exact = members(4).fit(vfl.Averaging(rounds=20), taps={"m0": [wide]})
    spec = vfl.Averaging(rounds=20, update_bits=10, max_rows=200)
    rounded = members(4).fit(spec, taps={"m0": [narrow]})
    assert rounded.weights_ == pytest.approx(exact.weights_, abs=0.01)
    assert (rounded.weights_ != exact.weights_).any()
    assert len(wide.updates[1]) - len(narrow.updates[1]) == 4 * 5  # four weights and the rows


def test_fedprox_stays_nearer() -> None:
    options: dict[str, Any] = {"rounds": 1, "local_epochs": 20, "learning_rate": 0.5}
    start = np.array([0, 0, 0, np.log(frame()["event"].mean() / (1 - frame()["event"].mean()))])
    far = np.abs(members().fit(vfl.Averaging(**options)).weights_ - start).sum()
    near = np.abs(members().fit(vfl.Averaging(**options, mu=1.0)).weights_ - start).sum()
    assert near < 0.7 * far


# -- refused


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"estimator": "forest"}, "estimator"),
        ({"hidden": 3}, "no hidden layer"),
        ({"clip": 2.0}, "without update_bits"),
        ({"trigger": 0.1}, "trigger"),
        ({"fraction": 0.5}, "at most four such sums"),
        ({"min_members": 1}, "min_members"),
        ({"rounds": 0}, "rounds"),
        ({"round": 3}, "Did you mean rounds"),
    ],
)
def test_impossible_parameters(given: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        vfl.Averaging(**given)


def test_sums_that_would_not_fit_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError, match="leave 9 bits for an entry"):
        members(4).fit(vfl.Averaging(update_bits=10))
    with pytest.raises(ConfigError, match="too few"):
        members(4).fit(vfl.Averaging(min_members=5))


def test_an_update_that_diverges_names_its_member() -> None:
    with pytest.raises(PlaintextOverflow, match=r"m\d: local training moved a weight") as raised:
        members(3, "number").fit(vfl.Averaging(estimator="linear", rounds=3, learning_rate=50.0, local_epochs=30))
    assert raised.value.party in ("m0", "m1", "m2")


def test_more_rows_than_agreed_on() -> None:
    with pytest.raises(DataError, match="more rows than max_rows"):
        members(3).fit(vfl.Averaging(max_rows=100))


def test_nothing_that_was_signed_in_one_run_fits_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """What members sign first holds the job's digest, and with it a number of the run: an aggregator cannot send it
    again in the next one."""
    honest, jobs, tables = program.aggregator, set[bytes](), members(3)

    def watched(session: Session, spec: Any, known: Identities, *given: Any) -> Any:
        jobs.add(known.job)
        return honest(session, spec, known, *given)

    monkeypatch.setattr(program, "aggregator", watched)
    for _ in range(2):
        tables.fit(FEW)
    assert len(jobs) == 2


def test_wrong_arguments() -> None:
    table = frame()[["a", "event"]]
    for given in ([table], {"x": table}, {"x": table, "y": table, "aggregator": table}):
        with pytest.raises(ConfigError):
            vfl.Members.local(given, label="event")  # type: ignore[arg-type]
    three = members(3)
    for options in (
        {"split": 0.2},
        {"split": vfl.Split(train=True)},
        {"taps": {"nobody": []}},
    ):
        with pytest.raises(ConfigError):
            three.fit(FEW, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"is a LogisticRegression.*vfl.Federation"):
        three.fit(vfl.LogisticRegression())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="never pickled"):
        pickle.dumps(three)
    assert repr(three) == "Members(m0, m1, m2)"
