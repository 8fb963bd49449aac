"""The scorecard job from end to end, one function a role: align -> bin by the label -> train on weights of evidence -> points -> score the held-out part.

New rows are scored as a regression's are (`vfl.models.regression.program.predict_guest`, ...): a host's part of the score is its sum of points.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import alignment, glm
from protocols.errors import DataError
from protocols.glm import LOGISTIC_LINKS
from protocols.session import Session
from vfl.data import Table
from vfl.models.regression.program import score_arbiter, score_guest, score_host
from vfl.models.scorecard.part import ScorecardPart
from vfl.models.scorecard.points import Scale
from vfl.preprocessing import Preprocessing, Preprocessor, Standardiser
from vfl.steps import features
from vfl.steps.split import by_part, hold_out

CLIP = 8.0  # standardised weights of evidence lie well inside


@dataclass(frozen=True)
class ScorecardJob:
    """What the parties agreed on, beyond who they are."""

    preprocessing: Preprocessing = field(default_factory=lambda: Preprocessing(encode="woe"))
    scale: Scale = field(default_factory=Scale)
    C: float = 1.0
    max_iter: int = 100
    link: str = "exact"
    weight_bits: int = 10
    reveal: tuple[str, ...] = ()  # whose final weights their owner learns, of "guest" and "hosts"
    open_names: bool = False
    min_intersection: int = 1
    keys: int = 1  # how many the table has, tried in order
    test: float = 0.0
    seed: int = 0
    out_of_time: str = ""  # rows on or after this day, by the guest's dates, are held out too
    measure_train: bool = False  # the training rows are scored too

    @property
    def terms(self) -> glm.Terms:
        """As the protocol takes it."""
        return glm.Terms(
            LOGISTIC_LINKS[self.link], glm.Penalty(1 / self.C), self.max_iter, weight_bits=self.weight_bits, reveal=self.reveal
        )

    @property
    def shares(self) -> bool:
        """Whether any party's weights stay shared with the arbiter."""
        return len(self.reveal) < 2

    @property
    def scores(self) -> bool:
        """Whether rows are scored when the model is trained."""
        return bool(self.test or self.out_of_time or self.measure_train)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a data party has at the end: its part and steps, its aligned rows, which of them were held out; at the guest their scores, and what it knows of the
    hosts' columns."""

    part: ScorecardPart
    preprocessor: Preprocessor
    aligned: Table
    held_out: NDArray[np.bool_]
    later: NDArray[np.bool_]  # those of them that are out of time
    sizes: dict[str, int]
    scores: NDArray[np.float64] | None = None
    train_scores: NDArray[np.float64] | None = None
    binned: features.Binned | None = None
    searched: None = None  # bins by the label are not searched


def guest(session: Session, table: Table, job: ScorecardJob) -> Fitted:
    """The guest's side: table with label.  Learns the events of hosts' fine bins, for held-out rows the points and, where the job reveals them, its own weights."""
    aligned, held_out, later, sizes = align(session, table, job)
    train, scored = aligned.take(np.flatnonzero(~held_out)), held_out | job.measure_train
    assert train.label is not None
    y = train.label.to_numpy(np.float64)
    if len(np.unique(y)) < 2:
        raise DataError(
            "all training rows that the parties have in common carry the same label",
            remedy="Use a larger or another sample",
            party=session.me,
        )
    model_id = session.seed("model id").secret[:16]
    steps, binned = features.fit_guest(session, train, job.preprocessing, open_names=job.open_names)
    assert steps is not None
    with session.phase("train"):
        standardiser = Standardiser.fit(train.features, CLIP, steps)
        trained = glm.guest(session, standardiser.transform(train.features, session.me), y[np.newaxis], job.terms, model_id)
    part = own_part(session, job, trained, steps, standardiser, table.classes)
    scores = None
    if job.scores:
        found, part = score_guest(session, part, aligned.take(np.flatnonzero(scored)))
        scores = found if scored.any() else None
    return Fitted(part, steps, aligned, held_out, later, sizes, *by_part(scores, held_out), binned)


def own_part(
    session: Session,
    job: ScorecardJob,
    trained: glm.Trained,
    steps: Preprocessor,
    standardiser: Standardiser,
    classes: tuple[Any, ...] | None = None,
) -> ScorecardPart:
    """A data party's part of what was trained on standardised weights of evidence; classes: the guest's."""
    found = {c.name: c for c in steps.woe.columns} if steps.woe is not None else {}
    bins = tuple(found[c] for c in steps.columns)
    key = b"" if classes is not None else session.seed("score key").secret
    return ScorecardPart(
        session.me,
        trained.model_id,
        bins,
        standardiser.mean,
        standardiser.scale,
        CLIP,
        trained.shares,
        job.scale,
        job.shares,
        classes is not None,
        key,
        classes,
    )


def host(session: Session, table: Table, job: ScorecardJob) -> Fitted:
    """A host's side: features only.  Learns the events of its own final bins and, where the job reveals them, its own weights."""
    aligned, held_out, later, sizes = align(session, table, job)
    train, scored = aligned.take(np.flatnonzero(~held_out)), held_out | job.measure_train
    steps = features.fit_host(session, train, job.preprocessing, open_names=job.open_names)
    assert steps is not None
    with session.phase("train"):
        standardiser = Standardiser.fit(train.features, CLIP, steps)
        trained = glm.host(session, standardiser.transform(train.features, session.me), job.terms)
    part = own_part(session, job, trained, steps, standardiser)
    if job.scores:
        part = score_host(session, part, aligned.take(np.flatnonzero(scored)))
    return Fitted(part, steps, aligned, held_out, later, sizes)


def arbiter(session: Session, job: ScorecardJob) -> glm.Kept:
    """The arbiter's side: as for other regressions.  Learns sizes only; returns what it keeps of the model."""
    with session.phase("align"):
        alignment.serve(session, job.min_intersection, keys=job.keys)
        key = session.scheme.generate(session.me, session.seed("key"))
    features.fit_arbiter(session, job.preprocessing)
    with session.phase("train"):
        kept = glm.arbiter(session, key, job.terms)
    return score_arbiter(session, key, kept) if job.scores else kept


def align(session: Session, table: Table, job: ScorecardJob) -> tuple[Table, NDArray[np.bool_], NDArray[np.bool_], dict[str, int]]:
    """The common rows in the shared order, which of them are held out, which of those are out of time, and how many ids each data party had."""
    with session.phase("align"):
        found = alignment.align(session, table.keys, job.min_intersection)
        aligned = table.aligned(found)
        held_out, later = hold_out(session, aligned, job.test, job.seed, job.out_of_time, job.min_intersection)
    return aligned, held_out, later, found.sizes
