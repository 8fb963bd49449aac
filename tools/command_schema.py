"""Writes docs/commands.schema.json, the JSON schema of what each command prints with --json: `make docs`.  A test fails
if it is old."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from vfl.cli.results import RESULTS

SCHEMA = Path(__file__).parent.parent / "docs" / "commands.schema.json"


def command_schema() -> str:
    """The file's text: any of the results; the key `command` says which one it is."""
    results, parts = msgspec.json.schema_components(RESULTS.values(), ref_template="#/$defs/{name}")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What a command prints with --json; the key command says which one it is",
        "anyOf": list(results),
        "$defs": parts,
    }
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(command_schema(), encoding="utf-8")
