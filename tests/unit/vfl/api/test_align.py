"""`vfl.align` equals pandas' merge on tables as dirty as those of institutions, and refuses what it cannot read without
showing it."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError
from tests.harness import Recording, Sent, scores_some_rows

Dirty = Callable[[int, np.random.Generator], str]


def _text(i: int, rng: np.random.Generator) -> str:
    value = f"Straße {i} Ångström"
    value = [
        value,
        value.upper(),
        value.replace("ß", "ss"),
        unicodedata.normalize("NFD", value),
        value.replace(" ", " \u00a0\t"),
    ][rng.integers(5)]
    return " " * rng.integers(3) + value + "\t" * rng.integers(2)


def _digits(i: int, rng: np.random.Generator) -> str:
    value = f"{1_000_000 + i}"
    wide = value.translate({ord(str(d)): 0xFF10 + d for d in range(10)})
    return [value, f"{value[0]}-{value[1:4]}-{value[4:]}", f"No. {value}", wide, f" {value}"][rng.integers(5)]


def _email(i: int, rng: np.random.Generator) -> str:
    value = f"joe.{i}@müller.example"
    return [
        value,
        value.upper(),
        f" {value} ",
        value + ".",
        value.replace("müller", "xn--mller-kva"),
        unicodedata.normalize("NFD", value),
    ][rng.integers(6)]


def _date(i: int, rng: np.random.Generator) -> Any:
    day = pd.Timestamp("1950-01-01") + pd.Timedelta(days=37 * i)
    forms: list[Any] = [day.strftime(f) for f in ("%Y-%m-%d", "%Y%m%d", "%Y.%m.%d", "%d/%m/%Y", "%Y-%m-%d 00:00:00")]
    return [*forms, f"{day.day}/{day.month}/{day.year}", day, day.date()][rng.integers(8)]


def _phone(i: int, rng: np.random.Generator) -> str:
    local = f"7946{i:06d}"
    return [
        f"0{local}",
        f"+44{local}",
        f"0044 {local[:4]} {local[4:]}",
        f"(0{local[:4]}) {local[4:]}",
        f"+44 (0){local}",
    ][rng.integers(5)]


def _exact(i: int, rng: np.random.Generator) -> str:
    return f" Id {i}"


KINDS: dict[str, Dirty] = {
    "text": _text, "digits": _digits, "email": _email, "date:%d/%m/%Y": _date, "e164:GB": _phone, "exact": _exact,
}  # fmt: skip


class Case:
    """Tables of a few parties, dirty, and beside each the customers that they really are."""

    def __init__(self, seed: int, parties: int, shape: list[list[str]], rows: int, population: int) -> None:
        rng = np.random.default_rng(seed)
        self.kinds = {f"c{k}{j}": kind for k, key in enumerate(shape) for j, kind in enumerate(key)}
        self.on = [[f"c{k}{j}" for j in range(len(key))] for k, key in enumerate(shape)]
        self.tables, self.truths = {}, {}
        for p in ["guest", "telecom", "shop", "insurer"][:parties]:
            size = rows if rows > 100 else int(rng.integers(1, rows + 1))
            truth = pd.DataFrame({c: rng.integers(0, population, size) for c in self.kinds}).astype("Int64")
            if len(shape) > 1:
                truth = truth.mask(rng.random(truth.shape) < 0.25)
            whole = [truth[columns].notna().all(axis=1) for columns in self.on]
            truth = truth[np.logical_or.reduce(whole)].reset_index(drop=True)
            if not len(truth):
                truth = pd.DataFrame({c: [0] for c in self.kinds}).astype("Int64")
            dirty = {
                c: [None if pd.isna(v) else KINDS[kind](int(v), rng) for v in truth[c]]
                for c, kind in self.kinds.items()
            }
            if len(shape) > 1:
                dirty = {
                    c: [" " * int(rng.integers(3)) if v is None and rng.random() < 0.5 else v for v in vs]
                    for c, vs in dirty.items()
                }
            self.tables[p] = pd.DataFrame({c: pd.Series(vs, dtype=object) for c, vs in dirty.items()}).assign(
                row=np.arange(len(truth))
            )
            self.truths[p] = truth.assign(**{f"row_{p}": np.arange(len(truth))})

    def merged(self) -> set[tuple[int, ...]]:
        """The rows of all parties that belong together, by pandas' merge, key by key."""
        left, found = {}, set[tuple[int, ...]]()
        for p, truth in self.truths.items():
            for key in self.on:
                truth = truth[truth[key].isna().any(axis=1) | ~truth.duplicated(key)]
            left[p] = truth
        for key in self.on:
            table: pd.DataFrame | None = None
            for p, truth in left.items():
                own = truth.dropna(subset=key)[[*key, f"row_{p}"]]
                table = own if table is None else table.merge(own, on=key)
            assert table is not None
            rows = [f"row_{p}" for p in left]
            found |= {tuple(row) for row in table[rows].to_numpy().tolist()}
            left = {p: truth[~truth[f"row_{p}"].isin(table[f"row_{p}"])] for p, truth in left.items()}
        return found

    def aligned(self, **changes: Any) -> vfl.Aligned:
        guest, *hosts = self.tables.values()
        names = list(self.tables)[1:]
        asked = {"on": self.on, "normalise": self.kinds, "duplicates": "first", "min_intersection": 0} | changes
        return vfl.align(guest, dict(zip(names, hosts, strict=True)), **asked)


