"""A table of Arrow gives the same as the same pandas frame, bit for bit, whoever made it."""

from __future__ import annotations

import datetime
import decimal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError
from tests.harness import ContextFree, scores_some_rows
from vfl.data import read_source
from vfl.data.arrow import as_frame, series_of

pa = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

pytestmark = scores_some_rows  # the fixture of all tests predicts too
N = 60
ACCOUNT = 110101199003070001


class Stream:
    """Any library's table: nothing but the capsule."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def modern(table: Any) -> Any:
    """With the types that Polars sends: string views, dictionaries of them, wide decimals."""
    types = {pa.string(): pa.string_view(), pa.large_string(): pa.string_view()}
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_dictionary(field.type):
            one = column.combine_chunks()
            one = one.chunk(0) if isinstance(one, pa.ChunkedArray) else one
            column = pa.DictionaryArray.from_arrays(
                one.indices.cast(pa.uint32()), one.dictionary.cast(pa.string_view())
            )
        elif field.type in types:
            column = column.cast(types[field.type])
        columns.append(column)
    return Stream(pa.table(columns, names=table.column_names))


def narwhals(table: Any) -> Any:
    return pytest.importorskip("narwhals").from_native(table)


def batches(table: Any) -> Iterator[Any]:
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=7))


MAKERS: dict[str, Callable[[Any], Any]] = {
    "pyarrow": lambda table: table,
    "in chunks": batches,
    "any library": Stream,
    "Polars' types": modern,
    "narwhals": narwhals,
}


def guest() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=N)
    few = [None if i % 7 == 0 else int(i % 5) for i in range(N)]
    return pd.DataFrame(
        {
            "id": [f"{i:03d}" for i in range(N)],
            "y": (x + rng.normal(size=N) > 0).astype(int),
            "x": x,
            "few": pd.array(few, "Int64"),
            "byte": pd.array(few, "UInt8"),
            "flag": pd.array([None if i % 9 == 0 else bool(i % 2) for i in range(N)], "boolean"),
            "sure": [bool(i % 3) for i in range(N)],
            "sum": [None if i % 8 == 0 else decimal.Decimal(i) / 100 for i in range(N)],
            "kind": pd.Categorical(["u", "v", None, "w"] * (N // 4)),
            "town": ["Köln", "Ulm"] * (N // 2),
            "half": x.astype(np.float16),
        }
    )


def host() -> pd.DataFrame:
    return pd.DataFrame(
        {"id": [f"{i:03d}" for i in range(5, N)], "z": np.arange(5.0, N) % 17, "code": [k % 23 for k in range(5, N)]}
    )


def scores(own: Any, partner: Any, again: Callable[[], Any]) -> pd.Series:
    fed = vfl.Federation.local(own, {"telecom": partner()}, on="id", label="y", cipher=Identity(), convergence=False)
    same: Any = {party: ContextFree(party) for party in ("guest", "telecom", "arbiter")}
    model = fed.fit(vfl.BoostedTrees(n_estimators=2, max_depth=2, min_bin_rows=2), randomness=same)
    return model.predict_score(again(), {"telecom": partner()})


@pytest.fixture(scope="module")
def expected() -> pd.Series:
    return scores(guest(), host, guest)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_model_is_the_same_bit_for_bit(maker: str, expected: pd.Series) -> None:
    def made(frame: pd.DataFrame) -> Any:
        return MAKERS[maker](pa.Table.from_pandas(frame, preserve_index=False))

    found = scores(made(guest()), lambda: made(host()), lambda: made(guest()))
    assert found.index.tolist() == expected.index.tolist()
    assert found.to_numpy().tobytes() == expected.to_numpy().tobytes()


def test_polars_itself(expected: pd.Series) -> None:
    polars = pytest.importorskip("polars", reason="Polars is not installed; its types are tried above")
    own = polars.from_pandas(guest())
    found = scores(own, lambda: polars.from_pandas(host()), lambda: own)
    assert found.to_numpy().tobytes() == expected.to_numpy().tobytes()


@pytest.mark.parametrize("maker", MAKERS)
def test_an_alignment_is_the_same(maker: str) -> None:
    made = {"guest": guest(), "telecom": host()}
    tables = {name: MAKERS[maker](pa.Table.from_pandas(f, preserve_index=False)) for name, f in made.items()}
    found = vfl.align(tables["guest"], {"telecom": tables["telecom"]}, on="id")
    assert found.report.common == N - 5
    back = found.guest.set_index("id").sort_index()
    want = guest().set_index("id").loc[back.index]
    for name in want.columns:
        assert [None if pd.isna(v) else v for v in back[name].tolist()] == [
            None if pd.isna(v) else v for v in want[name].tolist()
        ]


def test_a_model_measures_itself_on_an_arrow_table() -> None:
    own = guest()[["id", "y", "x"]]
    fed = vfl.Federation.local(own, {"telecom": host()}, on="id", label="y", cipher=Identity(), convergence=False)
    model = fed.fit(vfl.LogisticRegression(max_iter=5, link="taylor"))
    assert model.score(pa.Table.from_pandas(own), {"telecom": host()}) == model.score(own, {"telecom": host()})


KEYS = {
    "int64 with nulls": pa.array([ACCOUNT, None, ACCOUNT + 1], pa.int64()),
    "uint64 above 2^63": pa.array([2**63 + 1, None, 2**63 + 3], pa.uint64()),
    "decimals": pa.array([decimal.Decimal(ACCOUNT), None, decimal.Decimal(ACCOUNT + 1)], pa.decimal128(20, 0)),
    "a dictionary of whole numbers": pa.array([ACCOUNT, None, ACCOUNT + 1], pa.int64()).dictionary_encode(),
    "texts": pa.array([str(ACCOUNT), None, str(ACCOUNT + 1)]),
    "a dictionary with a value twice": pa.DictionaryArray.from_arrays(
        pa.array([0, None, 2]), pa.array([str(ACCOUNT), str(ACCOUNT), str(ACCOUNT + 1)])
    ),
}


@pytest.mark.filterwarnings("ignore:.*words for a missing value")  # None as text
@pytest.mark.parametrize("kind", KEYS)
def test_a_second_key_of_long_numbers_with_missing_values_is_exact(kind: str, tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b", "c"], "account": KEYS[kind], "x": [1.0, 2.0, 3.0]})
    parquet.write_table(table, tmp_path / "t.parquet")
    first, last = (str(KEYS[kind][k].as_py()) for k in (0, 2))
    partner = pd.DataFrame({"id": ["?", "?2", "b"], "account": [last, str(int(first) + 5), None]})
    for own in (table, read_source(tmp_path / "t.parquet")):
        found = vfl.align(own, {"telecom": partner}, on=[["account"], ["id"]])
        assert sorted(found.guest["id"]) == ["b", "c"]
        assert list(found.report.by_key.values()) == [1, 1]


def test_planted_fault_pandas_makes_another_account_of_it() -> None:
    column = pa.chunked_array([KEYS["int64 with nulls"]])
    assert int(column.to_pandas()[2]) != ACCOUNT + 1
    assert series_of(column)[2] == ACCOUNT + 1


@pytest.mark.parametrize(
    ("index", "names"),
    [
        (None, ["x"]),
        (pd.RangeIndex(3, name="id"), ["id", "x"]),
        (pd.Index(["a", "b", "c"], name="id"), ["id", "x"]),
        (pd.Index([5, 7, 9]), ["x"]),
        (pd.MultiIndex.from_tuples([(1, 2), (3, 4), (5, 6)], names=["id", "no"]), ["id", "no", "x"]),
    ],
)
def test_an_index_that_pandas_stored_is_columns_where_it_has_a_name(
    index: pd.Index | None, names: list[str], tmp_path: Path
) -> None:
    frame = pd.DataFrame({"x": [1, 2, 3]}, index=index)
    frame.to_parquet(tmp_path / "t.parquet")
    for found in (as_frame(pa.Table.from_pandas(frame), "bank"), read_source(tmp_path / "t.parquet")):
        assert list(found) == names
        assert found["x"].tolist() == [1, 2, 3]
        if "no" not in names and "id" in names:
            assert found["id"].tolist() == list(frame.index)


def test_names_with_dots_and_one_that_begins_like_another(tmp_path: Path) -> None:
    table = pa.table({"a.b": [1, 2], "a": [3, 4], "id": ["x", "y"]})
    parquet.write_table(table, tmp_path / "t.parquet")
    assert read_source(tmp_path / "t.parquet").to_dict("list") == {"a.b": [1, 2], "a": [3, 4], "id": ["x", "y"]}
    assert list(read_source(tmp_path / "t.parquet", only=["id", "a"])) == ["a", "id"]
    parquet.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "twice.parquet")
    with pytest.raises(DataError, match="more than one column called 'a'"):
        read_source(tmp_path / "twice.parquet")


class Lazy:
    def collect(self) -> None: ...


@pytest.mark.parametrize(
    ("table", "says", "remedy"),
    [
        ([1, 2], "telecom: the table is a list", "Pass a pandas.DataFrame, a Polars DataFrame or an Arrow table"),
        (Lazy(), "telecom: the table is a tests.Lazy", "table.collect()"),
        (
            pa.chunked_array([["CANARY"]]),
            "the pyarrow.ChunkedArray cannot be read as a table by Arrow",
            "Pass a pandas.DataFrame",
        ),
        (pd.Series(["CANARY"]), "pandas.Series", "Pass a pandas.DataFrame"),
    ],
)
def test_what_is_no_table_is_refused(table: Any, says: str, remedy: str) -> None:
    own = guest()[["id", "y", "x"]]
    for call in (
        lambda: vfl.align(own, {"telecom": table}, on="id"),
        lambda: vfl.Federation.local(own, {"telecom": table}, on="id", label="y", convergence=False),
    ):
        with pytest.raises(DataError) as caught:
            call()
        assert says in str(caught.value)
        assert remedy in str(caught.value.remedy)
        assert caught.value.party == "telecom"
        assert "CANARY" not in "".join(traceback.format_exception(caught.value))


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Stream(pa.table({"id": ["CANARY"]}))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"guest: a tests.Stream as a table needs pyarrow.*pip install 'vfl.data.'"):
        vfl.align(table, {"telecom": host()}, on="id")


def test_dates_stay_dates() -> None:
    days = pa.array([datetime.date(2026, 1, 1), None, datetime.date(1500, 1, 1)])
    assert series_of(pa.chunked_array([days])).tolist() == [datetime.date(2026, 1, 1), None, datetime.date(1500, 1, 1)]
    table = pa.table({"id": ["a", "b"], "born": [datetime.date(2026, 1, 1), datetime.date(1500, 1, 1)]})
    partner = pd.DataFrame({"id": [1, 2], "born": ["1500-01-01", "2027-01-01"]})
    assert vfl.align(table, {"telecom": partner}, on="born", normalise="date").guest["id"].tolist() == ["b"]


@pytest.mark.parametrize("kind", ["float64", "float32"])
def test_a_frame_whose_keys_became_floats_is_told_why(kind: str) -> None:
    own = pd.DataFrame({"id": ["a", "b"], "account": pd.Series([ACCOUNT, None]).astype(kind), "x": [1.0, 2.0]})
    partner = pd.DataFrame({"id": ["b", "c"], "account": [None, str(ACCOUNT)]})
    with pytest.raises(
        DataError, match=r"guest: id column 'account' holds floats of \d+ digits or more.*in row 1"
    ) as caught:
        vfl.align(own, {"telecom": partner}, on=[["account"], ["id"]])
    assert 'dtype="Int64"' in str(caught.value.remedy)
    small = own.assign(account=pd.Series([1234567, None]).astype(kind))
    other = partner.assign(account=[None, "1234567"])
    assert vfl.align(small, {"telecom": other}, on=[["account"], ["id"]]).report.common == 2
