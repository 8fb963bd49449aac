"""A network's job from end to end, one function per role: align -> (search) -> standardise -> train -> score the held-out part."""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from protocols import alignment, network
from protocols.cipher import DecryptionKey, key_offer
from protocols.glm.shares import Moved, WeightShares
from protocols.network import scoring
from protocols.network.plan import MOST_BATCH, check
from protocols.network.rows import Layers
from protocols.session import Session
from vfl.data import Table
from vfl.models.network.part import NetworkPart
from vfl.models.network.shares import NetworkShares
from vfl.models.network.spec import Network
from vfl.models.plan import Plan
from vfl.models.regression import targets
from vfl.models.regression.limited import InFolds, limited
from vfl.models.regression.program import align, follow, latest, prepared, refuse_stopping
from vfl.models.regression.targets import Targets
from vfl.preprocessing import Standardiser
from vfl.steps import features, search
from vfl.steps.search import Search, Searched
from vfl.steps.split import by_part

SearchSpec = Search[Plan[Network]] | None
Floats = NDArray[np.float64]


def terms_of(plan: Plan[Network]) -> network.Terms:
    """What is trained, as the protocol takes it."""
    spec = plan.spec
    return network.Terms(
        spec.hidden_layer_sizes,
        spec.activation,
        spec.family,
        spec.max_iter,
        None if isinstance(spec.batch_size, str) else spec.batch_size,
        spec.learning_rate_init,
        spec.momentum,
        spec.nesterovs_momentum,
        spec.alpha,
        spec.clip,
        spec.random_state,
        network.Stopping(spec.tol, spec.n_iter_no_change) if spec.early_stopping else None,
        spec.sample_weight,
    )


def layers_of(plan: Plan[Network]) -> Layers:
    return Layers(plan.spec.hidden_layer_sizes, plan.spec.activation)


def targets_of(plan: Plan[Network], table: Table, train: int) -> Targets:
    """What the guest's rows are fitted to, of which the first `train` are trained on.  Raises DataError."""
    assert table.label is not None
    label, me = table.label.to_numpy(np.float64), table.party
    weighted = plan.spec.sample_weight and table.weight is not None
    weights = table.weight.to_numpy(np.float64) if weighted and table.weight is not None else None
    if plan.spec.family == "linear":
        return targets.linear(label, weights, me, train, centred=True)
    return targets.logistic(label, table.classes or (), None, weights, me, train)


def of_one(wanted: Targets, rows: slice = slice(None)) -> tuple[Floats, Floats | None]:
    """Targets and weights (n,) of some rows of a network's one model."""
    y, weights = wanted.of(rows)
    return y[0], None if weights is None else weights[0]


@dataclass(frozen=True)
class Fitted:
    """What a data party has at the end: its part, its aligned rows, which of them were held out, and at the guest the
    scores (n, 1) of held-out rows, and of the training rows where the job asks for them."""

    part: NetworkPart
    aligned: Table
    held_out: NDArray[np.bool_]
    later: NDArray[np.bool_]  # those of them that are out of time
    validation: NDArray[np.bool_]  # others, which decided when training ended
    epochs: int  # after which training ended
    end: network.End
    best: int  # the epoch after which the weights were kept
    sizes: dict[str, int]
    clipped: dict[str, int]  # by own column, how many values of the training rows were limited
    scores: Floats | None = None
    train_scores: Floats | None = None
    searched: Searched | None = None
    in_folds: dict[str, int] = field(default_factory=dict)  # by own column, values limited in the fold that has most


def guest(session: Session, table: Table, plan: Plan[Network], asked: SearchSpec = None) -> Fitted:
    """The guest's side: table with label.  Learns the scores of held-out rows (and training rows, if measured)."""
    check(terms_of(plan), len(table))  # before anything is sent
    refuse_stopping(asked)
    aligned, held_out, later, validation, sizes = align(session, table, plan)  # type: ignore[arg-type]
    rows, decide = np.flatnonzero(~(held_out | validation)), np.flatnonzero(validation)
    train, scored = aligned.take(rows), held_out | plan.measure_train
    searched, in_folds = None, InFolds()
    if asked is not None:
        everyone = [*session.hosts, session.arbiter]
        searched = search.guest(
            session, train, asked, lambda one, rows: fold_guest(session, train, one, rows, in_folds), everyone
        )
        plan = asked.candidates[searched.best]
    wanted = targets_of(plan, aligned.take(np.concatenate([rows, decide])), len(rows))
    model_id = session.seed("model id").secret[:16]
    steps, _ = features.fit_guest(session, train, plan.preprocess, open_names=plan.open_names)
    with session.phase("train"):
        standardiser = Standardiser.fit(train.features, plan.spec.clip, steps, party=session.me)
        x, clipped = limited(standardiser, train, session.me)
        (y, weights), others = of_one(wanted, slice(len(rows))), of_one(wanted, slice(len(rows), None))
        watched = decide_by(plan, standardiser, aligned.take(decide))
        held = None if watched is None else network.HeldOut(watched, *others)
        trained = network.guest(session, x, y, terms_of(plan), model_id, weights, held)
    part = guest_part(session, plan, trained, standardiser, table, wanted)
    scores = None
    if plan.scores:
        found, part = score_guest(session, part, aligned.take(np.flatnonzero(scored)))
        scores = found if scored.any() else None
    both = by_part(scores, held_out)
    how = (validation, trained.epochs, trained.end, trained.best)
    return Fitted(part, aligned, held_out, later, *how, sizes, clipped, *both, searched, in_folds.counts)


