"""What members are warned of in their tables before they average, and of what they are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.unit.vfl.api.test_members import frame
from vfl.api.member_doubts import cautions
from vfl.models.averaging.spec import Averaging

ROWS = 600
TABLE = frame(ROWS)[["a", "b", "event"]]
DRAWN = np.random.default_rng(1)


def said(table: pd.DataFrame, count: int = 3, estimator: str = "logistic") -> list[str]:
    cut = {f"m{k}": table.iloc[k::count] for k in range(count)}
    columns = [name for name in table.columns if name != "event"]
    return cautions(cut, columns, "event", Averaging(estimator=estimator))


@pytest.mark.parametrize(
    ("column", "match"),
    [
        (np.arange(ROWS), "all members: column 'x': it numbers the rows of all tables"),
        (DRAWN.permutation(ROWS) + 70_000, "all members: column 'x': it numbers the rows of all tables"),
        (np.arange(ROWS) * 7919 + 10**9, "all members: column 'x': its numbers have nine digits or more"),
        (20260101 + np.arange(ROWS) % 28, "all members: column 'x': its numbers are days"),
        (np.ones(ROWS), "all members: column 'x': all rows of all members have one value"),
        (np.arange(ROWS) % 3, "all members: column 'x': each member has one value in all its rows"),
        (TABLE["event"], "all members: column 'x': it tells the label"),
        (np.where(np.arange(ROWS) == 4, 1e12, TABLE["a"]), "m1: column 'x': the value of row 2 lies far outside"),
    ],
)
def test_a_column_that_is_no_feature(column: np.ndarray, match: str) -> None:
    (sentence,) = said(TABLE.assign(x=column))
    assert sentence.startswith(match)
    assert "TableOptions" not in sentence
    assert "table." in sentence


@pytest.mark.parametrize("name", ["id", "ID", "customer_id", "customerId", "patient-ID"])
def test_ids_by_their_name(name: str) -> None:
    ids = DRAWN.permutation(10**6)[:ROWS]
    (sentence,) = said(TABLE.assign(**{name: ids}))
    assert f"column '{name}': it is called as ids are" in sentence
    assert "take ids out: table.drop(columns=" in sentence
    assert said(TABLE.assign(**{name: ids % 50})) == []  # few values: a code


@pytest.mark.parametrize("name", ["x", "paid", "bid", "valid"])
def test_amounts_are_no_ids(name: str) -> None:
    assert said(TABLE.assign(**{name: DRAWN.permutation(10**6)[:ROWS]})) == []
    assert said(TABLE) == []


def test_a_column_that_is_constant_at_some_is_a_feature() -> None:
    assert said(TABLE.assign(x=np.where(np.arange(ROWS) % 3 == 0, 1.0, TABLE["a"]))) == []


@pytest.mark.parametrize(
    ("label", "match"), [(np.ones(ROWS), "one value, and no"), (np.arange(ROWS) % 3, "whose a row")]
)
def test_labels_that_are_constant(label: np.ndarray, match: str) -> None:
    sentences = said(TABLE.assign(event=label), estimator="linear")
    assert sentences[0].startswith("all members: the label")
    assert match in sentences[0]
