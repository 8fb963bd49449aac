"""Writes docs/event.schema.json, the JSON schema of a line of events.jsonl: `make docs`.  A test fails if it is old."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from vfl.screen.events import Event

SCHEMA = Path(__file__).parent.parent / "docs" / "event.schema.json"


def event_schema() -> str:
    """The file's text."""
    schema = msgspec.json.schema(Event)
    schema["$defs"]["Event"]["description"] = " ".join((Event.__doc__ or "").split())
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(event_schema(), encoding="utf-8")
