"""Base of the structures, and their words."""

from __future__ import annotations

import msgspec
from msgspec import Meta

Number = float | None  # null: not defined
Counts = dict[str, int]
Measures = dict[str, Number]


class Part(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of the structures."""


def says(text: str) -> Meta:
    """What a key holds, in words."""
    return Meta(description=text)
