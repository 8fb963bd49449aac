"""In a real browser: on a phone, a desk and paper nothing is torn, cut, too small to read or wider than its place; on
paper no heading is left alone at the foot of a page."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from tests.unit.vfl.report.test_aligning import content as aligned
from tests.unit.vfl.report.test_prediction import result as prediction
from tests.unit.vfl.report.test_screenshots import CHROMIUM, browser
from vfl.report import render
from vfl.report.aligning import as_result

PDFTOTEXT = shutil.which("pdftotext")
pytestmark = pytest.mark.skipif(not CHROMIUM or not PDFTOTEXT, reason="no chromium or no pdftotext on PATH")

# Every word of every page at each width: torn where its letters stand in more than one line. A name may break after an
# underscore, where the page says so, and a digest anywhere. Next to a bar a short text has one line, and any other two.
# No caption scrolls away with its table. Texts of drawings are at least 10 px, and none lies on a line. As paper (the
# page with its rules for print, 182 mm wide) no table is wider than its sheet.
MEASURE = """<!DOCTYPE html><title>measure</title>{frames}<pre id=out></pre><script>
const linesOf = (page, node, from, to) => {{
  const range = page.createRange();
  range.setStart(node, from);
  range.setEnd(node, to);
  return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size;
}};
const cellLines = (page, cell) => {{
  const range = page.createRange();
  range.selectNodeContents(cell);
  return new Set([...range.getClientRects()].filter(box => box.width > 1).map(box => Math.round(box.bottom))).size;
}};
const covers = (box, line) => {{
  const at = line.getScreenCTM(), n = 400, length = line.getTotalLength();
  for (let i = 0; i <= n; i++) {{
    const p = line.getPointAtLength(length * i / n).matrixTransform(at);
    if (p.x > box.left && p.x < box.right && p.y > box.top + 2 && p.y < box.bottom - 2) return true;
  }}
  return false;
}};
addEventListener("load", () => {{
  const lines = [];
  for (const frame of document.querySelectorAll("iframe")) {{
    const page = frame.contentDocument, say = (kind, what) => lines.push(kind + " " + frame.title + " " + what);
    const over = page.documentElement.scrollWidth - frame.clientWidth;
    if (over > 0) say("wide", over);
    page.querySelectorAll("details").forEach(one => one.open = true);
    const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {{
      const node = walker.currentNode;
      if (node.parentElement.closest(".mono, svg, pre, style")) continue;
      for (const word of node.data.matchAll(/[^\\s\\u00a0\\u2011-]+/g))
        if (linesOf(page, node, word.index, word.index + word[0].length) > 1) say("torn", word[0]);
    }}
    for (const row of page.querySelectorAll("tbody tr")) {{
      const bar = row.querySelector(".barcell");
      if (!bar || !bar.offsetWidth) continue;
      for (const cell of row.children) {{
        const text = cell.textContent.trim(), n = cell.matches(".barcell") ? 0 : cellLines(page, cell);
        if (n > 2 || n > 1 && text.length <= 20) say("narrow", text);
      }}
    }}
    for (const box of page.querySelectorAll(".wide")) {{
      const cut = box.scrollWidth > box.clientWidth + 1;
      if (cut && box.querySelector("caption")) say("cut", box.ariaLabel);
      if (cut && frame.title.endsWith("paper")) say("cut", box.ariaLabel);
      const heads = box.querySelectorAll("thead tr:last-child th");
      if (cut && heads.length <= 4) say("cut", box.ariaLabel);
    }}
    for (const plot of page.querySelectorAll("svg.plot")) {{
      const scale = plot.getBoundingClientRect().width / plot.viewBox.baseVal.width;
      for (const text of plot.querySelectorAll("text")) {{
        const size = parseFloat(frame.contentWindow.getComputedStyle(text).fontSize) * scale;
        if (size < 10) say("small", text.textContent);
        if (!text.matches(".note")) continue;
        for (const line of plot.querySelectorAll("polyline"))
          if (covers(text.getBoundingClientRect(), line)) say("covered", text.textContent);
      }}
    }}
  }}
  document.getElementById("out").textContent = lines.join("\\n") + "\\nmeasured";
}});
</script>"""
WIDTHS = (390, 1280)
PAPER = 688  # pixels of the 182 mm between the margins of A4


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
    (folder / "alignment.html").write_text(render(as_result(aligned())), encoding="utf-8")
    (folder / "prediction.html").write_text(render(prediction()), encoding="utf-8")
    return folder


def measured(folder: Path) -> list[str]:
    """What is wrong on each page of the folder at each width and on paper."""
    names = sorted(
        p.name for p in folder.glob("*.html") if p.name != "measure.html" and not p.name.startswith("paper-")
    )
    for name in names:
        page = (folder / name).read_text(encoding="utf-8")
        printed = page.replace("@media print", "@media all").replace("@media screen", "@media not all")
        (folder / f"paper-{name}").write_text(printed, encoding="utf-8")
    shown = [(f"{name}-{width}", name, width) for name in names for width in WIDTHS]
    shown += [(f"{name}-paper", f"paper-{name}", PAPER) for name in names]
    frames = "".join(
        f'<iframe title="{title}" src="{file}" style="border:0;width:{width}px;height:900px"></iframe>'
        for title, file, width in shown
    )
    (folder / "measure.html").write_text(MEASURE.format(frames=frames), encoding="utf-8")
    address = (folder / "measure.html").as_uri()
    found = browser(folder, "--allow-file-access-from-files", "--virtual-time-budget=9000", "--dump-dom", address)
    lines = html.unescape(re.search(r"<pre id=\"out\">(.*?)</pre>", found, re.DOTALL)[1]).splitlines()  # type: ignore[index]
    assert lines[-1] == "measured"
    return [line for line in lines[:-1] if line]


def test_nothing_is_torn_cut_small_or_covered_on_a_phone_a_desk_and_paper(pages: Path) -> None:
    assert len(list(pages.glob("*.html"))) >= 5
    assert measured(pages) == []


FAULTS = {  # what is wrong, where it is seen, and what in the page brings it back
    "torn": ("390", "</style>", "th { overflow-wrap: anywhere; min-width: 0 !important; max-width: 3em }</style>"),
    "wide": ("390", "<main>", '<main style="width: 1500px">'),
    "narrow": ("paper", "</style>", "th { min-width: 0 !important } .barcell { width: 60% !important }</style>"),
    "cut": ("390", "<thead>", "<caption>What the table below shows</caption><thead>"),
    "small": ("390", "</style>", ".plot text { font-size: 9px }</style>"),
    "covered": ("1280", "</style>", ".plot .note { transform: translate(8px, 31px) }</style>"),
}  # fmt: skip


def test_planted_fault_what_a_reader_stumbles_over_is_found(pages: Path, tmp_path: Path) -> None:
    page = (pages / "scorecard.html").read_text(encoding="utf-8")
    for kind, (_, there, bad) in FAULTS.items():
        assert there in page
        (tmp_path / f"{kind}.html").write_text(page.replace(there, bad), encoding="utf-8")
    lines = measured(tmp_path)
    for kind, (where, _, _) in FAULTS.items():
        assert [line for line in lines if line.startswith(f"{kind} {kind}.html-{where} ")], kind


def alone(folder: Path, page: str) -> list[str]:
    """The headings that are the last words of a page of paper."""
    paper = folder / "paper.pdf"
    (folder / "paper.html").write_text(page, encoding="utf-8")
    browser(folder, "--no-pdf-header-footer", f"--print-to-pdf={paper}", (folder / "paper.html").as_uri())
    text = subprocess.run([PDFTOTEXT or "", "-layout", paper, "-"], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"<(h[1-4]|summary|p(?= class=\"[^\"]*caption))[^>]*>(.*?)</\1>", page, re.DOTALL)
    headings = {" ".join(html.unescape(re.sub(r"<[^>]+>", "", one)).split()) for _, one in found}
    ends = [
        " ".join(sheet.strip().splitlines()[-1].split()).lstrip("▶▼ ") for sheet in text.split("\f") if sheet.strip()
    ]
    return [end for end in ends if end.replace("‑", "-") in {one.replace("‑", "-") for one in headings}]


@pytest.mark.parametrize(
    "name",
    [
        "scorecard",
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in ("logistic-regression", "boosted-trees", "prediction", "alignment")
        ),
    ],
)
def test_no_heading_is_separated_from_its_table_on_paper(pages: Path, tmp_path: Path, name: str) -> None:
    assert alone(tmp_path, (pages / f"{name}.html").read_text(encoding="utf-8")) == []


@pytest.mark.slow
def test_planted_fault_a_heading_at_the_foot_of_a_page_is_found(pages: Path, tmp_path: Path) -> None:
    page = (pages / "scorecard.html").read_text(encoding="utf-8")
    torn = page.replace("</style>", "@media print { h2 { break-after: page !important } }</style>")
    assert alone(tmp_path, torn)
