"""A regression job from end to end, one function per role: align -> (search) -> standardise -> train -> score the held-out part."""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols import alignment, glm
from protocols.cipher import DecryptionKey, key_offer
from protocols.errors import ConfigError, DataError
from protocols.glm import scoring
from protocols.glm.shares import Moved, WeightShares
from protocols.kept import KeptRows
from protocols.session import Session
from vfl.data import Table, split_rows
from vfl.data.kept_table import kept_table
from vfl.models.plan import Plan
from vfl.models.regression import targets
from vfl.models.regression.base import Regression
from vfl.models.regression.limited import InFolds
from vfl.models.regression.part import AdditivePart, GlmPart
from vfl.models.regression.targets import Targets
from vfl.models.shared_weights import SharedWeights
from vfl.preprocessing import Fitting, Standardiser
from vfl.steps import features, search
from vfl.steps.search import Search, Searched
from vfl.steps.split import Rows, by_part, check, hold_out


def terms_of(plan: Plan[Regression]) -> glm.Terms:
    """What is trained, as the protocol takes it."""
    spec = plan.spec
    links = {"logistic": glm.LOGISTIC_LINKS[spec.curve], "linear": glm.IDENTITY, "poisson": glm.POISSON}
    return glm.Terms(
        links[spec.family],
        glm.Penalty(spec.strength, mean=spec.family == "poisson"),
        spec.passes,
        weighted=spec.sample_weight or spec.exposed or spec.weighs_classes,
        intercept=spec.fit_intercept,
        weight_bits=spec.weight_bits,
        models=spec.vectors,
        sgd=spec.sgd,
        reveal=plan.reveal,
        settles=plan.settles,
        prepared=plan.prepared,
        gram=plan.gram,
        stopping=stopping_of(spec.tol, spec.n_iter_no_change, validation=spec.early_stopping),
        noise=plan.label_noise,
    )


def fold_terms(plan: Plan[Regression]) -> glm.Terms:
    """What is trained on a fold: without a verdict, so that hosts learn no number of the labels from a fold, and the
    guest's budget counts the one model that is kept."""
    return terms_of(replace(plan, convergence=False))


def targets_of(plan: Plan[Regression], table: Table, train: int) -> Targets:
    """What the guest's rows are fitted to, of which the first `train` are trained on.  Raises DataError."""
    assert table.label is not None
    spec, label, me = plan.spec, table.label.to_numpy(np.float64), table.party
    weighted = (spec.sample_weight or spec.exposed) and table.weight is not None
    weights = table.weight.to_numpy(np.float64) if weighted and table.weight is not None else None
    if spec.family == "linear":
        return targets.linear(label, weights, me, train, centred=spec.fit_intercept)
    if spec.family == "poisson":
        return targets.poisson(label, weights, me, train, exposure=spec.exposed)
    return targets.logistic(label, table.classes or (), getattr(spec, "class_weight", None), weights, me, train)


TOL = 1e-4  # with early_stopping, where none is given


def stopping_of(tol: float | None, every: int, *, validation: bool) -> glm.Stopping | None:
    """When training ends before all iterations are made; None: never."""
    return glm.Stopping(TOL if tol is None else tol, every, validation) if validation or tol is not None else None


def refuse_stopping(asked: Search[Any] | None) -> None:
    """Before anything is sent: raises ConfigError for a search among trainings that end by their loss."""
    if asked is not None and any(one.spec.stops for one in asked.candidates):
        raise ConfigError(
            "a search does not go with tol or early_stopping: each fold and candidate would open verdicts on its loss",
            remedy="Leave them out, and search max_iter",
        )


@dataclass(frozen=True)
class Fitted:
    """What a data party has at the end: its model part, its aligned rows, which of them were held out, after how many
    iterations each training ended, and how, and at the guest the joint predictors of held-out rows, (n, models), and
    of the training rows where the job asks for them."""

    part: GlmPart
    aligned: Table
    held_out: NDArray[np.bool_]
    later: NDArray[np.bool_]  # those of them that are out of time
    validation: NDArray[np.bool_]  # others, which decided when training ended
    passes: tuple[int, ...]
    ends: tuple[glm.End, ...]
    sizes: dict[str, int]
    clipped: dict[str, int]  # by own column, how many values of the training rows were limited
    scores: NDArray[np.float64] | None = None
    train_scores: NDArray[np.float64] | None = None
    binned: features.Binned | None = None  # at the guest, where columns were binned by the label
    searched: Searched | None = None  # where the job searches
    in_folds: dict[str, int] = field(default_factory=dict)  # by own column, values limited in the fold that has most


