"""The board in a real browser: a job is approved by a click, its progress moves, its report opens, a second tab sees
the same; with keys alone; and no rule of axe is broken, at two widths, in light and dark."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.vfl.node.conftest import Bank
from tests.unit.vfl.node.http.test_board import caller, identity
from tests.unit.vfl.node.http.test_http import JOB, RUN, TOKENS, Face, event
from vfl.job import load_agreement
from vfl.node.batch import Batch
from vfl.node.inbox import submit

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-playwright-python")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on PATH")
WIDTHS = (390, 1280)
LEARNS = "Each data party learns which of its own rows"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def face(bank: Bank) -> Iterator[Face]:
    with contextlib.closing(Face(bank)) as made:
        yield made


class Tab:
    """A page of the board, and what went wrong in it."""

    def __init__(self, context: Any, face: Face) -> None:
        self.page, self.wrong, self.asked = context.new_page(), list[str](), set[str]()
        self.page.on("console", lambda said: self.wrong.extend([said.text] * (said.type in ("error", "warning"))))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.add(re.sub(r"(//[^/]*/).*", r"\1", request.url)))
        self.page.set_default_timeout(15_000)
        self.address = f"http://127.0.0.1:{face.port}/"
        self.page.goto(self.address)

    def sign_in(self, user: str) -> None:
        self.page.get_by_label("Token").fill(TOKENS[user])
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_text("live", exact=True).wait_for()

    def close(self) -> None:
        assert self.wrong == []
        assert self.asked == {self.address}  # nothing leaves this machine


def is_shown(locator: Any) -> None:
    playwright.expect(locator).to_be_visible(timeout=15_000)


def write(bank: Bank, step: int, what: str = "step") -> Path:
    """The events of a run up to a step."""
    folder = bank.file.parent / "runs" / RUN
    folder.mkdir(parents=True, exist_ok=True)
    told = msgspec.structs.replace(event(step), event=what, missing=[], peers=["telecom", "trustco"])
    with (folder / "events.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(told) + b"\n")
    return folder


def test_a_job_from_the_click_to_its_report_in_two_tabs(bank: Bank, face: Face, browser: Any) -> None:
    digest = submit(face.service.table, face.service.party, bank.job).digest
    with contextlib.closing(browser.new_context(viewport={"width": 1280, "height": 900})) as context:
        first = Tab(context, face)
        first.sign_in("jane")
        waiting = first.page.get_by_role("article", name=JOB)
        is_shown(waiting.get_by_role("listitem").filter(has_text=LEARNS))
        second = Tab(context, face)  # has the same key
        is_shown(second.page.get_by_role("button", name=f"Approve {JOB}"))
        waiting.get_by_role("button", name=f"Approve {JOB}").click()
        is_shown(first.page.get_by_role("dialog").get_by_text("It starts at once"))
        assert face.service.table.get(digest).state == "waiting"  # nothing happened yet
        first.page.get_by_role("dialog").get_by_role("button", name="Approve").click()
        for tab in (first, second):
            is_shown(tab.page.get_by_text("waiting for the partners"))
        assert face.service.table.get(digest).approved_by == "jane"
        for step in (2, 5):
            write(bank, step)
            for tab in (first, second):
                bar = tab.page.get_by_role("progressbar")
                playwright.expect(bar).to_have_attribute("value", str(step), timeout=15_000)
                is_shown(tab.page.get_by_text(f"{step} of 9, about 3 s left"))
        is_shown(first.page.get_by_text("telecom: connected"))
        folder = write(bank, 9, "done")
        (folder / "report.html").write_text("<!doctype html><title>r</title><h1>The report</h1>")
        (folder / "report.json").write_text(json.dumps({"job": JOB, "started": "2026-11-30T12:00:00+00:00"}))
        bank.end(0)
        for tab in (first, second):
            is_shown(tab.page.locator("#runs").get_by_text("done"))
        with context.expect_page() as opened:
            second.page.get_by_role("link", name=f"Report of {RUN}").click()
        is_shown(opened.value.get_by_role("heading", name="The report"))
        second.page.get_by_role("button", name="Sign out").click()
        is_shown(first.page.get_by_label("Token"))  # of all tabs
        first.close()
        second.close()


def test_with_keys_alone(bank: Bank, face: Face, browser: Any) -> None:
    digest = submit(face.service.table, face.service.party, bank.job).digest
    with contextlib.closing(browser.new_context()) as context:
        tab = Tab(context, face)
        is_shown(tab.page.get_by_label("Token"))
        keys = tab.page.keyboard
        keys.type(TOKENS["jane"])  # the field has the focus
        keys.press("Enter")
        is_shown(tab.page.get_by_role("button", name=f"Approve {JOB}"))

        def reach(name: str) -> None:
            for _ in range(60):
                keys.press("Tab")
                at = tab.page.evaluate("(e => e.getAttribute('aria-label') ?? e.textContent)(document.activeElement)")
                if at == name:
                    return
            pytest.fail(f"Tab does not reach {name}")

        reach("What the job does")
        keys.press("Enter")
        is_shown(tab.page.get_by_text("bank holds the labels"))
        time.sleep(1)  # some rounds of new content
        is_shown(tab.page.get_by_text("bank holds the labels"))  # what was opened stays open
        reach(f"Approve {JOB}")
        keys.press("Enter")
        is_shown(tab.page.get_by_role("dialog"))
        keys.press("Escape")
        assert face.service.table.get(digest).state == "waiting"
        keys.press("Enter")  # the focus is where it was
        reach("Approve")
        keys.press("Enter")
        is_shown(tab.page.get_by_text("waiting for the partners"))
        tab.close()


@pytest.mark.slow
def test_a_reader_sees_and_may_not_approve(bank: Bank, face: Face, browser: Any) -> None:
    submit(face.service.table, face.service.party, bank.job)
    with contextlib.closing(browser.new_context()) as context:
        tab = Tab(context, face)
        tab.page.get_by_label("Token").fill("x" * 32)
        tab.page.get_by_role("button", name="Sign in").click()
        is_shown(tab.page.get_by_role("alert").get_by_text("No user has this token."))
        tab.wrong.clear()  # the browser reports the refusal
        tab.sign_in("reader")
        is_shown(tab.page.get_by_text("Your roles do not include approve."))
        assert tab.page.get_by_role("button", name=re.compile("Approve")).count() == 0
        tab.close()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_no_rule_of_axe_is_broken_and_nothing_is_wider_than_the_window(
    bank: Bank, face: Face, browser: Any, scheme: str
) -> None:
    submit(face.service.table, face.service.party, bank.job)
    other = bank.job.with_name("other.toml")
    other.write_text(bank.job.read_text().replace(f'name = "{JOB}"', 'name = "second"'))
    table = face.service.table
    second = submit(table, face.service.party, other).digest
    table.approve(second, "jane", "http")
    batch = Batch("/srv/bank/runs/second-20261130-120000/model", "/srv/bank/" + "customers" * 8 + ".csv", None)
    table.submit(load_agreement(other), other.read_bytes(), "joe", batch)
    folder = write(bank, 3)
    folder.rename(folder.with_name(folder.name.replace(JOB, "second")))
    write(bank, 9, "done").joinpath("alignment.json").write_text("{}")
    with contextlib.closing(browser.new_context(color_scheme=scheme)) as context:
        tab = Tab(context, face)
        for width in WIDTHS:
            tab.page.set_viewport_size({"width": width, "height": 900})
            assert violations(tab.page) == []
        tab.sign_in("jane")
        is_shown(tab.page.get_by_role("article", name=JOB).get_by_role("listitem").filter(has_text=LEARNS))
        is_shown(tab.page.get_by_role("progressbar"))
        is_shown(tab.page.get_by_role("article", name="the prediction of second").get_by_text(str(batch.data)))
        for width in WIDTHS:
            tab.page.set_viewport_size({"width": width, "height": 900})
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
            assert violations(tab.page) == []
        tab.page.get_by_role("button", name=f"Approve {JOB}").click()
        assert violations(tab.page) == []
        tab.page.keyboard.press("Escape")
        tab.page.evaluate("document.querySelector('main').append(document.createElement('button'))")
        assert violations(tab.page) == ["button-name"]  # planted
        tab.close()


@pytest.mark.slow
def test_the_page_of_the_routes_fits_and_breaks_no_code(face: Face, browser: Any) -> None:
    broken = """() => [...document.querySelectorAll("th")].filter(cell => {
      const words = document.createRange();
      words.selectNodeContents(cell);
      return new Set([...words.getClientRects()].map(box => Math.round(box.top))).size > 1;
    }).map(cell => cell.textContent)"""
    with contextlib.closing(browser.new_context()) as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{face.port}/docs")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(broken) == []
        page.set_viewport_size({"width": 390, "height": 900})
        page.evaluate("document.styleSheets[0].insertRule('th { white-space: normal !important; }')")  # planted
        assert {"digest", "401"} <= set(page.evaluate(broken))


def violations(page: Any) -> list[str]:
    return [str(one["id"]) for one in axe.Axe().run(page).response["violations"]]


@pytest.mark.slow
def test_a_script_in_a_name_or_message_is_text(bank: Bank, face: Face, browser: Any) -> None:
    """Messages of errors and names of files come from elsewhere: they are shown as they are."""
    (bank.folder / "inbox" / "<img src=x onerror=document.title='caught'>.toml").write_text("= 1")
    with contextlib.closing(browser.new_context()) as context:
        tab = Tab(context, face)
        tab.sign_in("reader")
        is_shown(tab.page.get_by_text("<img src=x onerror"))
        assert "caught" not in tab.page.title()
        refused = "() => { try { document.body.innerHTML = '<b>x</b>'; return false } catch { return true } }"
        assert tab.page.evaluate(refused)  # and the policy forbids any page to make elements of a text
        tab.wrong.clear()
        tab.close()


@pytest.mark.slow
def test_a_browser_with_the_certificate_of_a_user_needs_no_token(bank: Bank, browser: Any) -> None:
    home = bank.file.parent
    certificate, key = identity(home, "jane-cert")
    own = home / "identity" / "cert.pem"
    tls = 'certificate = "identity/cert.pem"\nkey = "identity/key.pem"\n'
    tls += '[node.http.access.gateway]\ncertificate = "jane-cert/cert.pem"\nroles = ["read", "approve"]\n'
    with contextlib.closing(Face(bank, tls, tls=caller(own, None))) as face:
        digest = submit(face.service.table, face.service.party, bank.job).digest
        address = f"https://127.0.0.1:{face.port}"
        shown = [{"origin": address, "certPath": str(certificate), "keyPath": str(key)}]
        for certificates, signed_in in ((shown, True), ([], False)):
            context = browser.new_context(ignore_https_errors=True, client_certificates=certificates)
            with contextlib.closing(context):
                page = context.new_page()
                page.goto(f"{address}/")
                if not signed_in:
                    is_shown(page.get_by_label("Token"))
                    continue
                is_shown(page.get_by_text("gateway may read and approve"))
                page.get_by_role("button", name=f"Approve {JOB}").click()
                page.get_by_role("dialog").get_by_role("button", name="Approve").click()
                is_shown(page.get_by_text("waiting for the partners"))
        assert face.service.table.get(digest).approved_by == "gateway"
