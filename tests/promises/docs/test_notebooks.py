"""The notebooks of docs/notebooks were executed as they are, from top to bottom and without an error."""

from __future__ import annotations

import ast
import copy
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tools.notebooks import FOLDER, code_of, execute

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def faults(notebook: dict[str, Any]) -> list[str]:
    """What is wrong with a stored notebook."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    found = [] if notebook["metadata"].get("executed") == code_of(notebook) else ["its code was not executed"]
    if [cell["execution_count"] for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("its cells were not executed in order")
    outputs = [output for cell in cells for output in cell["outputs"]]
    if any(output["output_type"] == "error" for output in outputs):
        found.append("a cell ended with an error")
    if any(output.get("name") == "stderr" for output in outputs):
        found.append("a cell wrote a warning")
    if not any("image/png" in output.get("data", {}) for output in outputs):
        found.append("it has no picture")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_was_executed_as_it_is(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert faults(notebook) == [], "run `make notebooks`"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            ast.parse("".join(cell["source"]))


def test_planted_faults_are_found() -> None:
    assert len(NOTEBOOKS) == 2
    notebook = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    changed, failed, torn, bare = (copy.deepcopy(notebook) for _ in range(4))
    code = [cell for cell in changed["cells"] if cell["cell_type"] == "code"]
    code[0]["source"].append("\nprint(1)")
    assert faults(changed) == ["its code was not executed"]
    failed["cells"][1]["outputs"] = [{"output_type": "error"}]
    assert "a cell ended with an error" in faults(failed)
    torn["cells"][1]["execution_count"] = 7
    assert "its cells were not executed in order" in faults(torn)
    for cell in bare["cells"]:
        cell["outputs"] = []
    assert faults(bare) == ["it has no picture"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(importlib.util.find_spec("nbclient") is None, reason="the extra docs is not installed")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_still_runs(path: Path) -> None:
    again = json.loads(execute(path))
    assert faults(again) == []
