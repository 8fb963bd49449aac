"""A regression job from end to end, one function a role: align -> (search) -> standardise -> train -> score the held-out part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocols import alignment, glm
from protocols.cipher import DecryptionKey
from protocols.errors import ConfigError, DataError
from protocols.glm import fold_scores, scoring
from protocols.session import Session
from vfl.data import Objective, Table, split_rows
from vfl.model import AdditivePart, GlmPart, means
from vfl.preprocessing import Fitting, Preprocessing, Standardiser
from vfl.programs import features, search, targets
from vfl.programs.measured import Rows, by_part, check, hold_out
from vfl.programs.search import Search, Searched
from vfl.programs.targets import ClassWeight, Targets

Family = Literal["logistic", "linear", "poisson"]
LABELS: dict[Family, Objective] = {"logistic": "multiclass", "linear": "numeric", "poisson": "count"}


@dataclass(frozen=True)
class GlmJob:
    """What the parties agreed on, beyond who they are.

    alpha: of the penalty alpha |w|^2 / 2 beside the sum of the losses (for counts: beside their mean).  link: "exact" or "taylor", of the logistic family.
    weighted: the guest's table holds weights of the rows.  sgd: None for the solver over all rows.
    tol, early_stopping, validation_fraction, n_iter_no_change: when training ends before max_iter, as scikit-learn has them; with neither of the first two it does not.
    """

    family: Family = "logistic"
    alpha: float = 1.0
    max_iter: int | None = 100  # None: planned from the base rate
    tol: float | None = None
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    link: str = "exact"
    sgd: glm.Sgd | None = None
    fit_intercept: bool = True
    class_weight: ClassWeight = None
    weighted: bool = False
    exposure: bool = False  # of counts: these weights are exposures
    models: int = 0  # how many are trained, one-vs-rest; 0: the guest's label decides
    clip: float = 6.0
    score_bits: int = 10
    weight_bits: int = 10
    min_intersection: int = 1
    keys: int = 1  # how many the table has, tried in order
    test: float = 0.0
    seed: int = 0
    out_of_time: str = ""  # rows on or after this day, by the guest's dates, are held out too
    preprocess: Preprocessing | None = None
    open_names: bool = False  # with encode = "woe": whether hosts name their columns
    measure_train: bool = False  # the training rows are scored too

    @property
    def terms(self) -> glm.Terms:
        """As the protocol takes it."""
        links = {"logistic": glm.LOGISTIC_LINKS[self.link], "linear": glm.IDENTITY, "poisson": glm.POISSON}
        return glm.Terms(
            links[self.family],
            glm.Penalty(self.alpha, mean=self.family == "poisson"),
            self.max_iter,
            weighted=self.weighted or self.class_weight is not None,
            intercept=self.fit_intercept,
            weight_bits=self.weight_bits,
            models=self.models,
            sgd=self.sgd,
            stopping=stopping_of(self.tol, self.n_iter_no_change, validation=self.early_stopping),
        )

    def expected(self, predictions: NDArray[np.float64], rows: Table) -> NDArray[np.float64]:
        """At the guest: what the labels of rows are held against; of counts with exposures, which are predicted a unit of exposure, times these."""
        return predictions * rows.weight.to_numpy(np.float64) if self.exposure and rows.weight is not None else predictions

    def targets(self, table: Table, train: int) -> Targets:
        """What the guest's rows are fitted to, of which the first `train` are trained on.  Raises DataError."""
        assert table.label is not None
        label, me = table.label.to_numpy(np.float64), table.party
        weights = table.weight.to_numpy(np.float64) if self.weighted and table.weight is not None else None
        if self.family == "linear":
            return targets.linear(label, weights, me, train, centred=self.fit_intercept)
        if self.family == "poisson":
            return targets.poisson(label, weights, me, train, exposure=self.exposure)
        return targets.logistic(label, table.classes or (), self.class_weight, weights, me, train)


TOL = 1e-4  # with early_stopping, where none is given


def stopping_of(tol: float | None, every: int, *, validation: bool) -> glm.Stopping | None:
    """When training ends before all passes are made; None: never."""
    return glm.Stopping(TOL if tol is None else tol, every, validation) if validation or tol is not None else None


def refuse_stopping(asked: Search[GlmJob] | None) -> None:
    """Before anything is sent: raises ConfigError for a search among trainings that end by their loss."""
    if asked is not None and any(one.terms.stopping is not None for one in asked.candidates):
        raise ConfigError(
            "a search does not go with tol or early_stopping: the loss of every fold and candidate would be opened",
            remedy="Leave them out, and search max_iter",
        )


