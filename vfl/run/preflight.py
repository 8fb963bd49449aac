"""What in a party's own columns deserves a word before this job is run, beyond what `models.own_columns` says of them:
said to this party alone, by column, never a value."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from protocols.glm.stopping import LEAST_HELD_OUT
from vfl.data import Table
from vfl.job import Job
from vfl.job.plan import plan_of, roles_of
from vfl.models.own_columns import standardises
from vfl.models.registry import kind_of
from vfl.preprocessing.standardise import FARTHEST
from vfl.screen.ending import clipped


def table_cautions(job: Job, table: Table, most: int) -> list[str]:
    """A sentence each; most: the common rows that a run can have.  Raises DataError for columns and ConfigError for
    batches that the run would refuse."""
    numbers = table.features.select_dtypes("number")
    values = numbers.to_numpy(np.float64)
    found = []
    if len(table) > most:
        found.append(
            f"the table has {len(table):,} rows: if more than {most:,} of them are common to all, the run "
            f"stops after the alignment"
        )
    found += kind_of(job.model).cautions(plan_of(job), roles_of(job), table) + _few_held_out(job, len(table))
    if table.label is None and job.model.folds_are_hidden and len(job.candidates) >= max(2, table.features.shape[1]):
        found.append(
            f"{len(job.candidates)} candidates are searched, and this table has {table.features.shape[1]} "
            f"columns: as many scores of every row, if they differ enough, "
            "could tell the guest these columns up to an invertible map"
        )
    if not standardises(job.model, job.preprocess):
        return found  # no value is standardised as it came
    asked = getattr(job.model, "clip", None)
    return found + _limited(numbers, values, FARTHEST if asked is None else asked, table.party)


def _few_held_out(job: Job, rows: int) -> list[str]:
    """Where early stopping could be left with too few rows to decide."""
    if not getattr(job.model, "early_stopping", False):
        return []
    decide = int(rows * (1 - job.split.test) * job.model.validation_fraction)
    if decide >= 2 * LEAST_HELD_OUT:
        return []
    return [
        f"early_stopping needs {LEAST_HELD_OUT} rows that decide when training ends, and validation_fraction is "
        f"{job.model.validation_fraction:g}: of the {rows:,} rows here at most about {decide}, and of the common rows "
        "fewer; with too few the run stops before it trains: raise validation_fraction"
    ]


def _limited(frame: pd.DataFrame, values: NDArray[np.float64], limit: float, party: str) -> list[str]:
    """Columns with values that are limited.  Raises DataError where they cannot be standardised."""
    with np.errstate(over="ignore", invalid="ignore"):
        known = ~np.isnan(values)
        rows = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, values, 0.0).sum(axis=0) / rows
        apart = np.where(known, values - mean, 0.0)
        scale = np.sqrt((apart**2).sum(axis=0) / rows)
        if names := _named(frame, ~np.isfinite(scale)):
            raise DataError(
                f"{party}: {names}: values too large to standardise",
                remedy="Scale or clip them before the run",
                party=party,
            )
        each = np.abs(apart) / np.where(scale > 0, scale, 1.0)
    limited = {str(c): int(n) for c, n in zip(frame.columns, (each > limit).sum(axis=0), strict=True) if n}
    return [clipped(limited, limit).replace("were limited", "are limited", 1)] if limited else []


def _named(frame: pd.DataFrame, wrong: NDArray[np.bool_]) -> str:
    """'column a', 'columns a, b and 3 more', or nothing."""
    names = [str(c) for c in frame.columns[wrong]]
    if not names:
        return ""
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"column {shown}" if len(names) == 1 else f"columns {shown}"
