"""Is a page safe to open and readable by all: plots in words, names that stay text, no request, headings, colours?"""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import pytest

from tests.places import ROOT
from tests.unit.vfl.report.conftest import other_kind
from tests.unit.vfl.report.html_page import Page
from vfl.report import render

STYLE = ROOT / "vfl" / "report" / "templates" / "style.css"


def test_plots_are_sound_and_say_in_words_what_they_show(guest_result):
    html = render(guest_result)
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.S)
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    plots = [ElementTree.fromstring(d) for d in drawings if 'class="plot"' in d]
    assert len(plots) == 6
    for plot in plots:
        assert plot.get("role") == "img"
        assert len(plot.get("aria-label") or "") > 40
    assert f"{guest_result['metrics']['test']['joint']['auc']:.4f}" in plots[0].get("aria-label")
    width, height = (float(v) for v in plots[0].get("viewBox").split()[2:])
    for x, y in (pair.split(",") for line in plots[0].iter("polyline") for pair in line.get("points").split()):
        assert 0 <= float(x) <= width
        assert 0 <= float(y) <= height
    for drawing in drawings:
        assert 'role="img"' in drawing or 'aria-hidden="true"' in drawing


def test_the_page_asks_nothing_of_any_network_and_runs_nothing(full_result, host_result, arbiter_result):
    for result in (full_result, host_result, arbiter_result):
        html = render(result)
        assert not re.search(
            r"https?:|//[a-z]|@import|url\(|<script|javascript:|\son\w+=|<iframe|<object|<base", html, re.IGNORECASE
        )
        page = Page(html)
        assert [a["content"] for t, a in page.tags if a.get("http-equiv")] == [
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        ]
        links = [a.get("href") or "" for t, a in page.tags if t in ("a", "link")]
        assert {href for href in links if not href.startswith("#")} == {"data:,"}
        assert {href[1:] for href in links if href.startswith("#")} <= set(page.ids)
        assert not any("src" in a for _, a in page.tags)


def test_names_from_files_stay_text(full_result):
    guest_result = full_result
    evil = "\"'><script>alert(1)</script><img src=x onerror=y>{{ 7 * 7 }}&amp;"
    guest_result |= {
        "job": evil,
        "party": evil,
        "started": evil,
        "job_digest": evil,
        "parties": {"guest": evil, "hosts": [evil]},
    }
    guest_result["phases"][0]["name"] = evil
    guest_result["model"] |= {"kind": evil, "link": evil}
    guest_result["model"]["coefficients"][0]["column"] = evil
    guest_result["disclosure"][0] |= {"message": evil, "to": [evil, evil], "learns": evil}
    guest_result["disclosure"][1]["class"] = evil
    for lines, key in (
        (guest_result["columns"], "column"),
        (guest_result["stability"]["columns"], "column"),
        *((guest_result["model"][name], "column") for name in ("iv", "woe", "points", "host_columns")),
    ):
        lines[0][key] = evil
    guest_result["model"]["woe"][0]["bin"] = evil
    guest_result |= {"permits": {evil: evil}, "inputs": {evil: evil}, "job_file": {evil: evil}, "classes": [evil, evil]}
    guest_result["environment"] = {evil: evil, "versions": {evil: evil}}
    html = render(guest_result)
    page = Page(html)
    assert "<script" not in html
    assert "<img" not in html
    assert "49" not in page.ids
    assert not any(k.startswith("on") for _, a in page.tags for k in a)
    assert page.text.count("<script>alert(1)</script>") > 10
    for drawing in re.findall(r"<svg.*?</svg>", html, flags=re.S):
        ElementTree.fromstring(drawing)


@pytest.mark.parametrize("kind", ["full", "numeric", "count", "multiclass", "host", "arbiter"])
def test_every_heading_table_and_region_has_a_name(kind, full_result, host_result, arbiter_result):
    whole = {"full": full_result, "host": host_result, "arbiter": arbiter_result}
    page = Page(render(whole[kind] if kind in whole else other_kind(kind)))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    assert len(page.ids) == len(set(page.ids))
    for tag, attrs in page.tags:
        if tag == "section":
            assert attrs["aria-labelledby"] in page.ids
        if attrs.get("role") in ("region", "img"):
            assert attrs["aria-label"]
        if tag == "th":
            assert attrs["scope"] in ("col", "row", "colgroup")


def luminance(colour: str) -> float:
    parts = (
        [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        if len(colour) == 7
        else [int(c * 2, 16) / 255 for c in colour[1:]]
    )
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", range(3), ids=["light", "dark", "print"])
def test_every_text_colour_has_contrast_on_every_ground(scheme):
    blocks = re.findall(r":root \{(.*?)\}", STYLE.read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) == 3
    colours = dict(re.findall(r"--(\w+): (#\w+);", blocks[scheme]))
    for text in ("ink", "soft", "joint", "alone", "good", "bad"):
        for ground in ("paper", "ground", "tint"):
            light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)
