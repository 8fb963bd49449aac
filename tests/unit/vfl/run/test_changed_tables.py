"""A member's table that changed by a few rows between two runs: the difference of their sums is these rows, so the
second run is refused, unless it has noise."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.errors import DataError, DisclosureRefused
from tests.members import THREE, MemberFolders, lay_out
from vfl.cli.members import checked
from vfl.run.members.changed import fewest_changed, hashed
from vfl.run.members.ready import prepare
from vfl.run.members.sums import KeptSums
from vfl.run.members.tables import OwnTable, read

KEY = bytes(32)


def of(*rows: int) -> bytes:
    return hashed(np.array([[row, 1.0] for row in rows]), KEY)


def test_what_tables_say_together() -> None:
    many = tuple(range(1000))
    assert fewest_changed([of(*many)]) is None
    assert fewest_changed([of(*many), of(*reversed(many))]) is None  # the order says nothing
    assert fewest_changed([of(*many), of(*many[1:])]) == 1
    assert fewest_changed([of(*many), of(*many[:-1], 2000)]) == 2  # one value changed: a row less and a row more
    assert fewest_changed([of(*many), of(*many, 0)]) == 1  # one more of equal rows
    a, b, c = many[100:200], many[200:300], many[300:301]
    base = of(*many[:100])
    tables = [base, of(*many[:100], *a), of(*many[:100], *b), of(*many[:100], *a, *b, *c)]
    assert fewest_changed(tables[:3]) == 100
    assert fewest_changed(tables) == 1  # no two of them differ by fewer than 100


def test_the_key_decides_and_the_sign_of_zero_does_not() -> None:
    zero = np.array([[0.0], [-0.0]])
    assert hashed(zero, KEY) == hashed(np.abs(zero), KEY) != hashed(zero, bytes([1]) * 32)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> MemberFolders:
    world = lay_out(tmp_path_factory.mktemp("once"), rounds=1, test=0)
    world.done()
    return world


@pytest.fixture
def ran(once: MemberFolders, tmp_path: Path) -> MemberFolders:
    """Members that have run once, each test its own."""
    folder = shutil.copytree(once.folder, tmp_path / "members")
    return MemberFolders(folder, once.tables, once.names)


def changed(world: MemberFolders, rows: pd.DataFrame) -> None:
    rows.to_csv(world.folder / "north" / "customers.csv", index=False)


def more(world: MemberFolders, count: int) -> pd.DataFrame:
    """North's table with this number of further rows."""
    new = world.tables["south"].sample(count, replace=True, random_state=0, ignore_index=True)
    new["age"] += np.arange(count)
    return pd.concat([world.tables["north"], new], ignore_index=True)


def test_a_row_more_is_refused_before_anybody_is_met(ran: MemberFolders) -> None:
    prepare(ran.job, ran.party("north"))  # the same table
    for rows in (more(ran, 1), more(ran, 49), ran.tables["north"].replace({"default": {0: 1}})):
        changed(ran, rows)
        with pytest.raises(DisclosureRefused, match="table has changed since an earlier run") as refused:
            checked(ran.job, ran.party("north"))
        assert refused.value.about == "policy.min_changed_rows"
    changed(ran, more(ran, 50))
    told, _ = checked(ran.job, ran.party("north"))
    assert any("50 rows have changed" in line for line in told.bounds)


def test_control_without_the_refusal_the_sums_of_two_runs_are_the_row(ran: MemberFolders) -> None:
    def sums() -> np.ndarray:
        folders = sorted((ran.folder / "south" / "runs").glob("*/model"), key=lambda path: path.stat().st_mtime)
        model = vfl.load_model(folders[-1])
        rows = int(model.rounds_["rows"].iloc[-1])
        return np.append(model.scaling.mean * rows, rows)

    before, new = sums(), more(ran, 1)
    changed(ran, new)
    ran.change("north", "min_changed_rows = 50", "min_changed_rows = 1")
    ran.done()
    read = sums() - before
    assert read[-1] == 1
    assert np.allclose(read[:-1], new[["age", "limit"]].iloc[-1], atol=1e-3)


def test_a_row_that_is_held_out_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = lay_out(tmp_path, rounds=1, test=0.25)
    party = world.party("north")
    party.run.directory.mkdir()
    own = prepare(world.job, party).own
    assert own is not None
    KeptSums(world.job, party, own).keep(frozenset(THREE))
    rows = world.tables["north"].copy()
    rows.loc[int(np.flatnonzero(own.held)[0]), "age"] += 1
    changed(world, rows)
    with pytest.raises(DisclosureRefused, match="over 2 held out rows"):
        prepare(world.job, party)
    monkeypatch.setattr(OwnTable, "summed", ("training",))  # the planted fault: the model's own rows are the same
    prepare(world.job, party)


def test_other_jobs_with_a_common_column_count(ran: MemberFolders) -> None:
    text = ran.job_file.read_text()
    ran.job_file.write_text(text.replace('["age", "limit"]', '["age"]'))
    prepare(ran.job, ran.party("north"))
    changed(ran, more(ran, 1))
    with pytest.raises(DisclosureRefused, match="would tell the sum over 1 training row;"):
        prepare(ran.job, ran.party("north"))
    changed(ran, ran.tables["north"].drop(columns="limit"))
    with pytest.raises(DataError, match="no column 'limit'") as gone:
        prepare(ran.job, ran.party("north"))
    assert "earlier run" in str(gone.value.remedy)


def test_a_run_that_opened_no_sum_and_other_parties_tables_do_not_count(tmp_path: Path) -> None:
    world = lay_out(tmp_path, rounds=1, test=0)
    prepare(world.job, world.party("north"))
    changed(world, more(world, 1))
    prepare(world.job, world.party("north"))


def test_a_table_that_another_run_has_kept_meanwhile(tmp_path: Path) -> None:
    """Two runs at once, of tables that differ by a row: the second one gives no shares."""
    world = lay_out(tmp_path, rounds=1, test=0)
    party = world.party("north")
    party.run.directory.mkdir()
    first = prepare(world.job, party)
    changed(world, more(world, 1))
    second = prepare(world.job, party)
    KeptSums(world.job, party, first.own).keep(frozenset(THREE))
    sums = KeptSums(world.job, party, second.own)
    with pytest.raises(DisclosureRefused, match="table has changed"):
        sums.keep(frozenset(THREE))


def test_noise_allows_a_changed_table(ran: MemberFolders) -> None:
    changed(ran, more(ran, 1))
    party = ran.party("north")
    assert party.data is not None
    noise = "\n[privacy]\nepsilon = 5\ndelta = 1e-6\nbounds = { age = [0, 100], limit = [0, 3000] }\n"
    for text, refused in (("", True), (noise, False)):
        ran.job_file.write_text(ran.job_file.read_text() + text)
        sums = KeptSums(ran.job, party, read(ran.job, party, party.data))
        with pytest.raises(DisclosureRefused) if refused else contextlib.nullcontext():
            sums.check_table()
