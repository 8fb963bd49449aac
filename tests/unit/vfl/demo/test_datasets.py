"""Are the demo's tables what their docstrings say: seeded, overlapping in part, with signal on both sides?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from protocols.errors import ConfigError, DataError
from vfl.data.normalise import digits_form
from vfl.demo.datasets import Demo, breast_clinics, credit_sim, from_csv
from vfl.metrics import binary_metrics, uplift


def joined(demo: Demo) -> pd.DataFrame:
    """Both tables on their normalised ids."""
    (host,) = demo.hosts.values()
    tables = [demo.guest, host]
    for i, table in enumerate(tables):
        ids = [digits_form(x) if demo.normalise == "digits" else x for x in table[demo.key]]
        tables[i] = table.drop(columns=demo.key).set_axis(pd.Index(ids), axis=0)
        assert tables[i].index.is_unique
        assert np.isfinite(tables[i].to_numpy(dtype=float)).all()
    return tables[0].join(tables[1], how="inner")


def compared(demo: Demo) -> dict[str, dict[str, float | int | None]]:
    """Metrics on a held-out quarter of the common rows: the guest's columns alone, and all of them."""
    table = joined(demo)
    train, test = train_test_split(table, test_size=0.25, random_state=7, stratify=table[demo.label])
    out = {}
    guest = [c for c in demo.guest.columns if c not in (demo.key, demo.label)]
    for name, columns in (("guest_alone", guest), ("joint", [c for c in table if c != demo.label])):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(
            train[columns], train[demo.label]
        )
        out[name] = binary_metrics(test[demo.label], model.predict_proba(test[columns])[:, 1])
    return out


@pytest.mark.parametrize("make", [breast_clinics, lambda seed=7: credit_sim(2000, seed)])
def test_same_seed_same_tables_other_seed_other_tables(make):
    one, same, other = make(), make(), make(seed=8)
    pd.testing.assert_frame_equal(one.guest, same.guest)
    for name, host in one.hosts.items():
        pd.testing.assert_frame_equal(host, same.hosts[name])
    assert not one.guest[one.key].equals(other.guest[other.key])


def test_breast_clinics_overlap_in_part_and_the_laboratory_helps():
    demo = breast_clinics()
    table = joined(demo)
    assert (len(demo.guest), len(demo.hosts["laboratory"])) == (495, 495)
    assert 0.7 < len(table) / 569 < 0.8
    assert set(demo.guest[demo.label]) == {0, 1}
    assert 0.3 < demo.guest[demo.label].mean() < 0.45
    assert len(table.columns) == 31
    metrics = compared(demo)
    assert uplift(metrics, "auc") > 0
    assert uplift(metrics, "log_loss") < -0.03


def test_no_table_keeps_an_order_that_the_other_could_use():
    for demo in (breast_clinics(), credit_sim(1000)):
        (host,) = demo.hosts.values()
        digits = [[digits_form(x) for x in t[demo.key]] for t in (demo.guest, host)]
        place = {x: i for i, x in enumerate(digits[1])}
        pairs = [(i, place[x]) for i, x in enumerate(digits[0]) if x in place]
        assert abs(np.corrcoef(np.array(pairs).T)[0, 1]) < 0.2


def test_credit_sim_overlaps_by_seven_tenths_under_ids_that_differ_as_text():
    demo = credit_sim()
    host = demo.hosts["telecom"]
    assert (len(demo.guest), len(host), len(joined(demo))) == (20000, 20000, 14000)
    assert len(set(demo.guest[demo.key]) & set(host[demo.key])) < 0.05 * 20000
    for table in (demo.guest, host):
        assert table[demo.key].str.contains("[０-９]").any()
    assert 0.08 < demo.guest[demo.label].mean() < 0.22


def test_credit_sim_has_signal_on_both_sides():
    metrics = compared(credit_sim())
    assert 0.7 < metrics["guest_alone"]["auc"] < 0.78
    assert uplift(metrics, "auc") > 0.05
    assert uplift(metrics, "ks") > 0.08
    assert uplift(metrics, "log_loss") < -0.03


@pytest.mark.parametrize("rows", [10, 137])
def test_credit_sim_of_any_size(rows):
    demo = credit_sim(rows)
    assert (len(demo.guest), len(demo.hosts["telecom"])) == (rows, rows)
    assert len(joined(demo)) == round(0.7 * rows)


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(200, 4)), columns=["a", "b", "c", "d"])
    return frame.assign(bad=rng.integers(0, 2, 200), town="x")


def saved(frame: pd.DataFrame, folder: Path, **how: object) -> Path:
    path = folder / "loans.csv"
    frame.to_csv(path, **({"index": False} | how))
    return path


