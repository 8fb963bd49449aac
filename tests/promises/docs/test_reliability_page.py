"""docs/reliability.md and docs/upgrading.md name tests that exist, each in its file."""

from __future__ import annotations

import ast
import re

from tests.places import ROOT

NAMED = re.compile(r"`([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


def missing(page: str) -> list[str]:
    """The tests that a page names and that are not there."""
    found = []
    for file, name in NAMED.findall(page):
        path = ROOT / "tests" / file
        functions = (
            {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
            if path.exists()
            else set()
        )
        found += [f"{file}::{name}"] if name not in functions else []
    return found


def test_every_promise_names_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert len(NAMED.findall(page)) > 30
    assert all(
        "`" in line
        for line in page.splitlines()
        if line.startswith("| ") and not re.match(r"\| (promise|what is wrong) \|", line)
    )
    assert missing(page) == []


def test_every_line_about_upgrades_names_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| what |")]
    assert len(lines) >= 7
    assert all(NAMED.search(line) for line in lines)
    assert missing(page) == []


def test_planted_fault_a_name_of_no_test_is_noticed() -> None:
    assert missing("| x | `fuzz/test_fuzz.py::test_nothing`, `none/test_x.py::test_y` |") == [
        "fuzz/test_fuzz.py::test_nothing",
        "none/test_x.py::test_y",
    ]
