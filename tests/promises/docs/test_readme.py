"""Promise: the first example of the README runs as pasted."""

from __future__ import annotations

import re

import pytest

from protocols.cipher import Paillier
from tests.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_example_runs_as_pasted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Under a small key: which bits it has changes no line of it."""
    monkeypatch.setattr("vfl.api.federation.paillier", lambda bits: Paillier(1024))
    example = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)[0]
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"^auc +0\.[78]\d+ +0\.[67]\d+$", printed, flags=re.MULTILINE)


def test_the_page_for_officers_names_commands_and_keys_that_exist() -> None:
    from typer.main import get_command

    from vfl.cli.main import app
    from vfl.job.policy import Policy

    page = (ROOT / "docs" / "data-protection.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^\| [A-Z].*\? \|", page, re.MULTILINE)) + page.count("What do we do? |") >= 11
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert {words.split()[1] for words in re.findall(r"`(vfl [a-z]+[^`]*)`", page)} <= commands
    assert set(re.findall(r"`policy\.(\w+)`", page)) <= set(Policy.model_fields)
