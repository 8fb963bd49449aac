"""Tables as institutions bring them: types that stay, refusals with row numbers, and ids that can be compared by
phone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.cipher import Identity
from protocols.errors import DataError
from protocols.local import run_local
from tests.promises.processes.institutions import KEY, Ended, Institutions, tables
from tests.promises.processes.test_continued_trees import go_on
from tests.promises.processes.test_predict import predicted
from tests.promises.processes.test_three_processes import prepared
from vfl.job import PERMITS, load_job, load_party
from vfl.models.part_files import load_part, save_part
from vfl.run.own_table import read_table
from vfl.run.train import prepare, program

ROWS = 200
TREES = {"kind": "boosted-trees", "n_estimators": 2, "max_depth": 2, "max_bin": 8, "min_bin_rows": 5}


def laid_out(parties: Institutions, **columns: object) -> dict[str, pd.DataFrame]:
    """A job for trees; columns: of the bank's table."""
    data = tables(ROWS, 3, overlap=1.0)
    data["bank"] = data["bank"].assign(**columns)
    parties.lay_out(data, settings={"allow": tuple(PERMITS)}, **TREES)
    return data


def codes() -> dict[str, object]:
    """Codes with leading zeros and truth values, among them a few that are neither."""
    rng = np.random.default_rng(1)
    return {
        "canarybranch": rng.choice(["01", "02", "007", "A1"], ROWS, p=[0.3, 0.3, 0.3, 0.1]),
        "canarypaid": rng.choice(["TRUE", "FALSE", "UNKNOWN"], ROWS, p=[0.45, 0.45, 0.1]),
    }


def test_check_says_what_each_column_is_read_as_and_what_may_be_meant_otherwise(parties: Institutions) -> None:
    wild = np.where(np.arange(ROWS) == 4, 1e12, np.arange(ROWS) % 7)
    months = [f"{k % 12 + 1:02d}.{2020 + k % 3}" for k in range(ROWS)]
    data = laid_out(parties, **codes(), canarymonth=months)
    check(parties).says(3, "feature column 'canarymonth' holds months")
    rewritten(parties, data["bank"].drop(columns="canarymonth").assign(canarywild=wild, canaryagain=np.arange(ROWS)))
    told = " ".join(check(parties).out.split())
    assert "numbers: canaryage, canarylimit, canarywild, canaryagain categories, as written: canarybranch, " in told
    assert "column 'canaryagain': it numbers the rows" in told
    assert "'canarywild'" not in told  # trees bin it


def test_check_and_run_caution_of_values_far_out(parties: Institutions) -> None:
    data = tables(ROWS, 3, overlap=1.0)
    data["bank"]["canarylimit"] = np.where(np.arange(ROWS) == 4, 1e12, data["bank"]["canarylimit"])
    parties.lay_out(data)
    words = "column 'canarylimit': the value of row 5 lies far outside of all others"
    assert f"caution: {words}" in " ".join(check(parties).out.split())
    (said,) = (one for one in prepared(parties)["bank"].cautions if "canarylimit" in one)
    assert said.startswith(words)


