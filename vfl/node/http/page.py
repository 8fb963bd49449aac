"""`/docs`: the routes of the local face as a page, from packaged files, without a script or a request to elsewhere."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

TEMPLATES = Path(__file__).parent / "templates"
STYLE = (TEMPLATES / "docs.css").read_text(encoding="utf-8")
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)


def page_of(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.filters["coded"] = _coded
    return environment.get_template("docs.html").render(
        document=document, style=STYLE, operations=_operations(document)
    )


def _coded(text: str) -> Markup:
    """A text, what stands in backticks as code."""
    plain, *others = text.split("`")
    found = escape(plain)
    for k, part in enumerate(others):
        found += Markup("<code>{}</code>").format(part) if k % 2 == 0 else escape(part)
    return found


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "method": method.upper(),
            "path": path,
            "summary": about.get("description") or about.get("summary", ""),
            "parameters": about.get("parameters", []),
            "responses": {code: one["description"] for code, one in about["responses"].items()},
        }
        for path, methods in document["paths"].items()
        for method, about in methods.items()
    ]
