"""Scorecards by files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import ConfigError
from protocols.glm.gram_layout import Layout
from protocols.glm.shares import Moved
from protocols.glm.slots import Slots
from protocols.online.lists import UNIT, Form
from protocols.session import Roles, Session
from vfl.data import Table
from vfl.data.codes import unseen
from vfl.models import shared_weights as shared
from vfl.models.content import Body, Head, check, tensors_of
from vfl.models.fallback import Fallback, load_fallback
from vfl.models.fitted import Fitted, Scored
from vfl.models.kind import Kind
from vfl.models.plan import Plan, Role
from vfl.models.regression import words
from vfl.models.regression.chunks import chunks_of, gram_of
from vfl.models.regression.kind import kept_part, moved, score
from vfl.models.regression.part import unknown_weights
from vfl.models.regression.plaintext import minimised
from vfl.models.scorecard import program as scorecard
from vfl.models.scorecard.joint import FederatedScorecard
from vfl.models.scorecard.part import ScorecardPart
from vfl.models.scorecard.points import Scale
from vfl.models.scorecard.reported import ScorecardReport
from vfl.models.scorecard.spec import Scorecard
from vfl.models.workload import Columns, Workload
from vfl.preprocessing import Woe, WoeColumn
from vfl.screen import ending, shown
from vfl.screen.shown import Heading, Shown
from vfl.steps.feature_tables import feature_tables


class Rest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of manifest.json that a scorecard adds: the bins of each column, the scale, at how much standardised
    weights of evidence are cut; known: whether the party knows its weights; arbiter: whether any party's are shared
    with the arbiter."""

    bins: tuple[WoeColumn, ...]
    base_score: float
    base_odds: float
    pdo: float
    clip: float
    known: bool
    arbiter: bool


BIN_COLUMNS = (
    *(Heading("column"), Heading("bin")),
    *(Heading("rows", ","), Heading("event rate", ".2%"), Heading("WOE", ".4f")),
)


