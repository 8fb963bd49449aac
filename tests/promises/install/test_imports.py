"""What is loaded when: `import vfl` and `vfl --version` stay light, and every public name is imported when it is first
used."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import vfl
from tests.promises.processes.institutions import ROOT
from vfl.version import __version__

HEAVY = {
    "numpy",
    "pandas",
    "sklearn",
    "scipy",
    "pydantic",
    "cryptography",
    "phe",
    "msgspec",
    "jinja2",
    "protocols._native",
}
VERSION = (
    "import contextlib\nfrom vfl.cli.main import app\nwith contextlib.suppress(SystemExit):\n    app(['--version'])"
)


def loaded(code: str) -> set[str]:
    """Every module that a new process has loaded after it ran `code`."""
    code += "\nimport json, sys\nprint(json.dumps(list(sys.modules)), file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(ended.stderr))


@pytest.mark.parametrize("code", ["import vfl", VERSION])
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert not loaded(code) & HEAVY


def test_what_measures_nothing_does_without_scikit_learn() -> None:
    """Commands, hosts and arbiters; a guest imports it where it measures."""
    code = "import vfl.run.train, vfl.run.predict, vfl.cli.check, vfl.report, vfl.bench.command; from vfl import *"
    assert not loaded(code) & {"sklearn", "scipy"}
    assert loaded(f"{code}; import vfl.metrics; vfl.metrics.binary_metrics([0, 1], [0.1, 0.2])") >= {"sklearn", "scipy"}


def test_a_name_that_was_imported_too_early_would_be_seen() -> None:
    assert loaded("import vfl; vfl.Federation") & HEAVY >= {"numpy", "pandas", "pydantic", "protocols._native"}


def test_the_names_for_readers_of_types_are_those_that_are_imported() -> None:
    """`if TYPE_CHECKING` is what mypy and editors read, `_NAMES` is what runs."""
    tree = ast.parse((ROOT / "vfl" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {
        node.module: tuple(alias.name for alias in node.names)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }
    assert declared == vfl._NAMES
    assert sorted(vfl.__all__) == vfl.__all__
    assert set(vfl.__all__) == {*vfl._HOME, "__version__"}


def test_every_name_is_there_and_no_other() -> None:
    assert all(getattr(vfl, name) is not None for name in vfl.__all__)
    assert set(vfl.__all__) <= set(dir(vfl))
    with pytest.raises(AttributeError, match="no attribute 'RandomForest'"):
        vfl.RandomForest  # noqa: B018
    with pytest.raises(ImportError, match="RandomForest"):
        exec("from vfl import RandomForest")


@pytest.mark.parametrize("foreign", ["protocols.py", "protocols/__init__.py"])
@pytest.mark.parametrize("words", [("-c", "import vfl"), ("-m", "vfl", "--version")])
def test_another_module_named_protocols_is_named(tmp_path: Path, foreign: str, words: tuple[str, ...]) -> None:
    path = tmp_path / foreign
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    ended = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(
        f"ImportError: {path} hides the package 'protocols' that comes with vfl"
    )
    path.rename(path.with_name("other.py"))
    subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, timeout=60, check=True)


def test_there_is_one_version() -> None:
    project, core = (
        tomllib.loads((ROOT / f).read_text(encoding="utf-8")) for f in ("pyproject.toml", "native/Cargo.toml")
    )
    assert project["project"]["version"] == core["workspace"]["package"]["version"] == __version__ == vfl.__version__
