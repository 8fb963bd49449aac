"""Copies of the package that a test may change: another release, or the package with an addition."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def copied(folder: Path) -> Path:
    """A copy of `vfl` and `protocols` in `folder`."""
    for name in ("vfl", "protocols"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def there(package: Path) -> dict[str, Any]:
    """What a process is started with that uses this copy."""
    return {"environment": {"PYTHONPATH": str(package), "PYTHONSAFEPATH": "1"}, "cwd": package}


def python(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with this copy to its end."""
    environment = os.environ | there(package)["environment"]
    return subprocess.run([sys.executable, *arguments], env=environment, cwd=package, capture_output=True, text=True, check=False)
