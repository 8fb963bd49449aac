"""Monotone constraints: by column in Python, by party in party files; each party's own are part of its table's
settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from protocols.errors import ConfigError, DataError
from vfl.data import Table
from vfl.schema.section import Complaint, listed, said, shown

NAME = "monotone_constraints"
EXAMPLE = 'Give a sign by column, such as {"income": 1}, or by party and column, such as {"guest": {"income": 1}}'
Signs = Mapping[str, int]


def checked(value: object) -> object:
    """A validator of the parameter: nothing, or 1, 0 or -1 by column or by party and column; a job file says true
    where its parties have constraints of their own."""
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    if not isinstance(value, Mapping):
        raise Complaint(f"is {said(value)}, and columns of several parties have names, not numbers", EXAMPLE)
    if not value:
        raise Complaint("names no column", f"Leave it out. {EXAMPLE}")
    for key, given in value.items():
        own = given if isinstance(given, Mapping) else {key: given}
        for name, sign in own.items():
            if not isinstance(key, str) or not isinstance(name, str):
                raise Complaint(f"names {said(key)}, which is no column", EXAMPLE)
            if not isinstance(sign, int) or isinstance(sign, bool) or sign not in (-1, 0, 1):
                raise Complaint(
                    f"gives {said(sign)} to {shown(name)}",
                    "Use 1 where predictions must not fall when the column rises, -1 where they must not rise, 0 else",
                )
    return value


def by_party(given: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The signs of each party's own columns; columns: what each has.  Raises ConfigError."""
    found: dict[str, dict[str, int]] = {party: {} for party in columns}
    for key, value in given.items():
        if isinstance(value, Mapping):
            if key not in columns:
                raise _wrong(f"names {key!r}, which is no party", f"Use {listed(list(columns))}")
            for name in value:
                if name not in columns[key]:
                    raise _wrong(f"names {name!r}, which is no feature column of {key}", "Correct the name")
            found[key] |= value
            continue
        holders = [party for party, names in columns.items() if key in names]
        if not holders:
            raise _wrong(f"names {key!r}, which is no feature column of any party", "Correct the name")
        if len(holders) > 1:
            raise _wrong(
                f"names {key!r}, which {listed(holders, 'and')} have",
                f'Say whose it is, such as {{"{holders[0]}": {{"{key}": {value}}}}}',
            )
        found[holders[0]][key] = value
    return found


def _wrong(what: str, remedy: str) -> ConfigError:
    return ConfigError(f"BoostedTrees: {NAME} {what}", remedy=remedy)


def with_signs(given: object, tables: Mapping[str, Table]) -> dict[str, Table]:
    """The tables of a local federation, each with the signs of its own columns.  Raises ConfigError."""
    if given is True:
        raise _wrong("is True, which says nothing of any column", EXAMPLE)
    own = by_party(given if isinstance(given, Mapping) else {}, {p: t.features.columns for p, t in tables.items()})
    return {p: replace(t, settings=replace(t.settings, monotone=own[p])) for p, t in tables.items()}


def signs_of(table: Table) -> tuple[int, ...]:
    """A sign for each column of a party's table, () if all are 0.  Raises DataError for a column that is not there, or
    that has no order."""
    given = table.settings.monotone
    for name in given:
        if name not in table.columns:
            raise DataError(
                f"{table.party}: {table.settings.key(NAME)} names '{name}', which is no feature column of the table",
                remedy="Correct the name, or remove it",
                party=table.party,
            )
        if given[name] and table.column(name).dtype.kind == "O":
            raise DataError(
                f"{table.party}: feature column '{name}' holds categories, which have no order: predictions cannot be "
                f"monotone in it",
                remedy=f"Remove it from {table.settings.key(NAME)}",
                party=table.party,
            )
    signs = tuple(int(given.get(str(name), 0)) for name in table.columns)
    return signs if any(signs) else ()


def in_words(columns: tuple[str, ...], signs: tuple[int, ...]) -> str:
    """What a prediction does when each column rises: "never falls with income, never rises with age"."""
    ways = {1: "never falls with", -1: "never rises with"}
    return ", ".join(f"{ways[sign]} {name}" for name, sign in zip(columns, signs, strict=True) if sign)