def guest(
    session: Session, table: Table, plan: Plan[Regression], asked: Search[Plan[Regression]] | None = None
) -> Fitted:
    """The guest's side: table with label; asked: what is searched first, of which the best candidate takes the place of
    `plan`.

    Learns for held-out rows (and training rows, if measured) the joint predictors, and where the job reveals them its
    own weights."""
    if not (plan.spec.fit_intercept or table.features.shape[1]):
        raise DataError(
            "the guest has neither columns nor an intercept", remedy="Leave fit_intercept at True", party=session.me
        )
    targets.check_classes(table)
    refuse_stopping(asked)
    aligned, held_out, later, validation, sizes = align(session, table, plan)
    rows, decide, scored = (
        np.flatnonzero(~(held_out | validation)),
        np.flatnonzero(validation),
        held_out | plan.measure_train,
    )
    train, n, searched, in_folds = aligned.take(rows), len(rows), None, InFolds()
    if asked is not None:
        everyone = [*session.hosts, session.arbiter]
        fold = partial(fold_guest, session, train, in_folds=in_folds)
        searched = search.guest(session, train, asked, fold, everyone)
        plan = asked.candidates[searched.best]
    wanted = targets_of(plan, aligned.take(np.concatenate([rows, decide])), n)
    del rows  # of all of them, while they are trained on, as little as can be
    model_id = session.seed("model id").secret[:16]
    steps, binned = features.fit_guest(session, train, plan.preprocess, open_names=plan.open_names, noise=plan.noise)
    with session.phase("train" if session.ahead is None else "prepare"):
        standardiser = Standardiser.fit_blocks(train.blocks, plan.spec.clip, steps, party=session.me)
        clipped = standardiser.beyond_in(train.blocks(), session.me)
        (y, row_weights), others = wanted.of(slice(n)), wanted.of(slice(n, None))
        watched = (
            glm.HeldOut(standardised(session, aligned.take(decide), standardiser), *others)
            if plan.spec.early_stopping
            else None
        )
        terms = terms_of(plan)
        x = standardised(session, train, standardiser)
        del train
        trained = glm.guest(session, x, y, terms, model_id, row_weights, watched)
    part = guest_part(session, plan, trained, standardiser, table, wanted)
    scores = None
    if plan.scores:
        found, part = score_guest(session, part, aligned.take(np.flatnonzero(scored)))
        scores = found if scored.any() else None
    return Fitted(
        part,
        aligned,
        held_out,
        later,
        validation,
        trained.passes,
        trained.ends,
        sizes,
        clipped,
        *by_part(scores, held_out),
        binned,
        searched,
        in_folds.counts,
    )


def standardised(session: Session, rows: Table, standardiser: Standardiser) -> KeptRows[np.float64]:
    """These rows as they are fitted, where the run keeps them."""
    return KeptRows(session.keep, (standardiser.transform(frame, session.me) for frame in rows.blocks()))


def guest_part(
    session: Session,
    plan: Plan[Regression],
    trained: glm.Trained,
    standardiser: Standardiser,
    table: Table,
    wanted: Targets,
) -> GlmPart:
    """The guest's part of what was trained on rows of this table."""
    return replace(
        part_of(session, plan, trained, standardiser, table),
        is_guests=True,
        intercepts=plan.spec.fit_intercept,
        classes=table.classes,
        label_mean=wanted.scale.mean,
        label_scale=wanted.scale.scale,
    )


def host_part(
    session: Session, plan: Plan[Regression], trained: glm.Trained, standardiser: Standardiser, table: Table
) -> GlmPart:
    """A host's part of what was trained on rows of this table."""
    key = session.seed("score key").secret
    return replace(part_of(session, plan, trained, standardiser, table), score_key=key)


def part_of(
    session: Session, plan: Plan[Regression], trained: glm.Trained, standardiser: Standardiser, table: Table
) -> GlmPart:
    """What both have."""
    return GlmPart(
        session.me,
        trained.model_id,
        standardiser,
        trained.shares,
        plan.spec.family,
        plan.spec.curve,
        plan.spec.score_bits,
        plan.shares,
        schema=table.schema,
    )