def check(case: Case, found: vfl.Aligned) -> None:
    frames = [found.guest, *found.hosts.values()]
    rows = list(zip(*(f["row"].tolist() for f in frames), strict=True))
    assert set(rows) == case.merged()
    assert len(rows) == found.report.common == sum(found.report.by_key.values())


shapes = st.lists(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=2), min_size=1, max_size=3)
cases = st.builds(Case, st.integers(0, 2**32), st.integers(2, 3), shapes, st.just(14), st.integers(4, 40))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
@pytest.mark.filterwarnings("ignore:.*drops letters")
def test_equals_pandas_merge_on_dirty_tables(case: Case) -> None:
    check(case, case.aligned())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=4000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
@pytest.mark.filterwarnings("ignore:.*drops letters")
def test_equals_pandas_merge_on_thousands_of_dirty_tables(case: Case) -> None:
    check(case, case.aligned())


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.filterwarnings("ignore:.*drops letters")
def test_each_normaliser_alone(kind: str) -> None:
    case = Case(7, 3, [[kind]], 120, 60)
    check(case, case.aligned())
    assert len(case.merged()) > 10


def test_planted_wrong_normaliser_is_found() -> None:
    case = Case(7, 2, [["digits"]], 120, 60)
    with pytest.raises(AssertionError), pytest.warns(UserWarning, match="differ in blanks, hyphens"):
        check(case, case.aligned(normalise="text"))


def test_planted_wrong_order_is_found() -> None:
    case = Case(7, 2, [["exact"]], 60, 70)
    found = case.aligned()
    with pytest.raises(AssertionError):
        check(case, vfl.Aligned(found.guest.iloc[::-1], found.hosts, found.report))


