"""Which columns of a table are its keys, which are features, and which are neither.

Messages name columns and row numbers, never a value or an id.
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from protocols.errors import DataError
from vfl.data.header import HEADER, like_cells, twice
from vfl.data.literals import is_date
from vfl.data.normalise import text_form
from vfl.data.schema import Settings

SHOWN = 20  # values that tell whether a column is one of days


def with_keys(
    frame: pd.DataFrame,
    party: str,
    keys: Sequence[str],
    settings: Settings = Settings(),  # noqa: B008
) -> pd.DataFrame:
    """`frame` with its keys as columns; column names are texts, and distinct."""
    if any(key in frame.index.names and key not in frame.columns for key in keys):
        frame = frame.reset_index()
    if not all(isinstance(c, str) for c in frame.columns):
        raise DataError(
            f"{party}: column names must be texts",
            remedy="Name the columns, or frame.columns = frame.columns.astype(str)",
            party=party,
        )
    if not frame.columns.is_unique:
        several = [str(c) for c in frame.columns[frame.columns.duplicated()].unique()]
        raise DataError(f"{party}: the table {twice(list(frame.columns), several)}", remedy="Rename them", party=party)
    for key in keys:
        if key not in frame.columns:
            raise no_column(frame, party, "id column", key, settings)
    return frame


def no_rows(party: str, *, in_python: bool) -> DataError:
    """The error of a table without rows."""
    remedy = "Pass a frame with rows" if in_python else "Check the source and the query"
    return DataError(f"{party}: the table has no rows", remedy=remedy, party=party)


def feature_names(
    frame: pd.DataFrame,
    party: str,
    keys: Sequence[str],
    columns: Sequence[str] | None,
    others: Mapping[str, str | None],
    need_label: bool,
    settings: Settings,
) -> list[str]:
    """The features of a table; columns: those that are asked for, None for all; others: by what they are, the columns
    that are none.  Raises DataError."""
    uses = {name: f"the {what}" for what, name in others.items() if name is not None}
    for what, name in others.items():
        if name is None:
            continue
        if need_label and name not in frame.columns:
            raise no_column(frame, party, f"{what} column", name, settings)
        if name in keys:
            raise DataError(f"{party}: the {what} '{name}' is a key column", remedy=f"Name another {what}", party=party)
        if uses[name] != f"the {what}":
            both = f"{what} and {uses[name].removeprefix('the ')}"
            raise DataError(f"{party}: '{name}' is both {both}", remedy="Name another column", party=party)
    uses |= dict.fromkeys(keys, "a key column")
    if columns is None:
        return _all_features(frame, party, uses, settings)
    for name in columns:
        if name not in frame.columns:
            raise no_column(frame, party, "feature column", name, settings)
        if name in uses:
            raise DataError(
                f"{party}: the feature '{name}' is {uses[name]}", remedy="Remove it from columns", party=party
            )
    if several := sorted({c for c in columns if list(columns).count(c) > 1}):
        raise DataError(f"{party}: columns names {_names(several)} twice", remedy="Name each once", party=party)
    return list(columns)


_NAMELESS = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")  # the last two are pandas' words for it


def _all_features(frame: pd.DataFrame, party: str, uses: Mapping[str, str], settings: Settings) -> list[str]:
    """Every column that is not used for something else and not excluded.  Raises DataError for one without a name,
    which is usually the row number that pandas wrote."""
    for name in settings.exclude:
        if name not in frame.columns:
            raise no_column(frame, party, "excluded column", name, settings)
        if name in uses:
            raise DataError(f"{party}: exclude names '{name}', {uses[name]}", remedy="Remove it there", party=party)
    found = [c for c in frame.columns if c not in uses and c not in settings.exclude]
    if both := [c for c in found if c in settings.id_columns]:
        raise DataError(
            f"{party}: the table has a column '{both[0]}', and id_columns says that this key is in another one",
            remedy=f"Remove it from id_columns, or leave the column out: {settings.says('exclude', _listed(both))}",
            party=party,
        )
    nameless = [c for c in found if _NAMELESS.fullmatch(c)]
    if nameless:
        places = ", ".join(str(list(frame.columns).index(c) + 1) for c in nameless)
        example = settings.says("exclude", _listed(nameless))
        raise DataError(
            f"{party}: no name in the header: column {places} of the table; pandas writes its row numbers like this",
            remedy=f"Write the file with index=False, name the column, or leave it out: {example}",
            party=party,
        )
    return found


def _listed(names: Sequence[str]) -> str:
    """As a job file lists them."""
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"[{quoted}]"


def no_column(frame: pd.DataFrame, party: str, what: str, name: str, settings: Settings) -> DataError:
    """The error of a column that is not there."""
    said = {"id column": "align.keys in the job, data.id_columns", "excluded column": "data.exclude"}
    said |= {"label column": "data.label", "feature column": "data.columns"}
    where = f" ({said.get(what, 'the keys of [data]')} in the party file)"
    names = list(frame.columns)
    private = like_cells(names)
    has = f"{len(names):,} columns ({HEADER})" if private else _names(names)
    remedy = f"Correct the name{'' if settings.in_python else where} or the table"
    others = [one for one in names if what != "id column" or _plain(one) == _plain(name) or not _is_days(frame[one])]
    if not private and (meant := _meant(name, others)) is not None:
        blank = ", with a blank in the header: remove it there" if meant != meant.strip() else ""
        remedy = f"Did you mean '{meant}'{blank}? {remedy}"
    return DataError(f"{party}: {what} '{name}' is not in the table, which has {has}", remedy=remedy, party=party)


def _meant(name: str, names: Sequence[str]) -> str | None:
    """The column that a name is nearest to: the same but for blanks, case and the like, or a similar one."""
    plain = {text_form(one): one for one in reversed(names)}
    close = difflib.get_close_matches(text_form(name), plain, n=1, cutoff=0.8)
    return plain[close[0]] if close else None


def _plain(name: str) -> str:
    """Its letters and digits: birth_date and BirthDate are one name."""
    return "".join(filter(str.isalnum, text_form(name)))


def _is_days(column: pd.Series) -> bool:
    """Whether its first values are days, which are seldom the ids that a similar name promises."""
    first = column.dropna().head(SHOWN).tolist()
    return bool(first) and all(isinstance(v, datetime.date) or (isinstance(v, str) and is_date(v)) for v in first)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{n}'" for n in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "no columns"
