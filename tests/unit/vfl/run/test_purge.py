"""`vfl purge`: what goes, what stays and why; nothing goes unless it is asked for."""

from __future__ import annotations

import contextlib
import datetime
import json
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from protocols.errors import ConfigError
from vfl.job import Party, load_party
from vfl.job.setup import init_party
from vfl.run import purge
from vfl.run.budget.table import MODELS, RUNS, BudgetFile
from vfl.storage.run_store import RunFacts, RunStore
from vfl.storage.runs import listed

DAY = datetime.date(2026, 3, 1)
FACTS = RunFacts("1", "run", bytes(32), bytes(32), bytes(16), bytes(32), "2026-01-01T00:00:00+00:00")


@pytest.fixture
def bank(tmp_path: Path) -> Party:
    """With an old and a new run, each with scores of the same three customers."""
    init_party(tmp_path / "bank", "guest", "bank")
    ids = pd.DataFrame({"national_id": ["00-17", "00-18", "00-19"], "score": [0.1, 0.2, 0.3]})
    ids.assign(default=[0, 1, 0]).to_csv(tmp_path / "bank" / "customers.csv", index=False)
    for name in ("credit-20260101-090000", "predict-credit-20260401-090000"):
        folder = tmp_path / "bank" / "runs" / name
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "weights.safetensors").write_bytes(b"w")
        job = {"align": {"normalise": {"national_id": "digits"}}}
        (folder / "report.json").write_text(json.dumps({"job_file": job}))
        for file in ("ledger.jsonl", "signatures.json", "events.jsonl"):
            (folder / file).write_text("{}\n")
        ids.to_csv(folder / "scores.csv", index=False)
        ids.to_parquet(folder / "aligned.parquet", index=False)
    ids.to_feather(folder / "scores.feather")
    return load_party(tmp_path / "bank" / "party.toml")


def files(party: Party) -> set[str]:
    runs = party.run.directory
    return {str(path.relative_to(runs)) for path in runs.rglob("*") if path.is_file()}


def test_old_runs_go_but_for_their_record(bank: Party) -> None:
    before = files(bank)
    asked = purge.purge_runs(bank.run.directory, DAY, models=False, erase=False)
    assert files(bank) == before
    done = purge.purge_runs(bank.run.directory, DAY, models=False, erase=True)
    assert (asked.erased, asked.kept) == (done.erased, done.kept)
    left = {name for name in files(bank) if name.startswith("credit-2026")}
    old = "credit-20260101-090000"
    assert left == {f"{old}/ledger.jsonl", f"{old}/signatures.json", f"{old}/model/weights.safetensors"}
    assert {name for name in before if name.startswith("predict")} <= files(bank)
    assert all(why for why in done.kept.values())
    assert [run.outcome for run in listed(bank.run.directory)] == ["purged", "done"]
    purge.purge_runs(bank.run.directory, DAY, models=True, erase=True)
    assert not any("credit-20260101-090000/model" in name for name in files(bank))


def test_secrets_of_an_unfinished_run_go_and_a_run_under_way_stays(bank: Party) -> None:
    folder = bank.run.directory / "credit-20260101-090000"
    store = RunStore(folder, FACTS)
    assert list(purge.purge_runs(bank.run.directory, DAY, True, erase=True).kept.values()) == ["a process runs it now"]
    assert (folder / "scores.csv").exists()
    store.close()
    purge.purge_runs(bank.run.directory, DAY, True, erase=True)
    assert not (folder / "run.sqlite").exists()


def test_budgets_of_past_months_go_and_those_for_good_stay(bank: Party) -> None:
    now = datetime.datetime.now(datetime.UTC)
    file = BudgetFile(bank.run.directory)
    with file.opened() as counts:
        for period in ("2026-01", "2026-03", f"{now:%Y-%m}"):
            counts.add(RUNS, "telecom", period, 1, 20)
        counts.add(MODELS, "telecom", "labels x", 1, 20)
    purge.purge_budgets(bank.run.directory, DAY, erase=False)
    purge.purge_budgets(bank.run.directory, DAY, erase=True)
    with contextlib.closing(sqlite3.connect(file.path)) as store:
        assert {row[0] for row in store.execute("SELECT period FROM budget")} == {"2026-03", f"{now:%Y-%m}", "labels x"}
    purge.purge_budgets(bank.run.directory, datetime.date(2999, 1, 1), erase=True)  # this month still limits
    with contextlib.closing(sqlite3.connect(file.path)) as store:
        assert {row[0] for row in store.execute("SELECT period FROM budget")} == {f"{now:%Y-%m}", "labels x"}


def test_one_customer_goes_from_every_table(bank: Party) -> None:
    """Compared as the runs compare ids: by digits."""
    rules = purge.rules_of(bank)
    assert rules == {"national_id": "digits"}
    asked = purge.purge_customer(bank, {"national_id": "0018"}, rules, erase=False)
    assert len(asked.erased) == 5
    assert all("00-18" in path.read_text() for path in bank.run.directory.rglob("scores.csv"))
    done = purge.purge_customer(bank, {"national_id": "0018"}, rules, erase=True)
    assert asked.erased == done.erased
    for path in (p for p in bank.run.directory.rglob("*") if p.stem in ("scores", "aligned")):
        read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".feather": pd.read_feather}[path.suffix]
        assert read(path)["national_id"].tolist() == ["00-17", "00-19"], path
        assert path.stat().st_mode & 0o077 == 0
    assert done.kept["data.source"].startswith("1 row of this customer")
    assert {"partners", "model parts", "budget.sqlite", "transcript.bin"} <= set(done.kept)
    assert "0018" not in repr(done)
    assert purge.purge_customer(bank, {"national_id": "0018"}, rules, erase=True).erased == {}


def test_an_id_that_is_none_is_refused_without_its_value(bank: Party) -> None:
    with pytest.raises(ConfigError) as refused:
        purge.purge_customer(bank, {"national_id": "CANARY"}, purge.rules_of(bank), erase=True)
    assert "CANARY" not in str(refused.value)
