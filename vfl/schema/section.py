"""Reads a TOML file into a pydantic model, and says in plain words what is wrong with it.

Every error is a `ConfigError` that names the file, the dotted key (with its line where it can be found), what was
expected and the remedy.  Values of the file are shown, because a stranger needs them, except of fields declared with
`repr=False` (a database address may hold a password).
"""

from __future__ import annotations

import codecs
import dataclasses
import datetime
import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from protocols.errors import ConfigError
from vfl.schema.described import TOO_LARGE, Described
from vfl.schema.toml import MAX_BYTES, check_size, parse_toml
from vfl.screen.sentences import listed as listed

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


class Section(BaseModel):
    """Base of every table of both files: frozen, closed, and no value is turned into another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


S = TypeVar("S", bound=Section)


class Complaint(ValueError):
    """Raised by validators: `what` is wrong with the value (it follows the key), the `remedy`, and the `key` where it
    is another one."""

    def __init__(self, what: str, remedy: str = "", key: str | None = None) -> None:
        self.what, self.remedy, self.key = what, remedy, key
        super().__init__(what)


class Array(tuple[Any, ...]):
    """What an array of numpy was: it may be a column of a table, so that no error shows it."""

    __slots__ = ()


def shown(value: object) -> str:
    """A value as the file would write it, cut to 60 characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Array):
        return "an array"
    if isinstance(value, tuple | list):
        text = "[" + ", ".join(shown(v) for v in value) + "]"
    elif isinstance(value, Mapping):
        return "a table"
    elif value is not None and not isinstance(value, str | bytes | int | float | datetime.date | datetime.time):
        return type_of(value)  # in Python anything can be passed, also a table with its cells
    elif isinstance(value, int) and abs(value) >= 10**40:
        return "a huge number"
    else:
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def said(value: object) -> str:
    """A value in Python's words, cut to 60 characters; of anything but plain values, and short lists of them, its
    type."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**40:
        return "a huge number"
    few = isinstance(value, tuple | list) and not isinstance(value, Array) and len(value) <= 8
    plain = isinstance(value, tuple | list) and few and all(isinstance(v, str | int | float) for v in value)
    if not plain and value is not None and not isinstance(value, bool | int | float | str | bytes):
        return type_of(value)
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def type_of(value: object) -> str:
    """The type of a value, with its article."""
    return with_article(type(value).__name__)


def with_article(word: str) -> str:
    """ "an Averaging", "a Split"."""
    return f"{'an' if word[:1].lower() in tuple('aeio') else 'a'} {word}"


def meant(value: object, known: Sequence[str], quoted: Callable[[str], str] = shown) -> str:
    """ "Did you mean ...? " of a text that is nearly one of those that are known, else nothing."""
    close = difflib.get_close_matches(value, known, 1) if isinstance(value, str) else []
    return f"Did you mean {quoted(close[0])}? " if close else ""


def choose(now: Sequence[str], others: Mapping[str, str] | None = None) -> Callable[[object], object]:
    """A validator: the value is one of `now`; one of `others` is refused with its reason."""

    def validate(value: object) -> object:
        if isinstance(value, str) and value in now:
            return value
        use = f"Use {listed([shown(n) for n in now])}"
        reason = (others or {}).get(value) if isinstance(value, str) else None
        if reason is not None:
            raise Complaint(f"is {shown(value)}: {reason}", use)
        raise Complaint(f"is {shown(value)}, which is not known", meant(value, now) + use)

    return validate


def check_name(value: str, longest: int = 32) -> str:
    """A name that is safe in a path, an option and a certificate."""
    if len(value) > longest or not NAME.fullmatch(value):
        raise Complaint(
            f"is {shown(value)}, which is not a valid name",
            f"Use 1 to {longest} lower-case letters, digits and hyphens, not starting with a hyphen",
        )
    return value


def check_column(value: str) -> str:
    """A column's name: not empty, no control character, at most 200 characters."""
    if not value.strip() or len(value) > 200 or not value.isprintable():
        raise Complaint(
            f"holds {shown(value)}, which is not a column name", "Write the column's name as the table has it"
        )
    return value


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """The same, if no value comes twice."""
    twice = sorted({v for v in values if values.count(v) > 1})
    if twice:
        raise Complaint(f"names {listed([shown(v) for v in twice], 'and')} twice", "Name each once")
    return values


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The text and the parsed content of `path`; ConfigError where it cannot be read or is no TOML."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + len(codecs.BOM_UTF8) + 1).removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        remedy = "Check the name and that this account may read it"
        if files := sorted(path.glob("*.toml")) if path.is_dir() else []:
            remedy = f"Give a file in it, such as {files[0]}"
        raise ConfigError(f"{path}: cannot be read ({error.strerror or 'not a file name'})", remedy=remedy) from None
    check_size(raw, str(path))
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: is not UTF-8 text", remedy="Save the file as UTF-8") from None
    return text, parse_toml(text, str(path))


