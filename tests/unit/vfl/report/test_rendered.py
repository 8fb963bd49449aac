"""In a real browser: at the width of a phone no word is torn and no page is wider than the screen; on paper no heading
is left alone at the foot of a page."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from tests.unit.vfl.report.test_prediction import result as prediction
from tests.unit.vfl.report.test_screenshots import CHROMIUM, browser
from vfl.report import render

PDFTOTEXT = shutil.which("pdftotext")
pytestmark = pytest.mark.skipif(not CHROMIUM or not PDFTOTEXT, reason="no chromium or no pdftotext on PATH")

# Every word of every page at each width: torn where its letters stand in more than one line. A name may break after an
# underscore, where the page says so, and a digest anywhere.
MEASURE = """<!DOCTYPE html><title>measure</title>{frames}<pre id=out></pre><script>
addEventListener("load", () => {{
  const lines = [];
  for (const frame of document.querySelectorAll("iframe")) {{
    const page = frame.contentDocument;
    const over = page.documentElement.scrollWidth - frame.clientWidth;
    if (over > 0) lines.push("wide " + frame.title + " " + over);
    page.querySelectorAll("details").forEach(one => one.open = true);
    const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {{
      const node = walker.currentNode;
      if (node.parentElement.closest(".mono, svg, pre, style")) continue;
      for (const word of node.data.matchAll(/[^\\s\\u00a0\\u2011-]+/g)) {{
        const range = page.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        const tops = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
        if (tops.size > 1) lines.push("torn " + frame.title + " " + word[0]);
      }}
    }}
  }}
  document.getElementById("out").textContent = lines.join("\\n") + "\\nmeasured";
}});
</script>"""
WIDTHS = (390, 1280)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pages of a regression, trees, a scorecard (with 30 columns of long names), a prediction and an
    alignment."""
    folder, rng, n = tmp_path_factory.mktemp("pages"), np.random.default_rng(1), 600
    x = rng.normal(size=(n, 33))
    y = (x[:, 0] - 0.6 * x[:, 1] + 0.8 * x[:, 30] + rng.logistic(size=n) > 0).astype(int)
    ids = [f"c{i}" for i in range(n)]
    guest = pd.DataFrame({"id": ids, "default": y} | {f"monthly_income_after_tax_{k}": x[:, k] for k in range(30)})
    host = pd.DataFrame({"id": ids} | {f"number_of_late_payments_{k}": x[:, 30 + k] for k in range(3)})
    for estimator in (vfl.LogisticRegression(), vfl.BoostedTrees(n_estimators=2), vfl.Scorecard(max_n_prebins=5)):
        fed = vfl.Federation.local(
            guest, {"telecom": host}, on="id", label="default", cipher=Identity(), reveal=("guest",)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a few columns of noise have weights of the wrong sign
            model = fed.fit(estimator, split=vfl.Split(test=0.25))
        (folder / f"{estimator.kind}.html").write_text(render(model.reports_["guest"].result), encoding="utf-8")
    aligned: dict[str, Any] = prediction("host") | {"alignment": {"guest_rows": 5, "host_rows": 7, "intersection": 4}}
    (folder / "alignment.html").write_text(render(aligned), encoding="utf-8")
    (folder / "prediction.html").write_text(render(prediction()), encoding="utf-8")
    return folder


def measured(folder: Path) -> list[str]:
    names = sorted(p.name for p in folder.glob("*.html") if p.name != "measure.html")
    frames = "".join(
        f'<iframe title="{name}-{width}" src="{name}" style="border:0;width:{width}px;height:900px"></iframe>'
        for name in names
        for width in WIDTHS
    )
    (folder / "measure.html").write_text(MEASURE.format(frames=frames), encoding="utf-8")
    address = (folder / "measure.html").as_uri()
    found = browser(folder, "--allow-file-access-from-files", "--virtual-time-budget=9000", "--dump-dom", address)
    lines = html.unescape(re.search(r"<pre id=\"out\">(.*?)</pre>", found, re.DOTALL)[1]).splitlines()  # type: ignore[index]
    assert lines[-1] == "measured"
    return [line for line in lines[:-1] if line]


def test_no_word_is_torn_at_the_width_of_a_phone_and_of_a_desk(pages: Path) -> None:
    assert len(list(pages.glob("*.html"))) >= 5
    assert measured(pages) == []


def test_planted_fault_a_torn_word_and_a_wide_page_are_found(pages: Path, tmp_path: Path) -> None:
    page = (pages / "scorecard.html").read_text(encoding="utf-8")
    bad = page.replace(
        "</style>", ".wide tbody th { overflow-wrap: anywhere; width: 3em; min-width: 0; max-width: 3em }</style>"
    )
    (tmp_path / "torn.html").write_text(bad, encoding="utf-8")
    (tmp_path / "wide.html").write_text(page.replace("<main>", '<main style="width: 1500px">'), encoding="utf-8")
    kinds = {line.split("-")[0] for line in measured(tmp_path)}
    assert kinds == {"torn torn.html", "wide wide.html"}


def alone(folder: Path, page: str) -> list[str]:
    """The headings that are the last words of a page of paper."""
    paper = folder / "paper.pdf"
    (folder / "paper.html").write_text(page, encoding="utf-8")
    browser(folder, "--no-pdf-header-footer", f"--print-to-pdf={paper}", (folder / "paper.html").as_uri())
    text = subprocess.run([PDFTOTEXT or "", "-layout", paper, "-"], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"<(?:h[1-4]|summary|caption)[^>]*>(.*?)</(?:h[1-4]|summary|caption)>", page, re.DOTALL)
    headings = {" ".join(html.unescape(re.sub(r"<[^>]+>", "", one)).split()) for one in found}
    ends = [
        " ".join(sheet.strip().splitlines()[-1].split()).lstrip("▶▼ ") for sheet in text.split("\f") if sheet.strip()
    ]
    return [end for end in ends if end.replace("‑", "-") in {one.replace("‑", "-") for one in headings}]


@pytest.mark.parametrize(
    "name",
    [
        "scorecard",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("logistic-regression", "boosted-trees", "prediction")),
    ],
)
def test_no_heading_is_separated_from_its_table_on_paper(pages: Path, tmp_path: Path, name: str) -> None:
    assert alone(tmp_path, (pages / f"{name}.html").read_text(encoding="utf-8")) == []


@pytest.mark.slow
def test_planted_fault_a_heading_at_the_foot_of_a_page_is_found(pages: Path, tmp_path: Path) -> None:
    page = (pages / "scorecard.html").read_text(encoding="utf-8")
    torn = page.replace("</style>", "@media print { h2 { break-after: page !important } }</style>")
    assert alone(tmp_path, torn)
