"""Nothing that can run code decodes bytes, in a whole run: the lint rules forbid it in our files, and an audit hook
watches all the others too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.places import ROOT


def guarded(folder: Path, *options: str) -> Any:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.promises.adversary.guarded", str(folder), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_a_whole_run_executes_nothing_that_it_read(tmp_path: Path) -> None:
    assert guarded(tmp_path) == []


def test_planted_decoders_that_can_run_code_are_found(tmp_path: Path) -> None:
    events = {
        "pickle": "pickle.find_class",
        "numpy": "pickle.find_class",
        "pandas": "pickle.find_class",
        "joblib": "pickle.find_class",
        "marshal": "marshal.loads",
        "eval": "exec",
    }
    found = guarded(tmp_path, "--planted")
    assert len(found) >= 8
    for name, findings in found.items():
        assert any(finding.startswith(events.get(name, name)) for finding in findings), name


def test_planted_imports_are_refused_by_the_lint_rules(tmp_path: Path) -> None:
    """The rules of our own files, on a file that breaks each of them."""
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import pickle\nimport joblib\nimport marshal\nimport "
        "yaml\npickle.loads(b'')\nmarshal.loads(b'')\neval('1')\nexec('1')\nyaml.load('', yaml.Loader)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--output-format", "concise", str(bad)],  # noqa: E501
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert "`joblib` is banned" in ended.stdout
    for rule in ("TID251", "S301", "S302", "S307", "S102", "S506"):
        assert rule in ended.stdout, ended.stdout + ended.stderr
