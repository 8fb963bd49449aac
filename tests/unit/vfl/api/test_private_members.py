"""Members that average with noise: what is asked, refused, reported, saved and sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.averaging.secure_sum import OpenedSum
from protocols.channel import Tap
from protocols.cipher import Keyring
from protocols.codec import decode
from protocols.errors import ConfigError, DataError
from protocols.message import Message
from vfl.models.averaging.cost import predicted
from vfl.models.averaging.private import Noise, fits
from vfl.schema.section import Complaint

pytestmark = pytest.mark.filterwarnings("ignore:one member that drops out")
BOUNDS = {"a": (-3, 3), "b": (-3, 3)}


def table(rows: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2))
    return pd.DataFrame(x, columns=["a", "b"]).assign(y=(rng.random(rows) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(int))


def members(count: int = 3, rows: int = 240) -> vfl.Members:
    return vfl.Members.local({f"m{k}": table(rows).iloc[k::count] for k in range(count)}, label="y")


def promise(**given: Any) -> vfl.Privacy:
    return vfl.Privacy(**{"epsilon": 8, "delta": 1e-6, "bounds": BOUNDS} | given)


@pytest.fixture(scope="module")
def model() -> vfl.AveragedModel:
    return members(rows=6000).fit(vfl.Averaging(rounds=8), privacy=promise(), split=vfl.Split(test=0.2))


def test_the_model_says_what_it_costs(model: vfl.AveragedModel) -> None:
    spent = model.privacy_
    assert spent is not None
    assert (spent.unit, spent.delta, spent.sums) == ("row", 1e-6, 9)
    assert 7.9 < spent.epsilon <= 8
    assert "epsilon 8 per row" in repr(model)
    assert model.by_member_["auc"].min() > 0.75
    assert abs(model.rounds_["rows"].iloc[-1] - 4800) < 100


def test_the_same_run_without_privacy_has_no_noise() -> None:
    assert members().fit(vfl.Averaging(rounds=2)).privacy_ is None


def test_it_is_saved_with_its_promise(model: vfl.AveragedModel, tmp_path: Path) -> None:
    back = vfl.load_model(model.save(tmp_path / "model"))
    assert isinstance(back, vfl.AveragedModel)
    assert back.privacy_ == model.privacy_
    assert (back.predict_score(table()) == model.predict_score(table())).all()


def test_protected_members_are_saved_without_numbers_of_rows(tmp_path: Path) -> None:
    found = members().fit(vfl.Averaging(rounds=2, local_epochs=2), privacy=promise(unit="member"))
    assert found.rounds_.columns.tolist() == ["members"]
    back = vfl.load_model(found.save(tmp_path / "model"))
    assert isinstance(back, vfl.AveragedModel)
    assert back.rounds_.equals(found.rounds_)
    assert found.privacy_ is not None
    assert found.privacy_.sums == 2


@pytest.mark.parametrize(
    ("spec", "privacy", "what"),
    [
        ({"local_epochs": 2}, {}, "local_epochs"),
        ({"batch_size": 5}, {}, "batch_size"),
        ({"mu": 0.1}, {}, "mu"),
        ({"update_bits": 12, "max_rows": 1000}, {}, "update_bits"),
        ({"update_bits": 12, "max_rows": 1000}, {"unit": "member"}, "update_bits"),
        ({}, {"bounds": {"a": (0, 1)}}, "lacks 'b'"),
        ({}, {"bounds": BOUNDS | {"y": (0, 1)}}, "names 'y'"),
        ({"estimator": "poisson"}, {}, "lacks 'y'"),
    ],
)
def test_what_would_not_keep_the_promise_is_refused(spec: Any, privacy: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        members().fit(vfl.Averaging(rounds=2, **spec), privacy=promise(**privacy))


def test_sums_that_would_not_fit_into_their_words_are_refused() -> None:
    spec = vfl.Averaging(max_rows=1 << 32)
    fits(promise(), spec, 1024, ("a", "b", "y"))
    with pytest.raises(Complaint, match="would not fit"):
        fits(promise(), spec, 1025, ("a", "b", "y"))


@pytest.mark.parametrize(
    "given",
    [{"epsilon": 0}, {"delta": 0.1}, {"clip": 0}, {"unit": "table"}, {"bounds": {"a": (1, 1)}}, {"bounds": {"a": 1}}],
)
def test_impossible_promises_are_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=f"Privacy: {next(iter(given))}"):
        promise(**given)


def test_something_else_is_no_promise() -> None:
    with pytest.raises(ConfigError, match="privacy is a float"):
        members().fit(vfl.Averaging(rounds=2), privacy=1.0)  # type: ignore[arg-type]


class Bytes(Tap):
    def __init__(self) -> None:
        self.total = 0

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.total += len(data)

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.total += len(data)


@pytest.mark.parametrize("unit", ["row", "member"])
def test_bytes_are_predicted_exactly(unit: str) -> None:
    spec, tap, privacy = vfl.Averaging(rounds=3), Bytes(), promise(unit=unit)
    members().fit(spec, privacy=privacy, taps={"aggregator": [tap]})
    assert predicted(spec, 3, 2, privacy).aggregator_bytes == tap.total
    assert spec.cost(members=3, columns=2, privacy=privacy).sums == (4 if unit == "row" else 3)


class Opened(Tap):
    """The numbers of every sum that the aggregator opens."""

    def __init__(self) -> None:
        self.sums = list[Any]()

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        if kind is OpenedSum and peer == "m0":
            self.sums.append(decode(data, OpenedSum, "aggregator", Keyring()).words)


def first_sum() -> Any:
    tap = Opened()
    members(9, rows=900).fit(vfl.Averaging(rounds=1), privacy=promise(), taps={"aggregator": [tap]})
    assert len(tap.sums) == 2  # as many as are accounted for
    return np.frombuffer(tap.sums[0], "<i8").astype(float)


def test_what_a_run_opens_carries_the_noise_that_was_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the same run with hardly any noise."""
    noisy, spec = first_sum(), vfl.Averaging(rounds=1)
    terms = spec.terms(tuple(f"m{k}" for k in range(9)))
    expected = Noise.of(promise(), spec, terms, ("a", "b", "y")).sigma * 3
    monkeypatch.setattr(Noise, "sigma", property(lambda self: 1))
    change = (noisy - first_sum()) / expected
    assert len(change) == 7
    assert 0.2 < np.sqrt((change**2).mean()) < 2.4  # chi-square of 7 degrees, p < 1e-4 on both sides


def test_a_label_of_texts_is_refused_by_name() -> None:
    tables = {f"m{k}": table(20).assign(y=["good", "bad"] * 10) for k in range(3)}
    with pytest.raises(DataError, match="the label is no number"):
        vfl.Members.local(tables, label="y").fit(vfl.Averaging(), privacy=promise(), split=vfl.Split(test=0.2))
