"""Regressions as kinds of model: one class per family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.glm import Kept
from protocols.glm.gram_layout import Layout
from protocols.glm.plan import MOST_PASSES, planned_passes, rows_log2
from protocols.glm.shares import Moved
from protocols.glm.slots import Slots
from protocols.glm.terms import check_batches, label_scale
from protocols.online.lists import Form
from protocols.session import Roles, Session
from vfl.data import Table
from vfl.models.content import Body, Head
from vfl.models.fallback import Fallback, load_fallback
from vfl.models.fitted import Fitted, Scored
from vfl.models.kind import Kind
from vfl.models.plan import Plan, Role
from vfl.models.regression import part, plaintext, program, words
from vfl.models.regression.base import Regression
from vfl.models.regression.chunks import chunks_of, gram_of
from vfl.models.regression.joint import FederatedModel
from vfl.models.regression.part import GlmPart
from vfl.models.regression.reported import RegressionReport
from vfl.models.regression.spec import LinearRegression, LogisticRegression, PoissonRegression
from vfl.models.shared_weights import SharedWeights
from vfl.models.workload import Columns, Workload
from vfl.preprocessing.standardise import FARTHEST
from vfl.screen import ending
from vfl.screen.shown import Shown
from vfl.steps.feature_tables import feature_tables
from vfl.steps.search import Search

CURVES = {
    ("logistic", "exact"): plaintext.logistic,
    ("logistic", "taylor"): plaintext.taylor,
    ("linear", "exact"): plaintext.squared,
    ("poisson", "exact"): plaintext.poisson,
}
SearchSpec = Search[Plan[Regression]] | None


def kept_part(name: str, session: Session, kept: Kept) -> SharedWeights | None:
    """The arbiter's part of what was trained, if it keeps any; name: of the kind of model."""
    return SharedWeights(session.me, kept.model_id, name, kept.shares) if kept.shares else None


def score(role: Role, session: Session, table: Table | None, part: Any, min_rows: int, keys: int) -> Scored:
    """The role's part of scoring new rows by weights; part: a data party's, or what the arbiter keeps."""
    if role == "arbiter":
        return Scored(moved=program.predict_arbiter(session, part, min_rows, keys))
    assert table is not None
    if role == "guest":
        rows, scores, own = program.predict_guest(session, table, part, min_rows)
        return Scored((rows, scores), {} if own is None else {part.party: own})
    own = program.predict_host(session, table, part, min_rows)
    return Scored(moved={} if own is None else {part.party: own})


def moved(part: Any, moved: Mapping[str, Moved]) -> Any:
    """A data party's part or the arbiter's, after a scoring that both holders of its shares finished."""
    if isinstance(part, SharedWeights):
        return replace(part, shares={p: program.latest(moved.get(p), shares) for p, shares in part.shares.items()})
    return program.follow(part, moved.get(part.party))


