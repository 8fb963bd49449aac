"""Frequencies: counts of events in unequal exposures, as scikit-learn's PoissonRegressor fits them to count / exposure
with sample_weight=exposure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import d2_tweedie_score, mean_absolute_error, mean_poisson_deviance

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError
from tests.harness import KNOWN
from tests.unit.vfl.models.regression.test_families import columns, weights
from vfl.data import split_rows
from vfl.data.keys import canonical_ids


def policies(n: int = 200) -> tuple[pd.DataFrame, dict[str, pd.DataFrame], pd.DataFrame]:
    """Guest: claims, policy years from a week to one, two columns; two hosts; and the joined table.  Short policies
    have rare claims, now and then at once."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n, 5))
    years = rng.uniform(1 / 52, 1, n)
    claims = rng.poisson(years * np.exp(-1.2 + x @ np.array([0.4, -0.3, 0.5, 0.2, -0.1])))
    claims[0], years[0] = 3, 1 / 52  # 156 a year
    joined = pd.DataFrame(x, columns=[f"x{i}" for i in range(5)]).assign(
        id=[f"p{i}" for i in range(n)], years=years, claims=claims
    )
    guest = joined[["id", "claims", "years", "x0", "x1"]]
    return guest, {"telematics": joined[["id", "x2", "x3"]], "registry": joined[["id", "x4"]]}, joined


def federation(guest: pd.DataFrame, hosts: dict[str, pd.DataFrame], **options: Any) -> vfl.Federation:
    return vfl.Federation.local(
        guest, hosts, on="id", label="claims", cipher=Identity(), reveal=KNOWN, **options, convergence=False
    )


def recipe(joined: pd.DataFrame, alpha: float) -> PoissonRegressor:
    return PoissonRegressor(alpha=alpha, tol=1e-10, max_iter=10_000).fit(
        columns(joined), joined["claims"] / joined["years"], sample_weight=joined["years"]
    )


def test_frequencies_are_those_of_the_recipe_in_scikit_learn() -> None:
    guest, hosts, joined = policies()
    estimator = vfl.PoissonRegression(alpha=1.0, exposure=True, max_iter=60, weight_bits=20, score_bits=20)
    model = federation(guest, hosts, sample_weight="years").fit(estimator)
    best = recipe(joined, 1.0)
    assert np.abs(weights(model)[0] - np.r_[best.coef_, best.intercept_]).max() <= 3e-3
    found = model.predict(guest, hosts)
    wanted = best.predict(columns(joined))
    assert np.abs(found.to_numpy() / wanted - 1).max() <= 5e-3
    assert found.to_numpy() @ joined["years"] == pytest.approx(joined["claims"].sum(), rel=5e-3)
    frequency = joined["claims"] / joined["years"]
    assert model.score(guest, hosts) == pytest.approx(
        d2_tweedie_score(frequency, wanted, sample_weight=joined["years"], power=1), abs=1e-4
    )
    counted = federation(guest.drop(columns="years"), hosts).fit(vfl.PoissonRegression(alpha=1.0, max_iter=20))
    assert np.abs(counted.predict(guest, hosts).to_numpy() / wanted - 1).max() > 0.2


def test_held_out_rows_are_measured_by_counts() -> None:
    guest, hosts, joined = policies()
    estimator = vfl.PoissonRegression(exposure=True, max_iter=20, weight_bits=20, score_bits=20)
    model = federation(guest, hosts, sample_weight="years").fit(estimator, split=vfl.Split(test=0.3, seed=1))
    test = split_rows(list(canonical_ids(joined, "guest", ["id"], {})), 0.3, 1)
    rates = model.predict(guest, hosts).to_numpy()[test]
    frequency, of = (joined["claims"] / joined["years"])[test], {"sample_weight": joined["years"][test]}
    told = model.reports_["guest"].result["metrics"]["test"]
    assert told["joint"]["deviance"] == pytest.approx(mean_poisson_deviance(frequency, rates, **of), rel=1e-6)
    assert told["joint"]["d2"] == pytest.approx(d2_tweedie_score(frequency, rates, power=1, **of), rel=1e-6)
    counts = joined["claims"][test], rates * joined["years"][test]  # the control: one mean count as the null model
    assert abs(told["joint"]["d2"] - d2_tweedie_score(*counts, power=1)) > 0.01
    assert told["joint"]["mae"] == pytest.approx(mean_absolute_error(frequency, rates, **of), rel=1e-6)
    assert told["joint"]["mean_observed"] == pytest.approx(counts[0].sum() / joined["years"][test].sum())
    deciles = model.reports_["guest"].result["plots"]["test"]["joint"]["deciles"]
    top = np.argsort(-rates, kind="stable")[: deciles[0]["rows"]]
    observed = counts[0].to_numpy()[top].sum() / joined["years"][test].to_numpy()[top].sum()
    assert deciles[0]["mean_observed"] == pytest.approx(observed, abs=1e-5)
    change = model.reports_["guest"].uplift.loc["deviance", "change"]
    assert change == pytest.approx(told["joint"]["deviance"] - told["guest_alone"]["deviance"])
    x, y, years = joined[["x0", "x1"]].to_numpy(), joined["claims"].to_numpy(), joined["years"].to_numpy()
    x = (x - x[~test].mean(0)) / x[~test].std(0)
    best = PoissonRegressor(alpha=1.0, tol=1e-10).fit(x[~test], (y / years)[~test], sample_weight=years[~test])
    alone = mean_poisson_deviance(frequency, best.predict(x[test]), **of)
    assert told["guest_alone"]["deviance"] == pytest.approx(alone, rel=1e-4)


def test_a_search_measures_counts_too() -> None:
    guest, hosts, _ = policies()
    estimator = vfl.PoissonRegression(exposure=True, max_iter=10)
    found = federation(guest, hosts, sample_weight="years").fit(
        vfl.GridSearchCV(estimator, {"alpha": [0.01, 100.0]}, cv=2)
    )
    assert found.best_params_ == {"alpha": 0.01}
    assert found.best_score_ > -2


def test_exposures_that_are_missing_or_wrong_are_refused() -> None:
    guest, hosts, _ = policies(100)
    with pytest.raises(ConfigError, match="needs exposures"):
        federation(guest, hosts).fit(vfl.PoissonRegression(exposure=True))
    with pytest.raises(ConfigError, match="exposure"):
        vfl.PoissonRegression(exposure="years")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="not weights in row 3"):
        federation(guest.assign(years=[1.0, 1.0, 0.0, *[1.0] * 97]), hosts, sample_weight="years")
    model = federation(guest, hosts, sample_weight="years").fit(vfl.PoissonRegression(exposure=True, max_iter=5))
    with pytest.raises(DataError, match="no column 'years'"):
        model.score(guest.drop(columns="years"), hosts)