@dataclass(frozen=True)
class Fitted:
    """What a data party has at the end: its model part, its aligned rows, which of them were held out, after how many passes each training ended, and at the guest the
    joint predictors of held-out rows, (n, models), and of the training rows where the job asks for them."""

    part: GlmPart
    aligned: Table
    held_out: NDArray[np.bool_]
    later: NDArray[np.bool_]  # those of them that are out of time
    validation: NDArray[np.bool_]  # others, which decided when training ended
    passes: tuple[int, ...]
    settled: bool  # all that were to end by their loss did
    sizes: dict[str, int]
    scores: NDArray[np.float64] | None = None
    train_scores: NDArray[np.float64] | None = None
    binned: features.Binned | None = None  # at the guest, where columns were binned by the label
    searched: Searched | None = None  # where the job searches


def guest(session: Session, table: Table, job: GlmJob, asked: Search[GlmJob] | None = None) -> Fitted:
    """The guest's side: table with label; asked: what is searched first, of which the best candidate takes the place of `job`.  Learns its own weights and, for held-out rows (and training rows, if measured), the sums of the hosts' rounded predictors."""
    if not (job.fit_intercept or table.features.shape[1]):
        raise DataError("the guest has neither columns nor an intercept", remedy="Leave fit_intercept at True", party=session.me)
    targets.check_classes(table)
    refuse_stopping(asked)
    aligned, held_out, later, validation, sizes = align(session, table, job)
    rows, decide, scored = np.flatnonzero(~(held_out | validation)), np.flatnonzero(validation), held_out | job.measure_train
    train, n, searched = aligned.take(rows), len(rows), None
    if asked is not None:
        everyone = [*session.hosts, session.arbiter]
        searched = search.guest(session, train, asked, lambda one, rows: fold_guest(session, train, one, rows), everyone)
        job = asked.candidates[searched.best]
    wanted = job.targets(aligned.take(np.concatenate([rows, decide])), n)
    model_id = session.seed("model id").secret[:16]
    steps, binned = features.fit_guest(session, train, job.preprocess, open_names=job.open_names)
    with session.phase("train"):
        standardiser = Standardiser.fit(train.features, job.clip, steps)
        x = standardiser.transform(train.features, session.me)
        (y, row_weights), others = wanted.of(slice(n)), wanted.of(slice(n, None))
        watched = glm.HeldOut(standardiser.transform(aligned.take(decide).features, session.me), *others) if job.early_stopping else None
        weights, _, passes, settled = glm.guest(session, x, y, job.terms, model_id, row_weights, watched)
    intercept = tuple(weights[:, -1].tolist()) if job.fit_intercept else (0.0,) * len(weights)
    own = weights[:, :-1] if job.fit_intercept else weights
    part = GlmPart(
        session.me,
        model_id,
        standardiser,
        own,
        job.family,
        job.link,
        job.score_bits,
        intercept,
        table.classes,
        wanted.scale.mean,
        wanted.scale.scale,
    )
    scores = score_guest(session, part, aligned.take(np.flatnonzero(scored))) if scored.any() else None
    return Fitted(part, aligned, held_out, later, validation, passes, settled, sizes, *by_part(scores, held_out), binned, searched)


def host(session: Session, table: Table, job: GlmJob, asked: Search[GlmJob] | None = None) -> Fitted:
    """A host's side: features only.  Learns its own weights, and which candidate is best."""
    refuse_stopping(asked)
    aligned, held_out, later, validation, sizes = align(session, table, job)
    train, scored = aligned.take(np.flatnonzero(~(held_out | validation))), held_out | job.measure_train
    searched = None
    if asked is not None:
        session.allowance.score_vectors(b"", sum(max(1, one.models) for one in asked.candidates), tuple(table.features.columns))
        searched = search.host(session, train, asked, lambda one, rows: fold_host(session, train, one, rows))
        job = asked.candidates[searched.best]
    steps = features.fit_host(session, train, job.preprocess, open_names=job.open_names)
    with session.phase("train"):
        standardiser = Standardiser.fit(train.features, job.clip, steps)
        x = standardiser.transform(train.features, session.me)
        watched = standardiser.transform(aligned.take(np.flatnonzero(validation)).features, session.me) if job.early_stopping else None
        weights, model_id, passes, settled = glm.host(session, x, job.terms, watched)
    part = GlmPart(session.me, model_id, standardiser, weights, job.family, job.link, job.score_bits)
    if scored.any():
        score_host(session, part, aligned.take(np.flatnonzero(scored)))
    return Fitted(part, aligned, held_out, later, validation, passes, settled, sizes, searched=searched)