def test_codes_do_not_change_with_the_file(parties: Institutions, tmp_path: Path) -> None:
    """A part of the file without the code A1, as CSV, as Parquet or row by row: the same features."""
    data = laid_out(parties, **codes())
    ready = prepared(parties)
    part = run_local(ready["bank"].roles, {n: program(one) for n, one in ready.items()}, Identity())["bank"].part
    job, party = load_job(parties.job), load_party(parties.file("bank"))
    save_part(part, tmp_path / "model", kind="boosted-trees", job_digest=job.digest)
    part, head = load_part(tmp_path / "model")
    assert head.schema is not None
    assert head.schema.types == {
        "canaryage": "number",
        "canarylimit": "number",
        "canarybranch": "text",
        "canarypaid": "text",
    }

    def read(frame: pd.DataFrame, name: str) -> pd.DataFrame:
        path = tmp_path / name
        frame.to_parquet(path, index=False) if name.endswith("parquet") else frame.to_csv(path, index=False)
        assert party.data is not None
        own = party.data.model_copy(update={"source": str(path)})
        return read_table(job, party, own, scored_by=part)[1].features

    new = data["bank"].drop(columns="canarylabel")
    every = read(new, "all.csv")
    few = new[new["canarybranch"].isin(["01", "02", "007"]) & new["canarypaid"].isin(["TRUE", "FALSE"])]
    assert len(few) > 50
    for name in ("few.csv", "few.parquet"):
        pd.testing.assert_frame_equal(read(few, name), every.loc[few.index].reset_index(drop=True))
    for row in few.index[:5]:
        pd.testing.assert_frame_equal(read(few.loc[[row]], "one.csv"), every.loc[[row]].reset_index(drop=True))
    assert set(read(few, "few.csv")["canarybranch"]) == {"01", "02", "007"}

    for column, cells, says in (
        ("canaryage", "-", "feature column 'canaryage' is not numeric in row 1"),
        ("canaryage", "1,200", "feature column 'canaryage' is not numeric in row 1"),
        ("canarylimit", "inf", "feature column 'canarylimit' has infinite values in row 1"),
        ("canarybranch", None, ""),
    ):
        spoilt = few.astype({column: object}).copy()
        spoilt.iloc[0, spoilt.columns.get_loc(column)] = cells
        if says:
            with pytest.raises(DataError, match=says):
                read(spoilt, "spoilt.csv")
        else:
            assert read(spoilt, "spoilt.csv")[column].isna().sum() == 1
    with pytest.raises(DataError, match="feature column 'canarypaid' is not in the table"):
        read(few.drop(columns="canarypaid"), "lacks.csv")


def test_a_continued_training_reads_codes_as_the_earlier_one(parties: Institutions) -> None:
    """On rows without the one code that is no number; the types of what is resumed are those of the same file."""
    data = laid_out(parties, **codes())
    ready = prepared(parties)
    found = run_local(ready["bank"].roles, {n: program(one) for n, one in ready.items()}, Identity())
    job = load_job(parties.job)
    for name in ("bank", "telecom"):
        run = parties.folder / name / "runs" / "earlier"
        run.mkdir(parents=True)
        save_part(found[name].part, run / "model", kind="boosted-trees", job_digest=job.digest)
    go_on(parties, found["bank"].part.model_id.hex(), n_estimators=3)
    few = data["bank"][data["bank"]["canarybranch"] != "A1"]
    rewritten(parties, few)
    table = prepare(load_job(parties.job), load_party(parties.file("bank"))).table
    assert table is not None
    assert table.features["canarybranch"].tolist() == few["canarybranch"].tolist()
    rewritten(parties, few.assign(canaryage="old"))
    with pytest.raises(DataError, match="feature column 'canaryage' is not numeric in rows 1, 2"):
        prepare(load_job(parties.job), load_party(parties.file("bank")))


def check(parties: Institutions, name: str = "bank") -> Ended:
    return parties.here("check", parties.job, parties.file(name))


def rewritten(parties: Institutions, frame: pd.DataFrame, **options: object) -> None:
    """Another table of the bank."""
    frame.to_csv(parties.folder / "bank" / "customers.csv", **({"index": False} | options))  # type: ignore[arg-type]


def test_a_row_number_is_no_feature(parties: Institutions) -> None:
    data = laid_out(parties)
    rewritten(parties, data["bank"].sort_values("canarylabel"), index=True)
    check(parties).says(3, "no name in the header: column 1 of the table", "index=False", r'exclude = \["Unnamed: 0"\]')
    parties.change("bank", "[data]", '[data]\nexclude = ["Unnamed: 0"]')
    assert check(parties).code == 0
    text = data["bank"].to_csv(index=False).replace("\n", ",\n")  # a comma at the end of each line
    (parties.folder / "bank" / "customers.csv").write_text(text)
    check(parties).says(3, "excluded column 'Unnamed: 0' is not in the table")
    parties.change("bank", 'exclude = ["Unnamed: 0"]', "")
    check(parties).says(3, "no name in the header: column 5 of the table")


