"""Aligning tables in one process, for notebooks and tests: `vfl.align`; and what an alignment has to report."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from protocols.alignment import SizeNoise
from protocols.channel import Tap
from protocols.cipher import Identity
from protocols.errors import ConfigError
from protocols.local import run_local
from protocols.randomness import Randomness
from protocols.session import Observer, Roles
from vfl.data import KeyLists, Settings, key_lists, rules
from vfl.data.arrow import AnyFrame, as_frame
from vfl.data.near_ids import Own, near_misses
from vfl.data.own_ids import OwnIds
from vfl.data.shapes import Profile, cautions
from vfl.models.privacy import Privacy
from vfl.models.results import environment
from vfl.report.page import FORMAT, check_new, write_alignment
from vfl.report.words import LOCAL
from vfl.schema.arguments import flag, one_of, path, watched, whole
from vfl.schema.parameters import check_hosts
from vfl.schema.table_options import TableOptions, settings_by_party
from vfl.screen.notebook import showing
from vfl.screen.warn import warn_user
from vfl.steps import alignment
from vfl.steps.alignment import MatchReport

GUEST, ARBITER = "guest", "arbiter"


@dataclass(frozen=True, repr=False)
class Aligned:
    """The result of `vfl.align`: every party's common rows, in one order for all; with `cardinality_only` no rows.

    Parameters
    ----------
    guest : DataFrame
        The guest's common rows.
    hosts : dict of DataFrame
        Those of each host, by its name.
    report : MatchReport
        Sizes and match rates, as every data party may know them.

    Notes
    -----
    What each party learns: which of its own rows are common to all, and every party's number of rows. Cost: see `vfl.align`.

    Examples
    --------
    >>> found = vfl.align(bank, {"telecom": telecom[50:]}, on="id")
    >>> found.report.match_rate
    {'guest': 0.75, 'telecom': 1.0}
    """  # noqa: E501

    guest: pd.DataFrame
    hosts: dict[str, pd.DataFrame]
    report: MatchReport

    def __post_init__(self) -> None:
        if not isinstance(self.hosts, Mapping) or not isinstance(self.report, MatchReport):
            raise ConfigError("an Aligned is what an alignment found", remedy="Use vfl.align(...)")

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes report.html and alignment.json of the guest into a folder, but no row of a table; the path of the
        page.

        overwrite: replaces a report that is there.  Raises ConfigError where one is and it is not to be replaced, or
        if they cannot be written.
        """
        place = path("folder", folder)
        check_new(place, flag("overwrite", overwrite))
        content = {
            "format": FORMAT,
            "job": LOCAL,
            "job_digest": "none: made in one process",
            "party": GUEST,
            "role": GUEST,
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "phases": [],
            "disclosure": [],
            "environment": environment(),
        }
        return write_alignment(place, content | self.report.content(GUEST) | {"file": None})

    def __repr__(self) -> str:
        return f"Aligned\n{self.report!r}"