def arbiter(session: Session, job: GlmJob, asked: Search[GlmJob] | None = None) -> bytes:
    """The arbiter's side.  Learns sizes, what the link declares, and which candidate is best; returns the model's name.

    With one host the others align while it makes the key, which takes long: it has left the alignment to them before, so that they repeat none of it if it dies.
    """
    refuse_stopping(asked)
    with session.phase("align"):
        alignment.serve(session, job.min_intersection, keys=job.keys)
        key = session.scheme.generate(session.me, session.seed("key"))
    if asked is not None:
        job = search.arbiter(session, asked, lambda one: fold_arbiter(session, key, one))
    features.fit_arbiter(session, job.preprocess)
    with session.phase("train"):
        return glm.arbiter(session, key, job.terms)


def fold_guest(session: Session, train: Table, job: GlmJob, rows: search.Rows) -> NDArray[np.float64]:
    """Trains without the marked rows and returns their predictions.  Learns their joint predictors, and no weight."""
    inside, outside = train.take(np.flatnonzero(~rows)), train.take(np.flatnonzero(rows))
    wanted = job.targets(inside, len(inside))
    x, held = prepared(session, inside, outside, job)

    end = partial(fold_scores.guest, x=held, score_bits=job.score_bits)
    found = glm.guest(session, x, wanted.y, job.terms, session.seed("model id").secret[:16], wanted.weights, end=end)
    return job.expected(means(job.family, found.weights.T, wanted.scale.mean, wanted.scale.scale), outside)


def fold_host(session: Session, train: Table, job: GlmJob, rows: search.Rows) -> None:
    """A host's side of `fold_guest`.  Learns nothing."""
    x, held = prepared(session, train.take(np.flatnonzero(~rows)), train.take(np.flatnonzero(rows)), job)
    glm.host(session, x, job.terms, end=partial(fold_scores.host, x=held))


def fold_arbiter(session: Session, key: DecryptionKey, job: GlmJob) -> None:
    """The arbiter's side of `fold_guest`.  Learns the fold's size."""
    glm.arbiter(session, key, job.terms, partial(fold_scores.arbiter, score_bits=job.score_bits))


def prepared(session: Session, inside: Table, outside: Table, job: GlmJob) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both tables as the training takes them, by what the first one alone says."""
    steps = None if job.preprocess is None else Fitting.start(inside.features, job.preprocess, session.me).finish()
    standardiser = Standardiser.fit(inside.features, job.clip, steps)
    return standardiser.transform(inside.features, session.me), standardiser.transform(outside.features, session.me)


def predict_guest(
    session: Session, table: Table, part: AdditivePart, min_intersection: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Aligns a new table and scores what is common: (rows of the table, their predictors (rows, models))."""
    with session.phase("align"):
        aligned = alignment.align(session, table.keys, min_intersection)
    return aligned.rows, score_guest(session, part, table.take(aligned.rows))


def predict_host(session: Session, table: Table, part: AdditivePart, min_intersection: int) -> None:
    """A host's side of `predict_guest`."""
    with session.phase("align"):
        aligned = alignment.align(session, table.keys, min_intersection)
    common = table.take(aligned.rows)
    session.allowance.rows_scored(part.model_id, common.names)
    score_host(session, part, common)


def predict_arbiter(session: Session, min_intersection: int, keys: int = 1) -> None:
    """The arbiter's side of `predict_guest`: it compares blinded ids when there are several hosts, and holds nothing of the model."""
    with session.phase("align"):
        alignment.serve(session, min_intersection, keys=keys)


def align(session: Session, table: Table, job: GlmJob) -> tuple[Table, Rows, Rows, Rows, dict[str, int]]:
    """The common rows in the shared order, which of them are held out, which of those are out of time, which others decide when training ends, and how many ids
    each data party had.

    Both drawn parts are slices of one draw, so that no row is in both and each has its share.
    """
    with session.phase("align"):
        result = alignment.align(session, table.keys, job.min_intersection)
        aligned = table.aligned(result)
        held_out, later = hold_out(session, aligned, job.test, job.seed, job.out_of_time, job.min_intersection)
        outside = held_out
        if job.early_stopping:
            outside = held_out | split_rows(aligned.ids, job.test + (1 - job.test) * job.validation_fraction, job.seed)
    check(session.me, outside, 1)
    return aligned, held_out, later, outside & ~held_out, result.sizes


def score_guest(session: Session, part: AdditivePart, table: Table) -> NDArray[np.float64]:
    with session.phase("score"):
        own = part.predictor(table.features)
        return own + scoring.guest(session, own.size, part.model_id, part.score_bits).reshape(own.shape)


def score_host(session: Session, part: AdditivePart, table: Table) -> None:
    with session.phase("score"):
        session.allowance.score_vectors(part.model_id, len(np.atleast_2d(part.weights)), part.inputs)
        scoring.host(session, part.predictor(table.features).ravel(), part.model_id, part.score_bits)