class Scorecards(Kind[Scorecard, ScorecardPart]):
    """vfl.Scorecard."""

    spec = Scorecard
    reported = ScorecardReport
    joint = FederatedScorecard
    starter: ClassVar = {
        "base_score": "Points of a row whose odds against the event (the label's larger value) are base_odds to 1.",
        "base_odds": "For example 50: fifty rows without the event for one row with it.",
        "pdo": "Number of points that double the odds.",
        "max_n_bins": "Maximum number of final bins of a column, without the special bins.",
        "min_bin_size": "Minimum part of the rows in a final bin.",
        "min_bin_rows": "The guest receives no count over fewer rows.",
        "monotonic_trend": 'How event rates change over the bins of a number: "auto" (one direction), "ascending", '
        '"descending", "none".',
        "max_iter": "Iterations, each over all rows.",
    }

    def described(self, plan: Plan[Scorecard], roles: Roles) -> dict[str, str]:
        """The model in plain words."""
        model = plan.spec
        deals = f"; {roles.hosts[0]} hands out the random numbers for the link" if model.link == "exact" else ""
        trend = "" if model.monotonic_trend == "none" else f", event rates {model.monotonic_trend}"
        return {
            "bin": f"every column by the label, up to {model.max_n_bins} bins of {100 * model.min_bin_size:g} % "
            f"of the rows or more{trend}; "
            f"nothing is counted over fewer than {model.min_bin_rows} rows",
            "train": f"scorecard: {model.max_iter} iterations on weights of evidence, C = {model.C:g}, link "
            f"{model.link}",
            "points": f"{model.base_score:g} at odds of {model.base_odds:g} to 1; {model.pdo:g} more points double "
            f"the odds",
            "weights": words.weights_of(plan, roles),
            "encrypt": f"Paillier, {model.key_bits} bits; {roles.guest} holds the key of the labels, {roles.arbiter} "
            f"that of the training{deals}{words.prepared_of(plan, scorecard.terms_of(plan), roles)}",
        }

    def rounded(self, plan: Plan[Scorecard]) -> list[str]:
        """How coarse what is opened is."""
        exact = "scores are sums of whole points" if not plan.shares else "scores are rounded to whole points"
        return [
            exact,
            *([f"final weights are rounded to multiples of 1/{2**plan.spec.weight_bits}"] if plan.reveal else []),
        ]

    def summary(self, spec: Scorecard) -> dict[str, Any]:
        """What report.json says about the model at every role."""
        model = spec
        return {
            "passes": model.max_iter,
            "link": model.link,
            "C": model.C,
            "base_score": model.base_score,
            "base_odds": model.base_odds,
            "pdo": model.pdo,
        }

    def carries(self, plan: Plan[Scorecard], roles: Roles, rows: int) -> None:
        """Raises ConfigError unless a plaintext has room for one masked gradient over this number of rows (a bin's sum
        of labels is far smaller)."""
        self.chunks(plan, len(roles.data_parties), rows, 0)

    def chunks(self, plan: Plan[Scorecard], parties: int, rows: int, passes: int) -> Sequence[Slots]:
        return chunks_of(scorecard.terms_of(plan), parties, rows, passes, plan.spec.key_bits)

    def gram(self, plan: Plan[Scorecard], work: Workload) -> Layout | None:
        return gram_of(scorecard.terms_of(plan), work, plan.spec.key_bits)

    def predictions(self, part: ScorecardPart, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) probabilities of the event from points (n,)."""
        return np.asarray(0.5 * (1.0 + np.tanh(part.scale.log_odds(scores) / 2)), dtype=np.float64)

    def columns(self, part: ScorecardPart, scores: NDArray[np.float64]) -> dict[str, Any]:
        """The points."""
        return {"points": pd.array(scores.astype(np.int64), dtype="Int64")}

    def explained(self, part: ScorecardPart, features: pd.DataFrame) -> pd.DataFrame | None:
        """Of each row this party's points, and the columns in which it lost most of them against the best bin; None
        where it does not know them."""
        return part.reason_table(features) if part.known else None

    def guest_alone(self, plan: Plan[Scorecard], fitted: Fitted, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Probabilities (rows,) from the same bins and the minimiser of the same logistic loss on the guest's own
        weights of evidence."""
        assert isinstance(fitted, scorecard.Fitted)
        features = fitted.aligned.take(np.flatnonzero(rows)).features
        z = self._alone(fitted.part, self.fallback(plan, fitted), features)
        return np.asarray(0.5 * (1.0 + np.tanh(z / 2)))

    def fallback(self, plan: Plan[Scorecard], fitted: Fitted) -> Fallback:
        assert isinstance(fitted, scorecard.Fitted)
        train, part = fitted.aligned.take(np.flatnonzero(~fitted.held_out)), fitted.part
        assert train.label is not None
        x = part.standardised(train.features)
        return Fallback.of(
            part.model_id, minimised(lambda: [x], train.label.to_numpy(np.float64), plan.spec.C)[np.newaxis]
        )

    def alone(self, part: ScorecardPart, fallback: Fallback, features: pd.DataFrame) -> NDArray[np.float64]:
        z = self._alone(part, fallback, features)
        return np.rint(part.scale.offset - part.scale.factor * z)

    def _alone(self, part: ScorecardPart, fallback: Fallback, features: pd.DataFrame) -> NDArray[np.float64]:
        """(n,) log-odds."""
        return fallback.predictors(part.standardised(features))[:, 0]

    def online(self, part: ScorecardPart) -> Form:
        """Whole points where all parties know theirs."""
        return Form(1, 0 if part.arbiter else UNIT)

    def online_row(self, part: ScorecardPart, features: pd.DataFrame) -> NDArray[np.int64]:
        return part.own(features, [b""] * len(features)).x[:]

    def online_scores(self, part: ScorecardPart, opened: NDArray[np.float64]) -> NDArray[np.float64]:
        return part.opened(opened)

    def load_fallback(self, part: ScorecardPart, folder: Path) -> Fallback | None:
        return load_fallback(folder, part.model_id, part.shares.latest.shape[1])

    def remarks(self, fitted: Any) -> list[str]:
        wrong = wrong_signs(fitted.part) if fitted.part.known else []
        return [ending.against(wrong)] if wrong else []

    def notes(self, fitted: Any) -> list[str]:
        return ending.cautions(fitted.passes, fitted.ends)

    def fitted_summary(self, fitted: Fitted) -> dict[str, Any]:
        """This party's coefficients and points, if it knows them, its IV and WOE tables, and at the guest what it knows
        of the hosts' columns."""
        assert isinstance(fitted, scorecard.Fitted)
        part = fitted.part
        own: dict[str, Any] = {**ending.summary(fitted.passes, fitted.ends), "weights_known": part.known}
        if part.known:
            coefficients = [{"column": c, "coef": float(v)} for c, v in part.coef.items()]
            own |= {"wrong_signs": wrong} if (wrong := wrong_signs(part)) else {}
            own |= {"base_points": part.base, "points": part.table(), "coefficients": coefficients}
        return own | feature_tables(fitted.preprocessor, fitted.binned)

    def shown(self, part: ScorecardPart) -> Shown:
        """The points as a table, where this party knows them, else the bins."""
        scale = part.scale
        told = {
            "scale": f"{scale.base_score:g} points for odds of {scale.base_odds:g} to 1, {scale.pdo:g} more double "
            f"the odds"
        }
        if part.classes is not None:
            told["event"] = f"{part.classes[1]!r} rather than {part.classes[0]!r}: more points, less likely"
        if part.known and part.base is not None:
            told["base points"] = str(part.base)
        points = [Heading("points", "d")] if part.known else []
        columns = [*BIN_COLUMNS, *points]
        rows = [
            [
                row["column"],
                row["bin"],
                row["rows"],
                row["event_rate"],
                row["woe"],
                *([row["points"]] if points else []),
            ]
            for row in part.table()
        ]
        tables = [shown.Table(columns, rows)]
        if not part.known:
            what = f"{unknown_weights(part.party, guest=part.is_guests).what}.  rows and event rate: of training."
            return Shown(facts=told, tables=tables, notes=[what])
        what = (
            "A row's score is the guest's base points and the points of its bins at every party.  rows and "
            "event rate: of training."
        )
        wrong = wrong_signs(part)
        return Shown(facts=told, tables=tables, notes=[what], cautions=[ending.against(wrong)] if wrong else [])

    def pack(self, part: ScorecardPart) -> Body:
        """`mean` and `scale` (columns,) float64 of the weights of evidence; `shares` and `share_names` as
        vfl/models/shared_weights.py says; at a host `score_key` (32,) uint8."""
        scale = part.scale
        rest = Rest(part.bins, scale.base_score, scale.base_odds, scale.pdo, part.clip, part.known, part.arbiter)
        key = {} if part.is_guests else {"score_key": np.frombuffer(part.score_key, np.uint8)}
        return Body(
            msgspec.to_builtins(rest),
            {"mean": part.mean, "scale": part.spread, **key, **shared.tensors_of_shares(part.shares)},
        )

    def unpack(self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> ScorecardPart:
        """The part; raises CorruptPartError."""
        told, guest, width = msgspec.convert(rest, Rest), head.classes is not None, len(head.columns)
        check(
            [c.name for c in told.bins] == head.columns,
            all(c.fits() for c in told.bins),
            0 < told.clip <= 64,
            told.known or told.arbiter,
        )
        shares = shared.shares_from(tensors, known=told.known)
        own = {name: array for name, array in tensors.items() if name not in ("shares", "share_names")}
        key: dict[str, tuple[type[Any], tuple[int]]] = {} if guest else {"score_key": (np.uint8, (32,))}
        arrays = tensors_of(own, {**dict.fromkeys(("mean", "scale"), (np.float64, (width,))), **key})
        check(
            (arrays["scale"] > 0).all(),
            shares.latest.shape == (1, width + guest),
            head.classes is None or len(head.classes) == 2,
        )
        try:
            scale = Scale(told.base_score, told.base_odds, told.pdo)
        except ConfigError:
            check(False)
            raise
        secret = b"" if guest else arrays["score_key"].tobytes()
        return ScorecardPart(
            head.party,
            head.name,
            told.bins,
            arrays["mean"],
            arrays["scale"],
            told.clip,
            shares,
            scale,
            told.arbiter,
            guest,
            secret,
            head.values,
        )

    def unseen(self, part: ScorecardPart, features: pd.DataFrame) -> pd.DataFrame:
        """Where a text has no bin of its own."""
        return unseen(features, Woe(part.bins).names)

    def rare(self, part: ScorecardPart) -> tuple[str, ...]:
        """Those with a bin of rare texts."""
        return Woe(part.bins).rare

    def moved(self, part: Any, moved_: Mapping[str, Moved]) -> Any:
        return moved(part, moved_)

    def workload(self, plan: Plan[Scorecard], rows: int, columns: Columns, passes: int) -> Workload:
        return Workload("scorecard", rows, *columns, passes=plan.spec.max_iter, link=plan.spec.link)

    def fine_bins(self, plan: Plan[Scorecard]) -> int:
        return plan.spec.max_n_prebins

    def train(
        self, role: Role, session: Session, table: Table | None, plan: Plan[Scorecard], search: object, before: None
    ) -> Any:
        if role == "arbiter":
            return kept_part(self.name, session, scorecard.arbiter(session, plan))
        assert table is not None
        return (scorecard.guest if role == "guest" else scorecard.host)(session, table, plan)

    def score(self, role: Role, session: Session, table: Table | None, part: Any, min_rows: int, keys: int) -> Scored:
        return score(role, session, table, part, min_rows, keys)


def wrong_signs(part: ScorecardPart) -> list[str]:
    """The columns of a party that knows its weights in which a bin of more events brings more points, by a whole point
    at least."""
    points: dict[str, set[int]] = {}
    for row in part.table():
        points.setdefault(str(row["column"]), set()).add(row["points"])
    return [str(column) for column, weight in part.coef.items() if weight > 0 and len(points[str(column)]) > 1]