def test_a_csv_with_an_id_column_keeps_its_ids(table, tmp_path):
    table.insert(0, "Customer_ID", np.arange(200) + 50)
    demo = from_csv(saved(table, tmp_path), "bad", ["a", "b"])
    assert (demo.key, demo.normalise, demo.name) == ("Customer_ID", "exact", "loans")
    assert list(demo.guest.columns) == ["Customer_ID", "a", "b", "bad"]
    assert list(demo.hosts["partner"].columns) == ["Customer_ID", "c", "d"]
    assert (len(demo.guest), len(demo.hosts["partner"])) == (180, 180)
    both = joined(demo)
    origin = table.set_index(table["Customer_ID"].astype(str)).loc[both.index]
    np.testing.assert_allclose(both[["a", "d"]], origin[["a", "d"]])
    assert 150 < len(both) < 175


def test_ids_are_taken_exactly_as_they_are(table, tmp_path):
    table.insert(0, "id", [f"{'ab'[i % 2]}{i // 2}" for i in range(200)])
    demo = from_csv(saved(table, tmp_path), "bad", ["a"])
    assert len(joined(demo)) > 150


@pytest.mark.parametrize("first", ["none", "repeats", "other name"])
def test_a_csv_without_an_id_column_gets_row_ids(table, tmp_path, first):
    if first == "repeats":
        table.insert(0, "id", 1)
    if first == "other name":
        table.insert(0, "paid", np.arange(200))
    demo = from_csv(saved(table, tmp_path), "bad", ["a"])
    assert demo.key == "row_id"
    assert demo.guest["row_id"].is_unique
    np.testing.assert_allclose(
        joined(demo).sort_values("a")["b"], table[table["a"].isin(joined(demo)["a"])].sort_values("a")["b"]
    )


@pytest.mark.parametrize(
    ("label", "guest", "words"),
    [
        ("worse", ["a"], "no column 'worse'"),
        ("bad", ["a", "z"], "no column 'z'"),
        ("bad", ["a", "bad"], "named twice"),
        ("bad", [], "would have no column"),
        ("bad", ["a", "b", "c", "d"], "would have no column"),
        ("bad", ["a", "town"], "'town' is not numeric"),
        ("town", ["a"], "'town' has missing values, or not exactly two"),
        ("c", ["a"], "'c' has missing values, or not exactly two"),
    ],
)
def test_a_csv_cut_that_makes_no_sense_is_refused(table, tmp_path, label, guest, words):
    with pytest.raises(DataError, match=words):
        from_csv(saved(table, tmp_path), label, guest)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_gaps_are_named_never_filled(table, tmp_path, value):
    table.loc[3, "c"] = value
    with pytest.raises(DataError, match="'c' has missing or infinite"):
        from_csv(saved(table, tmp_path), "bad", ["a"])


def test_a_label_with_gaps_is_refused(table, tmp_path):
    table.loc[3, "bad"] = np.nan
    with pytest.raises(DataError, match="label 'bad'"):
        from_csv(saved(table, tmp_path), "bad", ["a"])


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        from_csv(tmp_path / "absent.csv", "bad", ["a"])
    with pytest.raises(DataError, match="cannot be read"):
        from_csv(tmp_path, "bad", ["a"])
    for content in (b"", b"\xff\xfe\x00a,b\n1", b'a,b\n1,2\n3,4,5,6\n"'):
        (tmp_path / "odd.csv").write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read|has no column"):
            from_csv(tmp_path / "odd.csv", "bad", ["a"])
    with pytest.raises(DataError, match="at least 10"):
        credit_sim(9)


def test_uci_credit_default_cuts_into_bank_and_partner(data_folder):
    path = data_folder / "uci_credit_card.csv"
    if not path.exists():
        pytest.skip("uci_credit_card.csv is not in VFL_TEST_DATA")
    demo = from_csv(path, "default.payment.next.month", ["LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"])
    assert (demo.key, len(demo.guest), len(demo.hosts["partner"].columns)) == ("ID", 27000, 19)
    assert uplift(compared(demo), "auc") > 0.08


@pytest.mark.parametrize("wrong", ["5", None, 50.5, float("nan"), [50]])
def test_rows_and_seeds_are_whole_numbers(wrong):
    with pytest.raises(ConfigError, match="rows is a whole number"):
        credit_sim(rows=wrong)
    for made in (lambda: credit_sim(50, seed=wrong), lambda: breast_clinics(seed=wrong)):
        with pytest.raises(ConfigError, match="seed is a whole number"):
            made()
    assert len(credit_sim(rows=np.int64(50)).guest) == 50
