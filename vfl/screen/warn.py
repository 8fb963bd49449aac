"""Warnings of the Python interface, which name the caller's own line."""

from __future__ import annotations

import inspect
import warnings

PACKAGE = __name__.partition(".")[0] + "."


def warn_user(sentence: str) -> None:
    """A UserWarning at the first line outside this package, however many of its functions lie in between."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and f"{frame.f_globals.get('__name__')}.".startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(sentence, UserWarning, stacklevel=level)
