"""The boosted-trees job from end to end, one function a role: align -> (search) -> bin -> train; and scoring of new rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols import alignment
from protocols.binning import Binned, Binner
from protocols.boosting import hidden, scoring, shared
from protocols.boosting.ensemble import Rounds
from protocols.boosting.objective import check_labels, predictions
from protocols.boosting.params import Params
from protocols.channel import Channel
from protocols.errors import DataError
from protocols.scored_folds import await_fold, end_fold
from protocols.session import Session
from vfl.data import Table, split_rows
from vfl.data.codes import Names, coded, names_of
from vfl.model import TreesPart
from vfl.programs import search
from vfl.programs.measured import Rows, check, hold_out
from vfl.programs.search import Search, Searched


@dataclass(frozen=True)
class BoostingJob:
    """What the parties agreed on, beyond who they are."""

    params: Params
    validation: float = 0.0  # the part of the rows that early stopping looks at
    min_intersection: int = 1
    keys: int = 1  # how many the table has, tried in order
    test: float = 0.0  # the part of the rows that is held out to measure the model
    seed: int | None = None  # of the split; None: that of the parameters
    out_of_time: str = ""  # rows on or after this day, by the guest's dates, are held out too
    measure_train: bool = False  # the training rows are measured too
    continues: bool = False  # whether data parties hand in their parts of a model that gets more trees

    @property
    def measures(self) -> bool:
        """Whether rows are held out to measure the model."""
        return self.test > 0 or bool(self.out_of_time)

    @property
    def profile_is_hidden(self) -> bool:
        return self.params.membership == "hidden"


@dataclass(frozen=True)
class Fitted:
    """What a data party has at the end: its model part, its aligned rows, which of them were held out to measure the model and for early stopping, how many
    ids each data party had, and at the guest the joint margins (rows, outputs) of the rows held out to measure."""

    part: TreesPart
    aligned: Table
    held_out: NDArray[np.bool_]
    later: NDArray[np.bool_]  # those of the held-out rows that are out of time
    validation: NDArray[np.bool_]
    sizes: dict[str, int]
    scores: NDArray[np.float64] | None = None
    train_scores: NDArray[np.float64] | None = None  # nothing is asked for them: the guest knows the way of every training row
    searched: Searched | None = None  # where the job searches


def guest(
    session: Session, table: Table, job: BoostingJob, before: TreesPart | None = None, asked: Search[BoostingJob] | None = None
) -> Fitted:
    """The guest's side: table with label; before: its part of the model to continue; asked: what is searched first, of which the best candidate takes the
    place of `job`.  Learns bin sums and directions (protocols/boosting), of every fold's model too."""
    aligned, test, later, validation, sizes = align(session, table, job)
    train, searched = np.flatnonzero(~test), None
    if asked is not None:
        rows, stopping = aligned.take(train), validation[train]
        searched = search.guest(
            session, rows, asked, lambda one, held: fold_guest(session, rows, one, held, stopping), trainers(session, job)
        )
        job = asked.candidates[searched.best]
    assert aligned.label is not None
    y = aligned.label.to_numpy(np.float64)[train]
    weight = None if aligned.weight is None else aligned.weight.to_numpy(np.float64)[train]
    check_labels(job.params, y[~validation[train]])
    model_id = session.seed("model id").secret[:16]
    binned, names = bin_table(aligned.take(train), job, 1, before)
    started = None
    if before is not None:
        assert before.ensemble is not None
        check_label(table, before)
        with session.phase("score"):
            started = before.ensemble, scoring.guest(session, binned, before.ensemble)
    with session.phase("train"):
        rounds = Rounds(job.params, y, weight=weight, held_out=validation[train], before=started)
        fit = hidden.guest if job.profile_is_hidden else shared.guest
        ensemble = fit(session, binned, job.params, rounds, model_id)
    part = TreesPart(
        session.me,
        model_id,
        columns_of(table),
        binned.binner,
        names,
        ensemble=ensemble,
        classes=table.classes,
        hosts=session.roles.hosts,
    )
    scores = score_guest(session, part, aligned.take(np.flatnonzero(test))) if job.measures else None
    return Fitted(part, aligned, test, later, validation, sizes, scores, rounds.margin if job.measure_train else None, searched)


