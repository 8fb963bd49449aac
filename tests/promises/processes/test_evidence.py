"""`vfl evidence` on a run of every kind, by real processes: each party's pack is the same each time, sound, and holds
no id, no value and nothing that only a partner knows."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.members import SUM, THREE, lay_out
from tests.promises.processes.institutions import Institutions
from tests.promises.processes.test_predict import new_tables, predicted
from tests.promises.processes.test_scorecard import made as with_texts
from tests.promises.processes.test_trees import OPEN, POLICY, SMALL
from vfl.evidence.archive import Files, unpacked
from vfl.evidence.pack import pack
from vfl.job import PERMITS
from vfl.run.members.predict import predict

NETWORK = {"kind": "mlp-classifier", "hidden_layer_sizes": (3,), "max_iter": 3, "learning_rate_init": 0.3}
CARD = {"kind": "scorecard", "max_iter": 5, "link": "taylor", "min_bin_rows": 8, "min_bin_size": 0.1}
KINDS: dict[str, dict[str, Any]] = {
    "regression": {},
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


def checked(parties: Institutions, name: str, run: Path, tables: Mapping[str, pd.DataFrame]) -> Files:
    """The files of a party's pack of a run, made twice and verified by the commands."""
    first, second = parties.folder / f"{name}-1.zip", parties.folder / f"{name}-2.zip"
    for out in (first, second):
        assert (ended := parties.here("evidence", run, "--out", out)).code == 0, ended.err
    assert first.read_bytes() == second.read_bytes()
    own = parties.folder / name
    ended = parties.here("evidence", "verify", first, "--certificate", own / "identity" / "cert.pem", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["party"] == name
    data = first.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        middle = archive.getinfo("ledger/ledger.jsonl").header_offset + 2000
    second.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    parties.here("evidence", "verify", second).says(5, "ledger/ledger.jsonl was changed")
    files = unpacked(data)
    for table in tables.values():
        assert found(files, needles(table)) == set()
    assert found(files, foreign(tables, name) | keys_of(own)) == set()
    return files


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_pack_of_a_training(parties: Institutions, kind: str) -> None:
    parties.lay_out(**KINDS[kind])
    ended = parties.done()
    files = {name: checked(parties, name, one.folder, parties.data) for name, one in ended.items()}
    for name, held in files.items():
        own = parties.data.get(name)
        page = held["index.html"].decode()
        assert all(f"{k} · " in page for k in range(1, 13))
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
        page = checked(parties, name, folder, parties.data)["index.html"].decode()
        assert "alignment of ids" in page
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
def test_a_pack_of_members(tmp_path: Path) -> None:
    world = lay_out(tmp_path / "members")
    runs = world.done()
    for name in (*THREE, SUM):
        out = tmp_path / f"{name}.zip"
        files = unpacked(pack(runs[name], out).file.read_bytes())
        for table in world.tables.values():
            assert found(files, needles(table)) == set()
        assert "Members with the same columns" in files["index.html"].decode()
    model = runs["north"] / "model"
    folder = predict(world.job, world.party("north"), model, None, None).folder
    files = unpacked(pack(folder, tmp_path / "predicted.zip").file.read_bytes())
    assert "ledger/ledger.jsonl" not in files
    assert "This run sent nothing" in files["index.html"].decode()
