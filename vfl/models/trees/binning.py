"""A party's rows in bins, with the signs of its columns; and whether a table fits the model that it continues."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import UNSEEN, Binner, Bins, KeptBins
from protocols.errors import DataError
from protocols.kept import Keep
from vfl.data import Table
from vfl.data.codes import Names, coded_column, names_of
from vfl.models.plan import Plan
from vfl.models.trees.constraints import signs_of
from vfl.models.trees.part import TreesPart
from vfl.models.trees.spec import BoostedTrees


def bin_table(
    table: Table, plan: Plan[BoostedTrees], least: int, before: TreesPart | None, keep: Keep
) -> tuple[KeptBins, tuple[Names, ...]]:
    """The rows in bins of their own, or in those of the model to continue, and the names of the categories of each
    column.  One column is in memory at a time; keep: where the bins are put."""
    if before is not None:
        check_columns(table, before)
        return constrained(before.kept(table, keep), table, plan), before.names
    columns = columns_of(table)
    names = tuple(names_of(table.column(name), table.party) for name in columns)

    def column(k: int) -> NDArray[np.float64]:
        return coded_column(table.column(columns[k]), names[k])

    categorical = [k for k, texts in enumerate(names) if texts is not None]
    binner = Binner.of_columns(map(column, range(len(columns))), plan.spec.params().max_bin, least, categorical)
    return constrained(binner.kept(len(table), column, keep), table, plan), names


def constrained(binned: KeptBins, table: Table, plan: Plan[BoostedTrees]) -> KeptBins:
    """With the signs of the party's own columns, where the job has monotone constraints."""
    signs = signs_of(table) if plan.spec.monotone_constraints else ()
    return binned.constrained(signs) if signs else binned


def signs_in(binned: Bins) -> tuple[int, ...]:
    """As the party's part keeps them."""
    return () if binned.monotone is None else tuple(binned.monotone.tolist())


def columns_of(table: Table) -> tuple[str, ...]:
    return tuple(table.columns)


def check_columns(table: Table, before: TreesPart) -> None:
    """Raises DataError unless the table has the columns of the model to continue, and every cell a bin there."""
    if before.columns != columns_of(table):
        raise DataError(
            f"{table.party}: the table's columns are not those of the model to continue",
            remedy="Give the same columns, in the same order",
            party=table.party,
        )
    for k, name in enumerate(before.columns):
        types = before.schema.types[name], table.schema.types[name]
        if (types[0] == "number") != (types[1] == "number"):
            held = ("categories", "numbers") if types[1] == "number" else ("numbers", "categories")
            raise DataError(
                f"{table.party}: feature column '{name}' holds {held[1]}, and held {held[0]} in the model to continue",
                remedy="Give it as it was, or train a new model",
                party=table.party,
            )
        texts = before.names[k]
        if texts is None:
            continue
        if (before.binner.bins_of(k, coded_column(table.column(name), texts)) == UNSEEN).any():
            raise DataError(
                f"{table.party}: feature column '{name}' has a category, or a missing value, that the model to "
                "continue has not seen",
                remedy="Leave such rows out, replace the value by one that it has seen, or train a new model",
                party=table.party,
            )


def check_label(table: Table, before: TreesPart) -> None:
    """Raises DataError unless the guest's label has the classes of the model to continue."""
    if before.classes != table.classes:
        raise DataError(
            f"{table.party}: the label's classes are not those of the model to continue",
            remedy="Train a new model",
            party=table.party,
        )
