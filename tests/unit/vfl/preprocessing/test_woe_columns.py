"""Fine and final bins of a column: special, missing, rare and unseen values, and no bin of fewer rows than the rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.binning.merging import merge
from tests.unit.protocols.binning.test_woe_bins import formula
from tests.unit.vfl.preprocessing.test_preprocessing import NEW, TRAIN, finals, fitted, labels
from vfl.preprocessing import Fitting, Preprocessing, WoeColumn
from vfl.preprocessing.woe import NEUTRAL, fine_column

WOE = Preprocessing(encode="woe", min_bin_rows=20)


def woe_of(name: str, values: pd.Series) -> WoeColumn:
    woe = fitted(pd.DataFrame({name: values}), encode="woe", min_bin_rows=20).woe
    assert woe is not None
    return woe.columns[0]


def test_the_table_of_a_column_is_the_formula_on_its_rows() -> None:
    fitting = Fitting.start(TRAIN, WOE, "bank")
    own, y = fitting.finish(finals(fitting)), labels(fitting.frame)
    encoded = own.transform(TRAIN, "bank")
    assert own.woe is not None
    for column in own.woe.columns:
        bins = column.bin_of(TRAIN[column.name])
        rows = [int((bins == k).sum()) for k in range(len(column.rows))]
        events = [int(y[bins == k].sum()) for k in range(len(column.rows))]
        assert column.rows == tuple(rows)
        assert column.events == tuple(events)
        weights, iv = formula(rows, events)
        assert encoded[column.name].to_numpy() == pytest.approx(np.array(weights)[bins], abs=1e-9)
        assert column.iv == pytest.approx(iv, abs=1e-9)
        assert sum(row["iv"] for row in column.table()) == pytest.approx(iv)
        assert len(set(column.labels())) == len(column.rows)


def test_missing_values_have_a_bin_of_their_own_where_there_are_enough() -> None:
    income = woe_of("income", TRAIN["income"])
    assert income.rows[income.missing] == TRAIN["income"].isna().sum()
    few = TRAIN["age"].where(np.arange(500) >= 5)  # 5 missing values: too few for a bin
    column = woe_of("age", few)
    assert column.missing == NEUTRAL
    assert sum(column.rows) == 500  # they are counted, in all bins alike
    none = woe_of("age", TRAIN["age"])
    assert none.missing == NEUTRAL
    assert none.bin_of(pd.Series([np.nan])).tolist() == [NEUTRAL]  # and its weight is 0
    own = fitted(TRAIN[["age"]], encode="woe", min_bin_rows=20)
    assert own.transform(NEW.assign(age=np.nan), "bank")["age"].eq(0).all()


def test_rare_categories_share_a_bin_and_unseen_ones_go_there() -> None:
    town = woe_of("town", TRAIN["town"].where(TRAIN["town"] != "Wells", None))
    assert town.other == NEUTRAL
    assert town.bin_of(pd.Series(["Atlantis"], dtype=object)).tolist() == [NEUTRAL]
    many = pd.Series(["common"] * 300 + [f"rare {k}" for k in range(200)], dtype=object, name="code")
    code = woe_of("code", many)
    assert code.other != NEUTRAL
    assert code.bin_of(pd.Series(["rare 3", "Atlantis"], dtype=object)).tolist() == [code.other] * 2
    assert "rare" in code.labels()[code.other]


def test_special_codes_have_a_bin_of_their_own() -> None:
    column = fine_column(
        TRAIN["age"].where(np.arange(500) % 5 > 0, -999.0),
        Preprocessing(encode="woe", min_bin_rows=20, special_codes=(-999.0,)),
        text=False,
    )
    assert column.special == column.ordinary
    assert np.array_equal(column.bins == column.special, np.arange(500) % 5 == 0)
    few = fine_column(
        TRAIN["age"].where(np.arange(500) >= 5, -999.0),
        Preprocessing(encode="woe", min_bin_rows=20, special_codes=(-999.0,)),
        text=False,
    )
    assert few.special == NEUTRAL


values = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-3, 12)), min_size=30, max_size=120),
    st.lists(st.sampled_from(["a", "b", "c", "d", "e", None]), min_size=30, max_size=120),
    st.integers(1, 60).map(lambda k: [1.0] * k + [None] * (90 - k)),
    st.integers(1, 60).map(lambda k: ["a"] * k + [None] * (90 - k)),
).filter(lambda v: any(x is not None for x in v))


@given(values, st.integers(1, 25), st.integers(2, 5), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_no_bin_has_fewer_rows_than_the_rule(column: list[Any], least: int, most: int, seed: int) -> None:
    text = any(isinstance(v, str) for v in column)
    series = pd.Series(column, dtype=object if text else float, name="x")
    rule = Preprocessing(encode="woe", min_bin_rows=least, max_n_prebins=most, special_codes=(3.0,))
    fine = fine_column(series, rule, text=text)
    rows = np.bincount(fine.bins, minlength=fine.ordinary + fine.apart)
    assert len(rows) == fine.ordinary + fine.apart
    assert rows.min() >= min(least, len(series))
    y = np.random.default_rng(seed).integers(0, 2, len(series))
    y[:2] = 0, 1
    merged = merge(
        rule.rule,
        rows,
        np.bincount(fine.bins, weights=y, minlength=len(rows)).astype(int),
        apart=fine.apart,
        ordered=not text,
    )
    final = fine.final(merged)
    went, counted = final.bin_of(series), merged.group[fine.bins]  # new rows go where equal training rows went,
    few = went == NEUTRAL  # except where these were too few for a bin
    assert np.array_equal(went[~few], counted[~few])
    for kind in (series.isna(), series.eq(3.0) if not text else series.isna()):
        assert 0 <= (few & kind).sum() < least or len(merged.rows) == 1
    assert (few <= (series.isna() | (False if text else series.eq(3.0)))).all()


def test_planted_bins_of_few_rows_would_be_noticed() -> None:
    """The property above has power: with the limit taken away, small bins appear."""
    series = pd.Series([*range(40)], dtype=float, name="x")
    assert np.bincount(fine_column(series, Preprocessing(encode="woe", min_bin_rows=1), text=False).bins).min() < 20
