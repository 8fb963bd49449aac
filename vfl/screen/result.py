"""What a command answers with: declared once (vfl/cli/results.py), shown to a person or, with --json, to a program."""

from __future__ import annotations

import msgspec


class Result(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="command"):
    """Base of the results; `command` says which one it is of."""
