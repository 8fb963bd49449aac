"""Each step against its scikit-learn twin on the training rows, applied to rows that it has not seen."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler

from protocols.binning.merging import merge
from protocols.errors import ConfigError, DataError, ModelError
from vfl.preprocessing import Fitting, Preprocessing, Preprocessor, Standardiser
from vfl.preprocessing.selection import variance_inflation

RNG = np.random.default_rng(11)


def table(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n))
    towns = rng.choice(["York", "Bath", "Ely", "Wells", None], size=n, p=[0.5, 0.3, 0.1, 0.05, 0.05])
    return pd.DataFrame(
        {
            "income": np.where(rng.random(n) < 0.2, np.nan, np.exp(a)),
            "age": np.round(40 + 9 * b),
            "debt": np.where(rng.random(n) < 0.1, np.nan, a + 0.1 * b),
            "town": pd.Series(towns, dtype=object),
        }
    )


TRAIN, NEW = table(500), table(200, seed=1)
NUMBERS = ["income", "age", "debt"]


def fitted(frame: pd.DataFrame, **settings: Any) -> Preprocessor:
    fitting = Fitting.start(frame, Preprocessing(**settings), "bank")
    return fitting.finish(finals(fitting)) if settings.get("encode") == "woe" else fitting.finish()


def finals(fitting: Fitting, seed: int = 4) -> list[Any]:
    """What the protocol would answer, for labels that depend on income."""
    y = labels(fitting.frame, seed)
    return [
        merge(
            fitting.settings.rule, rows, np.bincount(b, weights=y, minlength=len(rows)).astype(int), apart=a, ordered=o
        )
        for b, rows, a, o in zip(
            fitting.bins.bins.T, fitting.bins.rows, fitting.bins.apart, fitting.bins.ordered, strict=True
        )
    ]


def labels(frame: pd.DataFrame, seed: int = 4) -> Any:
    rng, first = np.random.default_rng(seed), frame.iloc[:, 0]
    values = pd.Series(pd.factorize(first, sort=True)[0] if first.dtype == object else first.fillna(0))
    return (rng.random(len(frame)) < 1 / (1 + np.exp(1.5 * values.rank(pct=True)))).astype(np.int64).to_numpy()


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("indicator", [False, True])
def test_imputation_is_simple_imputers(strategy: Any, indicator: bool) -> None:
    value = -7.0 if strategy == "constant" else None
    own = fitted(TRAIN[NUMBERS], impute=strategy, fill_value=value, add_indicator=indicator)
    twin = SimpleImputer(strategy=strategy, fill_value=value, add_indicator=indicator).fit(TRAIN[NUMBERS].to_numpy())
    assert own.transform(NEW, "bank").to_numpy() == pytest.approx(twin.transform(NEW[NUMBERS].to_numpy()), rel=1e-14)
    assert list(own.columns) == [*NUMBERS, *(["income is missing", "debt is missing"] if indicator else [])]


def test_clipping_is_the_quantiles_of_training() -> None:
    own = fitted(TRAIN[["age"]], clip_quantiles=(0.05, 0.9))
    low, high = np.quantile(TRAIN["age"], [0.05, 0.9])
    assert np.array_equal(own.transform(NEW, "bank")["age"], np.clip(NEW["age"], low, high))
    assert (own.transform(NEW, "bank")["age"] == high).sum() > 5


@pytest.mark.parametrize("least", [1, 40])
def test_texts_are_one_hot_encoders_columns(least: int) -> None:
    own = fitted(TRAIN[["age", "town"]], encode="onehot", min_frequency=least)
    twin = OneHotEncoder(min_frequency=least if least > 1 else None, handle_unknown="ignore", sparse_output=False).fit(
        TRAIN[["town"]]
    )
    unseen = NEW.assign(town=pd.Series([*(["Atlantis"] * 10), *NEW["town"][10:]], dtype=object))
    result = own.transform(unseen, "bank")
    assert np.array_equal(result.drop(columns="age").to_numpy(), twin.transform(unseen[["town"]]))
    assert not result.drop(columns="age").iloc[:10].to_numpy().any()
    assert ("town is rare" in own.columns) == (least > 1)


def test_quantile_bins_are_k_bins_discretizers() -> None:
    own = fitted(TRAIN[["age", "debt"]], impute="median", encode="quantile", n_bins=6)
    twin = KBinsDiscretizer(n_bins=6, encode="onehot-dense", strategy="quantile", quantile_method="linear")
    imputer = SimpleImputer(strategy="median").fit(TRAIN[["age", "debt"]].to_numpy())
    twin.fit(imputer.transform(TRAIN[["age", "debt"]].to_numpy()))
    assert np.array_equal(
        own.transform(NEW, "bank").to_numpy(), twin.transform(imputer.transform(NEW[["age", "debt"]].to_numpy()))
    )


def test_quantile_bins_give_missing_values_a_column_of_their_own() -> None:
    own = fitted(TRAIN[["debt"]], encode="quantile", n_bins=4)
    result = own.transform(NEW, "bank")
    assert np.array_equal(result["debt is missing"], NEW["debt"].isna())
    assert (result.sum(axis=1) == 1).all()


def test_standardisation_is_standard_scalers() -> None:
    frame = TRAIN[["age"]]
    twin = StandardScaler().fit(frame.to_numpy())
    assert Standardiser.fit(frame, 6.0).transform(NEW, "bank") == pytest.approx(
        np.clip(twin.transform(NEW[["age"]].to_numpy()), -6, 6)
    )


def test_variance_selection_is_variance_thresholds() -> None:
    frame = pd.DataFrame({"flat": 1.0, "low": RNG.normal(0, 0.1, 300), "high": RNG.normal(0, 2, 300)})
    for threshold in (0.0, 0.5):
        own = fitted(frame, min_variance=threshold)
        twin = VarianceThreshold(threshold).fit(frame)
        assert list(own.columns) == list(frame.columns[twin.get_support()])
        assert set(own.dropped) == set(frame.columns[~twin.get_support()])


def test_variance_inflation_is_that_of_regressions_on_the_others() -> None:
    x = RNG.normal(size=(200, 4))
    x[:, 3] = x[:, 0] - 2 * x[:, 1] + 0.1 * RNG.normal(size=200)
    found = variance_inflation(x)
    for k in range(4):
        others = np.delete(x, k, axis=1)
        r2 = LinearRegression().fit(others, x[:, k]).score(others, x[:, k])
        assert found[k] == pytest.approx(1 / (1 - r2), rel=1e-6)
    own = fitted(pd.DataFrame(x, columns=list("abcd")), max_vif=5.0)
    assert len(own.columns) == 3
    assert variance_inflation(x[:, [list("abcd").index(c) for c in own.columns]]).max() <= 5
    twice = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "again": x[:, 0]})
    assert fitted(twice, max_vif=5.0).columns == ("a", "b")


def test_of_two_correlated_columns_the_later_goes() -> None:
    a = RNG.normal(size=300)
    frame = pd.DataFrame({"a": a, "near": a + 0.01 * RNG.normal(size=300), "far": RNG.normal(size=300), "mirror": -a})
    own = fitted(frame, max_correlation=0.9)
    assert own.columns == ("a", "far")
    assert set(own.dropped) == {"near", "mirror"}


def test_correlation_selection_is_pandas_matrix() -> None:
    """Nothing that is kept correlates by more than the limit, by pandas' own matrix; each that went does with one that
    was kept before it."""
    mixed = RNG.normal(size=(300, 3)) @ RNG.normal(size=(3, 8)) + 0.3 * RNG.normal(size=(300, 8))
    frame = pd.DataFrame(mixed, columns=list("abcdefgh"))
    matrix = frame.corr().abs()
    for most in (0.5, 0.8):
        own = fitted(frame, max_correlation=most)
        kept = list(own.columns)
        assert 1 < len(kept) < 8
        assert (matrix.loc[kept, kept].to_numpy()[~np.eye(len(kept), dtype=bool)] <= most).all()
        assert all((matrix.loc[gone, [k for k in kept if k < gone]] > most).any() for gone in own.dropped)


def test_columns_that_miss_too_much_go() -> None:
    frame = TRAIN.assign(empty=np.nan)[["income", "age", "debt", "empty"]]
    assert set(fitted(frame, max_missing=0.15, impute="mean").dropped) == {"income", "empty"}
    assert set(fitted(frame, impute="mean").dropped) == {"empty"}


def test_the_order_of_columns_does_not_matter_and_a_missing_one_is_named() -> None:
    own = fitted(TRAIN, impute="median", encode="onehot")
    swapped = NEW[["town", "debt", "age", "income"]].assign(more=1.0)
    pd.testing.assert_frame_equal(own.transform(swapped, "bank"), own.transform(NEW, "bank"))
    with pytest.raises(DataError, match="lacks the columns debt, town"):
        own.transform(NEW[["age", "income"]], "bank")
    empty = own.transform(NEW.assign(debt=np.nan), "bank")  # a whole column missing in new rows: as in training
    assert (empty["debt"] == np.nanmedian(TRAIN["debt"])).all()


def test_what_no_step_fills_is_refused() -> None:
    with pytest.raises(DataError, match="income, debt miss values"):
        fitted(TRAIN[NUMBERS])
    own = fitted(TRAIN[["age"]])
    with pytest.raises(DataError, match="age miss values"):
        own.transform(NEW.assign(age=np.nan), "bank")
    with pytest.raises(DataError, match="'town' holds texts"):
        fitted(TRAIN[["age", "town"]])
    with pytest.raises(DataError, match="leaves no column"):
        fitted(TRAIN[["age"]], min_variance=1e9)
    with pytest.raises(DataError, match="has the name of another"):
        fitted(TRAIN[["town"]].assign(**{"town=Ely": 1.0}), encode="onehot")
    with pytest.raises(DataError, match="1200 categories"):
        fitted(pd.DataFrame({"code": pd.Series([str(k) for k in range(1200)], dtype=object)}), encode="onehot")


ALL = [
    {
        "impute": "median",
        "add_indicator": True,
        "encode": "onehot",
        "min_frequency": 30,
        "clip_quantiles": (0.01, 0.99),
    },
    {"encode": "quantile", "max_correlation": 0.9, "max_vif": 8.0},
    {"encode": "woe", "min_bin_rows": 20, "min_iv": 0.001, "special_codes": (40.0,)},
]


@pytest.mark.parametrize("settings", ALL)
def test_a_saved_preprocessor_is_the_same(settings: dict[str, Any]) -> None:
    own = fitted(TRAIN, **settings)
    again = Preprocessor.from_json(own.to_json())
    assert again == own
    pd.testing.assert_frame_equal(again.transform(NEW, "bank"), own.transform(NEW, "bank"))
    for broken in (
        own.to_json()[:-20],
        own.to_json().replace(b'"inputs"', b'"input"'),
        b"[1]",
        own.to_json().replace(b'"step": "', b'"step": "x'),
    ):
        with pytest.raises(ModelError):
            Preprocessor.from_json(broken)


def test_a_saved_bin_that_does_not_exist_is_refused() -> None:
    saved = msgspec.json.decode(fitted(TRAIN, **ALL[2]).to_json())
    woe = next(s for s in saved["steps"] if s["step"] == "woe")
    woe["columns"][0]["missing"] = 99
    with pytest.raises(ModelError, match="damaged"):
        Preprocessor.from_json(msgspec.json.encode(saved))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"impute": "mode"}, "impute"),
        ({"encode": "target"}, "encode"),
        ({"impute": "constant"}, "is missing with"),
        ({"fill_value": 1.0}, "no effect"),
        ({"add_indicator": True}, "no effect"),
        ({"min_iv": 0.02}, "no effect"),
        ({"n_bins": 7, "encode": "onehot"}, "no effect"),
        ({"special_codes": (-1.0,)}, "no effect"),
        ({"report_iv": True, "encode": "woe"}, "no effect"),
        ({"report_iv": True, "min_iv": 0.1}, "no effect"),
        ({"min_bin_size": 0.7, "encode": "woe"}, "min_bin_size"),
        ({"clip_quantiles": (0.9, 0.1)}, "clip_quantiles"),
        ({"max_correlation": 1.5}, "max_correlation"),
        ({"max_vif": 1.0}, "max_vif"),
        ({"max_missing": 2}, "max_missing"),
        ({"special_codes": (float("nan"),), "encode": "woe"}, "special_codes"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Preprocessing(**wrong)
    assert caught.value.remedy
