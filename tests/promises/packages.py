"""Copies of the package that a test may change: another release, or the package with a recipe of CONTRIBUTING.md."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.places import ROOT

RECIPES = Path(__file__).parent / "docs" / "recipes"


def copied(folder: Path) -> Path:
    """A copy of `vfl` and `protocols` in `folder`."""
    for name in ("vfl", "protocols"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def cooked(folder: Path, recipe: str) -> Path:
    """A copy in `folder` of the package with its documents and tools, to which the patch of a recipe is applied."""
    copied(folder)
    for name in ("docs", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    told = {"GIT_CEILING_DIRECTORIES": str(folder.parent), "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", "apply", "-C1", str(RECIPES / f"{recipe}.patch")]
    done = subprocess.run(command, cwd=folder, env=os.environ | told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"the recipe no longer fits the package; CONTRIBUTING.md says how to bring it up to date\n{done.stderr}"
    )
    return folder


def there(package: Path) -> dict[str, Any]:
    """What a process is started with that uses this copy."""
    return {"environment": {"PYTHONPATH": str(package), "PYTHONSAFEPATH": "1"}, "cwd": package}


def python(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with this copy to its end."""
    environment = os.environ | there(package)["environment"]
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=package, capture_output=True, text=True, check=False
    )
