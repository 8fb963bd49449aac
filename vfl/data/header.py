"""Whether a header is one: where a file lacks it, its first row, a customer's, stands in its place."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CELL = re.compile(r"\s*[-+(]?[.,]?\d[\d\s.,:/()+-]*(e[-+]?\d+)?%?\s*|.*@.*", re.DOTALL | re.IGNORECASE)
# a number, a day, a telephone number, an e-mail address
HEADER = "does the file have a header line?"


def like_cells(names: Sequence[str]) -> bool:
    """Whether one of a table's names could be a cell, so that no message may print any of them."""
    return any(_CELL.fullmatch(name) for name in names)


def twice(names: Sequence[str], several: Sequence[str]) -> str:
    """Says which of a table's names are there more than once."""
    if like_cells(names):
        return f"has {len(names):,} columns, of which some have the same name ({HEADER})"
    return f"has more than one column called {', '.join(map(repr, several))}"