def host(
    session: Session, table: Table, plan: Plan[Regression], asked: Search[Plan[Regression]] | None = None
) -> Fitted:
    """A host's side: features only.  Learns which candidate is best, and where the job reveals them its own weights."""
    refuse_stopping(asked)
    aligned, held_out, later, validation, sizes = align(session, table, plan)
    rows, scored = np.flatnonzero(~(held_out | validation)), held_out | plan.measure_train
    train, searched, in_folds = aligned.take(rows), None, InFolds()
    if asked is not None:
        session.allowance.score_vectors(
            b"", sum(one.spec.vectors for one in asked.candidates), tuple(aligned.features.columns)
        )
        searched = search.host(session, train, asked, partial(fold_host, session, train, in_folds=in_folds))
        plan = asked.candidates[searched.best]
    steps = features.fit_host(session, train, plan.preprocess, open_names=plan.open_names, noise=plan.noise)
    with session.phase("train" if session.ahead is None else "prepare"):
        standardiser = Standardiser.fit_blocks(train.blocks, plan.spec.clip, steps, party=session.me)
        clipped = standardiser.beyond_in(train.blocks(), session.me)
        watched = (
            standardised(session, aligned.take(np.flatnonzero(validation)), standardiser)
            if plan.spec.early_stopping
            else None
        )
        x = standardised(session, train, standardiser)
        del train, rows
        trained = glm.host(session, x, terms_of(plan), watched)
    part = host_part(session, plan, trained, standardiser, aligned)
    if plan.scores:
        part = score_host(session, part, aligned.take(np.flatnonzero(scored)))
    ended = (trained.passes, trained.ends)
    found = Fitted(part, aligned, held_out, later, validation, *ended, sizes, clipped, searched=searched)
    return replace(found, in_folds=in_folds.counts)


def arbiter(session: Session, plan: Plan[Regression], asked: Search[Plan[Regression]] | None = None) -> glm.Kept:
    """The arbiter's side.  Learns sizes, what the link declares, and which candidate is best; returns what it keeps of
    the model.

    With one host the others align while it makes the key, which takes long: it has left the alignment to them before,
    so that they repeat none of it if it dies.
    """
    refuse_stopping(asked)
    with session.phase("align"):
        alignment.serve(session, plan.min_intersection, keys=plan.keys)
        key = session.scheme.generate(session.me, session.seed("key"))
    if asked is not None:
        plan = search.arbiter(session, asked, lambda one: fold_arbiter(session, key, one))
    features.fit_arbiter(session, plan.preprocess)
    with session.phase("train" if session.ahead is None else "prepare"):
        kept = glm.arbiter(session, key, terms_of(plan))
    return score_arbiter(session, key, kept) if plan.scores else kept


def score_arbiter(session: Session, key: DecryptionKey, kept: glm.Kept) -> glm.Kept:
    """Scores the rows of a run that has trained; returns the shares from then on."""
    if not kept.shares:
        session.absent()
        return kept
    with session.phase("score"):
        moved = scoring.arbiter(session, key, kept.model_id, kept.shares)
    return replace(kept, shares={party: latest(moved.get(party), shares) for party, shares in kept.shares.items()})


def latest(moved: Moved | None, shares: WeightShares) -> WeightShares:
    """The shares after a scoring whose other holder surely has them."""
    return shares if moved is None else moved.alone


def fold_guest(
    session: Session, train: Table, plan: Plan[Regression], rows: search.Rows, in_folds: InFolds
) -> NDArray[np.float64]:
    """Trains without the marked rows and returns their predictions.  Learns their joint predictors, and no weight."""
    inside, outside, plan = (
        train.take(np.flatnonzero(~rows)),
        train.take(np.flatnonzero(rows)),
        replace(plan, reveal=()),
    )
    wanted = targets_of(plan, inside, len(inside))
    standardiser = prepared(session, inside, plan)
    in_folds.add(standardiser, inside, outside, session.me)
    x, name = standardised(session, inside, standardiser), session.seed("model id").secret[:16]
    trained = glm.guest(session, x, wanted.y, fold_terms(plan), name, wanted.weights)
    part = guest_part(session, plan, trained, standardiser, train, wanted)
    found, _ = scoring.guest(session, own_of(session, part, outside))
    return part.means(found)


def fold_host(session: Session, train: Table, plan: Plan[Regression], rows: search.Rows, in_folds: InFolds) -> None:
    """A host's side of `fold_guest`.  Learns nothing."""
    inside, outside, plan = (
        train.take(np.flatnonzero(~rows)),
        train.take(np.flatnonzero(rows)),
        replace(plan, reveal=()),
    )
    standardiser = prepared(session, inside, plan)
    in_folds.add(standardiser, inside, outside, session.me)
    trained = glm.host(session, standardised(session, inside, standardiser), fold_terms(plan))
    scoring.host(session, own_of(session, host_part(session, plan, trained, standardiser, inside), outside))


def fold_arbiter(session: Session, key: DecryptionKey, plan: Plan[Regression]) -> None:
    """The arbiter's side of `fold_guest`.  Learns the fold's size."""
    kept = glm.arbiter(session, key, fold_terms(replace(plan, reveal=())))
    scoring.arbiter(session, key, kept.model_id, kept.shares)


def prepared(session: Session, inside: Table, plan: Plan[Regression]) -> Standardiser:
    """What prepares both tables of a fold as the training takes them, by what the first one alone says."""
    steps = None if plan.preprocess is None else Fitting.start(inside.features, plan.preprocess, session.me).finish()
    return Standardiser.fit_blocks(inside.blocks, plan.spec.clip, steps, party=session.me)


