"""`vfl align` between processes: the same rows in the same order at both, nothing of an id anywhere else, and what it
refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from protocols.alignment import Alignment
from protocols.errors import DataError
from tests.promises.processes.institutions import KEY, Ended, Institutions, institutions, tables
from vfl.cli.results import AlignmentReport
from vfl.data.spill import Spill, scratch_in
from vfl.job import PERMITS, AlignmentJob, load_agreement, load_party
from vfl.models import accounting
from vfl.models.results import environment
from vfl.run import align as alignment_run
from vfl.run.budget.used import budgets_used

ALONE = """\
name = "overlap"
version = 1
[parties]
guest = "bank"
hosts = ["telecom"]
[align]
keys = {keys}
normalise = {normalise}
min_intersection = 5
{more}
[disclosure]
allow = {allow}
"""


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[Institutions]:
    with institutions(tmp_path) as made:
        yield made


def alone(
    parties: Institutions,
    keys: str = f'[["{KEY}"]]',
    normalise: str = "{}",
    more: str = "",
    allow: tuple[str, ...] = ("intersection-to-parties",),
) -> None:
    """Puts a job without a model in place, and takes the arbiter out of both party files."""
    parties.job.write_text(ALONE.format(keys=keys, normalise=normalise, more=more, allow=json.dumps(list(allow))))
    for name in ("bank", "telecom"):
        text = re.sub(r"\n\[peers\.trustco\]\n(?:\w+ = .*\n)*", "\n", parties.file(name).read_text())
        parties.file(name).write_text(
            text.replace("allow = [", "allow = [" + "".join(f'"{a}", ' for a in allow if f'"{a}"' not in text))
        )


def aligned(parties: Institutions, *options: str, job: Path | None = None) -> dict[str, Ended]:
    started = {name: parties.start(name, *options, command="align", job=job) for name in ("bank", "telecom")}
    return {name: process.wait(40) for name, process in started.items()}


def test_both_get_their_own_rows_in_one_order_without_a_model_and_an_arbiter(parties: Institutions) -> None:
    parties.lay_out()
    alone(parties)
    results = aligned(parties)
    assert [r.code for r in results.values()] == [0, 0], results
    frames = {name: pd.read_parquet(result.folder / "aligned.parquet") for name, result in results.items()}
    assert frames["bank"][KEY].tolist() == frames["telecom"][KEY].tolist()
    assert frames["bank"][KEY].tolist() != sorted(frames["bank"][KEY])
    for name, frame in frames.items():
        merged = parties.data[name][parties.data[name][KEY].isin(parties.data["telecom"][KEY])]
        pd.testing.assert_frame_equal(
            frame.sort_values(KEY, ignore_index=True),
            merged.sort_values(KEY, ignore_index=True),
            check_dtype=False,
            rtol=1e-12,
        )
        content = json.loads((results[name].folder / "alignment.json").read_text())
        msgspec.convert(content, AlignmentReport)  # as vfl report --json declares it
        assert content["environment"] == environment()
        assert content["rows"] == {"bank": 80, "telecom": 64}
        assert content["match_rate"] == {"bank": 0.8, "telecom": 1.0}
        assert (content["common"], content["by_key"], content["file"]) == (
            64,
            [{"columns": [KEY], "matched": 64}],
            "aligned.parquet",
        )
        assert "common to all" in results[name].err
        assert "are known to" in (results[name].folder / "report.html").read_text(encoding="utf-8")
        assert {p.stat().st_mode & 0o777 for p in results[name].folder.iterdir()} == {0o600}
        shown = parties.here("report", results[name].folder)
        assert (shown.code, "match rate of telecom" in shown.out, "100" in shown.out) == (0, True, True), shown
    damaged = results["bank"].folder / "alignment.json"
    content = json.loads(damaged.read_text())
    for text in (
        '{"format": 2, "job": "x"}',
        "{",
        "[]",
        json.dumps(content | {"rows": [80]}),
        json.dumps(content | {"by_key": 7}),
    ):
        damaged.write_text(text)
        assert parties.here("report", results["bank"].folder).code == 7
    no_ids_outside(parties, results)


def no_ids_outside(parties: Institutions, results: dict[str, Ended]) -> None:
    """No id in any log, error, ledger or report: only in the tables themselves and in the aligned ones."""
    allowed = {"customers.csv", "aligned.parquet", "aligned.csv"}
    assert len(leaks(parties.folder, allowed)) == 0
    assert not any("CANARY" in result.out + result.err for result in results.values())


def leaks(folder: Path, allowed: set[str]) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and p.name not in allowed and b"CANARY" in p.read_bytes()]


def test_planted_id_in_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(b"\x00CANARY-1")
    assert leaks(tmp_path, set()) == [tmp_path / "checkpoint"]


@pytest.mark.slow
def test_a_training_job_aligns_too_csv_and_the_arbiter_is_not_asked(parties: Institutions) -> None:
    parties.lay_out()
    results = aligned(parties, "--format", "csv")
    assert [r.code for r in results.values()] == [0, 0], results
    frames = [pd.read_csv(r.folder / "aligned.csv") for r in results.values()]
    assert frames[0][KEY].tolist() == frames[1][KEY].tolist()
    parties.vfl("align", "--progress", "none", parties.job, parties.file("trustco")).says(
        2, "the arbiter takes no part in an alignment with one host"
    )


def test_several_hosts_with_the_arbiter(parties: Institutions) -> None:
    data = tables()
    data["shop"] = data["telecom"].iloc[:40].rename(columns={"canarybill": "canarya", "canarylate": "canaryb"})
    roles = {"bank": "guest", "telecom": "host", "shop": "host", "trustco": "arbiter"}
    parties.lay_out(data, roles, settings={"allow": tuple(PERMITS)})
    started = {name: parties.start(name, command="align") for name in roles}
    results = {name: process.wait(60) for name, process in started.items()}
    assert [r.code for r in results.values()] == [0] * 4, results
    ids = [pd.read_parquet(results[n].folder / "aligned.parquet")[KEY].tolist() for n in ("bank", "telecom", "shop")]
    assert ids[0] == ids[1] == ids[2]
    assert len(ids[0]) == 40
    arbiter = json.loads((results["trustco"].folder / "alignment.json").read_text())
    assert msgspec.convert(arbiter, AlignmentReport).rows is None
    assert "common" not in arbiter
    assert {line["message"] for line in arbiter["disclosure"]} >= {"AgreedSize", "CommonRows"}
    no_ids_outside(parties, results)


def test_keys_in_order(parties: Institutions) -> None:
    data = tables()
    data = {name: table.assign(canaryphone=[f"020 7946 {i:04d}" for i in table.index]) for name, table in data.items()}
    data["telecom"].loc[data["telecom"].index < 50, KEY] = ""
    parties.lay_out(data)
    alone(
        parties,
        f'[["{KEY}"], ["canaryphone"]]',
        '{ canaryphone = "e164:GB" }',
        allow=("intersection-to-parties", "matched-keys-to-parties"),
    )
    results = aligned(parties)
    assert [r.code for r in results.values()] == [0, 0], results
    content = json.loads((results["telecom"].folder / "alignment.json").read_text())
    assert [k["matched"] for k in content["by_key"]] == [30, 34]
    phones = [pd.read_parquet(r.folder / "aligned.parquet")["canaryphone"].tolist() for r in results.values()]
    assert phones[0] == phones[1]


def test_the_size_alone(parties: Institutions) -> None:
    parties.lay_out()
    alone(parties, more="cardinality_only = true", allow=("intersection-size-to-parties",))
    results = aligned(parties)
    assert [r.code for r in results.values()] == [0, 0], results
    for result in results.values():
        content = json.loads((result.folder / "alignment.json").read_text())
        assert (content["common"], content["file"]) == (64, None)
        assert not list(result.folder.glob("aligned*"))


@pytest.mark.slow
def test_the_size_with_noise_is_reported_and_counted(parties: Institutions) -> None:
    parties.lay_out()
    alone(parties, more="cardinality_only = true", allow=("intersection-size-to-parties",))
    noise = '\n[privacy]\nunit = "id"\nepsilon = 8\ndelta = 1e-6\n'
    parties.job.write_text(parties.job.read_text() + noise)
    results = aligned(parties)
    assert [r.code for r in results.values()] == [0, 0], results
    told = {name: json.loads((result.folder / "alignment.json").read_text()) for name, result in results.items()}
    promise = told["bank"]["privacy"]
    assert promise == told["telecom"]["privacy"]
    assert promise["unit"] == "id"
    assert told["bank"]["common"] == told["telecom"]["common"]
    assert told["bank"]["rows"] == told["telecom"]["rows"]
    (size,) = [line for line in told["bank"]["disclosure"] if line["message"] == "SizeOnly"]
    assert f"sigma = {promise['multiplier']:.4f} times what one id can change" in size["noise"]
    assert "The size carries noise of each party" in (results["bank"].folder / "report.html").read_text()
    for name, partner in (("bank", "telecom"), ("telecom", "bank")):
        used = {(one.budget, one.partner): one.used for one in budgets_used(load_party(parties.file(name)))}
        assert used["epsilon", partner] == pytest.approx(
            accounting.epsilon([(promise["multiplier"], 1)], 1e-5), abs=1e-3
        )
    again = aligned(parties)
    assert {r.code for r in again.values()} == {6}  # policy.epsilon is 10
    assert all("sizes of intersections" in r.err for r in again.values())


def test_below_the_minimum_both_say_so_and_only_the_size_was_sent(parties: Institutions) -> None:
    data = tables()
    data["bank"] = data["bank"].iloc[:70]
    parties.lay_out(data)
    alone(parties, more="")
    parties.job.write_text(parties.job.read_text().replace("min_intersection = 5", "min_intersection = 60"))
    results = aligned(parties)
    for result in results.values():
        assert result.code == 3
        assert "only 54 ids are common to all parties" in result.err
    text = "".join(p.read_text() for p in parties.folder.rglob("ledger.jsonl"))
    assert "IntersectionSize" in text
    assert not re.search("HostRows|GuestRows", text)


def test_who_runs_another_command_is_refused_before_anything_is_sent(parties: Institutions) -> None:
    parties.lay_out()
    host = parties.start("telecom", command="align", timeout=8)
    guest = parties.start("bank", timeout=8)
    assert guest.wait(40).code == host.wait(40).code == 4
    assert parties.sent("bank") == parties.sent("telecom") == 0


def test_what_one_party_finds_out_alone(parties: Institutions) -> None:
    parties.lay_out()
    alone(parties)
    me = parties.file("bank")
    assert isinstance(load_agreement(parties.job), AlignmentJob)
    assert parties.here("job", "digest", parties.job).out.strip() == load_agreement(parties.job).digest.hex()
    checked = parties.here("check", parties.job, me)
    assert checked.code == 0
    assert "Nothing was sent" in checked.out
    assert re.search(
        r"time +about [\d.]+ s \(LAN.*if the others have as many ids as this party \([\d,]+\), all of them common",
        " ".join(checked.out.split()),
    )
    refused = parties.here("run", "--progress", "none", parties.job, me)
    assert refused.code == 2
    assert "model is missing" in refused.err
    quiet = ("align", "--progress", "none", parties.job, me)
    parties.here(*quiet, "--format", "xlsx").says(2, '"parquet" or "csv"')
    table = parties.folder / "bank" / "customers.csv"
    table.write_text(table.read_text().replace("CANARY-00007", "CANARY-00003"))
    parties.here(*quiet).says(3, "repeats ids: 1 row .* row 8")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_cells_are_carried_as_they_are_written(parties: Institutions, tmp_path: Path, form: str) -> None:
    """Codes, accounts of 18 digits, truth values, decimals and gaps of the source, letter by letter."""
    parties.lay_out()
    alone(parties)
    lines = [
        f"CANARY-{k:05d},{k:05d},{110101199003070000 + 7 * k if k % 9 else ''},{'TRUE' if k % 2 else 'FALSE'},{k}.10,"
        f"{'NA' if k % 4 == 0 else 'x'},2026010{k % 9 + 1},good"
        for k in range(80)
    ]
    header = f"{KEY},zip,account,flag,amount,garage,when,canarylabel"
    (parties.folder / "bank" / "customers.csv").write_text("\n".join([header, *lines]) + "\n")
    ready = alignment_run.prepare(load_agreement(parties.job), load_party(parties.file("bank")), form)
    order = np.random.default_rng(1).permutation(80)[:64]
    alignment_run.write_rows(ready, Alignment(order, np.zeros(64, np.uint8), {}, (64,)), tmp_path)
    if form == "csv":
        found = (tmp_path / "aligned.csv").read_text().splitlines()[1:]
    else:
        frame = pd.read_parquet(tmp_path / "aligned.parquet").fillna("").astype(str)
        found = [",".join(row) for row in frame.itertuples(index=False)]
    assert found == [lines[k] for k in order]


@pytest.mark.parametrize("size", [0, 10, 1000])
def test_a_spool_spills_and_leaves_nothing(tmp_path: Path, size: int) -> None:
    spool = Spill(tmp_path, in_memory=100)
    pieces = [bytes([i % 251]) * 7 for i in range(size // 7)]
    for piece in pieces:
        spool.append(piece)
    assert bytes(spool.bytes()) == b"".join(pieces)
    assert list(tmp_path.iterdir()) == []
    assert isinstance(scratch_in(tmp_path)(), Spill)


@pytest.mark.parametrize("changed", [False, True])
def test_of_a_large_file_the_other_columns_are_read_after_the_protocol(
    parties: Institutions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: bool
) -> None:
    parties.lay_out()
    alone(parties)
    monkeypatch.setattr(alignment_run, "LARGE_FILE", 10)
    ready = alignment_run.prepare(load_agreement(parties.job), load_party(parties.file("bank")), "csv")
    assert ready.stored is None
    assert ready.ids is not None
    found = Alignment(np.array([5, 2]), np.zeros(2, np.uint8), {}, (2,))
    table = parties.folder / "bank" / "customers.csv"
    if changed:
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
        with pytest.raises(DataError, match="changed while it was aligned"):
            alignment_run.write_rows(ready, found, tmp_path)
        return
    alignment_run.write_rows(ready, found, tmp_path)
    lines = table.read_text().splitlines()
    assert [line.split(",")[0] for line in (tmp_path / "aligned.csv").read_text().splitlines()] == [
        lines[i].split(",")[0] for i in (0, 6, 3)
    ]
