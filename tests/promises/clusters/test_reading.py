"""Workers read the ids of a large Parquet table: the same ids, order, shapes and errors as by this process."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.alignment import Alignment
from protocols.alignment.away import IdsAway, There
from protocols.errors import ComputeError, DataError, VFLError
from protocols.workers.calls import Job
from protocols.workers.cluster import Cluster as Held
from tests.promises.clusters.clusters import Cluster, write_key
from tests.promises.processes.institutions import KEY, Institutions, tables
from vfl.compute import opening, reading
from vfl.compute.cell import THREADS, Cell
from vfl.compute.reading import Kept
from vfl.data.readers import database
from vfl.data.shapes import Profile
from vfl.job import load_agreement, load_party
from vfl.job.compute import Compute
from vfl.run import align as alignment_run
from vfl.run.align import Aligning


class Here:
    """An engine whose workers are in this process, and say that they are in several."""

    cautions = ()

    def __init__(self, compute: Compute) -> None:
        self.count, self._key = compute.workers, str(compute.key)
        self.replace()

    def replace(self) -> None:
        """Empty workers take the place of all."""
        before = os.environ.get(THREADS)
        self._cells = [Cell(worker, self._key) for worker in range(self.count)]
        os.environ.pop(THREADS)  # which a cell sets for its own process
        os.environ |= {} if before is None else {THREADS: before}

    def greet(self, nonce: bytes) -> list[bytes]:
        """As `Engine.greet`."""
        told = (json.loads(cell.hello(nonce)) for cell in self._cells)
        return [json.dumps(one | {"pid": number}).encode() for number, one in enumerate(told)]

    def carry(self, run: bytes, jobs: Sequence[Job]) -> list[tuple[bytes, ...]]:
        """As `Engine.carry`."""
        return [self._cells[job.worker].call(run, job.operation, job.arguments) for job in jobs]

    def close(self) -> None:
        """As `Engine.close`."""


def institutions(folder: Path, section: str, monkeypatch: pytest.MonkeyPatch) -> Institutions:
    """The bank has a table that counts as large, and workers."""
    monkeypatch.setattr(alignment_run, "LARGE_FILE", 0)
    made = Institutions(folder).lay_out(tables(700))
    made.file("bank").write_text(made.file("bank").read_text() + section)
    return made


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Institutions]:
    """With workers in this process."""
    monkeypatch.setattr(reading, "ROWS", 50)
    monkeypatch.setattr(opening, "_engine", Here)
    write_key(tmp_path / "compute.key")
    section = f'\n[compute]\nengine = "dask"\nworkers = 2\nkey = "{tmp_path}/compute.key"\n'
    made = institutions(tmp_path, section, monkeypatch)
    yield made
    made.close()


def store(there: Institutions, frame: pd.DataFrame, files: int = 3) -> None:
    """As files of a folder, of several row groups each."""
    folder = there.folder / "bank" / "table"
    folder.mkdir()
    for number, rows in enumerate(np.array_split(np.arange(len(frame)), files)):
        frame.iloc[rows].to_parquet(folder / f"part-{number}.parquet", index=False, row_group_size=70)
    there.change("bank", 'source = "customers.csv"', 'source = "table"')


def prepared(there: Institutions, *, by_workers: bool) -> tuple[Aligning, Profile]:
    profile: Profile = {}
    with contextlib.ExitStack() as stack:
        job, party = load_agreement(there.job), load_party(there.file("bank"))
        return alignment_run.prepare(job, party, profile=profile, stack=stack if by_workers else None), profile


def compare(there: Institutions) -> Aligning:
    (found, shapes), (expected, own) = (prepared(there, by_workers=by) for by in (True, False))
    assert found.ids is not None
    assert expected.ids is not None
    assert [ids.digest() for ids in found.ids] == [ids.digest() for ids in expected.ids]
    assert found.kept is not None
    np.testing.assert_array_equal(found.kept[np.arange(len(found.ids[0]))], expected.kept)
    assert found.input_digest() == expected.input_digest()
    assert found.rows == expected.rows
    assert shapes == own
    return found


@pytest.mark.parametrize("cluster", ["dask"], indirect=True)  # whose start is the quicker one
def test_on_a_cluster(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = institutions(tmp_path, cluster.section(2), monkeypatch)
    store(made, made.data["bank"])
    assert isinstance(compare(made).kept, Kept)
    made.close()


def test_the_same_ids_and_this_process_reads_no_row(there: Institutions, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = there.data["bank"].assign(**{KEY: [f"{i}.0" if i % 90 == 5 else f"0{i:05d}" for i in range(700)]})
    store(there, frame)
    found = compare(there)
    assert any("'1000.0'" in one for one in found.cautions)  # rows of several files are named
    monkeypatch.setattr(alignment_run, "read_source", None)
    monkeypatch.setattr(alignment_run, "read_stored", None)
    again = prepared(there, by_workers=True)[0]
    assert isinstance(again.kept, Kept)
    assert again.input_digest() == found.input_digest()
    with pytest.raises(TypeError):
        prepared(there, by_workers=False)


def test_whole_numbers_with_missing_ones_under_two_keys(there: Institutions) -> None:
    text = there.job.read_text()
    text = text.replace(f'keys = [["{KEY}"]]', f'keys = [["{KEY}"], ["canaryphone", "canarybranch"]]')
    assert "canaryphone" in text
    there.job.write_text(text)
    for file in (there.job, there.file("bank")):
        file.write_text(file.read_text().replace("allow = [\n", 'allow = [\n  "matched-keys-to-parties",\n', 1))
    phone = pd.array([None if i % 9 == 0 else 10**15 + i for i in range(700)], dtype="Int64")
    branch = pd.Series(["north", "south", None, "west"] * 175)
    store(there, there.data["bank"].assign(canaryphone=phone, canarybranch=branch))
    found = compare(there)
    assert found.ids is not None
    assert len(found.ids) == 2


def test_rows_that_repeat_an_id_are_left_out(there: Institutions) -> None:
    """The first of each is kept, wherever its repeats are; under a second key, of the rows that are left."""
    text = there.job.read_text().replace('duplicates = "error"', 'duplicates = "first"', 1)
    there.job.write_text(text.replace(f'keys = [["{KEY}"]]', f'keys = [["{KEY}"], ["canaryphone"]]'))
    for file in (there.job, there.file("bank")):
        file.write_text(file.read_text().replace("allow = [\n", 'allow = [\n  "matched-keys-to-parties",\n', 1))
    ids, phones = there.data["bank"][KEY].tolist(), [f"p{i}" for i in range(700)]
    for row, other in ((690, 3), (4, 3), (350, 349), (351, 349), (200, 600)):
        ids[row] = ids[other]
    for row, other in ((5, 4), (500, 9)):
        phones[row] = phones[other]
    store(there, there.data["bank"].assign(**{KEY: ids, "canaryphone": phones}))
    found = compare(there)
    assert found.ids is not None
    assert isinstance(found.kept, Kept)
    assert (len(found.ids[0]), found.kept.dropped.tolist()) == (694, [4, 350, 351, 500, 600, 690])


def test_a_table_that_changes_after_it_was_read_is_found(there: Institutions) -> None:
    """By a worker that takes the place of one that was lost: it reads again."""
    store(there, there.data["bank"])
    with contextlib.ExitStack() as stack:
        job, party = load_agreement(there.job), load_party(there.file("bank"))
        ready = alignment_run.prepare(job, party, stack=stack)
        assert ready.pool is not None
        assert isinstance(ready.pool.engine, Here)
        assert ready.ids is not None
        assert isinstance(ready.ids[0], IdsAway)
        There(Held(ready.pool.caller(b"a run")), ready.ids[0].ranges)
        ready.pool.engine.replace()
        There(Held(ready.pool.caller(b"a run")), ready.ids[0].ranges)
        file = there.folder / "bank" / "table" / "part-1.parquet"
        frame = pd.read_parquet(file)
        frame.assign(**{KEY: frame[KEY].tolist()[::-1]}).to_parquet(file, row_group_size=70)
        There(Held(ready.pool.caller(b"another run")), ready.ids[0].ranges)  # they have what they read
        ready.pool.engine.replace()
        with pytest.raises(ComputeError, match="another result than before"):
            There(Held(ready.pool.caller(b"another run")), ready.ids[0].ranges)


@pytest.mark.parametrize("fault", ["missing", "twice", "mixed", "damaged"])
def test_what_is_wrong_is_said_as_without_workers(there: Institutions, fault: str) -> None:
    ids = there.data["bank"][KEY].tolist()
    ids[400] = {"missing": None, "twice": ids[20]}.get(fault, ids[400])
    store(there, there.data["bank"].assign(**{KEY: ids}))
    file = there.folder / "bank" / "table" / "part-1.parquet"
    if fault == "mixed":
        pd.read_parquet(file).assign(**{KEY: 7}).to_parquet(file)
    elif fault == "damaged":
        file.write_bytes(file.read_bytes()[:-9])
    said = list[str]()
    for by_workers in (True, False):
        with pytest.raises(VFLError) as caught:
            prepared(there, by_workers=by_workers)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert fault not in ("missing", "twice") or "row 401" in said[0]


def test_a_table_that_workers_do_not_read_is_read_here_and_that_is_said(there: Institutions) -> None:
    found = compare(there)
    assert any("the workers did not read the table" in one for one in found.cautions)


def store_in_database(there: Institutions, frame: pd.DataFrame, kind: str = "TEXT") -> None:
    """The bank's table behind an address that must not travel."""
    folder = there.folder / "bank"
    with contextlib.closing(sqlite3.connect(folder / "canarypassword.db")) as connection, connection:
        frame.to_sql("customers", connection, index=False, dtype={KEY: kind})
    (folder / "database.url").write_text(f"sqlite:///{folder}/canarypassword.db\n")
    query = f"SELECT * FROM customers WHERE 'a:b' <> '%x' ORDER BY {KEY} -- by :key"
    there.change("bank", 'source = "customers.csv"', f'source = "sqlite:///canarypassword.db"\nquery = "{query}"')
    file = there.file("bank")
    file.write_text(f'{file.read_text()}database = "database.url"\nsplit_by = "{KEY}"\n')


