"""A query's id and columns are read as those of a table."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.parts import guests
from vfl.data import table_from_frame
from vfl.data.schema import Schema
from vfl.job import load_job, load_party, starter_job
from vfl.job.setup import init_party
from vfl.models.registry import KINDS
from vfl.node.online.asked import Ask
from vfl.node.online.customer import Customers, Refusal
from vfl.preprocessing import Standardiser

PART = guests(Standardiser(("a", "b"), np.zeros(2), np.ones(2), 8.0), [1.0, -1.0], 0.25)


@pytest.fixture
def customers(tmp_path: Path) -> Customers:
    return customers_of(tmp_path, Schema())


def customers_of(tmp_path: Path, schema: Schema) -> Customers:
    """Of a model that was trained on columns of this schema."""
    init_party(tmp_path / "bank", "guest", "bank", label="y", listen="127.0.0.1:7443")
    path = tmp_path / "job.toml"
    path.write_text(
        starter_job(guest="bank", hosts=["telecom"], arbiter="trustco", keys=["id"], normalise={"id": "digits"})
    )
    job = load_job(path)
    kind: Any = KINDS["logistic-regression"]
    part = dataclasses.replace(PART, schema=schema)
    return Customers(job, load_party(tmp_path / "bank" / "party.toml"), part, kind)


@pytest.mark.parametrize("given", ["00 12-3", "00123", {"id": "00123"}])
def test_ids_are_those_of_a_table(customers: Customers, given: Any) -> None:
    frame = pd.DataFrame({"id": ["00 12-3"], "a": [1.0], "b": [2.0]})
    options: Any = {
        "keys": ["id"],
        "normalise": {"id": "digits"},
        "duplicates": "error",
        "label": None,
        "columns": None,
    }
    table = table_from_frame(frame, party="bank", **options, need_label=False)
    assert customers.name(Ask(id=given, features={})) == table.ids[0]


@pytest.mark.parametrize("given", ["no digit", "\ud800", "12\0", "-12", "1.2E+07", "9" * 10_001])
def test_an_id_that_cannot_be_read_is_nobodys(customers: Customers, given: str) -> None:
    assert customers.name(Ask(id=given, features={})) is None


@pytest.mark.parametrize("given", ["", " ", "\t", {"id": ""}])
def test_an_id_that_is_not_given_is_refused(customers: Customers, given: Any) -> None:
    with pytest.raises(Refusal, match="it is empty") as refused:
        customers.name(Ask(id=given, features={}))
    assert refused.value.answer.status == 422


def test_an_id_of_other_columns_is_refused(customers: Customers) -> None:
    with pytest.raises(Refusal, match="the job's key is id"):
        customers.name(Ask(id={"iban": "1"}, features={}))


@pytest.mark.parametrize(
    ("features", "detail"),
    [
        ({"a": 1.0}, "'b' is missing"),
        ({"a": 1.0, "b": 2.0, "c": 3.0}, "'c' is no column"),
        ({"a": 1.0, "b": "text"}, "b"),
        ({"a": 1.0, "b": None}, "needs a value of 'b'"),
        ({"a": 1.0, "b": float("inf")}, "b"),
    ],
)
def test_columns_that_the_model_cannot_use_are_refused(customers: Customers, features: Any, detail: str) -> None:
    with pytest.raises(Refusal, match=detail) as refused:
        customers.row(features)
    assert refused.value.answer.status == 422
    assert "text" not in refused.value.answer.detail.replace("a text", ""), "no value is repeated"


WRONG = {
    "number": ["1,300", "text", "", "NaN", 10**400, float("inf")],
    "code": [10**400, 2.0**60, float("inf")],
    "text": [True, 1300, float("inf")],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in WRONG.items() for value in values])
def test_what_is_wrong_with_a_value_is_said_of_its_field(tmp_path: Path, kind: Any, value: Any) -> None:
    """Not of a row, of which a query has none."""
    customers = customers_of(tmp_path, Schema({"a": "number", "b": kind}))
    with pytest.raises(Refusal) as refused:
        customers.row({"a": 1.0, "b": value})
    detail = refused.value.answer.detail
    assert detail.startswith("features: 'b' ")
    assert "row" not in detail
    assert detail[-1].isalpha(), detail


@pytest.mark.parametrize("kind", ["number", "code", "text"])
@pytest.mark.parametrize("written", ["1300", " 12 ", "1e3", "007", "TRUE"])
def test_a_text_is_read_as_the_cell_of_a_table(tmp_path: Path, kind: Any, written: str) -> None:
    schema = Schema({"a": "number", "b": kind})
    customers = customers_of(tmp_path, schema)
    frame = pd.DataFrame({"id": ["1"], "a": [1.0], "b": [written]})
    options: Any = {
        "keys": ["id"],
        "normalise": {"id": "digits"},
        "duplicates": "error",
        "label": None,
        "columns": ["a", "b"],
    }
    table = table_from_frame(frame, party="bank", need_label=False, schema=schema, **options)
    pd.testing.assert_frame_equal(customers.row({"a": 1.0, "b": written}), table.features)


def test_columns_become_the_integers_of_a_batch(customers: Customers) -> None:
    row = customers.row({"b": 2.5, "a": -1.25})
    frame = pd.DataFrame({"a": [-1.25], "b": [2.5]})
    assert np.array_equal(PART.own(row, [b""]).x, PART.own(frame, [b""]).x)


@pytest.mark.parametrize("values", [(1, 2.5), (0, -0.0), (2**53 - 1, 1e15), (-7.5, 3), (1e-300, 5)])
def test_numbers_are_read_as_a_table_reads_them(customers: Customers, values: tuple[float, float]) -> None:
    """Without a table, which takes ten times as long."""
    assert customers._are_numbers(values)
    row = customers.row(dict(zip("ab", values, strict=True)))
    pd.testing.assert_frame_equal(row, customers._read(values))


@pytest.mark.parametrize("value", [True, None, "1", 2**53, 2.0**60, float("inf"), float("nan"), 10**400, 9, 9.0])
def test_other_values_are_read_by_the_table(tmp_path: Path, value: Any) -> None:
    """9 is a code for a missing value here."""
    customers = customers_of(tmp_path, Schema({"a": "number", "b": "number"}, ("-", "9")))
    assert customers._are_numbers([1.0, 8])
    assert not customers._are_numbers([1.0, value])
    if value == 9:
        with pytest.raises(Refusal, match="needs a value of 'b'"):
            customers.row({"a": 1.0, "b": value})


def test_categories_are_read_by_the_table(tmp_path: Path) -> None:
    assert not customers_of(tmp_path, Schema({"a": "code", "b": "number"}))._are_numbers([1.0, 2.0])
