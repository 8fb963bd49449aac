"""The scorecard job from end to end, one function per role: align -> bin by the label -> train on weights of evidence -> points -> score the held-out part.

New rows are scored as a regression's are (`vfl.models.regression.program.predict_guest`, ...): a host's part of the
score is its sum of points.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import alignment, glm
from protocols.errors import DataError
from protocols.glm import LOGISTIC_LINKS
from protocols.session import Session
from vfl.data import Schema, Table
from vfl.models.plan import Plan
from vfl.models.regression.program import score_arbiter, score_guest, score_host
from vfl.models.scorecard.part import ScorecardPart
from vfl.models.scorecard.spec import Scorecard
from vfl.preprocessing import Preprocessor, Standardiser
from vfl.steps import features
from vfl.steps.split import by_part, hold_out

CLIP = 64.0  # standardised weights of evidence lie well inside


def terms_of(plan: Plan[Scorecard]) -> glm.Terms:
    """What is trained, as the protocol takes it."""
    spec = plan.spec
    return glm.Terms(
        LOGISTIC_LINKS[spec.link],
        glm.Penalty(1 / spec.C),
        spec.max_iter,
        weight_bits=spec.weight_bits,
        reveal=plan.reveal,
        settles=plan.settles,
        prepared=plan.prepared,
        gram=plan.gram,
    )


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a data party has at the end: its part and steps, its aligned rows, which of them were held out; at the guest
    their scores, and what it knows of the hosts' columns."""

    part: ScorecardPart
    preprocessor: Preprocessor
    aligned: Table
    held_out: NDArray[np.bool_]
    later: NDArray[np.bool_]  # those of them that are out of time
    sizes: dict[str, int]
    passes: tuple[int, ...]
    ends: tuple[glm.End, ...]
    scores: NDArray[np.float64] | None = None
    train_scores: NDArray[np.float64] | None = None
    binned: features.Binned | None = None
    searched: None = None  # bins by the label are not searched

    @property
    def validation(self) -> NDArray[np.bool_]:
        """No rows are held out to decide when training ends."""
        return np.zeros_like(self.held_out)


def guest(session: Session, table: Table, plan: Plan[Scorecard]) -> Fitted:
    """The guest's side: table with label.  Learns the events of hosts' fine bins, for held-out rows the points and,
    where the job reveals them, its own weights."""
    aligned, held_out, later, sizes = align(session, table, plan)
    train, scored = aligned.take(np.flatnonzero(~held_out)), held_out | plan.measure_train
    assert train.label is not None
    y = train.label.to_numpy(np.float64)
    if len(np.unique(y)) < 2:
        raise DataError(
            "all training rows that the parties have in common carry the same label",
            remedy="Use a larger or another sample",
            party=session.me,
        )
    model_id = session.seed("model id").secret[:16]
    steps, binned = features.fit_guest(
        session, train, plan.spec.preprocessing, open_names=plan.spec.open_names, noise=plan.noise
    )
    assert steps is not None
    with session.phase("train" if session.ahead is None else "prepare"):
        standardiser = Standardiser.fit(train.features, CLIP, steps, party=session.me)
        trained = glm.guest(
            session, standardiser.transform(train.features, session.me), y[np.newaxis], terms_of(plan), model_id
        )
    part = own_part(session, plan, trained, steps, standardiser, train.schema, table.classes)
    scores = None
    if plan.scores:
        found, part = score_guest(session, part, aligned.take(np.flatnonzero(scored)))
        scores = found if scored.any() else None
    ended = (trained.passes, trained.ends)
    return Fitted(part, steps, aligned, held_out, later, sizes, *ended, *by_part(scores, held_out), binned)


def own_part(
    session: Session,
    plan: Plan[Scorecard],
    trained: glm.Trained,
    steps: Preprocessor,
    standardiser: Standardiser,
    schema: Schema,
    classes: tuple[Any, ...] | None = None,
) -> ScorecardPart:
    """A data party's part of what was trained on standardised weights of evidence; schema: of its table; classes: the
    guest's."""
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
        plan.spec.scale,
        plan.shares,
        classes is not None,
        key,
        classes,
        schema.of(steps.columns),
    )


def host(session: Session, table: Table, plan: Plan[Scorecard]) -> Fitted:
    """A host's side: features only.  Learns the events of its own final bins and, where the job reveals them, its own
    weights."""
    aligned, held_out, later, sizes = align(session, table, plan)
    train, scored = aligned.take(np.flatnonzero(~held_out)), held_out | plan.measure_train
    steps = features.fit_host(
        session, train, plan.spec.preprocessing, open_names=plan.spec.open_names, noise=plan.noise
    )
    assert steps is not None
    with session.phase("train" if session.ahead is None else "prepare"):
        standardiser = Standardiser.fit(train.features, CLIP, steps, party=session.me)
        trained = glm.host(session, standardiser.transform(train.features, session.me), terms_of(plan))
    part = own_part(session, plan, trained, steps, standardiser, train.schema)
    if plan.scores:
        part = score_host(session, part, aligned.take(np.flatnonzero(scored)))
    return Fitted(part, steps, aligned, held_out, later, sizes, trained.passes, trained.ends)


def arbiter(session: Session, plan: Plan[Scorecard]) -> glm.Kept:
    """The arbiter's side: as for other regressions.  Learns sizes only; returns what it keeps of the model."""
    with session.phase("align"):
        alignment.serve(session, plan.min_intersection, keys=plan.keys)
        key = session.scheme.generate(session.me, session.seed("key"))
    features.fit_arbiter(session, plan.spec.preprocessing)
    with session.phase("train" if session.ahead is None else "prepare"):
        kept = glm.arbiter(session, key, terms_of(plan))
    return score_arbiter(session, key, kept) if plan.scores else kept


def align(
    session: Session, table: Table, plan: Plan[Scorecard]
) -> tuple[Table, NDArray[np.bool_], NDArray[np.bool_], dict[str, int]]:
    """The common rows in the shared order, which of them are held out, which of those are out of time, and how many ids
    each data party had."""
    with session.phase("align"):
        found = alignment.align(session, table.listed, plan.min_intersection)
        aligned = table.aligned(found)
        held_out, later = hold_out(
            session, aligned, plan.test, plan.split_seed, plan.out_of_time, plan.min_intersection
        )
    return aligned, held_out, later, found.sizes
