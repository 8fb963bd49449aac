"""A table that is read in a process of its own is the table that this process would read; and what is wrong with it
this process says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.memory import lay_out, tables
from protocols.errors import DataError
from vfl.data.kept_table import KeptTable
from vfl.data.shapes import Profile
from vfl.job import Job, Party, load_job, load_party
from vfl.run.own_table import own_table, spread_in
from vfl.run.reading_apart import read_apart
from vfl.run.train import prepare


@pytest.fixture
def laid(tmp_path: Path) -> tuple[Job, Party]:
    lay_out(tmp_path, tables(300, 2, 3), "logistic-regression", 2048, 5)
    return load_job(tmp_path / "job.toml"), load_party(tmp_path / "bank" / "party.toml")


def test_it_is_the_same_table(laid: tuple[Job, Party]) -> None:
    job, party = laid
    shapes, same = Profile(), Profile()
    found = read_apart(job, party, shapes)
    assert found is not None
    (kept, said), (held, due) = found, own_table(job, party, None, same)
    assert isinstance(kept, KeptTable)
    assert (repr(kept), said, kept.digest()) == (repr(held), due, held.digest())
    assert {name: one.told() for name, one in shapes.items()} == {name: one.told() for name, one in same.items()}
    assert (kept.schema, kept.settings, kept.classes) == (held.schema, held.settings, held.classes)
    assert list(kept.ids) == list(held.ids)
    pd.testing.assert_frame_equal(kept.features, held.features)
    pd.testing.assert_series_equal(kept.label, held.label)


def test_a_host_learns_how_far_its_columns_differ(laid: tuple[Job, Party]) -> None:
    job, bank = laid
    assert bank.data is not None
    party = load_party(Path(bank.data.source).parents[1] / "telecom" / "party.toml")
    found = read_apart(job, party, Profile())
    assert found is not None
    (kept, _), (held, _) = found, own_table(job, party, None, Profile())
    assert "spread" in kept._computed
    assert (spread_in(job, kept), kept.columns, kept.label) == (spread_in(job, held), held.columns, None)


def test_what_is_wrong_is_said_by_the_command(laid: tuple[Job, Party], monkeypatch: pytest.MonkeyPatch) -> None:
    job, party = laid
    assert party.data is not None
    file = Path(party.data.source)
    pd.read_csv(file).assign(label=1).to_csv(file, index=False)
    assert read_apart(job, party, Profile()) is None
    key = file.with_name("compute.key")
    shared = party.model_copy(update={"compute": party.compute.model_copy(update={"engine": "ray", "key": key})})
    with pytest.raises(DataError, match="holds one value only"):
        prepare(job, shared)
