"""`vfl evidence` on a run of every kind, by real processes: each party's pack is the same each time, sound, and holds
no id, no value and nothing that only a partner knows; one changed byte is found wherever it stands, and named."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.members import SUM, THREE, lay_out
from tests.promises.processes.institutions import Institutions
from tests.promises.processes.institutions import tables as plain
from tests.promises.processes.test_predict import new_tables, predicted
from tests.promises.processes.test_scorecard import made as with_texts
from tests.promises.processes.test_trees import OPEN, POLICY, SMALL
from vfl.evidence.archive import Files, unpacked
from vfl.evidence.checking import EvidenceBroken, check
from vfl.job import PERMITS
from vfl.models.results import environment

NETWORK = {"kind": "mlp-classifier", "hidden_layer_sizes": (3,), "max_iter": 3, "learning_rate_init": 0.3}
CARD = {"kind": "scorecard", "max_iter": 5, "link": "taylor", "min_bin_rows": 8, "min_bin_size": 0.1}


def counted(rows: int = 80) -> dict[str, pd.DataFrame]:
    """Tables whose label is a count."""
    data = plain(rows)
    mean = np.exp(data["bank"]["canaryage"].to_numpy() / 60)
    data["bank"]["canarylabel"] = np.random.default_rng(0).poisson(mean)
    return data


def measured(rows: int = 80) -> dict[str, pd.DataFrame]:
    """Tables whose label is a number."""
    data = plain(rows)
    data["bank"]["canarylabel"] = 100 + data["bank"]["canaryage"]
    return data


DEFAULT = "regression"  # the kind of the default suite
KINDS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "counts": {"kind": "poisson-regression", "alpha": 0.01, "max_iter": 5, "data": counted()},
    "numbers": {"kind": "linear-regression", "alpha": 2.0, "max_iter": 5, "data": measured()},
    "sealed trees": {**SMALL, "settings": POLICY},
    "open trees": {**SMALL, "settings": POLICY, "roles": OPEN, "membership": "open"},
    "scorecard": {**CARD, "data": with_texts(160, 3), "settings": {"allow": tuple(PERMITS)}},
    "network": NETWORK,
}
LEAST = 6  # characters of a number that chance does not write


def cells(table: pd.DataFrame) -> Iterator[str]:
    """Every id and text of a table, and its numbers as they are written, with six decimals and without the last."""
    for name, column in table.items():
        for value in column.dropna():
            if isinstance(value, str):
                yield value
            else:
                yield from (str(value), f"{value:.6f}", str(value)[:-1])
        if column.dtype == object:
            yield str(name) + ": "


def needles(table: pd.DataFrame) -> set[str]:
    return {text for text in cells(table) if len(text) >= LEAST}


def found(files: Files, words: set[str]) -> set[tuple[str, str]]:
    """(file, word) of each word that stands in a file."""
    texts = {name: data.decode() for name, data in files.items()}
    return {(name, word) for name, text in texts.items() for word in words if word in text}


def foreign(tables: Mapping[str, pd.DataFrame], party: str) -> set[str]:
    """What only others know: their columns' names, apart from the key that all have."""
    own = set(tables[party].columns) if party in tables else set()
    return {str(c) for name, t in tables.items() if name != party for c in t.columns[1:] if c not in own}


def keys_of(folder: Path) -> set[str]:
    return set((folder / "identity" / "key.pem").read_text().splitlines()[1:-1])


