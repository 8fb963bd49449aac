"""The boosted-trees job from end to end, one function per role: align -> (search) -> bin -> train; and scoring of new rows."""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols import alignment
from protocols.boosting import open, scoring, sealed_arbiter, sealed_guest, sealed_host, wins
from protocols.boosting.ensemble import Ensemble, HostSplits, Rounds
from protocols.boosting.objective import check_labels, predictions
from protocols.boosting.sealed import first_of
from protocols.boosting.sealed_parts import ArbiterTrees, GuestTrees
from protocols.channel import Channel
from protocols.kept import Keep, KeptRows
from protocols.scored_folds import await_fold, end_fold
from protocols.session import Session
from vfl.data import Table, split_rows
from vfl.data.kept_table import kept_table
from vfl.models.plan import Plan
from vfl.models.trees.binning import bin_table, check_label, columns_of, signs_in
from vfl.models.trees.leaf_values import LeafValues
from vfl.models.trees.part import TreesPart
from vfl.models.trees.scores import names_in, score_arbiter, score_guest, score_host
from vfl.models.trees.spec import BoostedTrees
from vfl.steps import search
from vfl.steps.search import Search, Searched
from vfl.steps.split import Rows, check, hold_out


@dataclass(frozen=True)
class Fitted:
    """What a data party has at the end: its model part, its aligned rows, which of them were held out to measure the
    model and for early stopping, how many ids each data party had, and at the guest the joint margins (rows, outputs)
    of the rows held out to measure, and of the training rows where the job measures them."""

    part: TreesPart
    aligned: Table
    held_out: NDArray[np.bool_]
    later: NDArray[np.bool_]  # those of the held-out rows that are out of time
    validation: NDArray[np.bool_]
    sizes: dict[str, int]
    keep: Keep  # where the run puts what it knows of rows
    scores: NDArray[np.float64] | None = None
    train_scores: NDArray[np.float64] | None = None
    searched: Searched | None = None  # where the job searches


def guest(
    session: Session,
    table: Table,
    plan: Plan[BoostedTrees],
    before: TreesPart | None = None,
    asked: Search[Plan[BoostedTrees]] | None = None,
) -> Fitted:
    """The guest's side: table with label; before: its part of the model to continue; asked: what is searched first, of
    which the best candidate takes the place of `plan`.  Learns which party owns a split, its own wins, and scores; of
    open trees what protocols/boosting/open.py says; of every fold's model too."""
    aligned, test, later, validation, sizes = align(session, table, plan)
    searched, stopping = None, validation[~test]
    allow_wins(session, plan, before, asked, int((~test & ~validation).sum()))
    if asked is not None:
        rows = of_rows(aligned, ~test)
        searched = search.guest(
            session,
            rows,
            asked,
            lambda one, held: fold_guest(session, rows, one, held, stopping),
            trainers(session, plan),
        )
        plan = asked.candidates[searched.best]
    if before is not None:
        check_label(table, before)
    model_id = session.seed("model id").secret[:16]
    part = fit_guest(session, of_rows(aligned, ~test), plan, stopping, before, model_id)
    scores = score_guest(session, part, of_rows(aligned, test)) if plan.measures else None
    train_scores = score_guest(session, part, of_rows(aligned, ~test)) if plan.measure_train else None
    return Fitted(part, aligned, test, later, validation, sizes, session.keep, scores, train_scores, searched)


def host(
    session: Session,
    table: Table,
    plan: Plan[BoostedTrees],
    before: TreesPart | None = None,
    asked: Search[Plan[BoostedTrees]] | None = None,
) -> Fitted:
    """A host's side: features only; before: its part of the model to continue; asked: as the guest's.  Learns which of
    its splits won and, with membership = "open", the rows of nodes, of every fold's model too; and which candidate is
    best."""
    aligned, test, later, validation, sizes = align(session, table, plan)
    searched, stopping = None, validation[~test]
    if asked is not None:
        if plan.spec.sealed:
            vectors = sum(
                one.spec.num_class for one in asked.candidates
            )  # one against the rest: a vector for each class
            session.allowance.score_vectors(b"", vectors, columns_of(aligned))
        rows = of_rows(aligned, ~test)
        searched = search.host(session, rows, asked, lambda one, held: fold_host(session, rows, one, held, stopping))
        plan = asked.candidates[searched.best]
    part = fit_host(session, of_rows(aligned, ~test), plan, stopping, before)
    if plan.measures:
        score_host(session, part, of_rows(aligned, test), "held-out rows")
    if plan.measure_train:
        score_host(session, part, of_rows(aligned, ~test), "training rows")
    return Fitted(part, aligned, test, later, validation, sizes, session.keep, searched=searched)


