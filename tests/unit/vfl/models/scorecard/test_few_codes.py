"""Special codes and missing values of which training had few or none get neutral points: not those of the smallest
numbers, nor of the largest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from tests.harness import KNOWN

N = 600


def world() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(5)
    a, b, c = rng.normal(size=(3, N))
    y = (rng.random(N) < 1 / (1 + np.exp(-(1.2 * a - 0.8 * b + 0.6 * c)))).astype(int)
    town = np.array(["Bath", "Wells", "York"])[np.digitize(a, [-0.5, 0.5])]
    guest = pd.DataFrame({"id": range(N), "y": y, "a": a, "b": b, "town": town})
    return guest, pd.DataFrame({"id": range(N), "c": c})


def card(guest: pd.DataFrame, host: pd.DataFrame) -> Any:
    fed = vfl.Federation.local(guest, {"h": host}, on="id", label="y", cipher=Identity(), reveal=KNOWN)
    codes = (-999.0, 999.0)
    return fed.fit(vfl.Scorecard(min_bin_rows=20, special_codes=codes, link="taylor"))


def points(model: Any, column: str, value: Any) -> int:
    """Of a row with this value in this column of the guest."""
    frame, _ = world()
    frame = frame[["a", "b", "town"]].head(1).assign(**{column: [value]})
    return int(model.parts["guest"].points_of(frame)[column].iloc[0])


def neutral(model: Any, column: str) -> int:
    """The points of a weight of evidence of 0."""
    part = model.parts["guest"]
    return int(part.points[part.columns.index(column)][-1])


@pytest.mark.parametrize("value", [-999.0, 999.0, np.nan], ids=["low code", "high code", "missing"])
@pytest.mark.parametrize("rows", [0, 1, 10, 19])
def test_few_rows_get_neutral_points(value: float, rows: int) -> None:
    guest, host = world()
    model = card(guest.assign(a=np.where(np.arange(N) < rows, value, guest["a"])), host)
    assert points(model, "a", value) == neutral(model, "a")
    table = model.points()["guest"].query("column == 'a'").set_index("bin")
    shown = "missing, neutral" if np.isnan(value) else "special, neutral"
    assert table.loc[shown, "points"] == neutral(model, "a")
    assert (table.loc[shown, "woe"], table.loc[shown, "rows"]) == (0, 0)
    low, high = points(model, "a", -3.0), points(model, "a", 3.0)
    assert min(low, high) < neutral(model, "a") < max(low, high)


def test_many_rows_get_their_own() -> None:
    """The control: from min_bin_rows on there is a bin."""
    guest, host = world()
    late = guest["y"].eq(1) & (guest["a"] > 0.5)
    with pytest.warns(UserWarning, match="wrong sign"):  # town is a in words
        model = card(guest.assign(a=guest["a"].mask(late, -999.0)), host)
    assert points(model, "a", -999.0) < neutral(model, "a")
    assert "special" in set(model.points()["guest"].query("column == 'a'").bin)


def test_texts_are_neutral_too() -> None:
    guest, host = world()
    model = card(guest.assign(town=guest["town"].mask(np.arange(N) < 10)), host)
    assert points(model, "town", None) == points(model, "town", "Atlantis") == neutral(model, "town")
    shown = model.points()["guest"].query("column == 'town'").bin.tolist()
    assert shown[-2:] == ["missing, neutral", "anything else"]


def test_a_code_of_a_host_is_neutral_too() -> None:
    guest, host = world()
    part = card(guest, host.assign(c=np.where(np.arange(N) < 10, 999.0, host["c"]))).parts["h"]
    found = part.points_of(pd.DataFrame({"c": [999.0, np.nan]}))["c"].tolist()
    assert found == [int(part.points[0][-1])] * 2
