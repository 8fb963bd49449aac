"""What parties compute of a table that another process has read is what they compute of one that they hold, bit for
bit: with several keys, and where a model is continued."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.cipher import Identity
from protocols.glm import ahead, attempts
from protocols.local import run_local
from tests.promises.clusters.clusters import write_key
from tests.promises.processes.institutions import KEY, Institutions, institutions, tables
from tests.promises.processes.test_continued_trees import go_on
from tests.promises.processes.test_three_processes import prepared, randomness
from tests.promises.processes.test_trees import OPEN, POLICY, SMALL, check_same
from vfl.data.kept_table import KeptTable
from vfl.models.part_files import save_part
from vfl.run.train import program


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[Institutions]:
    with institutions(tmp_path) as made:
        yield made


def fitted(there: Institutions, *, apart: bool) -> dict[str, Any]:
    """By party what it has at the end; apart: whether the bank has workers, and so another process reads its table."""
    file = there.file("bank")
    text = file.read_text().split("\n[compute]")[0]
    write_key(there.folder / "compute.key")
    section = f'\n[compute]\nengine = "dask"\nworkers = 2\nkey = "{there.folder}/compute.key"\n'
    file.write_text(text + section * apart)
    ready = prepared(there)
    assert isinstance(ready["bank"].table, KeptTable) == apart
    programs = {name: program(one) for name, one in ready.items()}
    found = run_local(ready["bank"].roles, programs, Identity(), randomness=randomness(ready))
    return {name: one for name, one in found.items() if one is not None}


def with_codes(there: Institutions, codes: list[str]) -> None:
    """The bank has a column of texts."""
    there.data["bank"].assign(canarycode=codes * 20).to_csv(there.folder / "bank" / "customers.csv", index=False)


def test_a_model_of_trees_is_continued(parties: Institutions) -> None:
    """Its column of texts holds whole numbers now, so that who reads it needs the earlier model."""
    parties.lay_out(tables(), roles=OPEN, settings=POLICY, membership="open", test=0.25, **SMALL)
    with_codes(parties, ["1", "2", "3", "x"])
    digest = prepared(parties)["bank"].job.digest
    for name, one in (first := fitted(parties, apart=True)).items():
        folder = parties.folder / name / "runs" / "earlier"
        folder.mkdir(parents=True)
        save_part(one.part, folder / "model", kind="boosted-trees", job_digest=digest)
    go_on(parties, first["bank"].part.model_id.hex(), n_estimators=4)
    with_codes(parties, ["1", "2", "3", "3"])
    due, found = (fitted(parties, apart=apart) for apart in (False, True))
    for name in OPEN:
        check_same(found[name].part, due[name].part)
    assert found["bank"].scores.tolist() == due["bank"].scores.tolist()


def test_a_regression_by_two_keys(parties: Institutions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some rows match by the first key only, some by the second only."""
    for module in (attempts, ahead):  # what draws again in each attempt
        monkeypatch.setattr(module, "run_seed", lambda: bytes(32))
    data = tables()
    for name, frame in data.items():
        rows = frame[KEY].str[-2:].astype(int)
        phones = frame[KEY].str.replace("CANARY", "CANARY-phone")
        data[name] = frame.assign(canaryphone=phones.where(rows % 5 != 1), **{KEY: frame[KEY].where(rows % 5 != 3)})
    there = parties.lay_out(data)
    text = there.job.read_text()
    assert f'keys = [["{KEY}"]]' in text
    there.job.write_text(text.replace(f'keys = [["{KEY}"]]', f'keys = [["{KEY}"], ["canaryphone"]]'))
    permits = 'allow = [\n  "few-columns",\n  "matched-keys-to-parties",\n'
    for file in (there.job, *(there.file(name) for name in there.roles)):
        file.write_text(file.read_text().replace("allow = [\n", permits, 1))
    due, found = (fitted(there, apart=apart) for apart in (False, True))
    for name in ("bank", "telecom"):
        np.testing.assert_array_equal(found[name].part.shares.values, due[name].part.shares.values)
        assert found[name].aligned.matched == due[name].aligned.matched
        assert list(found[name].aligned.names) == list(due[name].aligned.names)
        assert found[name].held_out.tolist() == due[name].held_out.tolist()
    assert min(found["bank"].aligned.matched) > 0
