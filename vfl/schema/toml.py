"""Parses a job or party file within limits: whoever writes one (a partner sends job files) cannot make the parser work
for hours or run out of stack."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from protocols.errors import ConfigError

MAX_BYTES = 64 << 10
MAX_PARTS = 8  # of a dotted key or a table's name; no key of either file has more than three
MAX_DEPTH = 16  # of lists and inline tables in each other
MAX_WORD = (
    200  # characters of a number or bare key: Python refuses to convert, or to show, numbers of thousands of digits
)

# Texts and comments; one that does not end reaches to the end of the file, so that nothing is read twice.
_TEXTS = re.compile(
    r'"""(?:\\.|.)*?(?:"""|\Z)|' r"'''.*?(?:'''|\Z)|" r'"(?:\\.|[^"\\\n])*+"?|' r"'[^'\n]*+'?|#[^\n]*+",
    re.DOTALL,
)
_KEY = re.compile(r"(?<![\w-])[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++)*+")


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The content of the TOML file `where`; raises ConfigError: too large, nested too deeply, no TOML."""
    check_size(text.encode("utf-8", "surrogatepass"), where)
    check_nesting(text, where)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        if (again := _given_twice(text)) is not None:
            key, here, first = again
            raise ConfigError(
                f"{where}, line {here}: {key} is given twice, first in line {first}", remedy="Remove one of them"
            ) from None
        what, at = str(error), ""
        if match := re.search(r"^(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", what, re.DOTALL):
            what = match[1]
            at = f", line {match[2]}, column {match[3]}" if match[2] else ", at the end"
        line = text.split("\n")[int(match[2]) - 1] if match and match[2] else ""
        raise ConfigError(
            f"{where}{at}: is not valid TOML: {what[:1].lower() + what[1:]}", remedy=_remedy(line)
        ) from None


_HEAD = re.compile(r"[ \t]*\[[ \t]*([\w.-]+)[ \t]*\][ \t]*")
_PAIR = re.compile(r"[ \t]*([\w.-]+)[ \t]*=")


def _given_twice(text: str) -> tuple[str, int, int] | None:
    """The first table or bare key that is there twice, and its lines; None where there is none."""
    seen, table = dict[str, int](), ""
    for number, line in enumerate(_TEXTS.sub(lambda found: '"' + "\n" * found[0].count("\n"), text).split("\n"), 1):
        if found := _HEAD.fullmatch(line.rstrip('"')):
            table = name = found[1]
            shown = f"[{name}]"
        elif found := _PAIR.match(line):
            name = shown = f"{table}.{found[1]}".removeprefix(".")
        else:
            table = "" if line.lstrip().startswith("[[") else table
            continue
        key = f"[{name}]" if shown.startswith("[") else name
        if key in seen:
            return shown, number, seen[key]
        seen[key] = number
    return None


def _remedy(line: str) -> str:
    """What to do with a line that is no TOML; the line itself is not shown, it may hold a password."""
    if re.search("[\u2018-\u201f\u00ab\u00bb\u2032\u2033]", line):
        return 'The quotes are curly, as word processors make them: type straight ones (")'
    if found := re.match(r"\s*([\w.-]+)\s*=\s*([^\W\d_][^\"'\[\]{}#]*)(?:#.*)?$", line):
        return f'Text goes in quotes: {found[1]} = "..."'
    if re.match(r"\s*[\w.-]+\s*=\s*([\"'])(?:(?!\1).)*$", line):
        return "The quote that begins the text does not end on this line: add one"
    if re.match(r"\s*[\w.-]+\s*:", line):
        return "Write = between a key and its value, not a colon"
    return "Text goes in quotes, lists in [ ], one 'key = value' per line; see docs/file-formats.md"


def check_size(data: bytes, where: str) -> None:
    """Raises ConfigError where the file is larger than any sound one."""
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"{where}: is larger than {MAX_BYTES >> 10} kB", remedy="This is not a job or party file; check the name"
        )


def check_nesting(text: str, where: str) -> None:
    """Raises ConfigError where a key has more parts, or lists lie deeper in each other, than any sound file has; in
    time that is linear in the text's length."""
    bare, depth = _TEXTS.sub(lambda found: "s" + "\n" * found[0].count("\n"), text), 0
    for number, line in enumerate(bare.split("\n"), 1):
        if any(key[0].count(".") >= MAX_PARTS for key in _KEY.finditer(line)):
            raise _nested(f"{where}, line {number}: a key has more than {MAX_PARTS} parts")
        if re.search(rf"[\w+-]{{{MAX_WORD + 1}}}", line):
            raise _nested(f"{where}, line {number}: a number or key has more than {MAX_WORD} characters")
        for sign in re.findall(r"[][{}]", line):
            depth = depth + 1 if sign in "[{" else max(0, depth - 1)
            if depth > MAX_DEPTH:
                raise _nested(f"{where}, line {number}: lists or tables are nested more than {MAX_DEPTH} levels deep")


def _nested(what: str) -> ConfigError:
    return ConfigError(
        what, remedy="This is not a job or party file; ask whoever sent it, and see docs/file-formats.md"
    )
