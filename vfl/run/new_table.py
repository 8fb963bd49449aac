"""The new table of a prediction, as a party reads it for its part of the model."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

import pandas as pd

from protocols.errors import ConfigError, DataError, DisclosureRefused, ModelError
from vfl.data import shapes
from vfl.data.form import Form
from vfl.data.kept_frame import KeptFrame
from vfl.data.places import place_of
from vfl.data.shapes import Profile
from vfl.data.source import suffix_of
from vfl.data.table import Table
from vfl.job import Job, Party
from vfl.job.table import Data
from vfl.models.content import Head, Part
from vfl.models.new_rows import NewRows, new_rows
from vfl.models.part_files import load_part
from vfl.models.registry import kind_of
from vfl.run.own_table import read_table


class NewTable(NamedTuple):
    """Which rows take part; the key columns of all rows as they came; and what to say of how ids are written."""

    new: NewRows
    ids: pd.DataFrame | KeptFrame
    of_ids: list[str]


def new_table(job: Job, party: Party, source: Data, part: Part) -> NewTable:
    """The rows in `source`, read here.  Raises DataError."""
    table, ids, of_ids = table_and_ids(job, party, source, part)
    return NewTable(new_rows(table, kind_of(job.model), part), ids, of_ids)


def table_and_ids(job: Job, party: Party, source: Data, part: Part) -> tuple[Table, pd.DataFrame, list[str]]:
    """All rows in `source`, and the rest as of `NewTable`."""
    profile = Profile()
    frame, table = read_table(job, party, source, scored_by=part, profile=profile)
    if party.role == "guest" and len(table) < job.predict.min_rows:
        raise DataError(
            f"{party.name}: the new table has fewer rows than this job's predict.min_rows",
            expected=f"at least {job.predict.min_rows}",
            found=len(table),
            remedy="Score more rows at once, or agree on a job with a smaller predict.min_rows",
            party=party.name,
        )
    ids = (
        frame[[source.id_columns.get(column, column) for column in job.align.columns]]
        if len(frame) == len(table)
        else table.index.to_frame(index=False)
    )  # of a host, repeated ids may have gone
    return table, ids, shapes.cautions(profile, source.settings().by_own(job.align.normalise))


def new_data(party: Party, data: str | None) -> Data | None:
    """[data] of the party file, with another source if one was given."""
    if party.data is None or data is None:
        return party.data
    is_database = place_of(data) == "database"
    query = party.data.query if is_database else None
    if is_database and query is None:
        raise ConfigError(
            "--data is a database address, and [data] has no query", remedy="Add query to [data], or give a file"
        )
    own = {"format": None} if suffix_of(data, Form()) else {}  # the name of the new file says it
    return party.data.model_copy(update={"source": data, "query": query, **own})


def own_part(job: Job, party: Party, folder: Path) -> Part:
    """A data party's part of a model of this job.  Raises ModelError, and DisclosureRefused if it uses a column that
    the party file withholds now."""
    part, manifest = load_part(folder)
    check_part(job, party, folder, manifest)
    if manifest.kind != job.model.kind or part.is_guests != (party.role == "guest"):
        raise ModelError(
            f"{folder} is no {party.role}'s part of this job's model",
            remedy="Restore it from a copy of the run's folder",
        )
    allowed = party.data.columns if party.data else None
    withheld = [c for c in part.inputs if allowed is not None and c not in allowed]
    if withheld:
        raise DisclosureRefused(
            f"{party.name}: the model uses columns that data.columns does not list: {', '.join(withheld)}",
            remedy="Train a model without them, or, if the person responsible for this party's data agrees, add "
            "them to [data] columns",
            party=party.name,
            about="data.columns",
        )
    return cast("Part", part)


def check_part(job: Job, party: Party, folder: Path, manifest: Head) -> None:
    """Raises ModelError unless the part is this party's, of a model that this job trained."""
    if manifest.party != party.name:
        raise ModelError(
            f"{folder} is the part of another party",
            expected=party.name,
            found=manifest.party,
            remedy="Name this party's own",
        )
    if manifest.job_digest != job.digest.hex():
        raise ModelError(
            f"{folder} was trained by another job",
            expected=job.digest.hex()[:12],
            found=manifest.job_digest[:12],
            remedy="Give the job file of that run (vfl job digest shows which one it is)",
        )
