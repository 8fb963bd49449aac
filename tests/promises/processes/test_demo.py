"""The demo from its command line: three processes, their folders, a report; and what it does with a folder that
exists."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.promises.processes.institutions import Institutions
from tests.promises.processes.test_wire_and_ledger import check_report
from vfl.cli.results import Demo
from vfl.demo.run import MARKER, fresh_folder

SMALL = ("--data", "credit-sim", "--rows", "400", "--key-bits", "2048", "--passes", "5")


def test_the_demo_from_end_to_end(parties: Institutions) -> None:
    folder = parties.folder / "demo"
    first = parties.vfl("demo", *SMALL, "--dir", folder)
    assert first.code == 0, first.err
    assert first.out.splitlines()[-1] == f"report: {first.report}"
    check_report(first.report, "guest")
    assert first.report.with_name("report.html").is_file()
    for name in ("bank", "telecom", "trustee"):
        assert f"  vfl run {folder / 'job.toml'} {folder / name / 'party.toml'}" in first.out.splitlines()
        assert len(list((folder / name / "runs").glob("*/ledger.jsonl"))) == 1
    parties.here("demo", *SMALL[:-1], "4", "--dir", folder)  # too few passes: refused before anything is replaced
    assert first.report.is_file()
    assert sorted(p.name for p in fresh_folder(folder).iterdir()) == [MARKER]  # what the next demo starts with


@pytest.mark.slow
def test_the_demo_answers_a_program(parties: Institutions) -> None:
    ended = parties.vfl("demo", *SMALL, "--dir", parties.folder / "demo", "--json")
    assert ended.code == 0, ended.err
    told = msgspec.json.decode(ended.out, type=Demo)
    assert list(told.reports) == ["bank", "telecom", "trustee"]
    assert Path(told.page).is_file()


def test_the_demo_replaces_no_foreign_folder(parties: Institutions) -> None:
    thesis = parties.folder / "thesis"
    thesis.mkdir()
    (thesis / "chapter-1.txt").write_text("It was a dark and stormy night")
    parties.here("demo", *SMALL, "--dir", thesis).says(
        2, "thesis holds something other than a demo", "Choose another folder with --dir"
    )
    parties.here("demo", *SMALL, "--dir", thesis / "chapter-1.txt").says(
        2, "chapter-1.txt is no folder", "Choose another"
    )
    assert [p.name for p in thesis.iterdir()] == ["chapter-1.txt"]


def test_the_demo_says_what_it_cannot_use(parties: Institutions) -> None:
    table = Path(parties.folder / "t.csv")
    table.write_text("id,a,y\n1,2,0\n2,3,1\n")
    parties.here("demo", "--data", table, "--dir", parties.folder / "d").says(
        2, "a CSV file needs --label and --guest", "For example"
    )
    parties.here("demo", "--data", "credit", "--dir", parties.folder / "d").says(
        2, "--data credit is none of the demo's tables, and no file", '"breast", "credit-sim" or the path of a CSV file'
    )
    parties.here("demo", "--key-bits", "1024", "--dir", parties.folder / "d").says(
        2, "too short to protect anything", "Use 3072"
    )
    assert not (parties.folder / "d").exists()