def test_codes_that_are_read_as_numbers_are_told_by_name(parties: Institutions) -> None:
    """Only in `vfl check` of a file of texts: a frame holds numbers already."""
    data = laid_out(parties)
    codes = data["bank"].assign(canaryagency=[f"{k % 40:03d}" for k in range(len(data["bank"]))])
    rewritten(parties, codes)

    def told() -> str:
        found = check(parties)
        assert found.code == 0, found.err
        return " ".join((found.out + found.err).split())

    assert "column 'canaryagency' has numbers with leading zeros in rows 1, 2, 3, 4, 5 and 195 more" in told()
    assert 'data.types = { canaryagency = "category" }' in told()
    parties.change("bank", "[data]", '[data]\ntypes = { canaryagency = "number" }')
    assert "leading zeros" not in told()
    parties.change("bank", '{ canaryagency = "number" }', '{ canaryagency = "category" }')
    assert "leading zeros" not in told()
    rewritten(parties, data["bank"].assign(canaryagency=[k % 40 for k in range(len(data["bank"]))]))
    parties.change("bank", 'types = { canaryagency = "category" }', "")
    assert "leading zeros" not in told()


def test_one_spoilt_cell_makes_no_category(parties: Institutions) -> None:
    data = laid_out(parties)
    limit = data["bank"]["canarylimit"].astype(object)
    limit.iloc[17] = "-"
    rewritten(parties, data["bank"].assign(canarylimit=limit))
    check(parties).says(3, "feature column 'canarylimit' holds numbers, except in row 18", r'missing = \["-"\]')
    parties.change("bank", "[data]", '[data]\nmissing = ["-"]')
    assert check(parties).code == 0
    parties.change("bank", 'missing = ["-"]', 'types = { canarylimit = "number" }')
    check(parties).says(3, "feature column 'canarylimit' is not numeric in row 18", "data.missing")
    parties.change("bank", '"number"', '"category"')
    assert check(parties).code == 0  # as asked for


def test_ids_have_shapes_that_two_people_can_compare(parties: Institutions) -> None:
    data = laid_out(parties)
    said = check(parties)
    assert f"ids '{KEY}'" in said.out
    assert f"AAAAAA-99999: {ROWS} rows" in said.out
    assert "drops letters" not in said.out
    parties.job.write_text(parties.job.read_text().replace(f'"{KEY}" = "text"', f'"{KEY}" = "digits"'))
    parties.job.write_text(parties.job.read_text().replace(f'{KEY} = "text"', f'{KEY} = "digits"'))
    said = check(parties)
    assert f"caution: id column '{KEY}': \"digits\" drops letters in {ROWS} rows" in " ".join(said.out.split())
    rewritten(parties, data["bank"].assign(**{KEY: [*data["bank"][KEY][:-1], "1.23400E+07"]}))
    check(parties).says(3, f"id column '{KEY}' has texts like .* in row {ROWS}:", "would turn them into other ids")


def test_a_party_calls_the_key_as_its_own_table_does(parties: Institutions) -> None:
    data = laid_out(parties)
    rewritten(parties, data["bank"].rename(columns={KEY: "KUNDENNR"}))
    check(parties).says(3, f"id column '{KEY}' is not in the table, which has 'KUNDENNR'")
    parties.change("bank", "[data]", f'[data]\nid_columns = {{ {KEY} = "KUNDENNR" }}')
    said = check(parties)
    assert said.code == 0
    assert f"AAAAAA-99999: {ROWS} rows" in said.out
    rewritten(parties, data["bank"].assign(KUNDENNR=data["bank"][KEY]))
    check(parties).says(3, f"has a column '{KEY}', and id_columns says that this key is in another one", "exclude")


@pytest.mark.slow
def test_a_customer_scores_the_same_in_a_part_of_the_file(parties: Institutions) -> None:
    """By three processes: all customers, then those without the one code that is no number."""
    data = laid_out(parties, **codes())
    models = parties.models(parties.done())
    new = data["bank"].drop(columns="canarylabel")
    few = new[new["canarybranch"].isin(["01", "02", "007"]) & new["canarypaid"].isin(["TRUE", "FALSE"])]
    data["telecom"].to_csv(parties.folder / "telecom" / "new.csv", index=False)
    found = []
    for rows in (new, few):
        rows.to_csv(parties.folder / "bank" / "new.csv", index=False)
        results = predicted(parties, models)
        assert {r.code for r in results.values()} == {0}, results
        found.append(pd.read_csv(results["bank"].folder / "scores.csv").set_index(KEY)["score"])
    pd.testing.assert_series_equal(found[0].loc[few[KEY]], found[1])
    assert found[0].nunique() > 3
