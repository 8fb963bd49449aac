"""A call in Python shows its progress in a notebook and at a terminal, and nowhere else unless it is asked to."""

from __future__ import annotations

import sys
import types
from typing import Any

import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError
from protocols.session import Observer
from tests.promises.notebooks.test_interrupts import federation, tables
from vfl.screen import notebook

ASKED = vfl.LogisticRegression(max_iter=5, link="taylor")


class Cell:
    """What IPython's `display` shows below a cell."""

    def __init__(self) -> None:
        self.shown = list[dict[str, str]]()

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Cell:
        assert raw
        assert display_id
        self.update(data, raw=True)
        return self

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        self.shown.append(data)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """A notebook's kernel, as far as the engine asks for it."""
    found, shell = Cell(), types.SimpleNamespace(kernel=object())
    modules: dict[str, Any] = {"IPython": types.ModuleType("IPython"), "IPython.display": types.ModuleType("display")}
    modules["IPython"].get_ipython = lambda: shell
    modules["IPython.display"].display = found.display
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return found


def test_a_notebook_shows_one_line_that_ends_as_done(cell: Cell) -> None:
    federation(60, Identity()).fit(ASKED)
    texts = [one["text/plain"] for one in cell.shown]
    assert texts[0] == "starting"
    assert any("aligning ids" in text for text in texts)
    assert any("training: 5 of 5" in text for text in texts)
    assert texts[-1].startswith("done (")
    assert all('class="vfl-card"' in one["text/html"] for one in cell.shown)


def test_an_error_is_shown_as_stopped(cell: Cell) -> None:
    guest, host = tables(60)
    with pytest.raises(DataError):
        vfl.align(guest, {"telecom": host.assign(id=host["id"] + 1000)}, on="id")
    assert cell.shown[-1]["text/plain"].startswith("stopped (")


def test_predictions_show_theirs_as_the_training_did(cell: Cell) -> None:
    guest, host = tables(60)
    model = federation(60, Identity()).fit(ASKED)
    for verbose, shown in ((None, True), (0, False)):
        cell.shown.clear()
        model.verbose = verbose
        model.predict_score(guest, {"telecom": host})
        assert any("scoring rows" in one["text/plain"] for one in cell.shown) is shown
    quiet = federation(60, Identity()).fit(ASKED, verbose=0)
    cell.shown.clear()
    quiet.predict_score(guest, {"telecom": host})
    assert cell.shown == []


@pytest.mark.parametrize("quiet", [{"verbose": 0}, {"observers": {"guest": Observer()}}], ids=["verbose", "observer"])
def test_silence_where_it_is_asked_for(cell: Cell, quiet: dict[str, Any]) -> None:
    federation(60, Identity()).fit(ASKED, **quiet)
    assert cell.shown == []


def test_nothing_is_shown_without_a_terminal_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    fed = federation(60, Identity())
    fed.fit(ASKED)
    assert capsys.readouterr() == ("", "")
    fed.fit(ASKED, verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "training" in err


def test_verbose_is_a_number() -> None:
    assert notebook.display_of() is None
    for wrong in ("yes", -1, 0.5, pd.DataFrame()):
        with pytest.raises(ConfigError, match="verbose"):
            federation(60).fit(ASKED, verbose=wrong)  # type: ignore[arg-type]