def arbiter(
    session: Session,
    plan: Plan[BoostedTrees],
    before: LeafValues | None = None,
    asked: Search[Plan[BoostedTrees]] | None = None,
) -> LeafValues | None:
    """The arbiter's side: compares blinded ids of several hosts; of sealed trees it holds the key, chooses splits and
    keeps leaf values.  Learns what protocols/boosting/sealed.py says, and which candidate is best."""
    with session.phase("align"):
        alignment.serve(session, plan.min_intersection, keys=plan.keys)
    if not plan.spec.sealed:
        return None
    if asked is not None:
        plan = search.arbiter(session, asked, lambda one: fold_arbiter(session, one))
    trees = fit_arbiter(session, plan, before)
    for _ in range(plan.measures + plan.measure_train):
        score_arbiter(session, trees)
    return LeafValues(session.me, trees.model_id, "boosted-trees", trees, len(trees.shape))


def of_rows(table: Table, rows: Rows) -> Table:
    """The marked rows; of a kept table nothing is read."""
    return table.take(np.flatnonzero(rows))


def allow_wins(
    session: Session,
    plan: Plan[BoostedTrees],
    before: TreesPart | None,
    asked: Search[Plan[BoostedTrees]] | None,
    rows: int,
) -> None:
    """At the guest, before anything is trained on these rows: the models, and what its hosts are going to learn of the
    labels from the splits that win."""
    spec = plan.spec
    total = spec.label_numbers
    if asked is not None:
        every = [one.spec.label_numbers for one in asked.candidates]
        total = asked.cv * sum(every) + max(every)
    elif before is not None and isinstance(before.trees, GuestTrees):
        total = wins.label_numbers(
            max(0, spec.n_estimators - first_of(spec.params(), len(before.trees.shape))), spec.num_class
        )

    def fewer(numbers: int) -> str:
        rounds = wins.most_rounds(numbers, spec.num_class)
        if asked is not None:
            return "fewer candidates or folds"
        return f"at most {rounds} joint rounds (n_estimators)" if rounds else "fewer models of the same labels"

    hosts = session.roles.hosts
    told = {name: total // len(hosts) + (k < total % len(hosts)) for k, name in enumerate(hosts)}
    session.allowance.training({"wins": told} if total else {}, rows, fewer)


def fit_guest(
    session: Session,
    train: Table,
    plan: Plan[BoostedTrees],
    stopping: Rows,
    before: TreesPart | None,
    model_id: bytes,
) -> TreesPart:
    """Trains on these rows; stopping: those of them on which early stopping evaluates the loss; before: the guest's
    part of the model to continue."""
    labels, weights = kept_targets(session, train, plan, stopping)
    binned, names = bin_table(train, plan, 1, before, session.keep)
    ensemble: Ensemble | GuestTrees
    if plan.spec.sealed:
        joint = before.trees if before is not None else None
        assert joint is None or isinstance(joint, GuestTrees)
        with session.phase("train"):
            ensemble = sealed_guest.guest(
                session, binned, plan.spec.params(), labels, model_id, weights, stopping, joint
            )
    else:
        earlier = None
        if before is not None:
            assert isinstance(before.trees, Ensemble)
            with session.phase("score"):
                earlier = before.trees, scoring.guest(session, binned, before.trees, names_in(train))
        with session.phase("train"):
            weight = None if weights is None else weights[:]
            rounds = Rounds(plan.spec.params(), labels[:], weight=weight, held_out=stopping, before=earlier)
            ensemble = open.guest(session, binned, plan.spec.params(), rounds, model_id)
    return TreesPart(
        session.me,
        model_id,
        columns_of(train),
        binned.binner,
        names,
        ensemble=ensemble,
        classes=train.classes,
        hosts=session.roles.hosts,
        monotone=signs_in(binned),
        schema=train.schema,
    )


def kept_targets(
    session: Session, train: Table, plan: Plan[BoostedTrees], stopping: Rows
) -> tuple[KeptRows[np.float64], KeptRows[np.float64] | None]:
    """Checked labels and weights, which are not held."""
    y, weight = targets_of(train, plan)
    check_labels(plan.spec.params(), y[~stopping])
    return KeptRows.of(y, session.keep), None if weight is None else KeptRows.of(weight, session.keep)


def targets_of(table: Table, plan: Plan[BoostedTrees]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Labels and weights of the rows."""
    label, weight = table.label, table.weight
    assert label is not None
    y = label.to_numpy(np.float64)
    return y, plan.spec.row_weights(y, None if weight is None else weight.to_numpy(np.float64))


def fit_host(
    session: Session, train: Table, plan: Plan[BoostedTrees], stopping: Rows, before: TreesPart | None
) -> TreesPart:
    """A host's side of `fit_guest`."""
    binned, names = bin_table(train, plan, plan.spec.min_bin_rows, before, session.keep)
    held: HostSplits | None = before.splits if before else None
    depth = plan.spec.max_depth if plan.spec.sealed else 0
    if held is not None and not depth:
        with session.phase("score"):
            scoring.host(session, binned, held, 0)
    with session.phase("train"):
        if depth:
            splits = sealed_host.host(session, binned, plan.spec.params(), stopping, held, weighted=plan.spec.weighted)
        else:
            splits = open.host(session, binned, plan.spec.params(), stopping, held)
    own = (session.me, splits.model_id, columns_of(train), binned.binner, names)
    return TreesPart(*own, splits=splits, depth=depth, monotone=signs_in(binned), schema=train.schema)


def fit_arbiter(session: Session, plan: Plan[BoostedTrees], before: LeafValues | None) -> ArbiterTrees:
    """The arbiter's side of `fit_guest`, of sealed trees."""
    with session.phase("train"):
        return sealed_arbiter.arbiter(
            session, plan.spec.params(), None if before is None else before.trees, weighted=plan.spec.weighted
        )


def fold_guest(
    session: Session, train: Table, plan: Plan[BoostedTrees], rows: Rows, stopping: Rows
) -> NDArray[np.float64]:
    """Trains without the marked rows and returns their predictions; stopping: the rows on which early stopping
    evaluates the loss."""
    outside = of_rows(train, rows)
    part = fit_guest(session, of_rows(train, ~rows), plan, stopping[~rows], None, session.seed("model id").secret[:16])

    def score() -> NDArray[np.float64]:
        margins = scoring.guest(session, part.kept(outside, session.keep), part.trees, names_in(outside))
        end_fold(trainers(session, plan))
        return margins

    means = predictions(
        plan.spec.params(), session.once(score, lambda found: {"margins": found}, lambda saved: saved["margins"])
    )
    return means if means.shape[1] > 1 else means[:, 0]


def fold_host(session: Session, train: Table, plan: Plan[BoostedTrees], rows: Rows, stopping: Rows) -> None:
    """A host's side of `fold_guest`.  Learns what a host learns of any model."""
    outside = of_rows(train, rows)
    part = fit_host(session, of_rows(train, ~rows), plan, stopping[~rows], None)

    def score() -> None:
        assert part.splits is not None
        scoring.host(session, part.kept(outside, session.keep), part.splits, part.depth)
        await_fold(session)

    session.once(score, lambda _: {}, lambda _: None)


def fold_arbiter(session: Session, plan: Plan[BoostedTrees]) -> None:
    """The arbiter's side of `fold_guest`, of sealed trees."""
    trees = fit_arbiter(session, plan, None)

    def score() -> None:
        scoring.arbiter(session, trees)
        await_fold(session)

    session.once(score, lambda _: {}, lambda _: None)


def trainers(session: Session, plan: Plan[BoostedTrees]) -> list[Channel]:
    """All that train with the guest."""
    return [*session.hosts, session.arbiter] if plan.spec.sealed else session.hosts


def align(session: Session, table: Table, plan: Plan[BoostedTrees]) -> tuple[Table, Rows, Rows, Rows, dict[str, int]]:
    """The common rows in the shared order, which of them are held out to measure the model, which of those are out of
    time, which others are held out for early stopping, and all parties' sizes.

    Both drawn parts are slices of one draw, so that no row is in both and each has its share.
    """
    seed = plan.split_seed
    with session.phase("align"):
        found = alignment.align(session, table.listed, plan.min_intersection)
        aligned = kept_table(table, found, session.keep)
        test, later = hold_out(session, aligned, plan.test, seed, plan.out_of_time, plan.min_intersection)
        outside = split_rows(aligned.ids, plan.test + (1 - plan.test) * plan.spec.validation, seed)
    check(session.me, test | outside, 1)
    return aligned, test, later, outside & ~test, found.sizes