P = TypeVar("P", bound=AdditivePart)


def predict_guest(
    session: Session, table: Table, part: P, min_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], Moved | None]:
    """Aligns a new table and scores what is common: (rows of the table, their predictors (rows, models), the guest's
    share from then on)."""
    with session.phase("align"):
        found = alignment.align(session, table.keys, min_rows, or_none=True)
    if not part.shares.whole:
        key_offer.accept(session)
    scores, moved = scored_guest(session, part, table.take(found.rows))
    return found.rows, scores, moved


def predict_host(session: Session, table: Table, part: AdditivePart, min_rows: int) -> Moved | None:
    """A host's side of `predict_guest`: its share from then on."""
    with session.phase("align"):
        found = alignment.align(session, table.keys, min_rows, or_none=True)
    common = table.take(found.rows)
    session.allowance.rows_scored(part.own_name, "new rows", common.names)
    if not part.shares.whole:
        key_offer.accept(session)
    return scored_host(session, part, common)


def predict_arbiter(session: Session, part: SharedWeights | None, min_rows: int, keys: int = 1) -> dict[str, Moved]:
    """The arbiter's side of `predict_guest`: it compares blinded ids when there are several hosts, and brings its
    shares of weights, if there are any."""
    with session.phase("align"):
        alignment.serve(session, min_rows, keys=keys, or_none=True)
        if part is None:
            session.absent()
            return {}
        key = session.scheme.generate(session.me, session.seed("key"))
    key_offer.offer(session, key, list(part.shares))
    with session.phase("score"):
        return scoring.arbiter(session, key, part.model_id, part.shares)


def align(session: Session, table: Table, plan: Plan[Regression]) -> tuple[Table, Rows, Rows, Rows, dict[str, int]]:
    """The common rows in the shared order, which of them are held out, which of those are out of time, which others
    decide when training ends, and how many ids each data party had.

    Both drawn parts are slices of one draw, so that no row is in both and each has its share.
    """
    with session.phase("align"):
        result = alignment.align(session, table.listed, plan.min_intersection)
        aligned = kept_table(table, result, session.keep)
        held_out, later = hold_out(
            session, aligned, plan.test, plan.split_seed, plan.out_of_time, plan.min_intersection
        )
        outside = held_out
        if plan.spec.early_stopping:
            outside = held_out | split_rows(
                aligned.ids, plan.test + (1 - plan.test) * plan.spec.validation_fraction, plan.split_seed
            )
    check(session.me, outside, 1)
    return aligned, held_out, later, outside & ~held_out, result.sizes


def own_of(session: Session, part: AdditivePart, table: Table) -> scoring.Own:
    """What this party brings to the scores of a table of common rows, its integers where the run keeps them."""
    names, found = iter(table.names), list[scoring.Own]()

    def blocks() -> Iterator[NDArray[np.int64]]:
        for frame in table.blocks():
            own = part.own(frame, list(islice(names, len(frame))))
            found.append(replace(own, x=own.x[:0]))
            yield own.x[:]

    x = KeptRows(session.keep, blocks())
    errors = [own.error for own in found if own.error is not None]
    return replace(found[0], x=x, error=np.concatenate(errors) if errors else None)


def scored_guest(session: Session, part: AdditivePart, table: Table) -> tuple[NDArray[np.float64], Moved | None]:
    """The scores of a table of common rows, and the guest's share from then on."""
    with session.phase("score"):
        found, moved = scoring.guest(session, own_of(session, part, table))
    return part.opened(found), moved


def scored_host(session: Session, part: AdditivePart, table: Table) -> Moved | None:
    """A host's side of `scored_guest`: its share from then on."""
    with session.phase("score"):
        if len(table):  # of no row, no score is opened
            session.allowance.score_vectors(part.own_name, part.shares.latest.shape[0], part.inputs)
        return scoring.host(session, own_of(session, part, table))


def score_guest(session: Session, part: P, table: Table) -> tuple[NDArray[np.float64], P]:
    """Scores rows in the run that trained the part: the scores, and the part from then on."""
    found, moved = scored_guest(session, part, table)
    return found, follow(part, moved)


def score_host(session: Session, part: P, table: Table) -> P:
    """A host's side of `score_guest`."""
    session.allowance.rows_scored(part.own_name, "rows of the training", table.names)
    return follow(part, scored_host(session, part, table))


def follow(part: P, moved: Moved | None) -> P:
    """The part after a scoring whose other holder surely has its new share too."""
    return replace(part, shares=latest(moved, part.shares))  # type: ignore[type-var]
