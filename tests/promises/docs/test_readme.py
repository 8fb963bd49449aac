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
