"""Lists and counts in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def listed(words: Sequence[str], last: str = "or") -> str:
    """'a, b or c'; of nothing ''."""
    return "".join(words) if len(words) < 2 else ", ".join(words[:-1]) + f" {last} {words[-1]}"


def counted(number: int, noun: str) -> str:
    """'1 row', '1,200 rows'; noun: in the singular, one that takes an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
