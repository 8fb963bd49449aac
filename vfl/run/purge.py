"""What of a party's runs can be erased, and what must stay and why: `vfl purge`.

Runs before a day: everything but their ledgers, and unless it is asked for the model parts.  Budgets: what past months
counted.  One customer: its rows in the tables that runs left.  Nothing is erased at a partner, or in the source.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import ConfigError
from vfl.data import read_source
from vfl.data.normalise import normaliser
from vfl.data.source import FILES, read_stored
from vfl.data.writing import write_table
from vfl.job import Party
from vfl.run.budget.runs import month
from vfl.run.budget.table import BudgetFile
from vfl.storage.files import private, written
from vfl.storage.pad_store import PADS, expired
from vfl.storage.run_store import FILE, RunStore
from vfl.storage.runs import RECORD, STAMP, folders, listed

TABLES = ("scores", "aligned", "reasons")  # of a run's folder, by their names without suffix: they hold ids
WHY = {
    "ledger.jsonl": "the signed record of what left; it holds no id and no value",
    "signatures.json": "the partners' signatures of that record",
    "model": "without it the joint model scores no row any more; --models erases it",
}
NOT_HERE = {
    "model parts": "they hold no row; but the text of a category that only this customer had stays in model/: if it "
    "says who it was, train again without the row",
    "budget.sqlite": "keyed hashes of customers that were scored this month, and of 256 that stand for a set of "
    "labels, and of a member's training rows: without them the limits could not be kept; those of the month go with it "
    "(--budgets)",
    "queries.sqlite": "at the guest a keyed hash of each customer that was asked about online this month; it goes with "
    "the month",
    "spent.sqlite": "random names of pads that were used: without it what vfl prepare stored is worthless; it "
    "holds no id",
    "ledgers, events, reports": "they hold no id",
    "transcript.bin": "it holds no id, but what partners sent of all rows of a run, by their place; it goes with the "
    "run (--before)",
    "partners": "what they learnt is theirs: each has its own rows in common, the guest its scores; ask them to erase "
    "the customer too",
    "copies": "files that were copied, such as vfl predict --out, and backups",
}


@dataclass
class Purged:
    """erased: by path, what goes or went; kept: by path or kind of place, why it stays; prepared: by folder, what is
    lost with a run that vfl run could still train."""

    erased: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    prepared: dict[str, str] = field(default_factory=dict)


def purge_runs(directory: Path, before: datetime.date, models: bool, erase: bool) -> Purged:
    """Runs that began before a day.  A run that a process holds stays."""
    found, prepared = Purged(), {run.folder: run for run in listed(directory) if run.prepared}
    for folder in folders(directory):
        stamp = STAMP.search(folder.name)
        if stamp is None or stamp[1][:8] >= f"{before:%Y%m%d}":
            continue
        if (folder / FILE).exists() and not _given_up(folder, erase):
            found.kept[str(folder)] = "a process runs it now"
            continue
        if (run := prepared.get(str(folder))) is not None:
            ends = f"prepared until {run.prepared_until}" if run.prepared_until else run.outcome
            found.prepared[str(folder)] = f"{ends}: without it the others must start again too (vfl run --fresh)"
        for path in sorted(folder.iterdir()):
            if path.name in RECORD or (path.name == "model" and not models):
                found.kept[str(path)] = WHY[path.name]
            else:
                found.erased[str(path)] = "a folder" if path.is_dir() else "a file"
                if erase:
                    with written(folder):
                        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return found


def purge_pads(directory: Path, erase: bool) -> Purged:
    """Pads that were prepared for runs and have expired: no run may use them, whenever it began."""
    found = Purged()
    for folder in folders(directory):
        for path in expired(folder / PADS, time.time()):
            found.erased[str(path)] = "pads that have expired"
            if erase:
                with written(folder):
                    path.unlink(missing_ok=True)
    return found


def _given_up(folder: Path, erase: bool) -> bool:
    """Whether no process holds an unfinished run; its store, with the run's secrets, goes first."""
    try:
        store = RunStore(folder)
    except ConfigError as error:
        return "locked" not in str(error)
    if erase:
        store.remove()
    store.close()
    return True


def purge_budgets(directory: Path, before: datetime.date, erase: bool) -> Purged:
    """What was counted in months that are over and lie before a day; what limits for good stays."""
    today = datetime.datetime.now(datetime.UTC)
    period = min(f"{before:%Y-%m}", month(today))
    with BudgetFile(directory).opened(reading=True) as counts:
        dropped = counts.forget(period) if erase else len([row for row in counts.rows() if row[2] < period])
    name = str(directory / "budget.sqlite")
    kept = {name: "counts of labels and columns, which limit for good, and of this month"}
    return Purged({f"{name}, months before {period}": f"{dropped} counts"} if dropped else {}, kept)


def purge_customer(party: Party, cells: Mapping[str, str], rules: Mapping[str, str], erase: bool) -> Purged:
    """One customer's rows.  cells: by key column of this party's tables, the value; rules: by column, the normaliser by
    which it is compared ("text" where none is given).  Raises DataError, ConfigError."""
    found = Purged(kept=dict(NOT_HERE))
    if party.data is not None:
        source = party.data
        frame = read_source(source.source, source.query, keys=list(cells), only=list(cells), form=source.form)
        rows = int(matching(frame, cells, rules).sum())
        found.kept["data.source"] = f"{_rows(rows)} of this customer: remove them there, nothing here writes to it"
    for path in _tables(party.run.directory):
        stored = read_stored(path)
        frame = stored.frame(list(cells))
        if not set(cells) <= set(frame.columns):
            continue
        mask = matching(frame, cells, rules)
        if not mask.any():
            continue
        found.erased[str(path)] = _rows(int(mask.sum()))
        if erase:
            left, new = stored.take(np.flatnonzero(~mask)), path.with_name(f".{path.name}")
            with written(path.parent):
                private(new)
                if path.suffix in (".csv", ".parquet"):
                    left.write(new)
                else:
                    write_table(left.frame(), new, path.suffix)
                os.replace(new, path)
    return found


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def rules_of(party: Party) -> dict[str, str]:
    """By own key column, how the latest run compared it."""
    found = dict[str, str]()
    own = party.data.id_columns if party.data is not None else {}
    for folder in folders(party.run.directory):
        try:
            job = json.loads((folder / "report.json").read_text(encoding="utf-8"))["job_file"]
            found |= {own.get(column, column): rule for column, rule in job["align"]["normalise"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue
    return found


def matching(frame: pd.DataFrame, cells: Mapping[str, str], rules: Mapping[str, str]) -> NDArray[np.bool_]:
    """Which rows have these values, compared as an alignment compares them."""
    mask = np.ones(len(frame), np.bool_)
    for column, value in cells.items():
        rule = normaliser(rules.get(column, "text"))
        (wanted,) = rule.many([value])
        if not wanted:
            raise ConfigError(
                f"the value for column '{column}' is not valid", remedy="Write it as the table of the customer has it"
            )
        texts: Sequence[str] = [
            "" if gap else str(c) for c, gap in zip(frame[column], frame[column].isna(), strict=True)
        ]
        mask &= np.array([form == wanted for form in rule.many(texts)], np.bool_)
    return mask


def _tables(directory: Path) -> Iterator[Path]:
    """The tables with ids in all run folders."""
    for folder in folders(directory):
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.stem in TABLES and path.suffix in FILES:
                yield path
