"""Executes the notebooks of docs/notebooks from top to bottom and keeps what they print: `make notebooks`.

A test fails if a notebook's code is not the one that was executed.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "docs" / "notebooks"
SECONDS = 900  # for one cell
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def code_of(notebook: dict[str, Any]) -> str:
    """The hash of all code cells, in their order."""
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def execute(path: Path) -> str:
    """The notebook with its outputs, as the file's text.  Raises what a cell raises."""
    import nbformat  # of the extra docs
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.clear()
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", record_timing=False).execute()
    notebook.metadata = nbformat.from_dict({"language_info": {"name": "python"}, "executed": ""})
    text = json.loads(ADDRESS.sub("", nbformat.writes(notebook)))
    text["metadata"]["executed"] = code_of(text)
    return json.dumps(text, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(str(path) for path in FOLDER.glob("*.ipynb")):
        Path(name).write_text(execute(Path(name)), encoding="utf-8")
