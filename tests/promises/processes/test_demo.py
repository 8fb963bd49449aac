"""The demo from its command line: three processes, their folders, a report; and what it does with a folder that
exists."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.promises.processes.institutions import Institutions
from tests.promises.processes.test_wire_and_ledger import check_report
from vfl.cli.results import Demo
from vfl.demo.run import MARKER, fresh_folder
from vfl.node.processes import is_locked

SMALL = ("--data", "credit-sim", "--rows", "400", "--key-bits", "2048", "--passes", "5")


def test_the_demo_from_end_to_end(parties: Institutions) -> None:
    folder = parties.folder / "demo"
    first = parties.vfl("demo", *SMALL, "--dir", folder)
    assert first.code == 0, first.err
    assert first.out.splitlines()[-1] == f"report: {first.report}"
    check_report(first.report, "guest")
    said = [line for line in first.out.splitlines() if " demo-credit-sim at bank: " in line]  # no bars, no terminal
    words = [line.partition(" at bank: ")[2] for line in said]
    assert [word for word in words if word in ("training", "evaluating", "done")] == ["training", "evaluating", "done"]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line) for line in said)
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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demo_with_a_board(parties: Institutions) -> None:
    """One job is done, one runs, one waits; a click approves it and its report opens; at the end no process lives, not
    even that of a model that somebody has published."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
    if not (chromium := shutil.which("chromium")):
        pytest.skip("no chromium on PATH")
    folder = parties.folder / "demo"
    running = parties.run(["-m", "vfl", "demo", *SMALL, "--board", "--dir", str(folder), "--json"], "board")
    deadline = time.monotonic() + 200
    while not running.out.read_text().endswith("\n"):
        assert time.monotonic() < deadline, running.err.read_text()
        time.sleep(0.2)
    told = msgspec.json.decode(running.out.read_text(), type=Demo)
    assert told.boards is not None
    assert list(told.boards) == ["bank", "telecom", "trustee"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        first, second = (browser.new_context().new_page() for _ in range(2))
        first.goto(told.boards["bank"])
        second.goto(told.boards["telecom"])

        def is_shown(locator: Any) -> None:
            playwright.expect(locator).to_be_visible(timeout=90_000)

        bar = first.locator("#running").get_by_role("progressbar", name=re.compile("demo-credit-sim-long: train"))
        is_shown(bar)
        step = int(bar.get_attribute("value"))
        is_shown(first.locator("#runs").get_by_role("link", name=re.compile("Report of demo-credit-sim-2")))
        first.get_by_role("button", name="Approve demo-credit-sim-next").click()
        first.get_by_role("dialog").get_by_role("button", name="Approve").click()
        is_shown(first.locator("#running").get_by_role("article", name="demo-credit-sim-next"))
        for page in (first, second):  # the partners had approved it, and their boards see the same
            is_shown(page.locator("#runs").get_by_role("link", name=re.compile("Report of demo-credit-sim-next")))
        with first.context.expect_page() as opened:
            first.get_by_role("link", name=re.compile("Report of demo-credit-sim-next")).click()
        is_shown(opened.value.get_by_role("heading", name="demo-credit-sim-next", level=1))
        assert int(bar.get_attribute("value")) > step  # the other one runs meanwhile
        first.get_by_role("button", name=re.compile("Ledger of demo-credit-sim-next")).click()
        is_shown(first.get_by_text("you, 2"))  # who approved it, and when
        browser.close()
    model = Path(told.reports["bank"]).parent / "model"
    published = parties.here("node", "publish", folder / "job.toml", folder / "bank" / "party.toml", "--model", model)
    assert published.code == 0, published.err
    lock = folder / "bank" / "node" / "online" / "processes"
    while not any(map(is_locked, lock.glob("*.lock"))):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    running.kill(signal.SIGINT)
    assert running.wait(90).code == 0, running.err.read_text()
    assert not [lock for lock in folder.glob("*/node/**/*.lock") if is_locked(lock)]


def test_a_demo_that_is_ended_ends_its_parties(parties: Institutions) -> None:
    folder = parties.folder / "demo"
    long = (*SMALL[:-1], "500")
    running = parties.run(["-m", "vfl", "demo", *long, "--dir", str(folder)], "ended")
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*/runs/*/events.jsonl"))) < 3:
        assert time.monotonic() < deadline, running.err.read_text()
        time.sleep(0.1)
    assert len(of_demo(folder)) >= 3
    running.kill(signal.SIGTERM)
    assert running.wait(20).code == 128 + signal.SIGTERM
    assert of_demo(folder) == []


def of_demo(folder: Path) -> list[str]:
    """The command lines of living processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if str(folder) in line]


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
