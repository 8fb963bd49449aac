"""The base of what the local face answers."""

from __future__ import annotations

import msgspec


class Answer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of every answer, and of what is in it."""