def align(
    guest: AnyFrame,
    hosts: Mapping[str, AnyFrame],
    on: str | Sequence[str] | Sequence[Sequence[str]],
    *,
    normalise: str | Mapping[str, str] = "text",
    duplicates: str = "error",
    min_intersection: int = 1,
    cardinality_only: bool = False,
    privacy: Privacy | None = None,
    options: Mapping[str, TableOptions] | None = None,
    taps: Mapping[str, Sequence[Tap]] | None = None,
    observers: Mapping[str, Observer] | None = None,
    randomness: Mapping[str, Randomness] | None = None,
    verbose: int | None = None,
) -> Aligned:
    """The rows that all tables have in common, in the same secret order in each, by the same protocol as between
    institutions.

    Parameters
    ----------
    guest : DataFrame
        The guest's table: a frame of pandas or Polars, or any table with Arrow's PyCapsule interface, such as pyarrow's.
    hosts : dict of DataFrame
        The hosts' tables, by name.
    on : str, sequence of str, or sequence of sequences of str
        The id column, several that make one key, or a list of such lists: keys that are tried in order, each row matched once.
    normalise : str or dict, default "text"
        How ids are compared: "text", "digits", "integer", "exact", "email", "date", "date:%d/%m/%Y" or "e164:GB", one for all columns or by
        column.
    duplicates : {"error", "first"}, default "error"
        Whether rows that share an id are refused, or the first of them is kept.
    min_intersection : int, default 1
        The fewest common rows.
    cardinality_only : bool, default False
        Whether the size alone is opened.
    privacy : Privacy, default None
        With `cardinality_only`, one host and one key: `vfl.Privacy(unit="id", epsilon=..., delta=...)` adds noise of both parties to the size.
    options : dict of TableOptions, default None
        By party ("guest", or a host's name), what it says of its own table: here its own names of the id columns.
    taps, observers, randomness : dict, default None
        By party, what watches its channels and its progress, and where its randomness comes from.
    verbose : int or None, default None
        Whether the guest's progress is shown: None in notebooks and at terminals, 0 nowhere, 1 everywhere.

    Returns
    -------
    Aligned
        The common rows of each table, and the report.

    Raises
    ------
    ConfigError
        A parameter is not possible.
    DataError
        Something is wrong in a table, or fewer than `min_intersection` rows are common.

    Notes
    -----
    What each party learns: which of its own rows are common to all, and every party's number of rows; with `cardinality_only` sizes alone.

    Cost: multiplications on a curve, in proportion to the rows of all parties.

    Examples
    --------
    >>> found = vfl.align(bank, {"telecom": telecom[50:]}, on="id")
    >>> len(found.guest), len(found.hosts["telecom"])
    (150, 150)
    """  # noqa: E501
    check_hosts(hosts)
    one_of("duplicates", duplicates, ("error", "first"))
    least, cardinality_only = whole("min_intersection", min_intersection, 0), flag("cardinality_only", cardinality_only)
    shown = None if verbose is None else whole("verbose", verbose, 0)
    given = watched((GUEST, *hosts, ARBITER), taps, observers, randomness)
    keys = key_lists((on,) if isinstance(on, str) else on)
    by_column = rules(keys, normalise)
    settings = settings_by_party(options, (GUEST, *hosts))
    profiles: dict[str, Profile] = {party: {} for party in (GUEST, *hosts)}
    owns = {
        party: _own(table, party, keys, by_column, duplicates, settings[party], profiles[party])
        for party, table in {GUEST: guest, **hosts}.items()
    }
    compared = {party: Own(own.keys, settings[party].by_job(profiles[party])) for party, own in owns.items()}
    for sentence in near_misses(keys, by_column, compared):
        warn_user(sentence)
    roles = Roles(GUEST, tuple(hosts), ARBITER)
    noise = size_noise(privacy, cardinality_only)
    plan = alignment.AlignmentPlan(least, len(keys), cardinality_only, noise=noise)
    programs: dict[str, Any] = {
        party: partial(alignment.data_party, keys=own.keys, plan=plan) for party, own in owns.items()
    }
    programs[ARBITER] = partial(alignment.arbiter, plan=plan)
    inputs = {party: b"".join(ids.digest() for ids in own.keys) for party, own in owns.items()}
    with showing(shown, given["observers"], GUEST) as given["observers"]:
        found = run_local(roles, programs, Identity(), inputs=inputs, **given)
    frames = {party: own.rows(found[party]) for party, own in owns.items()}
    report = MatchReport.of(found[GUEST], keys, {party: own.repeated for party, own in owns.items()}, cardinality_only)
    return Aligned(frames[GUEST], {host: frames[host] for host in hosts}, report)


def size_noise(privacy: object, size_only: bool) -> SizeNoise | None:
    """On the size, where it is asked for.  Raises ConfigError where it is not the size alone that is opened."""
    if privacy is None:
        return None
    if not isinstance(privacy, Privacy) or privacy.unit != "id" or not size_only:
        raise ConfigError(
            "privacy is for the size of an intersection alone",
            remedy='Pass vfl.Privacy(unit="id", ...) with cardinality_only=True, or None for no noise',
        )
    return SizeNoise(privacy.multiplier(1))


def _own(
    table: AnyFrame,
    party: str,
    keys: KeyLists,
    normalise: Mapping[str, str],
    duplicates: str,
    settings: Settings,
    profile: Profile,
) -> OwnIds:
    """One party's ids; warns of what may be none.  profile: gets their shapes."""
    own = OwnIds.of(as_frame(table, party), party, keys, normalise, duplicates, settings, profile)
    for caution in cautions(profile, settings.by_own(normalise), in_python=True):
        warn_user(f"{party}: {caution}")
    return own