class RegressionKind(Kind[Regression, GlmPart]):
    """What all families share."""

    reported = RegressionReport
    joint = FederatedModel

    def described(self, plan: Plan[Regression], roles: Roles) -> dict[str, str]:
        return words.described(plan, roles)

    def rounded(self, plan: Plan[Regression]) -> list[str]:
        weights = [f"final weights are rounded to multiples of 1/{2**plan.spec.weight_bits}"] if plan.reveal else []
        error = f"up to 1/{2 ** (plan.spec.score_bits + 1)} per host, which is always the same for a row"
        return [f"scores are opened with an error of {error}", *weights]

    def summary(self, spec: Regression) -> dict[str, Any]:
        return {"passes": spec.passes, **spec.model_dump(exclude={"kind", "max_iter"})}

    def carries(self, plan: Plan[Regression], roles: Roles, rows: int) -> None:
        """A plaintext has room for one masked gradient over this number of rows, where labels' means and weights of
        rows are 1."""
        self.chunks(plan, len(roles.data_parties), rows, MOST_PASSES)

    def chunks(self, plan: Plan[Regression], parties: int, rows: int, passes: int) -> Sequence[Slots]:
        return chunks_of(program.terms_of(plan), parties, rows, passes, plan.spec.key_bits)

    def gram(self, plan: Plan[Regression], work: Workload) -> Layout | None:
        return gram_of(program.terms_of(plan), work, plan.spec.key_bits)

    def cautions(self, plan: Plan[Regression], roles: Roles, table: Table) -> list[str]:
        """Whether max_iter lies below what the guest's labels usually take."""
        spec, parties = plan.spec, len(roles.data_parties)
        if plan.settles:
            return []
        if spec.sgd is not None:
            check_batches(spec.sgd, rows_log2(len(table)), spec.passes or 0)  # there are no more common rows than that
        passes = self.usual_passes(plan, roles, table)
        if passes is None or spec.passes is None or spec.passes >= passes:
            return []
        return [few_passes(spec.passes, passes, parties)]

    def usual_passes(self, plan: Plan[Regression], roles: Roles, table: Table) -> int | None:
        if table.label is None or plan.spec.solver == "sgd":
            return None
        wanted, terms = program.targets_of(plan, table, len(table)), replace(program.terms_of(plan), passes=None)
        flatness = label_scale(terms, wanted.y, wanted.weights, table.party).flatness_log2
        return planned_passes(flatness, len(roles.data_parties))

    def workload(self, plan: Plan[Regression], rows: int, columns: Columns, passes: int) -> Workload:
        spec = plan.spec
        made = spec.passes or passes
        made += (
            made // spec.n_iter_no_change if spec.stops else 0
        )  # an evaluation of the loss is an iteration without its gradients
        kind = "scorecard" if plan.preprocess is not None and plan.preprocess.bins_by_label else spec.family
        weighted = spec.sample_weight or spec.exposed or spec.weighs_classes
        classes = max(2, spec.vectors)
        return Workload(kind, rows, *columns, passes=made, link=spec.curve, classes=classes, weighted=weighted)

    def caveats(self, plan: Plan[Regression], rows: int) -> list[str]:
        told = (
            ["iterations over all rows; for small mini-batches it predicts too much"]
            if self.batches(plan, rows) > 1
            else []
        )
        if plan.preprocess is not None and (
            plan.preprocess.encode in ("onehot", "quantile") or plan.preprocess.add_indicator
        ):
            told.append("columns of the table: [preprocess] makes more of them, which takes longer")
        return told

    def batches(self, plan: Plan[Regression], rows: int) -> int:
        return 1 if plan.spec.sgd is None else plan.spec.sgd.batches(rows_log2(rows))

    def in_blocks(self, plan: Plan[Regression]) -> bool:
        """Preprocessing is fitted on all columns, and mini-batches take rows in any order."""
        return plan.preprocess is None and plan.spec.sgd is None

    def fine_bins(self, plan: Plan[Regression]) -> int | None:
        return (
            plan.preprocess.max_n_prebins if plan.preprocess is not None and plan.preprocess.encode == "woe" else None
        )

    def train(
        self,
        role: Role,
        session: Session,
        table: Table | None,
        plan: Plan[Regression],
        search: SearchSpec,
        before: None,
    ) -> Any:
        if role == "arbiter":
            return kept_part(self.name, session, program.arbiter(session, plan, search))
        assert table is not None
        return (program.guest if role == "guest" else program.host)(session, table, plan, search)

    def score(self, role: Role, session: Session, table: Table | None, part: Any, min_rows: int, keys: int) -> Scored:
        return score(role, session, table, part, min_rows, keys)

    def gaps(self, part: GlmPart, features: pd.DataFrame) -> pd.DataFrame:
        """Where no step of the preprocessing fills what is missing."""
        return part.standardiser.gaps(features, part.party)

    def unseen(self, part: GlmPart, features: pd.DataFrame) -> pd.DataFrame:
        """Where no step knows the text."""
        return part.standardiser.unseen(features)

    def rare(self, part: GlmPart) -> tuple[str, ...]:
        """Those that [preprocess] bins by the label."""
        steps = part.standardiser.steps
        return () if steps is None or steps.woe is None else steps.woe.rare

    def moved(self, part: Any, moved_: Mapping[str, Moved]) -> Any:
        return moved(part, moved_)

    def predictions(self, part: GlmPart, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities or expected values from joint predictors (n, models)."""
        return part.means(scores)

    def guest_alone(self, plan: Plan[Regression], fitted: Fitted, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """By the minimiser of the same objective under the same link."""
        own, fallback = fitted.part, self.fallback(plan, fitted)
        assert isinstance(own, GlmPart)
        frames = fitted.aligned.take(np.flatnonzero(rows)).blocks()
        return own.means(np.concatenate([self.alone(own, fallback, frame) for frame in frames]))

    def fallback(self, plan: Plan[Regression], fitted: Fitted) -> Fallback:
        assert isinstance(fitted, program.Fitted)
        spec, aligned, own = plan.spec, fitted.aligned, fitted.part
        train = np.flatnonzero(~(fitted.held_out | fitted.validation))
        inside = aligned.take(train)

        def blocks() -> Iterator[NDArray[np.float64]]:
            for frame in inside.blocks():
                yield with_ones(own.standardiser.transform(frame, own.party), ones=spec.fit_intercept)

        wanted, curve = program.targets_of(plan, inside, len(train)), CURVES[spec.family, spec.curve]
        C = 1 / (spec.strength * (len(train) if spec.family == "poisson" else 1))
        weights = [None] * len(wanted.y) if wanted.weights is None else list(wanted.weights)
        each = zip(wanted.y, weights, strict=True)
        found = [plaintext.minimised(blocks, y, C, curve, w, intercept=spec.fit_intercept) for y, w in each]
        return Fallback.of(own.model_id, np.stack(found))

    def alone(self, part: GlmPart, fallback: Fallback, features: pd.DataFrame) -> NDArray[np.float64]:
        x = part.standardiser.transform(features, part.party)
        return fallback.predictors(with_ones(x, ones=part.intercepts))

    def online(self, part: GlmPart) -> Form:
        return Form(part.models, 0)

    def online_row(self, part: GlmPart, features: pd.DataFrame) -> NDArray[np.int64]:
        return part.own(features, [b""] * len(features)).x[:]

    def online_scores(self, part: GlmPart, opened: NDArray[np.float64]) -> NDArray[np.float64]:
        return part.opened(opened)

    def load_fallback(self, part: GlmPart, folder: Path) -> Fallback | None:
        return load_fallback(folder, part.model_id, part.shares.latest.shape[1])

    def notes(self, fitted: Any) -> list[str]:
        return ending.cautions(fitted.passes, fitted.ends)

    def beyond(self, part: GlmPart, features: pd.DataFrame) -> dict[str, int]:
        asked = part.standardiser.clip < FARTHEST  # and then said at the training
        return {} if asked else part.standardiser.beyond(features, part.party)

    def remarks(self, fitted: Any) -> list[str]:
        found = [ending.clipped(fitted.clipped, fitted.part.standardiser.clip)] if fitted.clipped else []
        return [*found, *([ending.clipped_in_folds(fitted.in_folds)] if fitted.in_folds else [])]

    def fitted_summary(self, fitted: Fitted) -> dict[str, Any]:
        """This party's own coefficients, if it knows them; of several classes those of each; after how many iterations
        training ended; and what [preprocess] found."""
        assert isinstance(fitted, program.Fitted)
        own = fitted.part
        summary: dict[str, Any] = {**ending.summary(fitted.passes, fitted.ends), "weights_known": own.known}
        summary |= {"clipped": fitted.clipped, "clipped_at": own.standardiser.clip} if fitted.clipped else {}
        summary |= {"clipped_in_folds": fitted.in_folds} if fitted.in_folds else {}
        summary |= words.coefficients(own) if own.known else {}
        if own.family == "linear" and own.is_guests:
            summary |= {"label_mean": own.label_mean, "label_scale": own.label_scale}
        return summary | feature_tables(own.standardiser.steps, fitted.binned)

    def shown(self, part: GlmPart) -> Shown:
        return words.shown(part)

    def pack(self, part_: GlmPart) -> Body:
        return part.pack(part_)

    def unpack(self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> GlmPart:
        return part.unpack(head, rest, tensors)


def with_ones(x: NDArray[np.float64], *, ones: bool) -> NDArray[np.float64]:
    """Columns, and one of ones for the intercept if there is one."""
    return np.column_stack([x, np.ones(len(x))]) if ones else x


def few_passes(max_iter: int, passes: int, parties: int) -> str:
    """What is said where max_iter lies below what labels like these usually take."""
    return (
        f"max_iter = {max_iter}: labels like these usually take about {passes} iterations between {parties} parties; "
        "with fewer the coefficients may not reach the optimum, and nobody would notice"
    )


_STARTER = {
    "max_iter": "Iterations, each over all rows.",
    "weight_bits": "If final weights are revealed to their owner, they are rounded to multiples of 2^-weight_bits.",
}


class Logistic(RegressionKind):
    """vfl.LogisticRegression."""

    spec = LogisticRegression
    starter: ClassVar = {
        "C": "The weight of the loss relative to the penalty, as in scikit-learn.",
        "max_iter": _STARTER["max_iter"],
        "link": '"exact", or "taylor": faster, but only a least-squares fit.',
        "weight_bits": _STARTER["weight_bits"],
    }


class Linear(RegressionKind):
    """vfl.LinearRegression."""

    spec = LinearRegression
    starter: ClassVar = {
        "alpha": "The weight of the penalty, as in scikit-learn's Ridge.",
        **_STARTER,
        "weight_bits": "If final weights (in standard deviations of the label) are revealed to their owner, they are "
        "rounded to multiples of 2^-weight_bits.",
    }


class Poisson(RegressionKind):
    """vfl.PoissonRegression."""

    spec = PoissonRegression
    starter: ClassVar = {"alpha": "The weight of the penalty, as in scikit-learn's PoissonRegressor.", **_STARTER}