def build(
    model: type[S],
    document: Mapping[str, Any],
    where: str,
    *,
    text: str = "",
    later: Mapping[str, str] | None = None,
    base: Path | None = None,
) -> S:
    """`document` as a `model`.

    where: the file's name for messages; text: its content, for line numbers; later: dotted keys of the contract that
    are not supported yet, with the reason; base: the folder that relative paths start from.  Raises ConfigError with
    every problem found.
    """
    try:
        return model.model_validate(_tuples(document), context={"base": base})
    except ValidationError as error:
        every = [_problem(model, dict(e), text, later or {}) for e in error.errors(include_url=False)]
        problems = list(dict.fromkeys(every))  # of a key of several types each has failed
    if len(problems) == 1:
        what, remedy = problems[0]
        raise ConfigError(f"{where}: {what}", remedy=remedy)
    lines = [f"\n  - {what}. {remedy}" for what, remedy in problems]
    raise ConfigError(f"{where}: {len(problems)} problems{''.join(lines)}")


def _tuples(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_tuples(v) for v in value)
    return {k: _tuples(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _problem(model: type[BaseModel], error: dict[str, Any], text: str, later: Mapping[str, str]) -> tuple[str, str]:
    """(what is wrong, remedy) of one pydantic error."""
    kind = error["type"]
    place = _Place.of(model, [part for part in error["loc"] if part != "[key]"])
    field, dotted = place.field, place.dotted
    cause = (error.get("ctx") or {}).get("error")
    complaint = cause if isinstance(cause, Complaint) else None
    if complaint is not None:
        return f"{_where(text, complaint.key or dotted)} {complaint.what}", complaint.remedy
    if kind.startswith("union_tag") and isinstance(
        error["input"], Mapping
    ):  # a section of several kinds, of which none is named
        use = listed([shown(_kind(s)) for s in place.inside])
        if kind == "union_tag_not_found":
            return f"{_where(text, dotted + '.kind')} is missing", f"Expected {use}"
        given = error["input"]["kind"]
        nearly = meant(given, [_kind(s) for s in place.inside])
        return f"{_where(text, dotted + '.kind')} is {shown(given)}, which is not known", f"{nearly}Use {use}"
    key = _where(text, dotted)
    if kind == "extra_forbidden":
        if dotted in later:
            return f"{key} is not supported yet: {later[dotted]}", "Remove the key"
        name, own = place.last, [n for n, f in place.holder.model_fields.items() if f.exclude is not True]
        if theirs := [shown(_kind(s)) for s in place.others if name in s.model_fields]:
            return (
                f"{key} is a key of {listed(theirs)}, and this kind is {shown(_kind(place.holder))}",
                "Remove it, or change kind",
            )
        nearly = meant(name, own, lambda close: f"'{close}'").strip()
        return f"{key} is not a known key", nearly or f"Remove it; known here: {', '.join(own) or 'none'}"
    expected = (
        Described.of(field, large=kind in TOO_LARGE).expected if field is not None else "See docs/file-formats.md"
    )
    if kind == "missing":
        return f"{key} is missing", expected
    if field is None or not field.repr:
        return f"{key} is not valid", expected
    nearly = meant(error["input"], [v for v in _values(field.annotation) if isinstance(v, str)])
    return f"{key} is {shown(error['input'])}", nearly + expected


TYPES = ("str", "bool", "int", "float")  # as pydantic names them, of a key of several


@dataclass
class _Place:
    """Where an error is: its dotted key, the innermost declared field, and the section that holds the key's last part.

    others: the kinds of section that could stand in the holder's place; inside: the sections that the field can hold.
    """

    holder: type[BaseModel]
    dotted: str = ""
    last: str = ""
    field: FieldInfo | None = None
    others: list[type[BaseModel]] = dataclasses.field(default_factory=list)
    inside: list[type[BaseModel]] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, model: type[BaseModel], loc: Sequence[str | int]) -> _Place:
        place = cls(model, inside=[model])
        for part in loc:
            if isinstance(part, int):
                continue
            if len(place.inside) > 1:  # pydantic names the kind that it took
                place.others = [s for s in place.inside if _kind(s) != part]
                place.inside = [s for s in place.inside if _kind(s) == part]
                continue
            if place.inside:
                place.holder = place.inside[0]
            elif place.field is not None and part in TYPES and get_origin(place.field.annotation) is not dict:
                continue  # of a key of several types
            place.dotted, place.last = f"{place.dotted}.{part}".lstrip("."), part
            if part in place.holder.model_fields:
                place.field = place.holder.model_fields[part]
                place.inside = [t for t in _types(place.field.annotation) if issubclass(t, BaseModel)]
        return place


def _kind(section: type[BaseModel]) -> str:
    """The kind of a section that comes in several."""
    return str(get_args(section.model_fields["kind"].annotation)[0])


def _values(annotation: Any) -> list[object]:
    """Those that a field is limited to, if it is."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for inner in get_args(annotation) for value in _values(inner)]


def _types(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation]
    return [t for inner in get_args(annotation) for t in _types(inner)]


def _where(text: str, dotted: str) -> str:
    """The dotted key, with its line (or that of its section) where a plain scan finds it."""
    section, found = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$", line):
            section = header[1].replace(" ", "").replace('"', "")
            name = section
        elif entry := re.match(r'\s*"?([A-Za-z0-9_-]+)"?\s*=', line):
            name = f"{section}.{entry[1]}" if section else entry[1]
        else:
            continue
        if name == dotted:
            return f"{dotted} (line {number})"
        if dotted.startswith(name + "."):
            found = number
    return f"{dotted} (line {found})" if found else dotted
