"""Libraries that only some installations need: each comes with an extra of the distribution."""

from __future__ import annotations

import importlib
from typing import Any

from protocols.errors import ConfigError

EXTRAS = {  # as in pyproject.toml
    "pyarrow": "data",
    "sqlalchemy": "data",
    "fsspec": "files",
    "aiohttp": "files",
    "ray": "ray",
    "distributed": "dask",
    "dp_accounting": "dp",
    "cyclonedx": "evidence",
    "packageurl": "evidence",
    "fastapi": "node",
    "prometheus_client": "node",
    "uvicorn": "node",
}


def needed(library: str, why: str) -> Any:
    """The module `library`, imported now; `why` is what needs it.  Raises ConfigError, which names the extra and how to
    install it."""
    try:
        return importlib.import_module(library)
    except ImportError:
        name = library.partition(".")[0]
        extra = EXTRAS[name]
        raise ConfigError(
            f"{why} needs {name}, which comes with the extra '{extra}'",
            remedy=f"Install it with: pip install 'vfl[{extra}]'",
        ) from None
