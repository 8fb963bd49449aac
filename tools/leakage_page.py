"""Writes docs/leakage.md from the declarations of the messages: `make docs`.  A test fails if the page is stale."""

from __future__ import annotations

import importlib
import pkgutil
import textwrap
from pathlib import Path

import protocols
from protocols.message import Disclosure, Message, registry
from vfl.job import PERMITS

PAGE = Path(__file__).parent.parent / "docs" / "leakage.md"
CLASSES = {
    Disclosure.PUBLIC: "follows from the agreed job: sizes, names, public keys",
    Disclosure.SEALED: "encrypted under a key that the receiver does not hold, with fresh randomness",
    Disclosure.BLINDED: "uniform (statistically) for the receiver, which does not hold the sender's blinding secret",
    Disclosure.REVEALED: "the receiver learns something about the sender's data; the job and every party's policy must name "  # noqa: E501
    "the permission",
}


def declared() -> list[type[Message]]:
    """Every message kind of the engine, by file and in the order of declaration."""
    for module in pkgutil.walk_packages(protocols.__path__, "protocols."):
        if module.name != "protocols._native":
            importlib.import_module(module.name)
    return sorted((m for m in registry().values() if m.__module__.startswith("protocols.")), key=lambda m: m.__module__)


def leakage_page() -> str:
    """The page's text."""
    lines = [
        "# Who learns what",
        "",
        "This page is generated from the declarations of the messages by `make docs`; do not edit it. "
        "Nothing else is ever sent: a",
        "message that is not declared cannot be encoded, and a test compares whole transcripts with this page.",
        "",
        "| class | meaning |",
        "|---|---|",
        *(f"| {c.name} | {meaning} |" for c, meaning in CLASSES.items()),
    ]
    module = ""
    for message in declared():
        if message.__module__ != module:
            module = message.__module__
            title = " ".join((importlib.import_module(module).__doc__ or "").split("\n\n")[0].split())
            lines += [
                "",
                f"## {module.replace('.', '/')}.py",
                "",
                *textwrap.wrap(title, 128),
                "",
                "| message | class | its receiver learns | permission |",
                "|---|---|---|---|",
            ]
        lines.append(
            f"| `{message.kind}` | {message.disclosure.name} | {message.learns} | "
            f"{f'`{message.permit}`' if message.permit else ''} |"
        )
    lines += [
        "",
        "## Permissions",
        "",
        "| permission | what it discloses |",
        "|---|---|",
        *(f"| `{name}` | {text} |" for name, text in PERMITS.items()),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(leakage_page(), encoding="utf-8")
