"""Cells that no table should hold: each is a typed error with its rows and without its value, or a caution; never a
raw error, and never another number."""

from __future__ import annotations

import decimal
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import DataError
from vfl.data.literals import code

N = 60
RNG = np.random.default_rng(4)
IDS = [f"CANARY{k}" for k in range(N)]
SURROGATE = "CANARY\ud800"


def objects(cells: list[Any]) -> pd.Series:
    out = np.empty(N, object)
    out[:] = cells
    return pd.Series(out, dtype=object)


def local(**columns: Any) -> vfl.Federation:
    own = {"id": IDS, "label": [0, 1, 1, 0, 0, 1] * (N // 6), "x": RNG.normal(size=N).round(3)} | columns
    host = pd.DataFrame({"id": own["id"], "y": RNG.normal(size=N).round(3)})
    return vfl.Federation.local(
        pd.DataFrame(own), {"h": host}, on="id", label="label", cipher=Identity(), convergence=False
    )


def regression(**columns: Any) -> Any:
    return local(**columns).fit(vfl.LogisticRegression(link="taylor", max_iter=5))


def trees(**columns: Any) -> Any:
    return local(**columns).fit(vfl.BoostedTrees(n_estimators=1, max_depth=1, max_bin=4, min_bin_rows=5))


@pytest.mark.parametrize("cell", [[1], [1, 2], {"a": 1}, (1, 2), np.zeros(2), b"1", 1j], ids=str)
@pytest.mark.parametrize("fit", [regression, trees])
def test_cells_that_hold_several_values(cell: Any, fit: Any) -> None:
    with pytest.raises(DataError, match="feature column 'x' is not numeric in rows 1, 2, 3, 4, 5 and 55 more"):
        fit(x=objects([cell] * N))


@pytest.mark.parametrize("cell", [[1], {"a": 1}, np.zeros(2)], ids=str)
def test_new_rows_with_cells_that_hold_several_values(cell: Any) -> None:
    model = regression()
    new = pd.DataFrame({"id": IDS, "x": objects([cell] * N)})
    with pytest.raises(DataError, match="feature column 'x' is not numeric in rows"):
        model.predict_score(new, {"h": pd.DataFrame({"id": IDS, "y": 0.5})})


HUGE = {"int": 10**5000, "decimal": decimal.Decimal("1E+5000"), "signalling": decimal.Decimal("sNaN")}


@pytest.mark.parametrize("cell", HUGE.values(), ids=HUGE)
@pytest.mark.parametrize("column", ["id", "label", "x", "category"])
def test_numbers_that_python_itself_refuses(cell: Any, column: str) -> None:
    mixed = objects([cell, *range(1, N)])
    columns = {
        "id": {"id": mixed},
        "label": {"label": objects([cell, 1] * (N // 2))},
        "x": {"x": mixed},
        "category": {"x": mixed if isinstance(cell, decimal.Decimal) else pd.Categorical([cell, 1] * (N // 2))},
    }[column]
    with pytest.raises(DataError) as caught:
        (trees if column == "category" else regression)(**columns)
    assert "0" * 20 not in str(caught.value)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("column", ["id", "label", "x"])
def test_texts_that_no_file_can_hold(column: str) -> None:
    cells = {"id": [SURROGATE, *IDS[1:]]}.get(column, [SURROGATE, "b"] * (N // 2))
    with pytest.raises(DataError) as caught:
        trees(**{column: objects(cells)})
    assert "CANARY" not in str(caught.value)


def test_labels_that_are_not_finite() -> None:
    with pytest.raises(DataError, match="label column 'label' holds neither text nor numbers"):
        regression(label=[np.inf, 1.0] * (N // 2))


@pytest.mark.parametrize("others", [("yes ",), ("Yes",), ("\u00a0yes", "YES"), ("\uff59es",)])
def test_a_class_that_is_written_in_several_ways(others: tuple[str, ...]) -> None:
    label = [*others, *["yes", "no"] * N][:N]
    rows = "row 1" if len(others) == 1 else "rows 1, 2"
    with pytest.raises(DataError, match=f"writes a class in several ways, .*: {rows}") as caught:
        regression(label=label)
    assert "yes" not in str(caught.value)
    assert list(regression(label=["yes", "no"] * (N // 2)).classes_) == ["no", "yes"]  # the control


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "1.0"), ("0.5", "0.50"), ("12", "12."), (" 2.00", "2"), ("-1", "-1.0"), ("0", "-0.0"), ("1000", "1e3")],
)
def test_a_class_whose_number_is_written_in_several_ways(one: str, other: str) -> None:
    """As texts, these would be two classes: a column of two values, all of one class, would even train."""
    label = [other, *[one, "no"] * N][:N]
    with pytest.raises(DataError, match=r"writes a class in several ways, .* or the form of a number only.*: row 1"):
        regression(label=label)
    with pytest.raises(DataError, match="writes a class in several ways"):
        regression(label=[one, other] * (N // 2))


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "01"), ("1.0", "1.5"), ("v1", "v1.0"), ("9007199254740993", "9007199254740992")],
)
def test_codes_that_differ_are_two_classes(one: str, other: str) -> None:
    with pytest.warns(UserWarning, match="the later one in the alphabet"):
        assert set(regression(label=[one, other] * (N // 2)).classes_) == {one, other}


def test_codes_as_floats_that_are_too_large_to_tell_them_apart() -> None:
    """2^53 and 2^53 + 1 are one float."""
    codes = [2**53, 2**53 + 1] * (N // 2)
    model = trees(x=pd.Categorical(codes))
    host = {"h": pd.DataFrame({"id": IDS, "y": 0.5})}
    scores = model.predict_score(pd.DataFrame({"id": IDS, "x": codes}), host)
    as_text = model.predict_score(pd.DataFrame({"id": IDS, "x": [f"{c}.0" for c in codes]}), host)
    pd.testing.assert_series_equal(scores, as_text, check_exact=True)
    said = "feature column 'x' holds floats of 16 digits or more, which do not tell codes apart, in rows 1, 2"
    for floats in (np.array(codes, np.float64), objects([float(c) for c in codes])):
        with pytest.raises(DataError, match=said):
            model.predict_score(pd.DataFrame({"id": IDS, "x": floats}), host)
    with pytest.raises(DataError, match=said):
        trees(x=pd.Categorical(np.array(codes, np.float64)))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("9007199254740993.0", "9007199254740993"),
        ("007", "7"),
        ("1.", "1"),
        ("100", "100"),
        ("-0.0", "0"),
        ("1e2", "100"),
    ],
)
def test_the_one_form_of_a_code_is_exact(text: str, form: str) -> None:
    assert code(text) == form


def test_codes_of_more_digits_than_python_reads() -> None:
    assert code("9" * 5000) == "9" * 5000
    trees(x=pd.Categorical(["9" * 5000, "8"] * (N // 2)))


def cautions(fit: Any, **columns: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        fit(**columns)
    return [str(one.message) for one in seen]


def test_columns_without_a_value_are_named() -> None:
    (said,) = cautions(trees, x=np.nan)
    assert said.startswith("guest: column 'x': every value is missing: is it read as it should be?")
    assert cautions(trees) == []
    assert cautions(trees, x=[np.nan, 1.0] * (N // 2)) == []  # whether there is a value may say something


def test_numbers_near_the_largest_one_bring_no_warning_of_numpy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(DataError, match="too large to standardise"):
            regression(x=[1.7e308, -1.7e308] * (N // 2))
        with pytest.raises(DataError, match="too large to standardise"):
            local(label=RNG.normal(size=N) * 1e300).fit(vfl.LinearRegression(max_iter=5))
