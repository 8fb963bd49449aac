"""What a party says of its own table, declared once: keys of [data] in its party file, and `vfl.TableOptions` in
Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from protocols.errors import ConfigError
from vfl.data.schema import Declared as ColumnKind
from vfl.data.schema import Settings
from vfl.schema.declared import Declared
from vfl.schema.described import Values
from vfl.schema.section import Complaint, Section, check_column, choose, distinct, shown

Column = Annotated[str, AfterValidator(check_column)]
Kind = Annotated[ColumnKind, BeforeValidator(choose(("number", "category")))]


def _own_names(value: dict[str, str]) -> dict[str, str]:
    twice = [name for name in value.values() if list(value.values()).count(name) > 1]
    if twice:
        raise Complaint(f"gives {shown(twice[0])} to two keys", "Name a column for each")
    return value


class TableSettings(Section):
    """The keys."""

    types: Annotated[
        dict[Column, Kind],
        Values('"number" or "category" by column, such as { income = "number", branch = "category" }'),
    ] = Field(
        default={},
        description="the type of feature columns; without it a column is a number if all its values are, else "
        "a category",
    )
    missing: Annotated[tuple[str, ...], AfterValidator(distinct), Values('a list of texts, such as ["-", "?"]')] = (
        Field(
            default=(),
            description='texts, and numbers such as "-999", that mean a missing value, in addition to an empty '
            "cell, NA and the like; not in key columns",
        )
    )
    exclude: Annotated[tuple[Column, ...], AfterValidator(distinct), Values('a list of columns, such as ["row"]')] = (
        Field(default=(), description="columns that are no features; not together with data.columns")
    )
    id_columns: Annotated[
        dict[Column, Column],
        AfterValidator(_own_names),
        Values('own names by key column, such as { customer_id = "KUNDENNR" }'),
    ] = Field(
        default={},
        description="this table's own names of key columns, by their names in the job",
    )

    def settings(self, *, in_python: bool = False) -> Settings:
        """As tables are read with it."""
        return Settings(self.types, self.missing, self.exclude, self.id_columns, in_python)


class TableOptions(TableSettings, Declared):
    """What one party says of its own table.

    Notes
    -----
    What each party learns: nothing; the options stay with the party.

    Cost: none.

    Examples
    --------
    >>> options = vfl.TableOptions(types={"branch": "category"}, missing=["-"])
    >>> options.types
    {'branch': 'category'}
    """


def settings_by_party(options: object, parties: tuple[str, ...]) -> dict[str, Settings]:
    """The settings of every party of a local federation.  Raises ConfigError."""
    if options is not None and not isinstance(options, Mapping):
        raise ConfigError(
            f"options is a {type(options).__name__}", remedy='Pass options by party: {"guest": vfl.TableOptions(...)}'
        )
    for party, own in (options or {}).items():
        if party not in parties:
            raise ConfigError(f"options names {party!r}, which is no party", remedy=f"Use {', '.join(parties)}")
        if not isinstance(own, TableOptions):
            raise ConfigError(f"options of {party} is a {type(own).__name__}", remedy="Pass vfl.TableOptions(...)")
    given: Mapping[str, TableOptions] = options or {}
    return {party: given.get(party, TableOptions()).settings(in_python=True) for party in parties}