def test_a_large_table_in_several_chunks() -> None:
    n = 40_000
    guest = pd.DataFrame({"id": np.arange(n), "x": np.arange(n)})
    host = pd.DataFrame({"id": [f"{i}" for i in range(n // 2, n + n // 2)], "y": np.arange(n // 2, n + n // 2)}).sample(
        frac=1, random_state=1
    )
    found = vfl.align(guest, {"telecom": host}, on="id")
    assert (found.guest["x"] == found.hosts["telecom"]["y"]).all()
    assert sorted(found.guest["x"]) == list(range(n // 2, n))
    assert list(found.guest.columns) == ["id", "x"]


def test_the_report_reads_like_one() -> None:
    guest = pd.DataFrame({"a": ["1", "1", "2", None], "b": ["x", "y", "z", "w"]})
    host = pd.DataFrame({"a": ["1", "9"], "b": ["q", "w"]})
    found = vfl.align(guest, {"telecom": host}, on=[["a"], ["b"]], duplicates="first")
    report = found.report
    assert (report.rows, report.common, report.by_key) == ({"guest": 3, "telecom": 2}, 2, {"a": 1, "b": 1})
    assert report.repeated == {"guest": 1, "telecom": 0}
    assert report.match_rate == {"guest": pytest.approx(2 / 3), "telecom": 1.0}
    assert repr(found).split("\n") == [
        "Aligned",
        "rows of guest                                  3",
        "rows of telecom                                2",
        "rows of guest left out, id repeated            1",
        "common to all                                  2",
        "  by a                                         1",
        "  by b                                         1",
        "match rate of guest                        66.7%",
        "match rate of telecom                     100.0%",
    ]


def test_the_size_alone() -> None:
    guest = pd.DataFrame({"id": [1, 2, 3], "x": 0.0})
    transcript: list[Sent] = []
    taps = {p: [Recording(p, transcript)] for p in ("guest", "telecom", "arbiter")}
    found = vfl.align(
        guest, {"telecom": guest.iloc[1:]}, on="id", cardinality_only=True, min_intersection=99, taps=taps
    )
    assert found.report.common == 2
    assert len(found.guest) == len(found.hosts["telecom"]) == 0
    assert {s.kind.kind for s in transcript} == {"BlindedIds", "SortedTags", "SizeOnly"}


def test_a_size_with_noise() -> None:
    guest = pd.DataFrame({"id": range(1000)})
    promise = vfl.Privacy(unit="id", epsilon=0.05, delta=1e-6)
    telecom = guest.iloc[500:] + 250  # 250 in common, far from 0 and from the 500 that are told at most
    found = {
        vfl.align(guest, {"telecom": telecom}, on="id", cardinality_only=True, privacy=promise).report.common
        for _ in range(2)
    }
    assert found != {250}
    for wrong in ({"cardinality_only": False}, {"privacy": vfl.Privacy(unit="label", epsilon=1, delta=1e-6)}):
        given: dict[str, Any] = {"cardinality_only": True, "privacy": promise} | wrong
        with pytest.raises(ConfigError, match="privacy is for the size"):
            vfl.align(guest, {"telecom": guest}, on="id", **given)


def test_below_the_minimum_nothing_but_the_size_is_learnt() -> None:
    guest = pd.DataFrame({"id": [1, 2, 3]})
    transcript: list[Sent] = []
    taps = {p: [Recording(p, transcript)] for p in ("guest", "telecom", "arbiter")}
    with pytest.raises(DataError, match="only 2 ids are common"):
        vfl.align(guest, {"telecom": guest.iloc[1:]}, on="id", min_intersection=3, taps=taps)
    assert {s.kind.kind for s in transcript} == {"BlindedIds", "SortedTags", "IntersectionSize"}


# --- what is not in order

SECRET = "CANARY"


def good() -> pd.DataFrame:
    return pd.DataFrame({"id": [f"{SECRET}{i}" for i in range(5)], "x": range(5)})


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([SECRET, "x" * 10_000_000], "longer than 10,000 bytes: row 2"),
        ([SECRET, "   \t"], "is empty in row 2"),
        ([SECRET, ""], "is empty in row 2"),
        ([SECRET, 7], "mixes text and numbers: row"),
        ([SECRET, np.nan], "is empty in row 2"),
        ([SECRET, f"{SECRET}\udcff"], "is not valid Unicode in row 2"),
        ([SECRET, b"\xff\xfe"], "neither text nor numbers in row 2"),
        (
            [SECRET, f" {SECRET.lower()}"],
            "repeats ids: 1 row carries an id that an earlier row has, after normalising: row 2",
        ),
    ],
    ids=["10 MB", "spaces", "nothing", "mixed", "NaN", "surrogate", "bytes", "duplicate"],
)
@pytest.mark.parametrize("at", ["guest", "host"])
def test_a_bad_id_is_located_and_nothing_is_sent(
    ids: list[Any], says: str, at: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = pd.DataFrame({"id": pd.Series(ids, dtype=object)})
    transcript: list[Sent] = []
    taps = {p: [Recording(p, transcript)] for p in ("guest", "telecom", "arbiter")}
    guest, host = (bad, good()) if at == "guest" else (good(), bad)
    with caplog.at_level(logging.DEBUG), pytest.raises(DataError, match=says) as caught:
        vfl.align(guest, {"telecom": host}, on="id", taps=taps)
    assert ("guest" if at == "guest" else "telecom") in str(caught.value)
    assert SECRET.lower() not in (str(caught.value) + repr(caught.value) + caplog.text).lower()
    assert not transcript


@pytest.mark.parametrize("at", ["guest", "host"])
def test_an_empty_table(at: str) -> None:
    guest, host = (good().iloc[:0], good()) if at == "guest" else (good(), good().iloc[:0])
    with pytest.raises(DataError, match="the table has no rows"):
        vfl.align(guest, {"telecom": host}, on="id")


def test_no_overlap_and_full_overlap() -> None:
    other = good().assign(id=[f"other{i}" for i in range(5)])
    with pytest.raises(DataError, match="no id is common to all parties"):
        vfl.align(good(), {"telecom": other}, on="id")
    assert vfl.align(good(), {"telecom": other}, on="id", min_intersection=0).report.common == 0
    found = vfl.align(good(), {"telecom": good().iloc[::-1]}, on="id")
    assert found.report.match_rate == {"guest": 1.0, "telecom": 1.0}
    assert found.guest.equals(found.hosts["telecom"])


def test_a_table_sorted_by_a_secret_is_not_after_alignment() -> None:
    n = 2000
    table = pd.DataFrame({"id": np.arange(n), "income": np.sort(np.random.default_rng(1).lognormal(size=n))})
    found = vfl.align(table, {"telecom": table[["id"]]}, on="id")
    assert abs(np.corrcoef(np.arange(n), found.guest["income"].rank())[0, 1]) < 5 / np.sqrt(n)
    assert (
        abs(np.corrcoef(np.arange(n), table["income"].rank())[0, 1]) > 0.99
    )  # the check would see a table in its own order


def test_no_id_is_shown_by_any_object() -> None:
    found = vfl.align(good(), {"telecom": good()}, on="id")
    assert SECRET not in repr(found) + repr(found.report)


@pytest.mark.parametrize(
    "change",
    [
        {"hosts": {}},
        {"hosts": {"guest": good()}},
        {"hosts": {"arbiter": good()}},
        {"on": []},
        {"on": [[]]},
        {"normalise": "upper"},
        {"normalise": {"x": "text"}},
        {"duplicates": "last"},
    ],
)
def test_what_cannot_be_meant(change: dict[str, Any]) -> None:
    asked = {"hosts": {"telecom": good()}, "on": "id"} | change
    with pytest.raises(ConfigError) as caught:
        vfl.align(good(), **asked)
    assert caught.value.remedy


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(DataError, match="id column 'nid' is not in the table"):
        vfl.align(good(), {"telecom": good()}, on="nid")


def test_ids_in_the_index() -> None:
    found = vfl.align(good().set_index("id"), {"telecom": good()}, on="id")
    assert sorted(found.guest["id"]) == sorted(good()["id"])


@scores_some_rows
def test_a_model_on_rows_that_different_keys_matched(small_tables: Any) -> None:
    """Half of the host's national ids are missing; the phone finds these customers, in training and in prediction."""
    guest, hosts = small_tables
    guest = guest.assign(phone=[f"020 7946 {i:04d}" for i in guest.index])
    phones = dict(zip(guest["id"], guest["phone"], strict=True))
    telecom = hosts["telecom"].assign(
        phone=[phones.get(i, "020 8000 0000").replace("0", "+44 ", 1) for i in hosts["telecom"]["id"]]
    )
    telecom = telecom[telecom["id"].isin(phones)].assign(id=lambda t: t["id"].where(np.arange(len(t)) % 2 == 0))
    fed = vfl.Federation.local(
        guest,
        {"telecom": telecom},
        on=[["id"], ["phone"]],
        label="default",
        normalise={"phone": "e164:GB"},
        cipher=Identity(),
    )
    model = fed.fit(vfl.LogisticRegression(max_iter=30))
    assert model.intersection_ == len(telecom)
    scores = model.predict_score(guest, {"telecom": telecom})
    assert scores.notna().sum() == len(telecom)


def test_federation_takes_a_normaliser_by_column(small_tables: Any) -> None:
    guest, hosts = small_tables
    guest = guest.assign(born="03/02/1980")
    telecom = hosts["telecom"].assign(born="1980-02-03", id=hosts["telecom"]["id"].str.upper())
    fed = vfl.Federation.local(
        guest, {"telecom": telecom}, on=["id", "born"], label="default", normalise={"born": "date:%d/%m/%Y"}
    )
    assert "hosts: telecom" in repr(fed)
    with pytest.raises(ConfigError, match="no key column"):
        vfl.Federation.local(guest, {"telecom": telecom}, on="id", label="default", normalise={"born": "date"})
