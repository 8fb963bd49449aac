"""Cross-validation: every candidate is trained without each fold's rows and scores them; the guest measures, and the
best is trained on all rows.

     guest (labels)                                           all others that train
 each candidate, each fold: the model is trained on the other folds, then its rows are scored (glm/fold_scores.py, boosting/scoring.py)
 1   FoldScored                   ---------------------->     nobody begins with the next fold before all have begun to score this one
 after all folds, where there are several candidates
 2   BestCandidate                ---------------------->     which one is trained once more, on all training rows

Who learns what: the guest what the scoring reveals, for every training row once a candidate; all others which candidate
did best, and that alone.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence

from protocols.channel import Channel, broadcast
from protocols.errors import RemoteProtocolError
from protocols.message import PUBLIC, REVEALED, Message
from protocols.session import Session


class FoldScored(Message, disclosure=PUBLIC, learns="that the rows of a fold are scored"):
    done: bool


class BestCandidate(
    Message,
    disclosure=REVEALED,
    permit="best-candidate-to-parties",
    learns="which of the job's candidates had the best score on the rows that were left out",
):
    number: int  # in the job's order, from 0


def end_fold(others: Sequence[Channel]) -> None:
    """The guest's side of step 1."""
    broadcast(others, FoldScored(True))


def await_fold(session: Session) -> None:
    """Everybody else's side of step 1."""
    session.guest.recv(FoldScored)


def tell_best(others: Sequence[Channel], number: int) -> None:
    """The guest's side of step 2."""
    broadcast(others, BestCandidate(number))


def hear_best(session: Session, candidates: int) -> int:
    """Everybody else's side of step 2.  Raises RemoteProtocolError for a candidate that the job does not have."""
    number = session.guest.recv(BestCandidate).number
    if not 0 <= number < candidates:
        raise RemoteProtocolError(
            f"{session.roles.guest} chose a candidate that the job does not have", party=session.roles.guest
        )
    return number
