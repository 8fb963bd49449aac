"""Renders the pages of a pack.  They load nothing and hold no script; every text is escaped."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup, escape

import vfl.report
from vfl.evidence.blocks import Page

TEMPLATES = Path(__file__).parent / "templates"
CODE = re.compile(r"`([^`]+)`")
HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def coded(text: str) -> Markup:
    """Commands between backquotes as such; a line can break after an underscore, and between the words of a kind of
    message."""
    parts = CODE.split(text)
    shown = (Markup("<code>{}</code>").format(part) if k % 2 else _breakable(part) for k, part in enumerate(parts))
    return Markup().join(shown)


def _breakable(text: str) -> Markup:
    words = HUMP.split(text) if text.isalpha() else [text]
    return Markup("<wbr>").join(Markup("_<wbr>").join(escape(word).split("_")) for word in words)


def render(page: Page, pages: tuple[tuple[str, str], ...]) -> str:
    """One page; pages: file and title of each of them, for the links at the top."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, Path(vfl.report.__file__).parent / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["coded"] = coded
    return environment.get_template("page.html").render(page=page, pages=pages)
