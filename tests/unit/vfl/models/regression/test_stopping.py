"""`tol` and `early_stopping` through the front door: the optimum or the best of the rows held out, the same number of
passes at all, and clear refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

import vfl
from protocols.cipher import Keyring
from protocols.errors import ConfigError, DataError
from protocols.glm.stopping import LossSigns, Verdict
from tests.harness import Recording, Sent
from tests.unit.vfl.api.test_federation import coefficients, real, standardised
from tests.unit.vfl.models.regression.test_families import columns, federation, frames, weights
from vfl.data import split_rows
from vfl.data.keys import canonical_ids


def test_tol_ends_training_near_the_optimum_after_fewer_passes() -> None:
    tables, joined = frames("binary")
    transcript: list[Sent] = []
    taps = {p: [Recording(p, transcript)] for p in ("guest", "h0", "h1", "arbiter")}
    model = federation(tables).fit(vfl.LogisticRegression(max_iter=200, tol=1e-5, C=0.1, weight_bits=20), taps=taps)
    best = LogisticRegression(C=0.1, tol=1e-10).fit(columns(joined), joined["y"])
    assert np.abs(weights(model)[0] - np.r_[best.coef_[0], best.intercept_]).max() <= 1e-2 * np.abs(best.coef_).max()
    signs = [s for s in transcript if s.kind is LossSigns]
    assert 30 <= model.n_iter_ == 10 * (len(signs) + 1) < 200  # the first loss is compared with none
    assert {(s.sender, s.receiver) for s in signs} == {("guest", "arbiter")}
    told = {
        p: [s.message(Keyring()).code for s in transcript if s.kind is Verdict and s.receiver == p]
        for p in ("guest", "h0", "h1")
    }  # type: ignore[attr-defined]
    assert told["guest"] == told["h0"] == told["h1"]
    assert len(told["guest"]) == len(signs) + 1


@pytest.mark.filterwarnings("ignore:all 15 iterations that max_iter allows were made")
def test_rows_that_decide_are_not_counted_as_trained_on() -> None:
    tables, _ = frames("binary", hosts=1)
    spec = vfl.LogisticRegression(max_iter=15, early_stopping=True, validation_fraction=0.4, n_iter_no_change=5)
    model = federation(tables).fit(spec, split=vfl.Split(test=0.25))
    told = model.reports_["guest"].result["alignment"]
    assert told["validation_rows"] >= 30
    assert told["train_rows"] + told["validation_rows"] + told["test_rows"] == model.intersection_
    assert f"trained on {told['train_rows']} of {model.intersection_} common rows" in repr(model)


def test_without_it_no_sign_is_opened_and_all_passes_are_made() -> None:
    tables, _ = frames("binary", hosts=1)
    transcript: list[Sent] = []
    model = federation(tables).fit(
        vfl.LogisticRegression(max_iter=5, link="taylor"), taps={"guest": [Recording("guest", transcript)]}
    )
    assert model.n_iter_ == 5
    assert not [s for s in transcript if s.kind is LossSigns]


def test_each_class_ends_by_itself() -> None:
    tables, _ = frames("classes", hosts=1)
    model = federation(tables).fit(vfl.LogisticRegression(max_iter=150, tol=1e-4, link="taylor", n_iter_no_change=5))
    assert isinstance(model.n_iter_, np.ndarray)
    assert model.n_iter_.shape == (3,)
    assert all(15 <= n < 150 for n in model.n_iter_)


def test_numbers_end_by_half_the_squared_error_in_variances() -> None:
    tables, joined = frames("numeric")
    model = federation(tables).fit(vfl.LinearRegression(max_iter=200, tol=1e-5, weight_bits=20))
    best = Ridge().fit(columns(joined), joined["y"])
    sd = joined["y"].std(ddof=0)
    assert np.abs(weights(model)[0, :-1] * sd - best.coef_).max() <= 5e-3 * sd
    assert model.n_iter_ < 100


@pytest.mark.parametrize(
    ("label", "estimator"),
    [
        ("numeric", vfl.LinearRegression(early_stopping=True, validation_fraction=0.3, n_iter_no_change=5)),
        ("count", vfl.PoissonRegression(early_stopping=True, validation_fraction=0.3, n_iter_no_change=5)),
        (
            "binary",
            vfl.LogisticRegression(
                early_stopping=True, validation_fraction=0.3, tol=1e-3, class_weight="balanced", link="taylor"
            ),
        ),
    ],
)
def test_rows_that_decide_are_not_trained_on_and_are_the_same_everywhere(label: str, estimator: Any) -> None:
    """They are drawn by their ids: columns are standardised on the others, at every party, and the draw is that of
    `[split]`."""
    tables, joined = frames(label)
    model = federation(tables).fit(estimator, split=vfl.Split(test=0.2, seed=5))
    ids = list(canonical_ids(joined, "guest", ["id"], {}))
    draw = split_rows(ids, 0.2 + 0.8 * 0.3, 5)
    trained = joined[~draw]
    assert 0.3 < draw.mean() < 0.6
    for part in model.parts.values():
        assert part.standardiser.mean == pytest.approx(trained[list(part.columns)].mean().to_numpy())
    if label == "numeric":
        assert model.label_scale_ == pytest.approx(trained["y"].std(ddof=0))
    (made,) = model.reports_["guest"].result["model"]["passes_made"]
    assert made == model.n_iter_ < 100
    assert model.reports_["guest"].result["alignment"]["test_rows"] == split_rows(ids, 0.2, 5).sum()


def test_all_passes_without_settling_are_warned_of() -> None:
    tables, _ = frames("binary", hosts=1)
    with pytest.warns(UserWarning, match="all 16 iterations that max_iter allows were made: the loss had not settled"):
        model = federation(tables).fit(
            vfl.LogisticRegression(C=10.0, max_iter=16, tol=1e-5, link="taylor", n_iter_no_change=5)
        )
    assert model.n_iter_ == 16


def test_too_few_rows_for_early_stopping() -> None:
    tables, _ = frames("binary")
    with pytest.raises(DataError, match="too few to decide when training ends"):
        federation(tables).fit(vfl.LogisticRegression(early_stopping=True, link="taylor"))


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"tol": 0}, "tol"),
        ({"tol": 1e-6}, "tol"),
        ({"tol": "1e-4"}, "tol"),
        ({"tol": True}, "tol"),
        ({"early_stopping": 1}, "early_stopping"),
        ({"early_stopping": True, "validation_fraction": 0.6}, "validation_fraction"),
        ({"early_stopping": True, "validation_fraction": 0.0}, "validation_fraction"),
        ({"tol": 1e-4, "validation_fraction": 0.2}, "validation_fraction"),
        ({"tol": 1e-4, "n_iter_no_change": 4}, "n_iter_no_change"),
        ({"tol": 1e-4, "n_iter_no_change": 67}, "n_iter_no_change"),
        ({"tol": 1e-4, "max_iter": "auto", "n_iter_no_change": 21}, "n_iter_no_change"),
        ({"n_iter_no_change": 20}, "n_iter_no_change"),
        ({"tol": 1e-4, "max_iter": 20}, "n_iter_no_change"),
        ({"tol": 1e-4, "max_iter": 1011, "n_iter_no_change": 10}, "n_iter_no_change"),
        ({"tol": 1e-4, "solver": "sgd"}, "tol"),
        ({"early_stopping": True, "solver": "sgd"}, "early_stopping"),
    ],
)
def test_parameters_that_cannot_be_or_would_do_nothing(params: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        vfl.LogisticRegression(**params)
    assert caught.value.remedy


@pytest.mark.parametrize("params", [{"tol": 1e-4}, {"early_stopping": True}])
def test_a_search_has_no_verdicts_on_losses(params: dict[str, Any]) -> None:
    tables, _ = frames("binary", hosts=1)
    with pytest.raises(ConfigError, match="does not go with tol or early_stopping"):
        federation(tables).fit(vfl.GridSearchCV(vfl.LogisticRegression(**params), {"C": [1.0, 2.0]}))
    with pytest.raises(
        ConfigError, match="cannot be searched: each fold and candidate would open verdicts on its loss"
    ):
        vfl.GridSearchCV(vfl.LogisticRegression(), {name: [value] for name, value in params.items()})


def test_the_same_in_a_planned_number_of_passes() -> None:
    tables, _ = frames("binary", hosts=1)
    model = federation(tables).fit(vfl.LogisticRegression(max_iter="auto", tol=1e-3, link="taylor"))
    assert model.n_iter_ in (30, 40)
    assert isinstance(model.coef_["guest"], pd.Series)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("table", "hosts", "tol", "excess"), [("uci", 1, 1e-4, 1e-5), ("breast", 1, 1e-5, 1e-4), ("breast", 2, 1e-5, 1e-3)]
)
def test_real_tables_end_near_the_least_loss(
    data_folder: Path, table: str, hosts: int, tol: float, excess: float
) -> None:
    """The log-loss of docs/protocols/glm.md's table, in the protocol's own integers: after as many passes as in
    floating point, or one look more or less."""
    fed, joined, names, label = real(data_folder, table, hosts)
    model = fed.fit(vfl.LogisticRegression(max_iter=400, tol=tol, weight_bits=20))
    x, y = standardised(joined[names]), joined[label].to_numpy(float)
    best = LogisticRegression(tol=1e-10, max_iter=20_000).fit(x, y)
    rows = (
        np.column_stack([x, np.ones(len(x))]) @ w for w in (coefficients(model), np.r_[best.coef_[0], best.intercept_])
    )
    found, least = (float(np.mean(np.logaddexp(0, z) - y * z)) for z in rows)
    assert found - least <= excess
    assert abs(int(model.n_iter_) - {("uci", 1): 30, ("breast", 1): 120, ("breast", 2): 140}[table, hosts]) <= 20
