"""Aligning tables in one process, for notebooks and tests: `vfl.align`; and what an alignment has to report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.alignment import Alignment, Ids
from protocols.channel import Tap
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError
from protocols.local import run_local
from protocols.randomness import Randomness
from protocols.session import Observer, Roles
from vfl.data import KeyLists, key_lists, keys_of, rules
from vfl.data.table import with_keys
from vfl.schema.parameters import check_hosts
from vfl.steps import alignment

GUEST, ARBITER = "guest", "arbiter"


@dataclass(frozen=True, repr=False)
class MatchReport:
    """Sizes, as every data party may know them; repeated is each party's own business, and holds those that are known here."""

    rows: dict[str, int]  # by party, the rows that took part
    common: int
    by_key: dict[str, int]  # rows by the key that matched them, "phone + birth_date"; in the order of the keys
    repeated: dict[str, int]  # by party, rows left out because an earlier row had their id
    size_only: bool

    @classmethod
    def of(cls, found: Alignment, keys: KeyLists, repeated: dict[str, int], size_only: bool) -> MatchReport:
        """The report of one party's outcome."""
        by_key = {" + ".join(key): matched for key, matched in zip(keys, found.by_key, strict=True)}
        return cls(dict(found.sizes), found.common, by_key, repeated, size_only)

    @property
    def match_rate(self) -> dict[str, float]:
        """By party, the part of its rows that is common to all."""
        return {party: self.common / rows if rows else 0.0 for party, rows in self.rows.items()}

    def lines(self) -> list[tuple[str, str]]:
        """(what, how much) of everything in it, for people."""
        found = [(f"rows of {party}", f"{rows:,}") for party, rows in self.rows.items()]
        found += [(f"rows of {party} left out, id repeated", f"{rows:,}") for party, rows in self.repeated.items() if rows]
        found += [("common to all", f"{self.common:,}")]
        found += [(f"  by {key}", f"{matched:,}") for key, matched in self.by_key.items() if len(self.by_key) > 1]
        return found + [(f"match rate of {party}", f"{rate:.1%}") for party, rate in self.match_rate.items()]

    def __repr__(self) -> str:
        width = max(len(what) for what, _ in self.lines())
        return "\n".join(f"{what:<{width}}  {much:>11}" for what, much in self.lines())


@dataclass(frozen=True, repr=False)
class Aligned:
    """Every party's common rows, in one order for all; with `cardinality_only` no rows."""

    guest: pd.DataFrame
    hosts: dict[str, pd.DataFrame]
    report: MatchReport

    def __repr__(self) -> str:
        return f"Aligned\n{self.report!r}"


def align(
    guest: pd.DataFrame,
    hosts: Mapping[str, pd.DataFrame],
    on: str | Sequence[str] | Sequence[Sequence[str]],
    *,
    normalise: str | Mapping[str, str] = "text",
    duplicates: str = "error",
    min_intersection: int = 1,
    cardinality_only: bool = False,
    taps: Mapping[str, Sequence[Tap]] | None = None,
    observers: Mapping[str, Observer] | None = None,
    randomness: Mapping[str, Randomness] | None = None,
) -> Aligned:
    """The rows that all tables have in common, in the same secret order in each, by the same protocol as between institutions.

    on: the id column, several that make one key, or a list of such lists: keys that are tried in order, a row matched once.
    normalise: "text" (default), "digits", "exact", "email", "date", "date:%d/%m/%Y", "e164:GB", one for all columns or by column.
    duplicates: "error", or "first" to keep the first of the rows that share an id.  cardinality_only: open the size alone.
    Raises ConfigError, and DataError for what is wrong in a table or if fewer than `min_intersection` rows are common.
    """
    check_hosts(hosts)
    if duplicates not in ("error", "first"):
        raise ConfigError(f"duplicates = '{duplicates}' is not known", remedy='Use "error" or "first"')
    keys = key_lists((on,) if isinstance(on, str) else on)
    by_column = rules(keys, normalise)
    owns = {party: OwnIds.of(frame, party, keys, by_column, duplicates) for party, frame in {GUEST: guest, **hosts}.items()}
    plan = alignment.AlignmentPlan(min_intersection, len(keys), cardinality_only)
    programs: dict[str, Any] = {party: partial(alignment.data_party, keys=own.keys, plan=plan) for party, own in owns.items()}
    programs[ARBITER] = partial(alignment.arbiter, plan=plan)
    inputs = {party: b"".join(ids.digest() for ids in own.keys) for party, own in owns.items()}
    roles = Roles(GUEST, tuple(hosts), ARBITER)
    found = run_local(roles, programs, Identity(), inputs=inputs, taps=taps, observers=observers, randomness=randomness)
    frames = {party: own.rows(found[party]) for party, own in owns.items()}
    report = MatchReport.of(found[GUEST], keys, {party: own.repeated for party, own in owns.items()}, cardinality_only)
    return Aligned(frames[GUEST], {host: frames[host] for host in hosts}, report)


@dataclass(frozen=True, repr=False)
class OwnIds:
    """One party's table and its ids."""

    frame: pd.DataFrame
    keys: tuple[Ids, ...]
    kept: NDArray[np.int64]  # (n,) which rows of the frame the ids belong to

    @classmethod
    def of(cls, frame: pd.DataFrame, party: str, keys: KeyLists, normalise: Mapping[str, str], duplicates: str) -> OwnIds:
        """Checked; raises DataError that names columns and row numbers, never a value."""
        frame = with_keys(frame, party, tuple(dict.fromkeys(column for key in keys for column in key)))
        if not len(frame):
            raise DataError(f"{party}: the table has no rows", remedy="Check the source and the query", party=party)
        return cls(frame, *keys_of(frame, party, keys, normalise, duplicates))

    @property
    def repeated(self) -> int:
        """How many rows were left out because an earlier row has their id."""
        return len(self.frame) - len(self.kept)

    def rows(self, found: Alignment) -> pd.DataFrame:
        """The common rows in the shared order, numbered from 0."""
        return self.frame.iloc[self.kept[found.rows]].reset_index(drop=True)
