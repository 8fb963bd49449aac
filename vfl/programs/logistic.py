"""The logistic-regression job from end to end, one function a role: align -> standardise -> train -> score the held-out part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols import alignment, glm
from protocols.errors import DataError
from protocols.glm import LOGISTIC_LINKS, scoring
from protocols.session import Session
from vfl.data import Table, split_rows
from vfl.model import AdditivePart, LogisticPart
from vfl.preprocessing import Standardiser


@dataclass(frozen=True)
class LogisticJob:
    """What the parties agreed on, beyond who they are."""

    C: float = 1.0
    max_iter: int = 100
    link: str = "exact"
    clip: float = 6.0
    score_bits: int = 10
    weight_bits: int = 10
    min_intersection: int = 1
    keys: int = 1  # how many the table has, tried in order
    test: float = 0.0
    seed: int = 0

    @property
    def terms(self) -> glm.Terms:
        """As the protocol takes it."""
        return glm.Terms(LOGISTIC_LINKS[self.link], glm.Penalty(1 / self.C), self.max_iter, weight_bits=self.weight_bits)


@dataclass(frozen=True)
class Fitted:
    """What a data party has at the end: its model part, its aligned rows, which of them were held out, and at the guest the joint scores of those."""

    part: LogisticPart
    aligned: Table
    held_out: NDArray[np.bool_]
    sizes: dict[str, int]
    scores: NDArray[np.float64] | None = None


def guest(session: Session, table: Table, job: LogisticJob) -> Fitted:
    """The guest's side: table with label.  Learns its own weights and, for held-out rows, the sum of the hosts' rounded predictors."""
    aligned, held_out, sizes = align(session, table, job)
    train, test = aligned.take(np.flatnonzero(~held_out)), aligned.take(np.flatnonzero(held_out))
    assert train.label is not None
    y = train.label.to_numpy(np.float64)
    if len(np.unique(y)) < 2:
        raise DataError(
            "all training rows that the parties have in common carry the same label",
            remedy="Use a larger or another sample",
            party=session.me,
        )
    model_id = session.seed("model id").secret[:16]
    with session.phase("train"):
        standardiser = Standardiser.fit(train.features, job.clip)
        (weights,) = glm.guest(session, standardiser.transform(train.features, session.me), y[np.newaxis], job.terms, model_id)
    part = LogisticPart(session.me, model_id, standardiser, weights[:-1], job.link, job.score_bits, float(weights[-1]), table.classes)
    scores = score_guest(session, part, test) if held_out.any() else None
    return Fitted(part, aligned, held_out, sizes, scores)


def host(session: Session, table: Table, job: LogisticJob) -> Fitted:
    """A host's side: features only.  Learns its own weights."""
    aligned, held_out, sizes = align(session, table, job)
    train, test = aligned.take(np.flatnonzero(~held_out)), aligned.take(np.flatnonzero(held_out))
    with session.phase("train"):
        standardiser = Standardiser.fit(train.features, job.clip)
        weights, model_id = glm.host(session, standardiser.transform(train.features, session.me), job.terms)
    part = LogisticPart(session.me, model_id, standardiser, weights[0], job.link, job.score_bits)
    if held_out.any():
        score_host(session, part, test)
    return Fitted(part, aligned, held_out, sizes)


def arbiter(session: Session, job: LogisticJob) -> bytes:
    """The arbiter's side: makes the key while the others align.  Learns sizes only; returns the model's name."""
    with session.phase("align"):
        key = session.scheme.generate(session.me, session.seed("key"))
        alignment.serve(session, job.min_intersection, keys=job.keys)
    with session.phase("train"):
        return glm.arbiter(session, key, job.terms)


def predict_guest(
    session: Session, table: Table, part: AdditivePart, min_intersection: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Aligns a new table and scores what is common: (rows of the table, their scores)."""
    with session.phase("align"):
        aligned = alignment.align(session, table.keys, min_intersection)
    return aligned.rows, score_guest(session, part, table.take(aligned.rows))


def predict_host(session: Session, table: Table, part: AdditivePart, min_intersection: int) -> None:
    """A host's side of `predict_guest`."""
    with session.phase("align"):
        aligned = alignment.align(session, table.keys, min_intersection)
    score_host(session, part, table.take(aligned.rows))


def predict_arbiter(session: Session, min_intersection: int, keys: int = 1) -> None:
    """The arbiter's side of `predict_guest`: it compares blinded ids when there are several hosts, and holds nothing of the model."""
    with session.phase("align"):
        alignment.serve(session, min_intersection, keys=keys)


def align(session: Session, table: Table, job: LogisticJob) -> tuple[Table, NDArray[np.bool_], dict[str, int]]:
    """The common rows in the shared order, which of them are held out, and how many ids each data party had."""
    with session.phase("align"):
        result = alignment.align(session, table.keys, job.min_intersection)
        aligned = table.aligned(result)
        held_out = split_rows(aligned.ids, job.test, job.seed)
    if held_out.all():
        raise DataError("no common row is left to train on", remedy="Lower [split] test, or use more rows", party=session.me)
    return aligned, held_out, result.sizes


def score_guest(session: Session, part: AdditivePart, table: Table) -> NDArray[np.float64]:
    with session.phase("score"):
        own = part.predictor(table.features)
        return own + scoring.guest(session, len(own), part.model_id, part.score_bits)


def score_host(session: Session, part: AdditivePart, table: Table) -> None:
    with session.phase("score"):
        scoring.host(session, part.predictor(table.features), part.model_id, part.score_bits)
