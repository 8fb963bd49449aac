"""Where something was measured: processor, cores, arithmetic, versions, commit, and how busy the machine was."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from protocols.cipher import backend
from vfl.version import __version__

LIBRARIES = ("numpy", "pandas", "phe", "gmpy2", "scikit-learn", "xgboost-cpu")


def environment() -> dict[str, Any]:
    """Nothing in it names a person, a host or a path."""
    from vfl.cost.machine import cores

    return {
        "cpu": processor(),
        "cores": cores(),
        "backend": backend(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "vfl": __version__,
            "python": platform.python_version(),
            **{n: v for n in LIBRARIES if (v := version(n))},
        },
        "commit": commit(),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """Of the checkout that this code is in; None where it is installed from a wheel."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None