def host(
    session: Session, table: Table, job: BoostingJob, before: TreesPart | None = None, asked: Search[BoostingJob] | None = None
) -> Fitted:
    """A host's side: features only; before: its part of the model to continue; asked: as the guest's.  Learns which of its splits won and, with
    membership = "shared", the rows of nodes, of every fold's model too; and which candidate is best."""
    aligned, test, later, validation, sizes = align(session, table, job)
    train, searched = np.flatnonzero(~test), None
    if asked is not None:
        rows, stopping = aligned.take(train), validation[train]
        searched = search.host(session, rows, asked, lambda one, held: fold_host(session, rows, one, held, stopping))
        job = asked.candidates[searched.best]
    binned, names = bin_table(aligned.take(train), job, job.params.min_bin_rows, before)
    held = before.splits if before else None
    if before is not None and held is not None:
        with session.phase("score"):
            scoring.host(session, binned, held, before.depth)
    with session.phase("train"):
        fit = hidden.host if job.profile_is_hidden else shared.host
        splits = fit(session, binned, job.params, validation[train], held)
    depth = job.params.max_depth if job.profile_is_hidden else 0
    part = TreesPart(session.me, splits.model_id, columns_of(table), binned.binner, names, splits=splits, depth=depth)
    if job.measures:
        score_host(session, part, aligned.take(np.flatnonzero(test)))
    return Fitted(part, aligned, test, later, validation, sizes, searched=searched)


def arbiter(session: Session, job: BoostingJob, asked: Search[BoostingJob] | None = None) -> None:
    """The arbiter's side: compares blinded ids of several hosts; deals the transfers of membership = "hidden".  Learns sizes, and which candidate is best."""
    with session.phase("align"):
        alignment.serve(session, job.min_intersection, keys=job.keys)
    if job.profile_is_hidden:
        if asked is not None:
            job = search.arbiter(session, asked, lambda one: fold_arbiter(session, one))
        if job.continues:
            with session.phase("score"):
                scoring.arbiter(session)
        with session.phase("train"):
            hidden.arbiter(session, job.params, continues=job.continues)
        if job.measures:
            with session.phase("score"):
                scoring.arbiter(session)


def fold_guest(session: Session, train: Table, job: BoostingJob, rows: Rows, stopping: Rows) -> NDArray[np.float64]:
    """Trains without the marked rows and returns their predictions; stopping: the rows that early stopping looks at."""
    inside, outside, stopping = train.take(np.flatnonzero(~rows)), train.take(np.flatnonzero(rows)), stopping[~rows]
    assert inside.label is not None
    y = inside.label.to_numpy(np.float64)
    weight = None if inside.weight is None else inside.weight.to_numpy(np.float64)
    check_labels(job.params, y[~stopping])
    name = session.seed("model id").secret[:16]
    binned, names = bin_table(inside, job, 1, None)
    fit = hidden.guest if job.profile_is_hidden else shared.guest
    ensemble = fit(session, binned, job.params, Rounds(job.params, y, weight=weight, held_out=stopping), name)
    part = TreesPart(session.me, name, columns_of(train), binned.binner, names, ensemble=ensemble, classes=train.classes)

    def score() -> NDArray[np.float64]:
        margins = scoring.guest(session, part.binned(outside.features), ensemble)
        end_fold(trainers(session, job))
        return margins

    means = predictions(job.params, session.once(score, lambda found: {"margins": found}, lambda saved: saved["margins"]))
    return means if means.shape[1] > 1 else means[:, 0]


def fold_host(session: Session, train: Table, job: BoostingJob, rows: Rows, stopping: Rows) -> None:
    """A host's side of `fold_guest`.  Learns what a host learns of any model."""
    inside, outside = train.take(np.flatnonzero(~rows)), train.take(np.flatnonzero(rows))
    binned, names = bin_table(inside, job, job.params.min_bin_rows, None)
    fit = hidden.host if job.profile_is_hidden else shared.host
    splits = fit(session, binned, job.params, stopping[~rows], None)
    depth = job.params.max_depth if job.profile_is_hidden else 0
    part = TreesPart(session.me, splits.model_id, columns_of(train), binned.binner, names, splits=splits, depth=depth)

    def score() -> None:
        scoring.host(session, part.binned(outside.features), splits, depth)
        await_fold(session)

    session.once(score, lambda _: {}, lambda _: None)


