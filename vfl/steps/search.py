"""Cross-validation inside a program: every candidate on every fold of the training rows, and the best of them
(protocols/scored_folds.py).

Everything of a candidate is fitted on the fold's training rows alone, preprocessing too; rows held out for the test
take no part.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols.channel import Channel
from protocols.errors import DataError
from protocols.scored_folds import hear_best, tell_best
from protocols.session import Observer, Session
from vfl.data import Objective, Table, split_folds
from vfl.metrics.scorers import scored

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]


class Candidate(Protocol):
    """What is asked of each."""

    def held_against(self, rows: Table) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """What predictions of these rows are held against, and how much each row weighs."""


J = TypeVar("J", bound=Candidate)
PARTS = 1000  # of a fold, in the progress


@dataclass(frozen=True)
class Search(Generic[J]):
    """What the parties agreed on.  candidates: what each is trained by; outcome: what the label holds; scoring: the
    measure, of `vfl.metrics.scorers`;
    seed: of the folds."""

    candidates: tuple[J, ...]
    outcome: Objective
    cv: int = 5
    scoring: str = "roc_auc"
    seed: int = 0


@dataclass(frozen=True)
class Searched:
    """What a data party knows afterwards.  scoring: the measure; best: of the candidates; rows (cv,): of each fold;
    scores (candidates, cv): at the guest, the greater the better."""

    scoring: str
    best: int
    rows: tuple[int, ...]
    scores: Floats | None = None


def guest(
    session: Session, train: Table, search: Search[J], fold: Callable[[J, Rows], Floats], others: Sequence[Channel]
) -> Searched:
    """train: the aligned training rows; fold: trains a candidate without the marked rows and predicts them; others: all
    that train with the guest.

    Learns: what the scoring of each fold reveals.  Raises DataError for a fold that the measure is not defined on.
    """
    folds, rows = of(train, search, session.me)
    assert train.label is not None
    found = np.zeros((len(search.candidates), search.cv))
    with folding(session, search) as each:
        for c, k in each:
            y, weight = search.candidates[c].held_against(train.take(np.flatnonzero(folds == k)))
            value = scored(search.scoring, search.outcome, y, fold(search.candidates[c], folds == k), weight)
            if value is None:
                raise DataError(
                    f"{search.scoring} is not defined on the rows of a fold",
                    remedy="They all carry one label: use fewer folds, more rows, or another scoring",
                    party=session.me,
                )
            found[c, k] = value
    best = int(found.mean(axis=1).argmax())  # the first of several
    if len(search.candidates) > 1:
        tell_best(others, best)
    return Searched(search.scoring, best, rows, found)


def host(session: Session, train: Table, search: Search[J], fold: Callable[[J, Rows], object]) -> Searched:
    """A host's side.  Learns: which candidate is best."""
    folds, rows = of(train, search, session.me)
    with folding(session, search) as each:
        for c, k in each:
            fold(search.candidates[c], folds == k)
    return Searched(search.scoring, chosen(session, search), rows)


def arbiter(session: Session, search: Search[J], fold: Callable[[J], object]) -> J:
    """The arbiter's side, which knows no rows: the best candidate."""
    with folding(session, search) as each:
        for c, _ in each:
            fold(search.candidates[c])
    return search.candidates[chosen(session, search)]


def chosen(session: Session, search: Search[J]) -> int:
    return hear_best(session, len(search.candidates)) if len(search.candidates) > 1 else 0


def of(train: Table, search: Search[J], me: str) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """The fold of each training row, and the size of each.  Raises DataError for an empty one."""
    folds = split_folds(train.ids, search.cv, search.seed)
    rows = np.bincount(folds, minlength=search.cv)
    if not rows.all():
        raise DataError("a fold has no row", remedy="Use fewer folds, or more rows", party=me)
    return folds, tuple(rows.tolist())


@contextlib.contextmanager
def folding(session: Session, search: Search[J]) -> Iterator[Iterator[tuple[int, int]]]:
    """Each (candidate, fold), as one phase with one progress."""
    watch, every = session.observer, [(c, k) for c in range(len(search.candidates)) for k in range(search.cv)]

    def each() -> Iterator[tuple[int, int]]:
        for done, pair in enumerate(every):
            session.observer = Part(watch, done, len(every))
            yield pair

    with session.phase("search"):
        try:
            yield each()
        finally:
            session.observer = watch


@dataclass(frozen=True)
class Part(Observer):
    """The steps of one fold, reported as a part of the phase "search"."""

    watch: Observer
    done: int
    of: int

    def step(self, phase: str, done: int, total: int) -> None:
        self.watch.step("search", PARTS * self.done + PARTS * done // max(1, total), PARTS * self.of)
