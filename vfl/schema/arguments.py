"""Arguments of Python functions, checked one by one.  Errors name the argument and what it takes; they show plain
values only, because a table that is passed in the wrong place holds cells."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protocols.channel import Tap
from protocols.errors import ConfigError
from protocols.randomness import Randomness
from protocols.session import Observer
from vfl.schema.declared import plain
from vfl.schema.section import listed, said


def impossible(name: str, value: object, remedy: str) -> ConfigError:
    """The error for an argument that is not possible."""
    return ConfigError(f"{name} = {said(value)} is not possible", remedy=remedy)


def one_of(name: str, value: object, choices: Sequence[str]) -> str:
    """One of `choices`.  Raises ConfigError."""
    if isinstance(value, str) and value in choices:
        return value
    quoted = listed([f'"{choice}"' for choice in choices])
    raise impossible(name, value, f"{name} is {quoted}")


def flag(name: str, value: object) -> bool:
    """A truth value, numpy's too.  Raises ConfigError."""
    found = plain(value)
    if isinstance(found, bool):
        return found
    raise impossible(name, value, f"{name} is True or False")


def value(name: str, given: object) -> str | float | None:
    """One value of a label, or None.  Raises ConfigError, without the value: it is one of a table."""
    found = plain(given)
    if found is None or isinstance(found, str | int | float):
        return found
    raise ConfigError(f"{name} is a {type(given).__name__}", remedy=f"{name} is one value of the label, or None")


def whole(name: str, value: object, least: int) -> int:
    """A whole number of at least `least`, numpy's too.  Raises ConfigError."""
    number = plain(value)
    if isinstance(number, int) and not isinstance(number, bool) and least <= number < 2**63:
        return number
    raise impossible(name, value, f"{name} is a whole number from {least} up")


def column(name: str, value: object, what: str) -> str:
    """A column's name; what: the rows' values that stand in it.  Raises ConfigError."""
    if isinstance(value, str):
        return value
    remedy = f"Put the {what} into a column of it, and name that"
    raise ConfigError(f"{name} is the name of a column of the guest's table", remedy=remedy)


def path(name: str, value: object) -> Path:
    """A path.  Raises ConfigError."""
    if isinstance(value, str | os.PathLike) and (text := os.fsdecode(value)) and "\0" not in text:
        return Path(text).expanduser()
    raise impossible(name, value, f'{name} is a text or a pathlib.Path, such as "models/risk"')


def scheme(value: object) -> None:
    """Raises ConfigError unless it is a cipher, or None."""
    if value is not None and not all(callable(getattr(value, name, None)) for name in ("generate", "accept")):
        raise impossible("cipher", value, "Pass protocols.cipher.Identity(), or leave it out for Paillier")


def watched(
    parties: Sequence[str],
    taps: Mapping[str, Sequence[Tap]] | None,
    observers: Mapping[str, Observer] | None,
    randomness: Mapping[str, Randomness] | None,
) -> dict[str, Any]:
    """What watches a run, as `run_local` takes it.  Raises ConfigError unless each is None, or says it by party."""
    given: dict[str, Any] = {"taps": taps, "observers": observers, "randomness": randomness}
    for name, kind, value in zip(given, (Tap, Observer, Randomness), given.values(), strict=True):
        if value is None:
            continue
        remedy = f"{name} is None, or by party ({', '.join(parties)}) " + {
            "taps": "a list of taps", "observers": "an observer", "randomness": "its randomness"
        }[name]  # fmt: skip
        if not isinstance(value, Mapping) or not set(value) <= set(parties):
            raise impossible(name, value, remedy)
        for own in value.values():
            each = own if name == "taps" else [own]
            if not isinstance(each, Sequence) or not all(isinstance(one, kind) for one in each):
                raise ConfigError(f"{name} of a party is a {type(own).__name__}", remedy=remedy)
    return given
