"""What each budget counts, over runs, partners, labels and columns; that a refusal counts nothing; and that an earlier
release's counts are not lost."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from protocols.errors import ConfigError, DisclosureRefused
from tests.unit.vfl.run.budget.test_label_budget import ROWS, table
from vfl.data import Table
from vfl.job import Party, load_party
from vfl.job.setup import init_party
from vfl.run.budget import Budget, Opened, Spread
from vfl.run.budget import disclosed as disclosures
from vfl.run.budget.disclosed import RunAllowance
from vfl.run.budget.labels import paired

LABELS = table()
COLUMNS = ("a", "b", "c", "d")


def now() -> datetime.datetime:
    """Not of the import: a suite may run over the end of a month."""
    return datetime.datetime.now(datetime.UTC)


def month() -> str:
    return f"{now():%Y-%m}"


@pytest.fixture
def party(tmp_path: Path) -> Callable[..., Party]:
    def party(role: Any = "guest", **policy: Any) -> Party:
        name = {"guest": "bank", "host": "telecom", "arbiter": "trustco"}[role]
        if not (tmp_path / name).exists():
            init_party(tmp_path / name, role, name)
        found = load_party(tmp_path / name / "party.toml")
        found.run.directory.mkdir(exist_ok=True)
        return found.model_copy(update={"policy": found.policy.model_copy(update=policy)})

    return party


def stored(party: Party) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(party.run.directory / "budget.sqlite")) as store:
        return store.execute("SELECT * FROM budget ORDER BY 1, 2, 3").fetchall()


def named(number: int) -> bytes:
    return number.to_bytes(16, "big")


def at_guest(party: Party, run: int, labels: Table = LABELS) -> RunAllowance:
    return Budget(party, "run", labels, guest="bank").allowance(named(run), ["telecom"])


def at_host(party: Party, run: int) -> RunAllowance:
    return Budget(party, guest="bank").allowance(named(run))


def refused(call: Callable[..., object], *arguments: object) -> DisclosureRefused:
    with pytest.raises(DisclosureRefused) as caught:
        call(*arguments)
    assert caught.value.exit_code == 6
    assert "or, if the person responsible for this party's data agrees," in caught.value.remedy
    return caught.value


def test_runs_and_predictions_have_a_budget_each(party: Callable[..., Party]) -> None:
    bank = party(runs_per_partner_per_month=2, predictions_per_partner_per_month=1)
    for number, purpose in enumerate(["run", "align", "predict"]):
        Budget(bank, purpose).charge(["telecom", "shop"], named(number), now())
    before = stored(bank)
    assert before == [
        ("predictions_per_partner_per_month", "shop", month(), 1, 1),
        ("predictions_per_partner_per_month", "telecom", month(), 1, 1),
        ("runs_per_partner_per_month", "shop", month(), 2, 2),
        ("runs_per_partner_per_month", "telecom", month(), 2, 2),
    ]
    for purpose, key in (("run", "runs"), ("align", "runs"), ("predict", "predictions")):
        error = refused(Budget(bank, purpose).check, ["telecom"])
        assert f"with telecom this month, and policy.{key}_per_partner_per_month is" in error.what
        assert error.remedy.startswith("Wait for the next month")
        refused(Budget(bank, purpose).charge, ["telecom", "other"], named(9), now())
    assert stored(bank) == before  # nothing was counted with the other one
    Budget(bank, "run").charge(["other"], named(9), now())


def test_nothing_is_made_where_nothing_was_counted(party: Callable[..., Party]) -> None:
    bank = party()
    Budget(bank, "run", LABELS).check(["telecom"])
    assert Budget(bank).used("telecom") == 0
    assert not (bank.run.directory / "budget.sqlite").exists()


def test_numbers_computed_from_labels_add_up_over_hosts_and_runs(party: Callable[..., Party]) -> None:
    bank = party()  # 50 rows per number: 40 of these 2,000 rows
    at_guest(bank, 1).label_numbers("weights", {"telecom": 12, "shop": 12}, ROWS)
    at_guest(bank, 1).label_numbers("weights", {"telecom": 12, "shop": 12}, ROWS)  # the run resumes
    at_guest(bank, 1).label_numbers("bins", {"telecom": 10}, ROWS)
    before = stored(bank)
    for labels in (LABELS, table(slice(1, ROWS)), table(changed=ROWS // 5)):
        error = refused(at_guest(bank, 2, labels).label_numbers, "weights", {"telecom": 4, "shop": 3}, ROWS)
        said = (
            "shop and telecom would learn 7 numbers computed from these labels (weights), hosts learnt 34 "
            "before, and 2000 training rows"
        )
        assert f"bank: {said} allow 40: policy.rows_per_label_number is 50" == error.what
        assert "lower policy.rows_per_label_number" in error.remedy
    assert stored(bank) == before
    at_guest(bank, 2).label_numbers("weights", {"shop": 6}, ROWS)
    at_guest(bank, 3, table(slice(ROWS, 2 * ROWS))).label_numbers("weights", {"telecom": 40}, ROWS)  # other labels
    refused(at_guest(party(rows_per_label_number=51), 4).label_numbers, "weights", {"telecom": 1}, ROWS)
    at_guest(party(rows_per_label_number=25), 4).label_numbers("weights", {"telecom": 40}, ROWS)


def test_score_vectors_add_up_over_models_of_the_same_columns(party: Callable[..., Party]) -> None:
    telecom = party("host")  # half of four columns: two
    at_host(telecom, 1).score_vectors(named(1), 1, COLUMNS)
    for run in (1, 2, 3):  # the model counts once, whatever it scores
        at_host(telecom, run).score_vectors(named(1), 1, COLUMNS)
    for columns in (COLUMNS, ("d", "e", "f", "g"), COLUMNS[::-1]):
        error = refused(at_host(telecom, 4).score_vectors, named(2), 2, columns)
        said = (
            "1 score vectors of these 4 columns were opened to bank, this run opens 2 more, and "
            "policy.score_vectors is 2"
        )
        assert error.what == f"telecom: {said}"
    at_host(telecom, 4).score_vectors(named(2), 2, ("e", "f", "g", "h"))  # other columns
    at_host(telecom, 5).score_vectors(named(3), 1, COLUMNS)
    refused(at_host(telecom, 6).score_vectors, named(4), 1, COLUMNS)
    refused(at_host(telecom, 6).score_vectors, named(4), 1, (*COLUMNS, "h"))  # one of each set
    at_host(party("host", score_vectors=3), 6).score_vectors(named(4), 1, COLUMNS)
    refused(at_host(party("host", score_vectors=3), 7).score_vectors, named(5), 1, COLUMNS)


def test_a_search_counts_for_itself_and_once(party: Callable[..., Party]) -> None:
    telecom = party("host", score_vectors=5)
    for _ in range(2):
        at_host(telecom, 1).score_vectors(b"", 3, COLUMNS)
    refused(at_host(telecom, 2).score_vectors, b"", 3, COLUMNS)
    at_host(telecom, 1).score_vectors(named(1), 1, COLUMNS)
    at_host(telecom, 2).score_vectors(b"", 1, COLUMNS)


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_few_columns_have_one_vector(party: Callable[..., Party], columns: int) -> None:
    at_host(party("host"), 1).score_vectors(named(1), 1, COLUMNS[:columns])
    refused(at_host(party("host"), 1).score_vectors, named(2), 1, COLUMNS[:columns])


def test_what_a_job_is_going_to_open_is_refused_before_anything_is_sent(party: Callable[..., Party]) -> None:
    telecom = party("host")
    Budget(telecom, opened=Opened(2, COLUMNS), guest="bank").check(["bank"])
    refused(Budget(telecom, opened=Opened(3, COLUMNS), guest="bank").check, ["bank"])
    at_host(telecom, 1).score_vectors(named(7), 2, COLUMNS)
    refused(Budget(telecom, opened=Opened(1, COLUMNS), guest="bank").check, ["bank"])
    Budget(telecom, "predict", opened=Opened(2, COLUMNS, named(7)), guest="bank").check(
        ["bank"]
    )  # a model that was counted


def test_a_row_is_scored_as_often_as_agreed_by_each_model_in_a_month(
    party: Callable[..., Party], monkeypatch: pytest.MonkeyPatch
) -> None:
    telecom, rows = party("host"), [b"canary-%d" % k for k in range(1000)]
    at_host(telecom, 1).rows_scored(named(1), "new rows", rows[:600])
    at_host(telecom, 1).rows_scored(named(1), "new rows", rows[:600])  # the run resumes
    error = refused(at_host(telecom, 2).rows_scored, named(1), "new rows", rows[590:])
    said = (
        "10 of the rows to be scored were scored by this model for bank 1 times this month, and "
        "policy.scores_per_row is 1"
    )
    assert error.what == f"telecom: {said}"
    assert error.remedy.endswith("so it counts in its budget all the same")
    assert error.about == "policy.scores_per_row"
    at_host(telecom, 2).rows_scored(named(1), "new rows", rows[600:])  # nothing of the refused batch was counted
    at_host(telecom, 3).rows_scored(named(2), "new rows", rows)  # another model
    at_host(telecom, 7).rows_scored(named(8), "new rows", rows[:5], ever=True)  # a network
    twice = party("host", scores_per_row=2)
    at_host(twice, 4).rows_scored(named(1), "new rows", rows[:3])
    refused(at_host(twice, 5).rows_scored, named(1), "new rows", rows[2:3])
    assert ("scores_per_row", "bank", month(), 2, 2) in stored(telecom)
    assert b"canary" not in (telecom.run.directory / "budget.sqlite").read_bytes()

    later = (now() + datetime.timedelta(days=32)).timestamp()

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Later:
            return cls.fromtimestamp(later, tz)

    monkeypatch.setattr(disclosures.datetime, "datetime", Later)
    at_host(telecom, 6).rows_scored(named(1), "new rows", rows)
    for when in (later, later + 32 * 86400):
        later = when
        again = functools.partial(at_host(telecom, 8).rows_scored, ever=True)
        lasting = refused(again, named(8), "new rows", rows[4:6])
        assert "1 times, and policy.scores_per_row is 1" in lasting.what
        assert "train a new model" in str(lasting)
    assert ("scores_per_row", "bank", "lifetime", 1, 1) in stored(telecom)
    with contextlib.closing(sqlite3.connect(telecom.run.directory / "budget.sqlite")) as store:
        assert store.execute("SELECT count(*), max(used) FROM scored").fetchone() == (
            1005,
            1,
        )  # a month that is over is dropped, and no count of a network


def test_the_length_of_a_partners_list_is_bounded(party: Callable[..., Party]) -> None:
    own = at_host(party("host"), 1)
    own.partner_rows("bank", 500, 100)
    said = "telecom: the list of bank has 501 rows or more, and policy.max_partner_rows is 500"
    assert refused(own.partner_rows, "bank", 501, 100).what == said
    at_host(party("host", max_partner_rows=501), 1).partner_rows("bank", 501, 100)
    batch = Budget(party("guest"), "predict", guest="bank", rows=200).allowance(named(1))
    batch.partner_rows("telecom", 1000, 1)  # a row is scored, and the model was trained on a table of 200
    assert "max_partner_rows is 1000" in refused(batch.partner_rows, "telecom", 1001, 1).what
    batch.partner_rows("telecom", 1500, 300)
    at_host(party("arbiter"), 1).partner_rows("bank", 10**9, 0)  # an arbiter has no rows to compare with
    refused(at_host(party("arbiter", max_partner_rows=99), 1).partner_rows, "bank", 100, 0)


def earlier_release(path: Path, key: bytes) -> None:
    """As release 0.1.0 before 'budget' wrote it: three runs and a prediction, of which one is of another month, and two
    models."""
    rows = [
        (f"{month()}-03T10:00:00+00:00", "telecom", "risk", "run"),
        (f"{month()}-04T10:00:00+00:00", "telecom", "risk", "align"),
        (f"{month()}-05T10:00:00+00:00", "telecom", "risk", "predict"),
        ("2001-01-01T10:00:00+00:00", "telecom", "risk", "run"),
    ]
    sketch = paired(LABELS, key)
    with contextlib.closing(sqlite3.connect(path)) as store, store:
        store.execute(
            "CREATE TABLE runs (time TEXT NOT NULL, partner TEXT NOT NULL, job TEXT NOT NULL, purpose TEXT NOT NULL)"
        )
        store.execute(
            "CREATE TABLE models (time TEXT NOT NULL, partner TEXT NOT NULL, job TEXT NOT NULL, sketch BLOB NOT NULL)"
        )
        store.execute("CREATE TABLE salt (value TEXT NOT NULL)")
        store.execute("CREATE TABLE counted (run BLOB PRIMARY KEY)")
        store.executemany("INSERT INTO runs VALUES (?, ?, ?, ?)", rows)
        store.executemany("INSERT INTO models VALUES (?, ?, ?, ?)", [(rows[0][0], "telecom", "risk", sketch)] * 2)
        store.execute("INSERT INTO salt VALUES (?)", (key.hex(),))
        store.execute("INSERT INTO counted VALUES (?)", (named(1),))


def test_what_an_earlier_release_counted_goes_on_to_count(party: Callable[..., Party]) -> None:
    bank = party(runs_per_partner_per_month=3, predictions_per_partner_per_month=1, models_per_label=3)
    path = bank.run.directory / "budget.sqlite"
    earlier_release(path, bytes(range(32)))
    assert Budget(bank).used("telecom") == 2
    refused(Budget(bank, "predict").check, ["telecom"])
    for run, used in ((1, 2), (2, 3)):  # the first was counted under this name
        Budget(bank, "run", LABELS).charge(["telecom"], named(run), now())
        at_guest(bank, run).training({}, 0)
        assert Budget(bank).used("telecom") == used
    more = party(runs_per_partner_per_month=9, models_per_label=3)
    assert "3 models of these labels" in refused(Budget(more, "run", LABELS).check, ["telecom"]).what
    with contextlib.closing(sqlite3.connect(path)) as store:
        assert not {"runs", "models", "counted"} & {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
        assert store.execute("SELECT sum(used) FROM budget WHERE period = '2001-01'").fetchone() == (1,)


TOLD = {"weights": {"telecom": 12}, "iterations": {"telecom": 1}}


def counted(party: Party) -> dict[str, int]:
    return {kind: used for kind, _, _, used, _ in stored(party)}


def test_a_training_counts_models_and_numbers_once_and_its_preparation_none(party: Callable[..., Party]) -> None:
    bank = party()
    Budget(bank, "run", LABELS).charge(["telecom"], named(1), now())
    runs = {"runs_per_partner_per_month": 1}
    at_guest(bank, 1).training(TOLD, ROWS, begins=False)
    assert counted(bank) == runs
    for _ in range(2):  # the second: the run resumes
        at_guest(bank, 1).training(TOLD, ROWS)
        at_guest(bank, 1).training({}, 0)
    assert counted(bank) == runs | {"models_per_label": 1, "rows_per_label_number": 13}


@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("policy", [{"rows_per_label_number": ROWS // 12}, {"models_per_label": 1}])
def test_a_training_that_is_refused_counts_nothing(
    party: Callable[..., Party], begins: bool, policy: dict[str, int]
) -> None:
    """Neither its model, nor the first numbers where the next are one too many; its preparation is refused too."""
    first, bank = party(), party(**policy)
    at_guest(first, 1).training({}, 0)
    before = stored(first)
    error = refused(lambda: at_guest(bank, 2).training(TOLD, ROWS, begins=begins))
    assert error.about == f"policy.{next(iter(policy))}"
    assert stored(bank) == before


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE budget",
        "PRAGMA user_version = 7",
        "UPDATE salt SET value = 'no key'",
        "UPDATE labels SET sketch = substr(sketch, 2)",
    ],
)
def test_a_file_that_is_not_understood_stops_the_run(party: Callable[..., Party], statement: str) -> None:
    bank = party()
    at_guest(bank, 1).training({}, 0)
    with contextlib.closing(sqlite3.connect(bank.run.directory / "budget.sqlite")) as store, store:
        store.execute(statement)
    with pytest.raises(ConfigError, match="cannot be read or written"):
        Budget(bank, "run", LABELS).check(["telecom"])


def test_each_budget_is_explained_in_a_sentence(party: Callable[..., Party]) -> None:
    bank, telecom = party(), party("host")
    Budget(bank, "run", LABELS).charge(["telecom"], named(1), now())
    at_guest(bank, 1).training({"weights": {"telecom": 9}}, ROWS)
    at_host(telecom, 1).score_vectors(named(1), 1, ("age",))
    said = "\n".join(Budget(bank, "run", LABELS).explained(["telecom", "shop"], LABELS))
    assert "policy.runs_per_partner_per_month is 20: runs left this month: 19 with telecom, 20 with shop" in said
    assert (
        "policy.predictions_per_partner_per_month is 200: predictions left this month: 200 with telecom, 200 with shop"
        in said
    )
    assert (
        "policy.models_per_label is 20: models of these labels so far: 1 with telecom, 0 with shop; this job adds 1"
        in said
    )
    told = "with 2,000 training rows hosts may learn 40 numbers computed from these labels; they have learnt 9"
    assert f"policy.rows_per_label_number is 50: {told}" in said
    more = Budget(bank, "run", LABELS).explained(["telecom"], LABELS, "1 for each host")
    assert any(line.endswith(f"{told}; this job adds 1 for each host") for line in more)
    assert "policy.max_partner_rows is 10,000: a partner with a longer list of ids is refused" in said
    host = Budget(telecom, opened=Opened(1, ("age",)), guest="bank").explained(
        ["bank"], dataclasses.replace(LABELS, label=None)
    )
    assert any(
        "policy.score_vectors is 1 for 1 own column: 1 score vector so far to bank; this job opens 1" in line
        for line in host
    )
    times = "policy.scores_per_row is 1: the number of times that a model scores the same row for bank"
    assert f"{times} per month" in host
    network = Budget(telecom, opened=Opened(1, ("age",), ever=True), guest="bank")
    told = network.explained(["bank"], dataclasses.replace(LABELS, label=None))
    assert f"{times} as long as the model exists" in told


EIGHT = dataclasses.replace(LABELS, label=None, features=pd.DataFrame(0.0, LABELS.features.index, list("abcdefgh")))


def test_predictions_go_by_the_table_that_the_model_was_trained_on(party: Callable[..., Party]) -> None:
    telecom, columns = party("host"), tuple("abcdefgh")
    alike = Budget(telecom, opened=Opened(0, columns, spread=Spread(1, 0.4)), guest="bank")
    alike.check(["bank"])
    alike.charge(["bank"], named(1), now())
    at_host(telecom, 1).score_vectors(named(1), 1, columns[:6])
    error = refused(at_host(telecom, 2).score_vectors, named(2), 1, columns[:6])
    assert "policy.score_vectors is 1" in error.what
    refused(Budget(telecom, opened=Opened(1, columns, spread=Spread(1, 0.4)), guest="bank").check, ["bank"])
    at_host(party("host", score_vectors=2), 3).score_vectors(named(3), 1, columns)
    apart = Budget(
        party("host"), opened=Opened(1, columns, spread=Spread(3, 0.2)), guest="bank"
    )  # the table has changed since
    apart.charge(["bank"], named(4), now())
    apart.allowance(named(4)).score_vectors(named(4), 1, columns)
    assert any("policy.score_vectors is 3 for 8 own columns" in line for line in apart.explained(["bank"], EIGHT))


def test_columns_that_are_nearly_one_are_pointed_out(party: Callable[..., Party]) -> None:
    said = Budget(party("host"), opened=Opened(1, tuple("abcdefgh"), spread=Spread(1, 0.63)), guest="bank").explained(
        ["bank"], EIGHT
    )
    assert any("a single score vector can reveal up to 63% of their variance to bank" in line for line in said)


def test_a_file_of_the_format_before_is_taken_over(party: Callable[..., Party]) -> None:
    telecom = party("host")
    at_host(telecom, 1).score_vectors(named(1), 2, COLUMNS)
    with contextlib.closing(sqlite3.connect(telecom.run.directory / "budget.sqlite")) as store, store:
        store.execute("ALTER TABLE columns DROP COLUMN most")
        store.execute("PRAGMA user_version = 2")
    refused(at_host(telecom, 2).score_vectors, named(2), 1, COLUMNS)
    Budget(telecom, opened=Opened(0, COLUMNS, spread=Spread(1, 0.4)), guest="bank").charge(["bank"], named(3), now())
