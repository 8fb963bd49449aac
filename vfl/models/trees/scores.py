"""New rows, and rows held out, scored with boosted trees, one function per role: align -> score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols import alignment
from protocols.boosting import scoring
from protocols.boosting.sealed_parts import ArbiterTrees
from protocols.ids import Ids
from protocols.session import Session
from vfl.data import Table
from vfl.models.trees.leaf_values import LeafValues
from vfl.models.trees.part import TreesPart


def predict_guest(
    session: Session, table: Table, part: TreesPart, min_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Aligns a new table and scores what is common: (rows of the table, their margins (rows, outputs)).  Learns scores;
    of open trees directions."""
    with session.phase("align"):
        aligned = alignment.align(session, table.keys, min_rows, or_none=True)
    return aligned.rows, score_guest(session, part, table.aligned(aligned))


def predict_host(session: Session, table: Table, part: TreesPart, min_rows: int) -> None:
    """A host's side of `predict_guest`.  Learns nothing but which of its ids are common."""
    with session.phase("align"):
        aligned = alignment.align(session, table.keys, min_rows, or_none=True)
    score_host(session, part, table.aligned(aligned), "new rows")


def predict_arbiter(session: Session, min_rows: int, part: LeafValues | None, keys: int = 1) -> None:
    """The arbiter's side of `predict_guest`; part: of sealed trees."""
    with session.phase("align"):
        alignment.serve(session, min_rows, keys=keys, or_none=True)
    if part is not None:
        score_arbiter(session, part.trees)


def score_arbiter(session: Session, trees: ArbiterTrees) -> None:
    session.course.rest()
    with session.phase("score"):
        scoring.arbiter(session, trees)


def score_guest(session: Session, part: TreesPart, table: Table) -> NDArray[np.float64]:
    """The last that a run does, as at the others: what it receives there would be long."""
    session.course.rest()
    with session.phase("score"):
        return scoring.guest(session, part.kept(table, session.keep), part.trees, names_in(table))


def score_host(session: Session, part: TreesPart, table: Table, what: str) -> None:
    """what: which rows, as they are counted."""
    assert part.splits is not None
    session.course.rest()
    if part.depth:
        session.allowance.rows_scored(part.own_name, what, table.names)

    def allow(outputs: int) -> None:
        if not len(table):  # of no row, no score is opened
            return
        session.allowance.score_vectors(part.own_name, outputs, part.columns)

    with session.phase("score"):
        scoring.host(session, part.kept(table, session.keep), part.splits, part.depth, allow)


def names_in(table: Table) -> Ids:
    """Of a table of common rows, `Table.names`."""
    return table.ids if table.named is None else table.named
