"""How the text of a file is written, where its name does not say it."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

UTF8 = "utf-8"
BOMS = (
    *((codecs.BOM_UTF8, UTF8), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
)
SEPARATORS = (",", ";", "\t", "|")  # that a header may show


@dataclass(frozen=True)
class Form:
    """format: the suffix that the file's name should have, without its first dot; separator: of columns, by default a
    comma, in .tsv files a tab; decimal: the sign before the decimals of a number; encoding: of the text."""

    format: str | None = None
    separator: str | None = None
    decimal: str = "."
    encoding: str = UTF8


def codec(name: str) -> str | None:
    """Python's name of an encoding of text; None where there is none."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    return found.name if getattr(found, "_is_text_encoding", True) else None
