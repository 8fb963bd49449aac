"""What a parameter of the type `int`, `float` or `bool` may hold, before its rule compares it."""

from __future__ import annotations

from dataclasses import fields
from numbers import Real
from typing import Any

from protocols.errors import ConfigError

_SAID = {"int": "a whole number", "float": "a number", "bool": "True or False"}


def check_types(what: str, parameters: Any) -> None:
    """Raises ConfigError for the first field of the dataclass `parameters` that is declared a number or truth value and
    holds something else; `what` names it."""
    for field in fields(parameters):
        kind, _, none = str(field.type).partition(" | ")
        value = getattr(parameters, field.name)
        if kind not in _SAID or (value is None and none == "None"):
            continue
        accepted = {"int": int, "float": Real, "bool": bool}[kind]
        if not isinstance(value, accepted) or (kind != "bool" and isinstance(value, bool)):
            raise ConfigError(
                f"{what}: {field.name} = {value!r} is not possible", remedy=f"{field.name} is {_SAID[kind]}"
            )
