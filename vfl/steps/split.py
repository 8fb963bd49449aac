"""Which of the common rows a model is fitted on, which are scored once it is trained, and whose score is whose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.alignment import out_of_time as protocol
from protocols.errors import DataError
from protocols.session import Session
from vfl.data import Table, split_rows

Scores = NDArray[np.float64]
Rows = NDArray[np.bool_]


def by_part(scores: Scores | None, held_out: Rows) -> tuple[Scores | None, Scores | None]:
    """Scores of held-out and of training rows, in the order of the rows; None for a part without.

    scores: of the held-out rows alone, or of all rows (held_out (n,) selects a part of them, never all).
    """
    if scores is None or len(scores) == held_out.sum():
        return scores, None
    return (scores[held_out] if held_out.any() else None), scores[~held_out]


def hold_out(
    session: Session, aligned: Table, test: float, seed: int, out_of_time: str, least: int
) -> tuple[Rows, Rows]:
    """(n,) the rows that nothing is fitted on, and (n,) which of these are out of time: on or after this day (ISO 8601;
    "" for no such part).

    The others are held out by a draw that all parties make alike.  The guest has dates, and tells the hosts one bit per
    row (protocols/alignment/out_of_time.py).
    Raises DataError where no row is drawn, or none is left to train on, or, out of time, no row or fewer than the
    `least` that all parties agreed to.
    """
    drawn, is_guest = split_rows(aligned.ids, test, seed), session.me == session.roles.guest
    if test and not drawn.any():
        raise DataError(
            "no common row is held out, so that nothing would be evaluated",
            remedy="Hold more rows out, use more rows, or leave test out, at every party",
            party=session.me,
        )
    if not out_of_time:
        check(session.me, drawn, 1)
        return drawn, np.zeros(len(drawn), np.bool_)
    later = dated(aligned, out_of_time) if is_guest else protocol.host(session, len(drawn))
    check(session.me, drawn | later, least)
    if is_guest:
        protocol.guest(session, later)
    return drawn | later, later


def dated(aligned: Table, out_of_time: str) -> Rows:
    """(n,) the guest's rows on or after this day.  Raises DataError where there is none, or no column of dates."""
    if aligned.date is None:
        raise DataError(
            "the guest's table has no column of dates", remedy="Name one: date in [data], or Federation.local(date=...)"
        )
    later = np.asarray(aligned.date >= np.datetime64(out_of_time, "D"))
    if not later.any():
        raise DataError(
            "no common row is out of time",
            remedy="Choose an earlier out_of_time, or leave it out, at every party",
            party=aligned.party,
        )
    return later


def check(me: str, held_out: Rows, least: int) -> None:
    """Raises DataError if fewer rows are left to train on."""
    left = int((~held_out).sum())
    if not left:
        raise DataError("no common row is left to train on", remedy="Hold fewer rows out, or use more rows", party=me)
    if left < least:
        raise DataError(
            f"only {left} common rows are left to train on, and this job wants at least {least}",
            remedy="Choose a later out_of_time, hold fewer rows out, or use more rows",
            party=me,
        )
