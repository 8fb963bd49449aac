"""Parameters declared once: a class that is at once what Python takes and a table of a job file."""

from __future__ import annotations

import difflib
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin

import numpy as np
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from protocols.errors import ConfigError
from vfl.schema.described import TOO_LARGE, Described
from vfl.schema.section import Array, Complaint, Section, said
from vfl.screen import html

INDENT: dict[str, Any] = {"initial_indent": "    ", "subsequent_indent": "    ", "break_on_hyphens": False}


class Declared(Section):
    """Base of them, under scikit-learn's conventions: `get_params`, `set_params`, `clone` and a short repr.  Numbers
    and arrays of numpy are taken as Python's.

    One check of every parameter reports in either voice: `LogisticRegression: max_iter = 3 ...` and `job.toml:
    model.max_iter (line 9) ...`.
    """

    FILE_ONLY: ClassVar[tuple[str, ...]] = ()  # keys of the job file alone: in Python something else says it
    REFUSED: ClassVar[Mapping[str, str]] = {}  # parameters of other libraries that cannot be had, each with the reason
    INSTEAD: ClassVar[Mapping[str, str]] = {}  # parameters of other libraries that are said elsewhere, each with where

    def __init__(self, /, *positional: object, **params: Any) -> None:
        if positional:
            raise ConfigError(
                f"{type(self).__name__} takes its parameters by name",
                remedy=f"Name each one, out of {', '.join(self.parameters())}",
            )
        for name in params:
            if name not in self.parameters():
                raise self._unknown(name)
        try:
            super().__init__(**{name: plain(value) for name, value in params.items()})
        except ValidationError as error:
            raise self._refusal(error, params) from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # job files are validated without it: their errors name file and line

    def __setattr__(self, name: str, value: object) -> None:
        raise self._fixed(name)

    def __delattr__(self, name: str) -> None:
        raise self._fixed(name)

    def _fixed(self, name: str) -> ConfigError:
        if name not in self.parameters():
            return self._unknown(name)
        return ConfigError(
            f"{type(self).__name__}: {name} cannot be assigned, so that every value is checked",
            remedy=f"Use set_params({name}=...), or make another {type(self).__name__}",
        )

    @classmethod
    def _unknown(cls, name: str) -> ConfigError:
        if name in cls.REFUSED:
            return ConfigError(
                f"{cls.__name__}: {name} is not possible: {cls.REFUSED[name]}", remedy=f"Leave {name} out"
            )
        if name in cls.INSTEAD:
            return ConfigError(f"{cls.__name__} has no parameter {name}", remedy=cls.INSTEAD[name])
        close = difflib.get_close_matches(name, cls.parameters(), 1)
        remedy = f"Did you mean {close[0]}?" if close else f"Its parameters are {', '.join(cls.parameters())}"
        return ConfigError(f"{cls.__name__} has no parameter {name}", remedy=remedy)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """The docstring gets its section Parameters from the declarations: no second list of them is written."""
        super().__pydantic_init_subclass__(**kwargs)
        if own := cls.__dict__.get("__doc__"):
            cls.__doc__ = documented(inspect.cleandoc(own), cls.model_fields, cls.parameters())

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of the estimator's parameters."""
        return tuple(name for name in cls.model_fields if name not in cls.FILE_ONLY)

    @classmethod
    def _refusal(cls, error: ValidationError, params: Mapping[str, Any]) -> ConfigError:
        """What is wrong with a parameter, in the voice of Python."""
        first = error.errors(include_url=False)[0]
        name, cause = str(first["loc"][0]) if first["loc"] else "", (first.get("ctx") or {}).get("error")
        if isinstance(cause, Complaint):
            return ConfigError(
                f"{cls.__name__}: {(cause.key or name).rpartition('.')[2]} {cause.what}", remedy=cause.remedy
            )
        field: FieldInfo | None = cls.model_fields.get(name)
        large = str(first["type"]) in TOO_LARGE
        described = Described.of(field, large=large).expected if field is not None else ""
        return ConfigError(f"{cls.__name__}: {name} = {said(params.get(name))} is not possible", remedy=described)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; deep: those of nested estimators too."""
        if not isinstance(deep, bool):
            raise ConfigError(f"deep = {said(deep)} is not possible", remedy="deep is True or False")
        own = {name: getattr(self, name) for name in self.parameters()}
        nested = {name: value.get_params() for name, value in own.items() if deep and isinstance(value, Declared)}
        return own | {f"{outer}__{name}": value for outer, inner in nested.items() for name, value in inner.items()}

    def set_params(self, **params: Any) -> Self:
        """Changes parameters, all or none; `estimator__C` is C of the estimator, of which a copy is changed.

        Raises ConfigError for an unknown name or an impossible value.
        """
        chosen = self.get_params(deep=False) | {name: value for name, value in params.items() if "__" not in name}
        nested: dict[str, dict[str, Any]] = {}
        for name in params.keys() - chosen.keys():
            outer, _, inner = name.partition("__")
            if not isinstance(chosen.get(outer), Declared):
                raise self._unknown(name)
            nested.setdefault(outer, {})[inner] = params[name]
        for outer, changes in nested.items():
            chosen[outer] = chosen[outer].__sklearn_clone__().set_params(**changes)
        changed = type(self)(**chosen)
        self.__dict__.update(changed.get_params(deep=False))
        return self

    def __sklearn_clone__(self) -> Self:
        own = self.get_params(deep=False)
        return type(self)(
            **{name: value.__sklearn_clone__() if isinstance(value, Declared) else value for name, value in own.items()}
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._changed())})"

    def _repr_html_(self) -> str:
        """The parameters that differ from their defaults, and on a click the others."""
        changed = dict(self._changed())
        rest = [(name, repr(value)) for name, value in self.get_params(deep=False).items() if name not in changed]
        head, parts = ("parameter", "value"), list[str]()
        if changed:
            parts.append(html.table(head, ((name, repr(value)) for name, value in changed.items()), strong=1))
        if rest:
            parts.append(
                html.folded(
                    f"{len(rest)} {'parameter' if len(rest) == 1 else 'parameters'} at default values",
                    html.table(head, rest),
                )
            )
        return html.card(type(self).__name__, "", *parts)

    def __str__(self) -> str:
        return repr(self)

    def _changed(self) -> Iterator[tuple[str, Any]]:
        for name in self.parameters():
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                yield name, value


def plain(value: Any) -> Any:
    """Numpy's scalars and arrays, lists and mappings as Python's own numbers, tuples and dicts."""
    if isinstance(value, np.ndarray) and value.ndim:
        return Array(plain(v) for v in value.tolist())
    if isinstance(value, np.ndarray):
        value = value.item()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple | range):
        return tuple(plain(v) for v in value)
    return {plain(k): plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def documented(doc: str, fields: Mapping[str, FieldInfo], names: tuple[str, ...]) -> str:
    """A docstring with numpydoc's section Parameters before its other sections."""
    told = ["Parameters", "----------"]
    for name in names:
        field = fields[name]
        default = "" if field.is_required() else f", default {_value(field.default)}"
        described = Described.of(field)
        type_and_default = f"{name} : {_type(field.annotation)}{default}"
        says_all = field.annotation is bool or get_origin(field.annotation) is Literal
        parts = [described.meaning] if says_all else [described.values, described.meaning]
        words = ": ".join(part for part in parts if part)
        told += [type_and_default, *textwrap.wrap(f"{words[:1].upper()}{words[1:]}.", 110, **INDENT)]
    summary, rest = (*re.split(r"\n\n(?=\w[^\n]*\n-{3,}\n)", doc, maxsplit=1), "")[:2]
    return "\n\n".join(part for part in (summary, "\n".join(told), rest) if part) + "\n"


def _value(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _type(annotation: Any) -> str:
    """A type in words: `float or None`, `{"exact", "taylor"}`."""
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        values = ", ".join(map(_value, get_args(annotation)))
        return f"{{{values}}}" if "," in values else values
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_type(one) for one in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"sequence of {_type(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return f"dict of {_type(get_args(annotation)[1])}"
    return "None" if annotation is type(None) else "object" if annotation is Any else str(annotation.__name__)
