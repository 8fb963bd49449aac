"""Is a new table's drift what the formula says, whatever the order of its columns, and is what cannot be compared a
named error?"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from protocols.errors import ConfigError, DataError, ModelError
from vfl.cli.monitor import TRAINED, monitor, monitored, print_monitor, write_monitor
from vfl.job import load_job, load_party
from vfl.job.setup import init_party
from vfl.metrics import psi
from vfl.models.baseline import Baseline, compare, describe, load_baseline
from vfl.run.own_table import read_table


def table(rows: int = 500, shift: float = 0.0, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.normal(40 + 10 * shift, 10, rows),
            "late": rng.integers(0, 4, rows),
            "region": rng.choice(["n", "s"], rows),
        }
    )


@pytest.fixture
def party(tmp_path: Path) -> Path:
    """A guest's folder with a model part's baseline in it."""
    init_party(tmp_path / "bank", "guest", "bank")
    model = tmp_path / "bank" / "model"
    model.mkdir()
    Baseline.of("bank", b"m" * 16, table(), np.random.default_rng(2).random(300)).save(model)
    return tmp_path / "bank"


def run(party: Path, frame: pd.DataFrame, scores: pd.Series | None = None) -> dict:
    frame.to_csv(party / "new.csv", index=False)
    if scores is not None:
        pd.DataFrame({"id": range(len(scores)), "score": scores}).to_csv(party / "scores.csv", index=False)
    return monitor(
        load_party(party / "party.toml"),
        party / "model",
        str(party / "new.csv"),
        None if scores is None else party / "scores.csv",
    )


@pytest.mark.parametrize("more", [False, True])
def test_a_row_with_too_few_or_too_many_cells_is_refused_by_its_line(party: Path, more: bool) -> None:
    """As in training: it may have lost a separator, or hold one in a number, and has values in the wrong columns."""
    frame = table(40, seed=2)
    frame.to_csv(party / "new.csv", index=False)
    lines = (party / "new.csv").read_text().splitlines()
    lines[7] = lines[7].replace(",", ",1,", 1) if more else lines[7].rpartition(",")[0]
    (party / "new.csv").write_text("\n".join(lines) + "\n")
    told = rf"row 7 \(line 8\) has {'more' if more else 'fewer'} cells than the header"
    with pytest.raises(DataError, match=told) as refused:
        monitor(load_party(party / "party.toml"), party / "model", str(party / "new.csv"))
    assert lines[7].split(",")[0] not in str(refused.value)


def by_column(found: dict) -> dict:
    return {line["column"]: line for line in found["columns"]}


def test_the_same_population_is_stable_and_a_shifted_column_is_named(party: Path) -> None:
    same = by_column(run(party, table(seed=2)))
    assert {line["mark"] for line in same.values()} == {"stable"}
    moved = by_column(run(party, table(shift=1, seed=2)))
    assert (moved["age"]["mark"], moved["late"]["mark"], moved["region"]["mark"]) == ("shifted", "stable", "stable")
    for line in moved.values():
        assert line["psi"] == pytest.approx(psi(line["before"], line["now"]))
        assert sum(line["before"]) == sum(line["now"]) == 500
    edges = np.quantile(table()["age"], np.linspace(0, 1, 11)[1:-1], method="inverted_cdf")
    now = [*np.bincount(np.searchsorted(edges, table(shift=1, seed=2)["age"]), minlength=10), 0]
    assert moved["age"]["now"] == now


def test_order_and_further_columns_do_not_matter(party: Path) -> None:
    new = table(shift=0.3, seed=5)
    assert run(party, new) == run(party, new[["region", "age", "late"]].assign(id="x", other=1.5))


def test_missing_values_and_unseen_texts_count_as_drift(party: Path) -> None:
    new = table(seed=3)
    new.loc[: len(new) // 2, "age"] = np.nan
    new["region"] = "west"
    found = by_column(run(party, new))
    assert found["age"]["missing"] == pytest.approx(251 / 500)
    assert found["age"]["missing_before"] == 0
    assert (found["age"]["mark"], found["region"]["mark"]) == ("shifted", "shifted")
    assert dict(zip(found["region"]["bins"], found["region"]["now"], strict=True))["others"] == 500
    new["late"] = np.nan
    assert by_column(run(party, new))["late"]["missing"] == 1.0


def test_a_missing_column_is_named_and_so_is_one_that_became_text(party: Path) -> None:
    with pytest.raises(DataError, match="lacks 'age', 'region', which the model uses"):
        run(party, table()[["late"]])
    with pytest.raises(DataError, match="'age' is not numeric in rows 1, 2"):
        run(party, table().assign(age="old"))
    with pytest.raises(DataError, match="no rows"):
        run(party, table(rows=0))


def test_scores_are_compared_at_the_guest_only_where_rows_are_scored(party: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    scores = pd.Series(rng.random(400) ** 3)
    scores[:100] = np.nan
    found = run(party, table(), scores)["score"]
    assert (found["rows"], found["mark"]) == (300, "shifted")
    assert run(party, table(), pd.Series(rng.random(300)))["score"]["mark"] == "stable"
    assert run(party, table())["score"] is None
    (party / "scores.csv").write_text("id\n1\n")
    with pytest.raises(DataError, match="no column 'score'"):
        monitor(load_party(party / "party.toml"), party / "model", str(party / "new.csv"), party / "scores.csv")
    Baseline.of("bank", b"m" * 16, table()).save(party / "model")
    with pytest.raises(ConfigError, match="holds no scores"):
        run(party, table(), scores)


def test_scores_of_other_rows_than_the_table_are_doubted(party: Path) -> None:
    rng = np.random.default_rng(8)
    ids, model = [f"A-{i:04}" for i in range(500)], load_party(party / "party.toml")
    table().assign(customer=ids).to_csv(party / "new.csv", index=False)

    def cautions(scored: list[str]) -> list[str]:
        frame = pd.DataFrame({"customer": scored, "score": rng.random(len(scored))})
        frame.to_csv(party / "scores.csv", index=False)
        return monitor(model, party / "model", str(party / "new.csv"), party / "scores.csv")["cautions"]

    assert cautions(ids) == cautions(ids[::-1]) == []
    (other,) = cautions([*ids[:490], *(f"B-{i:04}" for i in range(10))])
    assert other.startswith("10 of the 500 rows of the table have no line in the file of scores: --scores takes")
    (fewer,) = cautions(ids[:300])
    assert fewer.startswith("200 of the 500 rows")
    (more,) = cautions([*ids, "C-1"])
    assert more.startswith("the file of scores has 501 lines and the table 500 rows")
    assert not any(word in text for text in (other, fewer, more) for word in ("A-", "B-", "C-"))  # no id
    (rows,) = run(party, table(), pd.Series(rng.random(400)))["cautions"]  # of a table without ids
    assert rows.startswith("the file of scores has 400 lines and the table 500 rows")
    assert run(party, table(), pd.Series(rng.random(500)))["cautions"] == []


JOB = """
name = "first"
version = 1
parties = { guest = "bank", hosts = ["telecom"], arbiter = "trustco" }
align = { keys = [["customer"]] }
model = { kind = "logistic-regression" }
disclosure = { allow = ["intersection-to-parties", "edge-count-to-arbiter", "scores-to-guest"] }
"""


def test_the_table_of_the_training_itself_is_named(party: Path) -> None:
    """By its digest, wherever ids and label stand; a table with one other value is another one."""
    mine, ids = load_party(party / "party.toml"), [f"A-{i:04}" for i in range(300)]
    trained = table(300).drop(columns="region").assign(customer=ids, default=np.arange(300) % 2)
    trained.to_csv(party / "customers.csv", index=False)
    (party / "job.toml").write_text(JOB)
    job = load_job(party / "job.toml")
    assert mine.data is not None
    digest = read_table(job, mine, mine.data)[1].digest().hex()
    told = {"format": 1, "job_file": json.loads(job.canonical), "inputs": {"own table": digest}}
    Baseline.of("bank", b"m" * 16, trained[["age", "late"]]).save(party / "model")

    def cautions(frame: pd.DataFrame) -> list[str]:
        frame.to_csv(party / "new.csv", index=False)
        return monitor(mine, party / "model", str(party / "new.csv"))["cautions"]

    assert monitor(mine, party / "model")["cautions"] == []  # no report tells
    (party / "report.json").write_text(json.dumps(told))
    assert monitor(mine, party / "model")["cautions"] == [TRAINED]
    assert cautions(trained[["customer", "age", "default", "late"]]) == [TRAINED]
    assert cautions(trained.assign(late=[*trained["late"][:-1], 9])) == []
    assert cautions(trained.drop(columns="default")) == []
    text = io.StringIO()
    print_monitor(monitor(mine, party / "model"), Console(file=text, width=200))
    assert f"caution: {TRAINED}" in text.getvalue()


def test_the_heading_says_which_rows_the_score_is_compared_with(party: Path) -> None:
    scores = pd.Series(np.random.default_rng(8).random(500))

    def shown(part: Any) -> str:
        model = Baseline.of("bank", b"m" * 16, table(), np.random.default_rng(2).random(300), score_of=part)
        model.save(party / "model")
        text = io.StringIO()
        found = run(party, table(), scores)
        print_monitor(found, Console(file=text, width=200))
        assert monitored(found).score_of == part
        return text.getvalue()

    assert "The joint score is compared" not in shown("train")
    assert "with that of the held-out rows, because training rows were not scored" in shown("test")
    assert "with that of the out-of-time rows" in shown("out_of_time")
    assert "with that of the rows that were scored in training" in shown(None)  # an earlier release
    assert run(party, table())["score_of"] is None


UNSOUND = (
    ([1.0], None, [1]),
    ([], None, [1, 1]),
    ([2.0, 1.0], None, [1, 1, 1, 1]),
    ([1.0], [1.0], [1, 1, 1]),
    (None, None, [1, 1]),
    (None, [1.0, "a"], [1, 1, 1, 1]),
    (None, [1.0], [1, -1, 0]),
)


def test_parts_that_are_not_ones_own_or_damaged_are_refused(party: Path) -> None:
    path = party / "model" / "baseline.json"
    assert path.stat().st_mode & 0o777 == 0o600
    good = json.loads(path.read_text())
    damaged = {
        "is damaged": ["{", "[]", json.dumps(good | {"more": 1}), *(json.dumps(good | {"columns": {"a": {"edges": e, "values": v, "counts": c}}}) for e, v, c in UNSOUND)],  # noqa: E501
        "another format": [json.dumps(good | {"format": 2})],
        "the part of another party": [json.dumps(good | {"party": "telecom"})],
    }  # fmt: skip
    for words, contents in damaged.items():
        for content in contents:
            path.write_text(content)
            with pytest.raises(ModelError, match=words):
                run(party, table())
    path.unlink()
    with pytest.raises(ModelError, match=r"has no baseline\.json"):
        load_baseline(party / "model")


@pytest.mark.parametrize("width", [80, 120])
def test_names_and_numbers_of_a_table_are_not_broken(width: int) -> None:
    """Of a name that is too long, the parts between underscores are not."""
    names = ["payment_status_september_2005", "monthly_household_income_after_tax_and_rent", "x" * 35]
    one = {"psi": 0.312, "expected": 0.012, "mark": "shifted", "missing_before": 0.013, "missing": 0.241}
    text = io.StringIO()
    lines = [{"column": name, "rows": 123_456} | one for name in names]
    found = {"columns": lines, "score": None, "score_of": None, "cautions": []}
    print_monitor(found, Console(file=text, width=width))
    lines = [line.split() for line in text.getvalue().splitlines()]
    numbers = ["0.312", "0.012", "shifted", "1.3", "%", "24.1", "%", "123,456"]
    if width == 80:
        assert [names[0], *numbers] in lines
        at = lines.index(["monthly_household_income_", *numbers])
        assert lines[at + 1] == ["after_tax_and_rent"]
    else:
        assert all([name, *numbers] in lines for name in names)
    assert all(len(line) <= width for line in text.getvalue().splitlines())


def test_the_table_and_both_files_hold_the_numbers(party: Path) -> None:
    found = run(party, table(shift=1, seed=2), pd.Series(np.linspace(0, 1, 50)))
    text = io.StringIO()
    print_monitor(found, Console(file=text, width=120))
    lines = [line.split() for line in text.getvalue().splitlines()]
    assert [
        "age",
        f"{by_column(found)['age']['psi']:.3f}",
        f"{by_column(found)['age']['expected']:.3f}",
        "shifted",
        "0.0",
        "%",
        "0.0",
        "%",
        "500",
    ] in lines
    narrow = io.StringIO()
    print_monitor(found, Console(file=narrow, width=80))
    assert len([line for line in narrow.getvalue().splitlines() if line.split()[:1] == ["age"]]) == 1
    assert "  shifted " in next(line for line in narrow.getvalue().splitlines() if line.split()[:1] == ["age"])
    assert [line[0] for line in lines if line and line[0] in ("joint", "age", "late", "region")][:2] == ["joint", "age"]
    write_monitor(found, party / "m.json")
    assert json.loads((party / "m.json").read_text()) == found
    write_monitor(found, party / "m.csv")
    rows = list(csv.DictReader(io.StringIO((party / "m.csv").read_text())))
    assert [r["column"] for r in rows] == ["age", "late", "region", "joint score"]
    assert float(rows[0]["psi"]) == by_column(found)["age"]["psi"]
    for suffix, read in ((".parquet", pd.read_parquet), (".feather", pd.read_feather)):
        write_monitor(found, party / f"m{suffix}")
        assert read(party / f"m{suffix}").to_dict("records")[0]["psi"] == by_column(found)["age"]["psi"]
    with pytest.raises(ConfigError, match=r"suffix \.txt is not known.*End its name in \.json, \.csv"):
        monitor(load_party(party / "party.toml"), party / "model", out=party / "m.txt")  # before the table is read
    assert all(path.stat().st_mode & 0o077 == 0 for path in party.glob("m.*"))
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        write_monitor(found, party / "nowhere" / "m.csv")
    assert "[run]" not in str(caught.value)
    assert "Name a file in a folder" in str(caught.value)


def test_columns_are_described_as_pandas_describes_them() -> None:
    frame = table()
    frame.loc[:49, "age"] = np.nan
    age, _, region = describe(frame)
    assert age["missing"] == pytest.approx(0.1)
    expected = frame["age"].describe(percentiles=[0.05, 0.5, 0.95])
    assert (age["type"], age["distinct"]) == ("number", 450)
    assert [age["mean"], age["p5"], age["median"], age["p95"]] == pytest.approx(
        list(expected[["mean", "5%", "50%", "95%"]])
    )
    assert age["sd"] == pytest.approx(frame["age"].std(ddof=0))
    assert (region["type"], region["distinct"], "mean" in region) == ("text", 2, False)
    assert compare(Baseline.of("bank", b"", frame), frame)["columns"][0]["psi"] == 0


def test_codes_are_what_they_were_in_training(party: Path) -> None:
    """A new file without the one code that is no number: 01 stays 01."""
    codes = table().assign(region=np.where(np.arange(500) % 10 == 0, "A1", "01"))
    Baseline.of("bank", b"m" * 16, codes).save(party / "model")
    found = by_column(run(party, codes[codes["region"] == "01"]))["region"]
    assert dict(zip(found["bins"], found["now"], strict=True)) == {"01": 450, "A1": 0, "others": 0, "missing": 0}
