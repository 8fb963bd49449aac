"""Does a real browser show the page: plots there, nothing wider than the window, no request but for the page itself?"""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vfl.report import write_report

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="no chromium on PATH")]

# Frames the page at a given width and measures it; the page itself forbids scripts.
MEASURE = """<!DOCTYPE html><title>measure</title><iframe id=f src="report.html" style="border:0;width:{width}px;height:900px"></iframe>
<pre id=out></pre><script>
document.getElementById("f").onload = () => {{
  const page = document.getElementById("f").contentDocument;
  const lines = ["width " + page.documentElement.scrollWidth];
  for (const plot of page.querySelectorAll("svg.plot")) {{
    const box = plot.getBoundingClientRect();
    lines.push("plot " + Math.round(box.left) + " " + Math.round(box.right) + " " + Math.round(box.height));
  }}
  document.getElementById("out").textContent = lines.join("\\n");
}};
</script>"""  # noqa: E501


@pytest.fixture
def site(full_result, tmp_path) -> Iterator[tuple[str, Path, list[str]]]:
    """(address, folder, paths asked for) of a server of the guest's report on this machine."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            asked.append(self.path)

    write_report(tmp_path, full_result)
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", tmp_path, asked
        server.shutdown()


def browser(folder: Path, *arguments: str) -> str:
    quiet = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
    ]
    command = [CHROMIUM or "", *quiet, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=90).stdout.decode()


@pytest.mark.parametrize("width", [1280, 480])
def test_the_page_is_shown_whole(site, width):
    address, folder, asked = site
    shot = folder / f"report-{width}.png"
    browser(folder, f"--window-size={width},9000", f"--screenshot={shot}", f"{address}/report.html")
    assert struct.unpack(">II", shot.read_bytes()[16:24]) == (width, 9000)
    assert shot.stat().st_size > 50_000
    assert asked == ["/report.html"]

    (folder / "measure.html").write_text(MEASURE.format(width=width), encoding="utf-8")
    measured = browser(folder, "--virtual-time-budget=5000", "--dump-dom", f"{address}/measure.html")
    assert int(re.search(r"width (\d+)", measured).group(1)) <= width
    plots = [tuple(map(int, found)) for found in re.findall(r"plot (-?\d+) (\d+) (\d+)", measured)]
    assert len(plots) == 2 * 6  # of held-out and of out-of-time rows
    for left, right, height in plots:
        assert 0 <= left < right <= width
        assert right - left > 0.38 * width
        assert height > 250
    columns = len({left for left, _, _ in plots})
    assert columns == (2 if width == 1280 else 1)


PHONE = """<!DOCTYPE html><title>measure</title><iframe id=f src="report.html" style="border:0;width:390px;height:900px"></iframe>
<pre id=out></pre><script>
document.getElementById("f").onload = () => {
  const page = document.getElementById("f").contentDocument;
  const edge = (cell) => cell.getBoundingClientRect().right - cell.closest(".wide").getBoundingClientRect().right;
  const last = (cells) => Math.max(...[...cells].map(edge));
  const found = {
    verdict: last(page.querySelectorAll(".moved .mark")), cost: last(page.querySelectorAll(".phases td:nth-child(5)")),
  };
  document.getElementById("out").textContent = "found " + JSON.stringify(found);
};
</script>"""  # noqa: E501


def test_verdicts_and_bytes_are_seen_on_a_phone_before_it_scrolls(site):
    address, folder, _ = site

    def measured() -> dict[str, float]:
        (folder / "phone.html").write_text(PHONE, encoding="utf-8")
        found = browser(folder, "--virtual-time-budget=5000", "--dump-dom", f"{address}/phone.html")
        return json.loads(re.search(r"found (\{.*?\})", found).group(1))

    assert {name: beyond for name, beyond in measured().items() if beyond > 0} == {}
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count(", .moved .barcell {") == 1
    (folder / "report.html").write_text(page.replace(", .moved .barcell {", " {"), encoding="utf-8")  # planted
    assert measured()["verdict"] > 20


def test_the_page_prints(site):
    address, folder, asked = site
    paper = folder / "report.pdf"
    browser(folder, "--no-pdf-header-footer", f"--print-to-pdf={paper}", f"{address}/report.html")
    pages = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert 6 <= pages <= 13
    assert asked == ["/report.html"]
