"""Every family through the front door: equal to scikit-learn on the joined table, scored under alignment, and clear
about what it cannot do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.metrics import d2_tweedie_score
from sklearn.multiclass import OneVsRestClassifier

import vfl
from protocols.cipher import Identity, Keyring
from protocols.errors import ConfigError, DataError
from protocols.glm import IDENTITY, LOGISTIC_LINKS, POISSON
from protocols.glm.links import Weighted
from protocols.glm.plan import planned_passes
from protocols.glm.terms import LabelScale, flatness_log2
from protocols.session import Observer
from tests.harness import KNOWN, Recording, Sent, scores_some_rows
from tests.unit.vfl.api.test_federation import standardised

Frames = tuple[pd.DataFrame, dict[str, pd.DataFrame]]
SEED = 3


def frames(label: str, n: int = 240, hosts: int = 2) -> tuple[Frames, pd.DataFrame]:
    """Guest (2 columns, label y) and hosts (2 columns each), shuffled, each with rows that no other has; and the joined
    table."""
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(n, 2 + 2 * hosts)) * 7 + 3
    z = (x - 3) / 7 @ rng.normal(size=x.shape[1])
    labels: dict[str, Any] = {
        "numeric": 1e6 + 4e4 * (z + rng.normal(size=n)),
        "count": rng.poisson(np.exp(0.2 + 0.4 * z)),
        "classes": np.array(["high", "low", "mid"])[np.digitize(z + rng.logistic(size=n), [-1, 1])],
        "binary": (z + rng.logistic(size=n) > 0.5).astype(int),
    }
    joined = pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])])
    joined.insert(0, "id", [f"c{i:04d}" for i in range(n)])
    joined["y"] = labels[label]
    alone = joined.iloc[: n // 8].assign(id=lambda t: "only" + t["id"])
    guest = pd.concat([joined, alone])[["id", "y", "x0", "x1"]].sample(frac=1, random_state=1)
    parts = {
        f"h{k}": joined[["id", f"x{2 + 2 * k}", f"x{3 + 2 * k}"]].sample(frac=1, random_state=k) for k in range(hosts)
    }
    return (guest.reset_index(drop=True), parts), joined


def federation(tables: Frames, **options: Any) -> vfl.Federation:
    return vfl.Federation.local(
        *tables,
        on="id",
        label="y",
        cipher=options.pop("cipher", Identity()),
        **({"reveal": KNOWN} | options),
        convergence=False,
    )


def weights(model: vfl.FederatedModel) -> np.ndarray[Any, Any]:
    """(models, columns + 1), the intercept last."""
    own = np.concatenate([np.atleast_2d(np.asarray(c).T) for c in model.coef_.values()], axis=1)
    return np.column_stack([own, np.atleast_1d(model.intercept_)])


def columns(joined: pd.DataFrame) -> np.ndarray[Any, Any]:
    values = joined.filter(regex="^x").to_numpy(float)
    sd = values.std(0)
    return np.asarray((values - values.mean(0)) / np.where(sd > 0, sd, 1.0))


@scores_some_rows
def test_numbers_are_fitted_as_ridge_does() -> None:
    tables, joined = frames("numeric")
    model = federation(tables).fit(vfl.LinearRegression(alpha=2.0, max_iter=80, weight_bits=20, score_bits=20))
    best = Ridge(alpha=2.0).fit(columns(joined), joined["y"])
    sd = joined["y"].std(ddof=0)
    assert model.label_scale_ == pytest.approx(sd)
    assert np.abs(weights(model)[0] * sd - np.r_[best.coef_, best.intercept_ - joined["y"].mean()]).max() <= 1e-4 * sd
    found = model.predict(*tables)
    assert found.name == "y"
    assert found.isna().sum() == 30
    wanted = pd.Series(best.predict(columns(joined)), index=joined["id"])
    assert np.abs(found.dropna() - wanted.reindex(found.dropna().index)).max() <= 2e-4 * sd
    assert model.score(*tables) == pytest.approx(best.score(columns(joined), joined["y"]), abs=1e-6)
    for question in (model.predict_proba, model.predict_score):
        with pytest.raises(ConfigError, match=r"no classes|one of two"):
            question(*tables)
    with pytest.raises(ConfigError, match="no classes"):
        _ = model.classes_


@scores_some_rows
def test_counts_are_fitted_as_poisson_regressor_does() -> None:
    tables, joined = frames("count")
    model = federation(tables).fit(vfl.PoissonRegression(alpha=0.1, max_iter=150, weight_bits=16, score_bits=16))
    best = PoissonRegressor(alpha=0.1, tol=1e-12).fit(columns(joined), joined["y"])
    wanted = pd.Series(best.predict(columns(joined)), index=joined["id"])
    found = model.predict(*tables).dropna()
    assert np.abs(found / wanted.reindex(found.index) - 1).max() <= 1e-2
    assert model.score(*tables) == pytest.approx(d2_tweedie_score(joined["y"], wanted, power=1), abs=1e-3)


@pytest.mark.slow
@scores_some_rows
def test_several_classes_are_fitted_one_against_the_rest() -> None:
    tables, joined = frames("classes")
    model = federation(tables).fit(vfl.LogisticRegression(C=0.2, max_iter=50))
    best = OneVsRestClassifier(LogisticRegression(C=0.2, tol=1e-10)).fit(columns(joined), joined["y"])
    assert list(model.classes_) == list(best.classes_) == ["high", "low", "mid"]
    wanted = np.stack([np.r_[e.coef_[0], e.intercept_] for e in best.estimators_])
    assert np.abs(weights(model) - wanted).max() <= 2e-3
    assert list(model.coef_["h0"].columns) == ["high", "low", "mid"]
    found = model.predict_proba(*tables)
    assert list(found.columns) == ["high", "low", "mid"]
    assert found.isna().any(axis=1).sum() == 30
    shares = pd.DataFrame(best.predict_proba(columns(joined)), index=joined["id"], columns=found.columns)
    assert np.abs(found.dropna() - shares.reindex(found.dropna().index)).to_numpy().max() <= 2e-3
    labels = model.predict(*tables)
    assert labels.isna().equals(found.isna().any(axis=1))
    assert model.score(*tables) == pytest.approx(best.score(columns(joined), joined["y"]), abs=0.01)
    assert model.decision_function(*tables).shape == (270, 3)
    with pytest.raises(ConfigError, match="one of two classes"):
        model.predict_score(*tables)


@pytest.mark.parametrize(
    "class_weight",
    [
        "balanced",
        pytest.param({0: 1.0, 1: 6.5}, marks=pytest.mark.slow),
        pytest.param({1: 0.25}, marks=pytest.mark.slow),
    ],
)
def test_weights_of_classes_and_rows(class_weight: Any) -> None:
    tables, joined = frames("binary")
    w = np.random.default_rng(1).uniform(0.5, 4, len(joined))
    tables = (tables[0].merge(joined.assign(w=w)[["id", "w"]], how="left").fillna({"w": 1.0}), tables[1])
    model = federation(tables, sample_weight="w").fit(
        vfl.LogisticRegression(C=0.2, max_iter=100, class_weight=class_weight)
    )
    assert "w" not in model.coef_["guest"].index
    rows = w if class_weight != "balanced" else w * (len(joined) / (2 * np.bincount(joined["y"])))[joined["y"]]
    oracle = LogisticRegression(C=0.2, tol=1e-10, class_weight=None if class_weight == "balanced" else class_weight)
    best = oracle.fit(columns(joined), joined["y"], sample_weight=rows)
    assert np.abs(weights(model)[0] - np.r_[best.coef_[0], best.intercept_]).max() <= 2e-3


@pytest.mark.slow
def test_balanced_classes_of_several_are_balanced_in_each_model() -> None:
    tables, joined = frames("classes")
    model = federation(tables).fit(vfl.LogisticRegression(max_iter=80, class_weight="balanced"))
    best = OneVsRestClassifier(LogisticRegression(tol=1e-10, class_weight="balanced")).fit(columns(joined), joined["y"])
    assert np.abs(weights(model) - np.stack([np.r_[e.coef_[0], e.intercept_] for e in best.estimators_])).max() <= 2e-3


def test_without_an_intercept_the_guest_needs_columns() -> None:
    tables, joined = frames("binary")
    model = federation(tables).fit(vfl.LogisticRegression(max_iter=80, fit_intercept=False))
    best = LogisticRegression(tol=1e-10, fit_intercept=False).fit(columns(joined), joined["y"])
    assert model.intercept_ == 0.0
    assert np.abs(weights(model)[0, :-1] - best.coef_[0]).max() <= 2e-3
    with pytest.raises(DataError, match="neither columns nor an intercept"):
        federation((tables[0][["id", "y"]], tables[1])).fit(vfl.LogisticRegression(fit_intercept=False))


@pytest.mark.parametrize(
    ("label", "estimator", "words"),
    [
        (np.nan, vfl.LinearRegression(), "missing"),
        (np.inf, vfl.LinearRegression(), "infinite"),
        (-1, vfl.PoissonRegression(), "not counts"),
        (0.5, vfl.PoissonRegression(), "not counts"),
        ("text", vfl.PoissonRegression(), "not numeric"),
        (1e9, vfl.PoissonRegression(), r"far above|too large|far larger"),
    ],
)
def test_labels_of_the_wrong_kind_are_refused(label: Any, estimator: Any, words: str) -> None:
    tables, _ = frames("count")
    wrong = tables[0].assign(y=[label, *tables[0]["y"].iloc[1:]])
    shared = wrong.assign(id=[tables[1]["h0"]["id"].iloc[0], *wrong["id"].iloc[1:]]).drop_duplicates("id")
    with pytest.raises(DataError, match=words):
        federation((shared, tables[1])).fit(estimator)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_bad_weights_of_rows_are_refused(value: float) -> None:
    tables, _ = frames("binary")
    with pytest.raises(DataError, match="not weights in row 1"):
        federation((tables[0].assign(w=[value, *np.ones(len(tables[0]) - 1)]), tables[1]), sample_weight="w")
    uneven = federation((tables[0].assign(w=np.where(tables[0]["y"] == 1, 1e6, 1.0)), tables[1]), sample_weight="w")
    with pytest.raises(DataError, match=r"^guest: the weights of the rows differ too much"):
        uneven.fit(vfl.LogisticRegression())
    with pytest.raises(ConfigError, match="takes no weights"):
        uneven.fit(vfl.Scorecard())


def test_constant_labels_and_missing_classes_among_the_common_rows() -> None:
    for label, estimator, words in (
        ("numeric", vfl.LinearRegression(), "do not differ"),
        ("count", vfl.PoissonRegression(), "counts are zero"),
        ("classes", vfl.LogisticRegression(class_weight={"high": 1.0, "low": 1.0, "mid": 1.0}), "no training row"),
    ):
        tables, _ = frames(label)
        common = tables[0]["id"].isin(tables[1]["h0"]["id"])
        value = {"numeric": 7.0, "count": 0, "classes": "mid"}[label]
        with pytest.raises(DataError, match=words):
            federation((tables[0].assign(y=tables[0]["y"].where(~common, value)), tables[1])).fit(estimator)


def test_perfectly_separable_collinear_and_constant_columns() -> None:
    """Separable labels: the penalty keeps the optimum finite.  A copy of another party's column: the penalty shares it
    between them.  A constant: no weight."""
    tables, joined = frames("binary")
    joined = joined.assign(y=(joined["x0"] > 3).astype(int), x2=joined["x0"], x5=4.0)
    guest = tables[0].drop(columns="y").merge(joined[["id", "y"]], how="left").fillna({"y": 0})
    hosts = {k: t[["id"]].merge(joined[["id", *t.columns[1:]]]) for k, t in tables[1].items()}
    with pytest.warns(UserWarning, match="h1: column 'x5': all rows have one value"):
        model = federation((guest, hosts)).fit(vfl.LogisticRegression(max_iter=120, C=0.1))
    best = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000).fit(columns(joined), joined["y"])
    assert np.abs(weights(model)[0] - np.r_[best.coef_[0], best.intercept_]).max() <= 3e-3 * np.abs(best.coef_).max()
    assert abs(model.coef_["guest"]["x0"] - model.coef_["h0"]["x2"]) <= 1e-2
    assert abs(model.coef_["h1"]["x5"]) <= 2**-10


@pytest.mark.parametrize(
    "estimator",
    [vfl.LogisticRegression(C=3.0, class_weight={0: 1.0, 1: 2.0}), vfl.LinearRegression(alpha=2.0), vfl.BoostedTrees()],
)
def test_estimators_keep_scikit_learns_conventions(estimator: Any) -> None:
    copy = clone(estimator)
    assert type(copy) is type(estimator)
    assert copy.get_params() == estimator.get_params()
    name, value = ("alpha", 5.0) if "alpha" in copy.get_params() else ("key_bits", 4096)
    assert copy.set_params(**{name: value}) is copy
    assert copy.get_params()[name] == value != estimator.get_params()[name]
    assert f"{name}={value!r}" in repr(copy)
    with pytest.raises(ConfigError, match="has no parameter nonsense"):
        copy.set_params(nonsense=1)
    with pytest.raises(ConfigError):
        copy.set_params(key_bits=77)
    assert copy.get_params()[name] == value


def test_a_repr_names_what_was_changed() -> None:
    assert repr(vfl.LogisticRegression()) == "LogisticRegression()"
    assert repr(vfl.PoissonRegression(alpha=0.5, max_iter=20)) == "PoissonRegression(max_iter=20, alpha=0.5)"


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (vfl.LogisticRegression, {"C": "1"}),
        (vfl.LogisticRegression, {"C": True}),
        (vfl.LogisticRegression, {"class_weight": "even"}),
        (vfl.LogisticRegression, {"class_weight": {0: -1.0}}),
        (vfl.LogisticRegression, {"class_weight": {}}),
        (vfl.LogisticRegression, {"key_bits": "2048"}),
        (vfl.LogisticRegression, {"key_bits": 3000}),
        (vfl.LinearRegression, {"alpha": 0.0}),
        (vfl.LinearRegression, {"alpha": None}),
        (vfl.LinearRegression, {"fit_intercept": 1}),
        (vfl.PoissonRegression, {"alpha": -1}),
        (vfl.PoissonRegression, {"max_iter": True}),
        (vfl.LogisticRegression, {"max_iter": "auto "}),
        (vfl.PoissonRegression, {"l1_ratio": 0.5}),
        (vfl.LogisticRegression, {"positive": True}),
        (vfl.LogisticRegression, {"warm_start": True}),
    ],
)
def test_impossible_parameters_are_refused(kind: Any, params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))) as caught:
        kind(**params)
    assert caught.value.remedy


def test_what_is_no_table_no_host_or_no_estimator_is_refused() -> None:
    tables, joined = frames("binary")
    for bad in (
        [tables[1]["h0"]],
        {"": tables[1]["h0"]},
        {3: tables[1]["h0"]},
        {"A B": tables[1]["h0"]},
        {"Shop": tables[1]["h0"]},
        None,
    ):
        with pytest.raises(ConfigError):
            vfl.Federation.local(tables[0], bad, on="id", label="y", convergence=False)  # type: ignore[arg-type]
    for guest, hosts in (([1, 2], tables[1]), (tables[0], {"h": "table.csv"})):
        with pytest.raises(DataError, match="DataFrame"):
            vfl.Federation.local(guest, hosts, on="id", label="y", convergence=False)  # type: ignore[arg-type,dict-item]
    with pytest.raises(DataError, match="h0: the table has a column 'y', as the guest's label"):
        vfl.Federation.local(tables[0], {"h0": tables[1]["h0"].assign(y=1)}, on="id", label="y", convergence=False)
    with pytest.raises(ConfigError, match="'A B' is not the name of a party"):
        vfl.align(tables[0], {"A B": tables[1]["h0"]}, on="id")
    with pytest.raises(ConfigError, match="duplicates"):
        federation(tables, duplicates="last")
    with pytest.raises(ConfigError, match="not the class"):
        federation(tables).fit(vfl.LogisticRegression)  # type: ignore[call-overload]
    model = federation(tables).fit(vfl.LogisticRegression(max_iter=5))
    with pytest.raises(ConfigError, match="each of its hosts"):
        model.predict(tables[0], [tables[1]["h0"]])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no column 'y'"):
        model.score(tables[0].drop(columns="y"), tables[1])
    assert joined["id"].is_unique


def test_duplicates_are_refused_or_the_first_is_kept() -> None:
    tables, _ = frames("binary")
    twice = (pd.concat([tables[0], tables[0].iloc[:3].assign(x0=1e5)]), tables[1])
    with pytest.raises(DataError, match="duplicates"):
        federation(twice)
    model, reference = (
        federation(t, duplicates="first").fit(vfl.LogisticRegression(max_iter=10)) for t in (twice, tables)
    )
    assert np.abs(weights(model) - weights(reference)).max() <= 2**-9


class Passes(Observer):
    """How many passes a party counts."""

    total = 0

    def step(self, phase: str, done: int, total: int) -> None:
        self.total = total if phase == "train" else self.total


def test_planned_passes_are_the_same_at_all_and_tell_an_order_of_magnitude() -> None:
    tables, joined = frames("binary", hosts=1)
    counted = {p: Passes() for p in ("guest", "h0", "arbiter")}
    transcript: list[Sent] = []
    fed = federation(tables)
    model = fed.fit(
        vfl.LogisticRegression(max_iter="auto", C=0.1),
        observers=counted,
        taps={"guest": [Recording("guest", transcript)]},
    )
    (told, again) = [s.message(Keyring()) for s in transcript if s.kind is LabelScale]
    rate = joined["y"].mean()
    assert told.flatness_log2 == again.flatness_log2 == np.ceil(np.log2(1 / (4 * rate * (1 - rate))))  # type: ignore[attr-defined]
    assert (told.mean_log2, told.weight_log2) == (0, 0)  # type: ignore[attr-defined]
    assert {c.total for c in counted.values()} == {planned_passes(told.flatness_log2, 2)}  # type: ignore[attr-defined]
    best = LogisticRegression(C=0.1, tol=1e-10).fit(columns(joined), joined["y"])
    assert np.abs(weights(model)[0] - np.r_[best.coef_[0], best.intercept_]).max() <= 2e-3


def test_rarer_events_are_given_more_passes() -> None:
    exact, taylor = LOGISTIC_LINKS["exact"], LOGISTIC_LINKS["taylor"]
    planned = []
    for share in (0.5, 0.2, 0.01, 0.001):
        y = (np.arange(10_000) < share * 10_000).astype(float)[np.newaxis]
        planned.append(planned_passes(flatness_log2(exact, y, None), 2))
        assert flatness_log2(taylor, y, None) == flatness_log2(IDENTITY, y, None) == 0
        assert flatness_log2(Weighted(exact, 3), y, np.full_like(y, 8.0)) == flatness_log2(exact, y, None)
    assert planned == [60, 85, 340, 960]
    assert flatness_log2(POISSON.scaled(1), np.full((1, 9), 2.0), None) == 5
    assert planned_passes(38, 4) == 10_000


@pytest.mark.slow
def test_motor_with_two_hosts_is_ridges(data_folder: Path) -> None:
    guest, *hosts = (pd.read_csv(data_folder / f"motor_hetero_{side}.csv") for side in ("guest", "host_1", "host_2"))
    parts = {f"host{k}": h for k, h in enumerate(hosts)}
    fed = vfl.Federation.local(
        guest, parts, on="idx", label="motor_speed", cipher=Identity(), reveal=KNOWN, convergence=False
    )
    model = fed.fit(vfl.LinearRegression(alpha=1.0, max_iter=400, weight_bits=20, score_bits=20))
    joined = guest.merge(hosts[0], on="idx").merge(hosts[1], on="idx")
    x, y = standardised(joined.drop(columns=["idx", "motor_speed"])), joined["motor_speed"].to_numpy(float)
    best, sd = Ridge(alpha=1.0).fit(x, y), y.std()
    assert np.abs(weights(model)[0, :-1] - best.coef_ / sd).max() <= 1e-4
    found = model.predict(guest, parts).reindex(joined["idx"])
    assert np.abs(found.to_numpy() - best.predict(x)).max() <= 1e-4 * sd


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_vehicles_are_fitted_one_against_the_rest(data_folder: Path) -> None:
    guest, host = (pd.read_csv(data_folder / f"vehicle_scale_hetero_{side}.csv") for side in ("guest", "host"))
    key = guest.columns[0]
    fed = vfl.Federation.local(
        guest, {"host": host}, on=key, label="y", cipher=Identity(), reveal=KNOWN, convergence=False
    )
    model = fed.fit(vfl.LogisticRegression(max_iter=400))
    joined = guest.merge(host, on=key, suffixes=("_guest", "_host"))
    x = standardised(joined.drop(columns=[key, "y"]))
    best = OneVsRestClassifier(LogisticRegression(tol=1e-10, max_iter=100_000)).fit(x, joined["y"])
    wanted = np.stack([np.r_[e.coef_[0], e.intercept_] for e in best.estimators_])
    assert np.abs(weights(model) - wanted).max() <= 1e-3 * np.abs(wanted).max()
    found = model.predict_proba(guest, {"host": host}).reindex(joined[key])
    assert np.abs(found.to_numpy() - best.predict_proba(x)).max() <= 2e-3


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_one_percent_of_events(class_weight: Any) -> None:
    """A seeded table with a base rate of 1% reaches scikit-learn's coefficients within 200 passes, weighted and not."""
    rng, n = np.random.default_rng(0), 6000
    x = rng.normal(size=(n, 8)) + 0.5 * rng.normal(size=(n, 1))
    y = (rng.random(n) < 1 / (1 + np.exp(5.2 - x @ rng.normal(0, 0.5, 8)))).astype(int)
    assert 0.008 < y.mean() < 0.012
    joined = pd.DataFrame(x, columns=[f"x{i}" for i in range(8)]).assign(y=y, id=np.arange(n))
    tables = (
        joined[["id", "y", "x0", "x1", "x2"]],
        {"h0": joined[["id", "x3", "x4"]], "h1": joined[["id", "x5", "x6", "x7"]]},
    )
    model = federation(tables).fit(vfl.LogisticRegression(max_iter=200, class_weight=class_weight, weight_bits=16))
    best = LogisticRegression(tol=1e-10, max_iter=10_000, class_weight=class_weight).fit(columns(joined), y)
    wanted = np.r_[best.coef_[0], best.intercept_]
    assert np.abs(weights(model)[0] - wanted).max() <= 1e-3 * np.abs(wanted).max()
