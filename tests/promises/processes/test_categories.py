"""Numbers that are codes, declared to be categories in a party file: in training, at prediction and in vfl monitor."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.cipher import Identity
from protocols.local import run_local
from tests.promises.processes.institutions import KEY, Institutions, tables
from tests.promises.processes.test_three_processes import prepared
from vfl.cli.monitor import monitor
from vfl.job import PERMITS, load_job, load_party
from vfl.models.part_files import save_part
from vfl.models.results import baseline
from vfl.run.own_table import read_table
from vfl.run.result_frame import measuring_of
from vfl.run.train import program


def test_a_party_file_declares_them(parties: Institutions) -> None:
    """Trained, scored with gaps, and monitored: the codes stay what they were."""
    data = tables(240, 3, overlap=1.0)
    data["telecom"]["canarylate"] = 1 + np.arange(240) % 4
    parties.lay_out(
        data,
        settings={"allow": tuple(PERMITS)},
        kind="scorecard",
        max_iter=5,
        link="taylor",
        min_bin_rows=20,
        min_bin_size=0.1,
    )
    parties.change("telecom", "[data]", '[data]\ncategories = ["canarylate"]')
    ready = prepared(parties)
    found = run_local(ready["bank"].roles, {name: program(one) for name, one in ready.items()}, Identity())
    part = found["telecom"].part
    late = next(c for c in part.bins if c.name == "canarylate")
    assert sorted(v for names in late.categories for v in names) == ["1", "2", "3", "4"]
    new = data["telecom"].astype({"canarylate": float})
    new.loc[new.index[:9], "canarylate"] = np.nan  # pandas writes the other codes as 1.0, 2.0
    new.to_csv(parties.folder / "telecom" / "new.csv", index=False)
    job, party = load_job(parties.job), load_party(parties.file("telecom"))
    assert party.data is not None
    source = party.data.model_copy(update={"source": str(parties.folder / "telecom" / "new.csv")})
    _, table = read_table(job, party, source, scored_by=part)
    told = late.bin_of(table.features["canarylate"])
    assert told[9:].tolist() == late.bin_of(data["telecom"]["canarylate"].astype(str))[9:].tolist()
    folder = parties.folder / "telecom" / "model"
    save_part(part, folder, kind="scorecard", job_digest=job.digest)
    baseline(measuring_of(job), found["telecom"]).save(folder)
    moved = monitor(party, folder, source.source)["columns"]
    assert {line["column"]: line["mark"] for line in moved}["canarylate"] == "stable"


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ('categories = ["canarybill"]\ncolumns = ["canarylate"]', 2, "which is not in columns"),
        (f'categories = ["{KEY}"]', 2, "which is a key column"),
        ('categories = ["canarytown"]', 3, "declared column 'canarytown' is not in the table"),
    ],
)
def test_what_is_no_feature_is_no_category(parties: Institutions, lines: str, code: int, words: str) -> None:
    parties.lay_out(settings={"allow": tuple(PERMITS)}, kind="boosted-trees", n_estimators=1, max_depth=2)
    parties.change("telecom", "[data]", f"[data]\n{lines}")
    parties.here("check", parties.job, parties.file("telecom")).says(code, words)


def test_a_job_of_numbers_refuses_them_before_anything_is_sent(parties: Institutions) -> None:
    parties.lay_out(settings={"allow": tuple(PERMITS)})
    parties.change("telecom", "[data]", '[data]\ncategories = ["canarylate"]')
    parties.here("check", parties.job, parties.file("telecom")).says(2, "takes numbers only", "onehot")