def host(session: Session, table: Table, plan: Plan[Network], asked: SearchSpec = None) -> Fitted:
    """A host's side: features only.  Learns which candidate is best."""
    check(terms_of(plan), len(table))  # before anything is sent
    refuse_stopping(asked)
    aligned, held_out, later, validation, sizes = align(session, table, plan)  # type: ignore[arg-type]
    train, scored = aligned.take(np.flatnonzero(~(held_out | validation))), held_out | plan.measure_train
    searched, in_folds = None, InFolds()
    if asked is not None:
        session.allowance.score_vectors(b"", len(asked.candidates), tuple(aligned.features.columns))
        searched = search.host(session, train, asked, lambda one, rows: fold_host(session, train, one, rows, in_folds))
        plan = asked.candidates[searched.best]
    steps = features.fit_host(session, train, plan.preprocess, open_names=plan.open_names)
    with session.phase("train"):
        standardiser = Standardiser.fit(train.features, plan.spec.clip, steps, party=session.me)
        x, clipped = limited(standardiser, train, session.me)
        watched = decide_by(plan, standardiser, aligned.take(np.flatnonzero(validation)))
        trained = network.host(session, x, terms_of(plan), watched)
    part = part_of(session, plan, trained, standardiser, train)
    if plan.scores:
        rows = aligned.take(np.flatnonzero(scored))
        session.allowance.rows_scored(part.own_name, "rows of the training", rows.names, ever=True)
        part = follow(part, scored_host(session, part, rows))  # type: ignore[type-var]
    how = (validation, trained.epochs, trained.end, trained.best)
    return Fitted(part, aligned, held_out, later, *how, sizes, clipped, searched=searched, in_folds=in_folds.counts)


def decide_by(plan: Plan[Network], standardiser: Standardiser, decide: Table) -> Floats | None:
    """The columns of the rows that decide when training ends, where any do."""
    return standardiser.transform(decide.features, decide.party) if plan.spec.early_stopping else None


def arbiter(session: Session, plan: Plan[Network], asked: SearchSpec = None) -> NetworkShares:
    """The arbiter's side.  Learns sizes, and which candidate is best; returns its shares of the model."""
    check(terms_of(plan), MOST_BATCH)
    refuse_stopping(asked)
    with session.phase("align"):
        alignment.serve(session, plan.min_intersection, keys=plan.keys)
        key = session.scheme.generate(session.me, session.seed("key"))
    if asked is not None:
        plan = search.arbiter(session, asked, lambda one: fold_arbiter(session, key, one))
    features.fit_arbiter(session, plan.preprocess)
    with session.phase("train"):
        kept = network.arbiter(session, key, terms_of(plan))
    moved = dict[str, Moved]()
    if plan.scores:
        with session.phase("score"):
            moved = scoring.arbiter(session, key, kept.model_id, layers_of(plan), kept.shares)
    shares = {party: latest(moved.get(party), own) for party, own in kept.shares.items()}
    return NetworkShares(session.me, kept.model_id, plan.spec.kind, shares, layers=layers_of(plan))


def part_of(
    session: Session, plan: Plan[Network], trained: network.Trained, standardiser: Standardiser, table: Table
) -> NetworkPart:
    """A data party's part of what was trained on rows of this table."""
    return NetworkPart(
        session.me,
        trained.model_id,
        standardiser,
        trained.shares,
        layers_of(plan),
        plan.spec.family,
        plan.spec.score_bits,
        session.me == session.roles.guest,
        session.seed("score key").secret,
        schema=table.schema,
    )


