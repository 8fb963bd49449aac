"""Does an alignment have a page, in Python and of a run, that says what is common and nothing else?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import vfl
from protocols.errors import ConfigError
from tests.unit.vfl.report.html_page import Page
from vfl.models.results import environment
from vfl.report import render, write_alignment
from vfl.report.aligning import as_result
from vfl.run.align import from_json, read_alignment

PHASES = [
    {"name": "align", "seconds": 0.4, "bytes_sent": 5000, "bytes_received": 7000, "messages_sent": 3, "messages_received": 4}  # noqa: E501
]  # fmt: skip


def content(**more: Any) -> dict[str, Any]:
    """alignment.json of a bank with two hosts and two keys."""
    return {
        "format": 1,
        "job": "overlap",
        "job_digest": "ab" * 32,
        "party": "bank",
        "role": "guest",
        "started": "2026-11-20T11:42:07+00:00",
        "phases": PHASES,
        "disclosure": [
            {"message": "BlindedIds", "class": "BLINDED", "to": "telecom", "count": 1, "bytes": 1234, "learns": "how many ids the sender has"}  # noqa: E501
        ],
        "rows": {"bank": 1000, "telecom": 1200, "grocer": 900},
        "common": 640,
        "match_rate": {"bank": 0.64, "telecom": 0.533, "grocer": 0.711},
        "by_key": [{"columns": ["id"], "matched": 600}, {"columns": ["phone", "birth_date"], "matched": 40}],
        "repeated": 7,
        "file": "aligned.csv",
    } | more  # fmt: skip


def test_the_page_says_what_is_common_and_where_the_rows_are() -> None:
    page = Page(render(as_result(content())))
    assert page.sections() == ["alignment", "disclosure", "cost", "run"]
    assert page.words.startswith("overlap: alignment of bank overlap Alignment of bank, guest · 20 November 2026")
    for words in (
        "640 of bank’s 1,000 rows are known to telecom and grocer too.",
        "telecom 1,200 53.3 %",
        "7 rows of bank’s table repeated the id of an earlier one",
        "phone + birth_date 40",
        "are in aligned.csv, in the same order",
        "what you need to run it again",
        "The same numbers are in alignment.json, in the same folder.",
    ):
        assert words in page.words.replace("\u00a0", " "), words
    for words in ("outcome", "the partner’s columns", "None"):
        assert words not in page.words


def test_sizes_alone_and_the_arbiter_have_their_own_words() -> None:
    page = Page(render(as_result(content(file=None, by_key=[{"columns": ["id"], "matched": 640}]))))
    assert "No row was written: this run shows how many rows are common, and not which." in page.words
    assert "By which key" not in page.words
    data = ("rows", "common", "match_rate", "by_key", "repeated", "file")
    kept = {k: v for k, v in content(party="trustco", role="arbiter").items() if k not in data}
    arbiter = Page(render(as_result(kept)))
    assert "trustco compared ids that were encrypted for it. It saw no id and no row." in arbiter.words
    assert "Rows in common" not in arbiter.words


def test_python_saves_the_same_page_and_no_row(tmp_path: Path) -> None:
    ids = [f"c{k:03d}" for k in range(40)]
    bank = pd.DataFrame({"id": ids, "phone": ids, "income": range(40)})
    found = vfl.align(bank, {"telecom": bank.iloc[10:].assign(income=1)}, on=[["id"], ["phone", "id"]])
    page = found.save(tmp_path / "out")
    assert page == tmp_path / "out" / "report.html"
    assert "30 of guest’s 40 rows are known to telecom too." in Page(page.read_text()).words
    assert sorted(p.name for p in page.parent.iterdir()) == ["alignment.json", "report.html"]
    assert {p.stat().st_mode & 0o777 for p in page.parent.iterdir()} == {0o600}
    told = json.loads((page.parent / "alignment.json").read_text())
    assert told["environment"] == as_result(told)["environment"] == environment()
    assert told["by_key"] == [{"columns": ["id"], "matched": 30}, {"columns": ["phone", "id"], "matched": 0}]
    assert not any(name in (page.parent / "alignment.json").read_text() for name in ids)
    again = from_json(read_alignment(page.parent))
    assert again is not None
    assert (again.rows, again.common) == (found.report.rows, found.report.common)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written to .*file.*Make room there, or name another folder"):
        write_alignment(tmp_path / "file" / "run", content())
