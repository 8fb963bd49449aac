"""In a real browser: on a phone, a desk and paper nothing on a pack's pages is torn, cut or wider than its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.vfl.report.test_rendered import PDFTOTEXT, alone, measured
from tests.unit.vfl.report.test_screenshots import CHROMIUM
from vfl.evidence.archive import unpacked
from vfl.evidence.pack import pack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM or not PDFTOTEXT, reason="no chromium or no pdftotext on PATH"),
]


@pytest.fixture(scope="module")
def pages(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pages of a pack."""
    folder = tmp_path_factory.mktemp("pages")
    for name, data in unpacked(pack(run, folder / "pack.zip").file.read_bytes()).items():
        if name.endswith(".html"):
            (folder / name).write_bytes(data)
    return folder


def test_nothing_is_torn_cut_or_too_wide(pages: Path) -> None:
    assert len(list(pages.glob("*.html"))) == 4
    assert measured(pages) == []


def test_planted_fault_a_page_that_is_too_wide_is_found(pages: Path, tmp_path: Path) -> None:
    page = (pages / "index.html").read_text(encoding="utf-8")
    (tmp_path / "index.html").write_text(page.replace("<main>", '<main style="width: 1500px">'), encoding="utf-8")
    assert [line for line in measured(tmp_path) if line.startswith("wide index.html-390 ")]


@pytest.mark.parametrize("name", ["index", "model-documentation", "annex-iv", "data-protection"])
def test_no_heading_is_separated_from_its_section_on_paper(pages: Path, tmp_path: Path, name: str) -> None:
    assert alone(tmp_path, (pages / f"{name}.html").read_text(encoding="utf-8")) == []