def guest_part(
    session: Session,
    plan: Plan[Network],
    trained: network.Trained,
    standardiser: Standardiser,
    table: Table,
    wanted: Targets,
) -> NetworkPart:
    """The guest's."""
    own, scale = part_of(session, plan, trained, standardiser, table), wanted.scale
    return replace(own, classes=table.classes, label_mean=scale.mean, label_scale=scale.scale)


def fold_guest(
    session: Session, train: Table, plan: Plan[Network], rows: search.Rows, in_folds: InFolds
) -> NDArray[np.float64]:
    """Trains without the marked rows and returns their predictions.  Learns their scores, and no weight."""
    inside, outside = train.take(np.flatnonzero(~rows)), train.take(np.flatnonzero(rows))
    wanted, standardiser = targets_of(plan, inside, len(inside)), prepared(session, inside, plan)  # type: ignore[arg-type]
    in_folds.add(standardiser, inside, outside, session.me)
    x, name = standardiser.transform(inside.features, session.me), session.seed("model id").secret[:16]
    y, weights = of_one(wanted)
    trained = network.guest(session, x, y, terms_of(plan), name, weights)
    part = guest_part(session, plan, trained, standardiser, train, wanted)
    found, _ = scoring.guest(session, part.own(outside.features, outside.names))
    return part.means(found)


def fold_host(session: Session, train: Table, plan: Plan[Network], rows: search.Rows, in_folds: InFolds) -> None:
    """A host's side of `fold_guest`.  Learns nothing."""
    inside, outside = train.take(np.flatnonzero(~rows)), train.take(np.flatnonzero(rows))
    standardiser = prepared(session, inside, plan)  # type: ignore[arg-type]
    in_folds.add(standardiser, inside, outside, session.me)
    x = standardiser.transform(inside.features, session.me)
    trained = network.host(session, x, terms_of(plan))
    scoring.host(session, part_of(session, plan, trained, standardiser, inside).own(outside.features, outside.names))


def fold_arbiter(session: Session, key: DecryptionKey, plan: Plan[Network]) -> None:
    """The arbiter's side of `fold_guest`.  Learns the fold's size."""
    kept = network.arbiter(session, key, terms_of(plan))
    scoring.arbiter(session, key, kept.model_id, layers_of(plan), kept.shares)


def predict_guest(
    session: Session, table: Table, part: NetworkPart, min_rows: int
) -> tuple[NDArray[np.int64], Floats, Moved | None]:
    """Aligns a new table and scores what is common: (rows of the table, their scores (rows, 1), the guest's share from
    then on)."""
    with session.phase("align"):
        found = alignment.align(session, table.keys, min_rows, or_none=True)
    key_offer.accept(session)
    scores, moved = scored_guest(session, part, table.take(found.rows))
    return found.rows, scores, moved


def predict_host(session: Session, table: Table, part: NetworkPart, min_rows: int) -> Moved | None:
    """A host's side of `predict_guest`: its share from then on."""
    with session.phase("align"):
        found = alignment.align(session, table.keys, min_rows, or_none=True)
    common = table.take(found.rows)
    session.allowance.rows_scored(part.own_name, "new rows", common.names, ever=True)
    key_offer.accept(session)
    return scored_host(session, part, common)


def predict_arbiter(session: Session, part: NetworkShares, min_rows: int, keys: int = 1) -> dict[str, Moved]:
    """The arbiter's side of `predict_guest`: it brings its shares."""
    with session.phase("align"):
        alignment.serve(session, min_rows, keys=keys, or_none=True)
        key = session.scheme.generate(session.me, session.seed("key"))
    key_offer.offer(session, key, list(part.shares))
    with session.phase("score"):
        return scoring.arbiter(session, key, part.model_id, part.layers, part.shares)


def scored_guest(session: Session, part: NetworkPart, table: Table) -> tuple[Floats, Moved | None]:
    """The scores of a table of common rows, and the guest's share from then on."""
    with session.phase("score"):
        return scoring.guest(session, part.own(table.features, table.names))


def scored_host(session: Session, part: NetworkPart, table: Table) -> Moved | None:
    """A host's side of `scored_guest`: its share from then on."""
    with session.phase("score"):
        if len(table):  # of no row, no score is opened
            session.allowance.score_vectors(part.own_name, 1, part.inputs)
        return scoring.host(session, part.own(table.features, table.names))


def score_guest(session: Session, part: NetworkPart, table: Table) -> tuple[Floats, NetworkPart]:
    """Scores rows in the run that trained the part: the scores, and the part from then on."""
    found, moved = scored_guest(session, part, table)
    shares: WeightShares = latest(moved, part.shares)
    return found, replace(part, shares=shares)