def test_ranges_of_a_database(there: Institutions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same ids and cells; its address is in no call."""
    monkeypatch.setattr(database, "STEP", 64)
    store_in_database(there, there.data["bank"].sample(frac=1, random_state=2))
    found = compare(there)
    assert found.stored is None
    assert found.ids is not None
    assert isinstance(found.ids[0], IdsAway)
    went = [value for one in found.ids[0].ranges for value in one.values]
    assert [one.last - one.first for one in found.ids[0].ranges] == [350, 350]
    assert any("customers" in str(value) for value in went)
    assert not any("canarypassword" in str(value) for value in went)
    rows = np.random.default_rng(1).permutation(700)[:500]
    monkeypatch.setattr(alignment_run, "read_stored", None)
    alignment_run.write_rows(found, Alignment(rows, np.zeros(500, np.uint8), {}, (500,)), tmp_path)
    due = there.data["bank"].sort_values(KEY, ignore_index=True).iloc[rows].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "aligned.parquet"), due, check_dtype=False)
    more = dataclasses.replace(found, rows=701)
    with pytest.raises(DataError, match="other rows than when the alignment began"):
        alignment_run.write_rows(more, Alignment(rows, np.zeros(500, np.uint8), {}, (500,)), tmp_path)


@pytest.mark.parametrize("fault", ["gaps", "twice", "no address", "kinds"])
def test_a_database_that_workers_do_not_read_is_read_here(there: Institutions, fault: str) -> None:
    frame = there.data["bank"]
    if fault == "gaps":
        frame = frame.assign(**{KEY: frame[KEY].where(np.arange(700) != 9), "canaryother": frame[KEY]})
        there.change("bank", "[data]", f'[data]\nid_columns = {{ {KEY} = "canaryother" }}')
    elif fault == "twice":
        there.job.write_text(there.job.read_text().replace('duplicates = "error"', 'duplicates = "first"', 1))
        frame = frame.assign(**{KEY: [*frame[KEY][:699], frame[KEY][3]]})
    elif fault == "kinds":
        mixed = [10_000 + i if i < 350 else f"{10_000 + i}" for i in range(700)]
        frame = frame.assign(**{KEY: pd.Series(mixed, dtype=object)})
    store_in_database(there, frame, "BLOB" if fault == "kinds" else "TEXT")
    if fault == "no address":
        (there.folder / "bank" / "database.url").write_text("canarypassword")
    if fault in ("kinds", "no address"):
        with pytest.raises(VFLError, match=r"mixes text and numbers|does not hold an address") as caught:
            prepared(there, by_workers=True)
        assert "canarypassword" not in str(caught.value)
        return
    found, _ = prepared(there, by_workers=True)
    assert any("the workers did not read the table" in one for one in found.cautions)
    assert found.stored is not None
