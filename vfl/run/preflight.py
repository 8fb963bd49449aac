"""What in a party's own columns deserves a word before this job is run, beyond what `models.own_columns` says of them:
said to this party alone, by column, never a value."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError, DisclosureRefused, TooFewHeldOut
from protocols.group_size import LEAST_ROWS, rows_by_weight
from vfl.data import Table, split_rows
from vfl.job import Job, Party
from vfl.job.opened import numbers_of_wins
from vfl.job.plan import plan_of, roles_of
from vfl.models.own_columns import standardises
from vfl.models.registry import kind_of
from vfl.preprocessing.standardise import FARTHEST
from vfl.screen.ending import clipped
from vfl.screen.sentences import counted


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
    found += kind_of(job.model).cautions(plan_of(job), roles_of(job), table) + _few_that_decide(job, table)
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


def check_held_out(job: Job, table: Table) -> None:
    """Raises TooFewHeldOut where this table alone shows that too few rows would decide when training ends: common rows
    are some of its rows, and which of them decide is drawn by their ids."""
    rows = _deciding(job, table)
    if rows is None or (count := int(rows.sum())) >= LEAST_ROWS:
        return
    assert job.model.decides is not None
    name, part = job.model.decides
    raise TooFewHeldOut(
        f"{table.party}: {counted(count, 'row')} of the {len(table):,} here can decide when training ends, since "
        f"model.{name} is {part:g}: their loss would reveal too much about single rows",
        remedy=f"Raise model.{name}, use more rows, or leave early stopping out",
        party=table.party,
        expected=f"at least {LEAST_ROWS}",
    )


def check_label_numbers(job: Job, party: Party, table: Table) -> None:
    """Raises DisclosureRefused where this table alone shows, at the guest, that the splits that hosts win count as more
    numbers than its training rows allow: the run would refuse it after the alignment was spent."""
    numbers, rate = numbers_of_wins(job), party.policy.rows_per_label_number
    if party.role != "guest" or not numbers or getattr(job.model, "continue_from", None) is not None:
        return
    rows = _most_training_rows(job, table)
    if numbers > rows // rate:
        raise DisclosureRefused(
            f"{party.name}: the splits that hosts win count as {numbers:,} numbers computed from the labels, and "
            f"at most {rows:,} of the {len(table):,} rows here are trained on, which allow {rows // rate:,}: "
            f"policy.rows_per_label_number is {rate}",
            remedy=f"Use more rows, hold out fewer, or agree on fewer trees (n_estimators): {numbers:,} numbers need "
            f"{numbers * rate:,} training rows. Or lower policy.rows_per_label_number",
            party=party.name,
            about="policy.rows_per_label_number",
        )


def _most_training_rows(job: Job, table: Table) -> int:
    """Of this table, if all were common: those that are not held out and do not decide when training ends.  With
    several keys nobody knows yet by which of them a row is drawn."""
    if len(table.keys) > 1:
        return len(table)
    test = job.split.test
    kept = job.model.decides[1] if job.model.decides else 0.0
    return int((~split_rows(table.ids, test + (1 - test) * kept, job.split.seed)).sum())


def _deciding(job: Job, table: Table) -> NDArray[np.bool_] | None:
    """Which rows of this table would decide when training ends, if all were common; None where no row does, or which
    one is unknown before several keys are matched."""
    if job.model.decides is None or len(table.keys) > 1:
        return None
    test, part = job.split.test, job.model.decides[1]
    drawn = split_rows(table.ids, test + (1 - test) * part, job.split.seed)
    return drawn & ~split_rows(table.ids, test, job.split.seed)


def _few_that_decide(job: Job, table: Table) -> list[str]:
    """Where early stopping could be left with too few rows to decide, or with weights that make a few of them count."""
    rows = _deciding(job, table)
    if rows is None:
        return []
    assert job.model.decides is not None
    (name, part), decide, found = job.model.decides, int(rows.sum()), list[str]()
    if decide < 2 * LEAST_ROWS:
        found.append(
            f"early stopping needs {LEAST_ROWS} rows that decide when training ends, and model.{name} is {part:g}: "
            f"of the {len(table):,} rows here at most {decide}, and of the common rows fewer; with too few the run "
            f"stops before it trains: raise model.{name}"
        )
    if getattr(job.model, "sample_weight", False) and table.weight is not None:
        equal = rows_by_weight(table.weight.to_numpy(np.float64)[rows])
        if equal < 2 * LEAST_ROWS <= decide:
            found.append(
                f"by their weights the rows that decide when training ends count as {equal:,.0f} rows of the heaviest "
                f"one, and early stopping needs {LEAST_ROWS}: with fewer the run stops before it trains: bring the "
                "weights closer together"
            )
    return found


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
