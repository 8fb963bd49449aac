"""In a real browser: on a phone, a desk and paper nothing on a pack's pages is torn, cut or wider than its place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.vfl.evidence.conftest import the_report
from tests.unit.vfl.evidence.test_pack import an_audit
from tests.unit.vfl.report.test_rendered import PDFTOTEXT, alone, measured
from tests.unit.vfl.report.test_screenshots import CHROMIUM
from vfl.attacks.page import render
from vfl.evidence.archive import unpacked
from vfl.evidence.pack import pack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM or not PDFTOTEXT, reason="no chromium or no pdftotext on PATH"),
]


PAGES = ["index", "model-documentation", "annex-iv", "data-protection", "terms", "audit"]


@pytest.fixture(scope="module")
def pages(run: Path, institution: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pages of a pack, and of the audit in it."""
    folder = tmp_path_factory.mktemp("pages")
    own = shutil.copytree(institution, folder / "bank") / "runs" / run.name
    audit = json.loads(an_audit(the_report()["job_digest"]))
    audit["about"] |= {"source": "a twin of this run", "kind": "logistic regression", "rows": 400, "seeds": 20}
    audit["about"] |= {"columns": {"bank": 3}, "made": "2026-11-20T12:00:00+00:00", "version": "0.1.0"}
    (own / "audit.json").write_text(json.dumps(audit))
    (own / "audit.html").write_text(render(audit), encoding="utf-8")
    for name, data in unpacked(pack(own, folder / "pack.zip").file.read_bytes()).items():
        if name.endswith(".html"):
            (folder / Path(name).name).write_bytes(data)
    return folder


def test_nothing_is_torn_cut_or_too_wide(pages: Path) -> None:
    assert {f"{name}.html" for name in PAGES} <= {path.name for path in pages.glob("*.html")}
    assert measured(pages) == []


def test_planted_fault_a_page_that_is_too_wide_is_found(pages: Path, tmp_path: Path) -> None:
    page = (pages / "index.html").read_text(encoding="utf-8")
    (tmp_path / "index.html").write_text(page.replace("<main>", '<main style="width: 1500px">'), encoding="utf-8")
    assert [line for line in measured(tmp_path) if line.startswith("wide index.html-390 ")]


@pytest.mark.parametrize("name", PAGES)
def test_no_heading_is_separated_from_its_section_on_paper(pages: Path, tmp_path: Path, name: str) -> None:
    assert alone(tmp_path, (pages / f"{name}.html").read_text(encoding="utf-8")) == []
