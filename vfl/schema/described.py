"""What a parameter takes, its default and its meaning, in words: from its one declaration, for errors, docstrings and
docs/file-formats.md."""

from __future__ import annotations

import datetime
from dataclasses import astuple, dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

TOO_LARGE = ("less_than", "less_than_equal")  # pydantic's errors of a value beyond an upper bound


@dataclass(frozen=True)
class Values:
    """In the annotation of a field: the values that it takes, where its type and bounds do not say them."""

    text: str


@dataclass(frozen=True)
class Described:
    """values: what it takes; default: as a file writes it, None where there is none; meaning: of which the first
    sentence is enough for an error."""

    values: str
    default: str | None
    meaning: str

    @classmethod
    def of(cls, field: FieldInfo, *, large: bool = False) -> Described:
        """What a declaration says; of a section its description alone.  large: with an upper bound that is so large
        that only who exceeds it wants to know it."""
        if _sections(field.annotation):
            return cls(field.description or "a section", None, "")
        return cls(_values(field, large=large), _default(field), field.description or "")

    @property
    def expected(self) -> str:
        """What an error asks for."""
        default = f" (default {self.default})" if self.default is not None else ""
        meaning = f": {self.meaning.split('. ')[0]}" if self.meaning else ""
        return f"Expected {self.values}{default}{meaning}"


def _sections(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [section for inner in get_args(annotation) for section in _sections(inner)]


def _default(field: FieldInfo) -> str | None:
    if field.is_required() or field.default is None or field.default == "":
        return None
    return written(field.default)


def written(value: object) -> str:
    """A value as a job file writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | datetime.date):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(written, value)) + "]"
    return "{}" if isinstance(value, dict) else _bound(value) if isinstance(value, float) else str(value)


def _values(field: FieldInfo, *, large: bool) -> str:
    said = [one for one in field.metadata if isinstance(one, Values)]
    if said:
        return said[0].text
    (kind,) = {one for one in _alternatives(field.annotation) if one is not type(None)}
    if get_origin(kind) is Literal:
        return _listed([written(value) for value in get_args(kind)])
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        return _number("a whole number" if kind is int else "a number", field.metadata, large=large)
    raise TypeError(f"a field of {kind} needs Values")


def _alternatives(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [one for inner in get_args(annotation) for one in _alternatives(inner)]
    return [annotation]


def _number(what: str, metadata: list[Any], *, large: bool) -> str:
    """With its bounds: "a number above 0, at most 1"."""
    bounds: dict[type, Any] = {type(one): astuple(one)[0] for one in metadata if isinstance(one, Ge | Gt | Le | Lt)}
    found: list[Any] = [bounds.get(bound) for bound in (Ge, Gt, Le, Lt)]
    ge, gt, le, lt = found
    if not large and max(le or 0, lt or 0) >= 10**12:  # so large that it is none to a reader
        le = lt = None
    if ge is not None and le is not None:
        return f"{what} from {_bound(ge)} to {_bound(le)}"
    if gt is not None and lt is not None:
        return f"{what} between {_bound(gt)} and {_bound(lt)}"
    if ge is None and gt is None:
        return what
    low = f"{what} above {_bound(gt)}" if ge is None else f"{what} of at least {_bound(ge)}"
    high = ""
    if le is not None or lt is not None:
        high = f", below {_bound(lt)}" if le is None else f", at most {_bound(le)}"
    return low + high


def _bound(bound: float) -> str:
    if bound in (2**31, 2**63):
        return "2^31" if bound == 2**31 else "2^63"
    return f"{bound:.12g}".replace("e-0", "e-").replace("e+", "e")


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" or {words[-1]}"
