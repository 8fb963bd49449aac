"""A prediction whose table another process reads writes what one that reads it itself writes, byte for byte."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.promises.clusters.clusters import write_key
from tests.promises.clusters.test_reading import Here
from tests.promises.processes.institutions import Institutions, institutions
from tests.promises.processes.test_batches import NAMES, scored, trained
from vfl.compute import opening
from vfl.data.kept_frame import KeptFrame
from vfl.data.kept_table import KeptTable
from vfl.job.compute import Compute
from vfl.models.part_files import load_part
from vfl.run import scoring
from vfl.run.scoring import Scoring


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[Institutions]:
    with institutions(tmp_path) as made:
        yield made


def predicted(there: Institutions, models: dict[str, Path], new: dict[str, pd.DataFrame]) -> tuple[bytes, Scoring]:
    found = scored(there, models, new)
    ready, file, _ = found["bank"]
    return file.read_bytes(), ready


class Gathered(Exception):
    """A party has read all columns at once."""


def gathered(table: KeptTable) -> pd.DataFrame:
    raise Gathered


@pytest.fixture
def written(parties: Institutions, monkeypatch: pytest.MonkeyPatch) -> tuple[Institutions, dict[str, Path]]:
    """A model, and workers in this process."""
    models, engines = trained(parties), dict[Path | None, Here]()
    for name in NAMES:  # not in threads: who makes them changes the environment, and msgspec learns types once
        load_part(models[name])
        write_key(key := parties.folder / name / "compute.key")
        engines[key] = Here(Compute(engine="dask", workers=2, key=key))
    monkeypatch.setattr(opening, "_engine", lambda compute: engines[compute.key])
    return parties, models


def with_workers(there: Institutions) -> None:
    for name in NAMES:
        section = '\n[compute]\nengine = "dask"\nworkers = 2\nkey = "compute.key"\n'
        there.file(name).write_text(there.file(name).read_text() + section)


def test_the_same_scores(written: tuple[Institutions, dict[str, Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows of which some miss a value, and some are unknown to the other party."""
    there, models = written
    new = {name: there.data[name] for name in NAMES}
    gaps = np.arange(len(new["bank"])) % 9 == 4
    new["bank"] = new["bank"].assign(canaryage=new["bank"]["canaryage"].where(~gaps))
    due, held = predicted(there, models, new)
    with_workers(there)
    monkeypatch.setattr(scoring, "new_table", None)  # neither command reads its table, nor gathers what is kept
    monkeypatch.setattr(KeptTable, "features", property(gathered))
    found, kept = predicted(there, models, new)
    assert found == due
    assert due.count(b"\n") == len(new["bank"]) + 1
    assert isinstance(held.ids, pd.DataFrame)
    assert isinstance(kept.ids, KeptFrame)
    assert isinstance(kept.ready.table, KeptTable)
    assert held.new is not None
    assert kept.new is not None
    assert (kept.new.left_out, kept.new.missing, kept.cautions) == (held.new.left_out, held.new.missing, held.cautions)
    assert held.new.left_out > 5
    assert kept.ready.input_digest() == held.ready.input_digest()
    assert kept.new.rows[:].tolist() == held.new.rows[:].tolist()
    with pytest.raises(Gathered):  # the positive control
        next(dataclasses.replace(kept.new, features=kept.ready.table.features).blocks())