def fold_arbiter(session: Session, job: BoostingJob) -> None:
    """The arbiter's side of `fold_guest`, of membership = "hidden".  Learns sizes."""

    def score() -> None:
        scoring.arbiter(session)
        await_fold(session)

    hidden.arbiter(session, job.params)
    session.once(score, lambda _: {}, lambda _: None)


def trainers(session: Session, job: BoostingJob) -> list[Channel]:
    """All that train with the guest."""
    return [*session.hosts, session.arbiter] if job.profile_is_hidden else session.hosts


def predict_guest(session: Session, table: Table, part: TreesPart, min_intersection: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Aligns a new table and scores what is common: (rows of the table, their margins (rows, outputs)).  Learns directions."""
    with session.phase("align"):
        aligned = alignment.align(session, table.keys, min_intersection)
    return aligned.rows, score_guest(session, part, table.take(aligned.rows))


def predict_host(session: Session, table: Table, part: TreesPart, min_intersection: int) -> None:
    """A host's side of `predict_guest`.  Learns nothing but which of its ids are common."""
    with session.phase("align"):
        aligned = alignment.align(session, table.keys, min_intersection)
    score_host(session, part, table.take(aligned.rows))


def predict_arbiter(session: Session, min_intersection: int, *, deals: bool, keys: int = 1) -> None:
    """The arbiter's side of `predict_guest`; deals: whether the model is of membership = "hidden"."""
    with session.phase("align"):
        alignment.serve(session, min_intersection, keys=keys)
    if deals:
        with session.phase("score"):
            scoring.arbiter(session)


def align(session: Session, table: Table, job: BoostingJob) -> tuple[Table, Rows, Rows, Rows, dict[str, int]]:
    """The common rows in the shared order, which of them are held out to measure the model, which of those are out of time, which others are held out for
    early stopping, and all parties' sizes.

    Both drawn parts are slices of one draw, so that no row is in both and each has its share.
    """
    seed = job.params.seed if job.seed is None else job.seed
    with session.phase("align"):
        found = alignment.align(session, table.keys, job.min_intersection)
        aligned = table.aligned(found)
        test, later = hold_out(session, aligned, job.test, seed, job.out_of_time, job.min_intersection)
        outside = split_rows(aligned.ids, job.test + (1 - job.test) * job.validation, seed)
    check(session.me, test | outside, 1)
    return aligned, test, later, outside & ~test, found.sizes


def score_guest(session: Session, part: TreesPart, table: Table) -> NDArray[np.float64]:
    assert part.ensemble is not None
    with session.phase("score"):
        return scoring.guest(session, part.binned(table.features), part.ensemble)


def score_host(session: Session, part: TreesPart, table: Table) -> None:
    assert part.splits is not None
    with session.phase("score"):
        scoring.host(session, part.binned(table.features), part.splits, part.depth)


def bin_table(table: Table, job: BoostingJob, least: int, before: TreesPart | None) -> tuple[Binned, tuple[Names, ...]]:
    """The rows in bins of their own, or in those of the model to continue, and the names of the categories of each column."""
    if before is not None:
        check_columns(table, before)
        return before.binned(table.features), before.names
    names = names_of(table.features, table.party)
    x = coded(table.features, columns_of(table), names)
    categorical = [k for k, texts in enumerate(names) if texts is not None]
    return Binner.fit(x, job.params.max_bin, least, categorical).transform(x), names


def columns_of(table: Table) -> tuple[str, ...]:
    return tuple(map(str, table.features.columns))


def check_columns(table: Table, before: TreesPart) -> None:
    """Raises DataError unless the table has the columns of the model to continue."""
    if before.columns != columns_of(table):
        raise DataError(
            f"{table.party}: the table's columns are not those of the model to continue",
            remedy="Give the same columns, in the same order",
            party=table.party,
        )


def check_label(table: Table, before: TreesPart) -> None:
    """Raises DataError unless the guest's label has the classes of the model to continue."""
    if before.classes != table.classes:
        raise DataError(
            f"{table.party}: the label's classes are not those of the model to continue", remedy="Train a new model", party=table.party
        )