def places(data: bytes) -> Iterator[tuple[str, int]]:
    """(file, place of a byte in the archive): of each file the header, and the first, middle and last byte."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            start = entry.header_offset + len(entry.FileHeader())
            for place in {entry.header_offset, start, start + entry.file_size // 2, start + entry.file_size - 1}:
                yield entry.filename, place
        yield "directory", archive.start_dir
    yield "directory", len(data) - 1


def changes_are_named(pack: Path, every: bool) -> None:
    """One changed byte of a sound pack, at each of these places; some further ones anywhere."""
    data, changed = pack.read_bytes(), pack.with_name("changed.zip")
    named = list(places(data))
    anywhere = np.random.default_rng(0).integers(len(data), size=40 if every else 5).tolist()
    for name, place in [*(named if every else named[1::4]), *(("", place) for place in anywhere)]:
        changed.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(EvidenceBroken) as found:
            check(changed)
        assert name in found.value.what, (name, place)


def checked(
    parties: Institutions, name: str, run: Path, tables: Mapping[str, pd.DataFrame], *, every: bool = True
) -> Files:
    """The files of a party's pack of a run, made twice and verified by the commands; every: whether a changed byte is
    tried in each file."""
    first, second = parties.folder / f"{name}-1.zip", parties.folder / f"{name}-2.zip"
    for out in (first, second):
        ended = parties.vfl("evidence", run, "--out", out)
        assert ended.code == 0, ended.err
    assert first.read_bytes() == second.read_bytes()
    own = parties.folder / name
    ended = parties.vfl("evidence", "verify", first, "--certificate", own / "identity" / "cert.pem", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["party"] == name
    data = first.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        middle = archive.getinfo("index.html").header_offset + 2000
    second.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    parties.vfl("evidence", "verify", second).says(5, "index.html was changed")
    changes_are_named(first, every)
    files = unpacked(data)
    for table in tables.values():
        assert found(files, needles(table)) == set()
    assert found(files, foreign(tables, name) | keys_of(own)) == set()
    return files


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[] if k == DEFAULT else pytest.mark.slow) for k in KINDS])
def test_a_pack_of_a_training(parties: Institutions, kind: str) -> None:
    parties.lay_out(**KINDS[kind])
    ended, every = parties.done(), kind != DEFAULT
    files = {name: checked(parties, name, one.folder, parties.data, every=every) for name, one in ended.items()}
    for name, held in files.items():
        own = parties.data.get(name)
        page = held["index.html"].decode()
        assert all(f"{k} · " in page for k in range(1, 13))
        assert ("canarylabel" in page) == (name == "bank")  # question 2 names the outcome where it is held
        if own is not None:  # its own columns stand there
            assert found(held, {c for c in own.columns[1:] if c != "canarylabel"})
    planted = files["bank"] | {"figures.json": (ended["bank"].folder / "report.json").read_bytes()}
    assert found(planted, needles(parties.data["bank"]))  # the control: a report that is passed on whole is found


@pytest.mark.slow
def test_a_pack_of_an_alignment_and_of_a_prediction(parties: Institutions) -> None:
    parties.lay_out()
    started = {name: parties.start(name, command="align") for name in ("bank", "telecom")}
    for name, process in started.items():
        process.wait(60)
        (folder,) = (parties.folder / name / "runs").glob("credit-risk-*")
        files = checked(parties, name, folder, parties.data)
        page = files["index.html"].decode()
        assert "alignment of ids" in page
        assert json.loads(files["environment.json"]) == environment()
        assert "<dt>versions</dt>" in page
        assert "<dt>Guest</dt><dd>bank</dd>" in page
        assert "each data party learns which of its own rows" in page
        assert "nothing that the two do not already hold" in page
        made = parties.here("evidence", folder, "--job", parties.job, "--out", parties.folder / "with-job.zip")
        assert made.code == 0, made.err
        assert "job/agreed.txt" in unpacked((parties.folder / "with-job.zip").read_bytes())
        parties.job.with_name("other.toml").write_text(parties.job.read_text().replace("seed = 7", "seed = 8"))
        refused = parties.here("evidence", folder, "--job", parties.job.with_name("other.toml"), "--out", "x.zip")
        refused.says(2, "is not the job of this run")
    models = parties.models(parties.done())
    new = new_tables(parties)
    for name, ended in predicted(parties, models).items():
        page = checked(parties, name, ended.folder, parties.data | new)["index.html"].decode()
        assert "prediction of new rows" in page


@pytest.mark.slow
def test_a_pack_of_members(parties: Institutions) -> None:
    """Of an averaging, and of what a member predicts alone: nothing is sent, so there is no ledger."""
    world = lay_out(parties.folder)
    words = ["-m", "vfl", "run", "--progress", "lines", str(world.job_file)]
    started = {name: parties.run([*words, str(world.file(name))], name) for name in (*THREE, SUM)}
    for name, process in started.items():
        ended = process.wait()
        assert ended.code == 0, ended.err
        files = checked(parties, name, ended.folder, {})
        assert not [table for table in world.tables.values() if found(files, needles(table))]
        assert "Members with the same columns" in files["index.html"].decode()
    (run,) = (parties.folder / "north" / "runs").glob("[!.]*-*")
    ended = parties.vfl("predict", world.job_file, world.file("north"), "--model", run / "model")
    assert ended.code == 0, ended.err
    (folder,) = (parties.folder / "north" / "runs").glob("predict-*")
    files = checked(parties, "north", folder, {})
    assert not [table for table in world.tables.values() if found(files, needles(table))]
    assert "ledger/ledger.jsonl" not in files
    assert "This run sent nothing" in files["index.html"].decode()
