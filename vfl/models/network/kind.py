"""Sealed networks as kinds of model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.cipher import HEAD_ROOM
from protocols.glm.shares import Moved
from protocols.network import Plan as Sizes
from protocols.network.plan import check
from protocols.session import Roles, Session
from vfl.data import Table
from vfl.models.content import Body, Head
from vfl.models.fitted import Fitted, Scored
from vfl.models.kind import SCORES_NOT_ALONE, Kind
from vfl.models.network import part, plaintext, program
from vfl.models.network.joint import FederatedNetwork
from vfl.models.network.part import NetworkPart
from vfl.models.network.reported import NetworkReport
from vfl.models.network.shares import NetworkShares
from vfl.models.network.spec import MLPClassifier, MLPRegressor, Network
from vfl.models.plan import Plan, Role
from vfl.models.regression.program import latest
from vfl.models.regression.words import preprocessed
from vfl.models.workload import Columns, NetworkWork
from vfl.screen import ending
from vfl.screen.shown import Shown
from vfl.steps.feature_tables import feature_tables
from vfl.steps.search import Search


class NetworkKind(Kind[Network, NetworkPart]):
    """What both networks share."""

    reported = NetworkReport
    joint = FederatedNetwork
    scores_in_blocks = False

    def described(self, plan: Plan[Network], roles: Roles) -> dict[str, str]:
        model, dealer = plan.spec, roles.hosts[0]
        units = " and ".join(map(str, model.hidden_layer_sizes))
        size = "200 rows" if isinstance(model.batch_size, str) else f"{model.batch_size:,} rows"
        epochs = "1 epoch" if model.max_iter == 1 else f"{model.max_iter:,} epochs"
        epochs = f"at most {epochs}" if model.early_stopping else epochs
        nesterov = "Nesterov's momentum" if model.nesterovs_momentum else "momentum"
        return {
            **preprocessed(plan),  # type: ignore[arg-type]
            "train": f"{model.kind}: {units} hidden units ({model.activation}), {epochs} in mini-batches of at most "
            f"{size}, rate {model.learning_rate_init:g}, {nesterov} {model.momentum:g}, alpha = {model.alpha:g}, "
            f"values limited to {model.clip:g}",
            **stops(model, roles),
            "weights": f"every weight stays in two shares, of a data party and {roles.arbiter} or of {roles.guest} and "
            f"{roles.arbiter}, without which no row can be scored",
            "rows": "nobody sees a sum, an activation or a gradient of a row"
            + (f"; they are weighted, by sample_weight at {roles.guest}" if model.sample_weight else ""),
            "encrypt": f"Paillier, {model.key_bits} bits; {roles.arbiter} holds the key; {dealer} hands out the random "
            "numbers for activations and products",
        }

    def rounded(self, plan: Plan[Network]) -> list[str]:
        error = f"up to 1/{2 ** (plan.spec.score_bits + 1)}, which is always the same for a row"
        return [f"scores are opened with an error of {error}"]

    def summary(self, spec: Network) -> dict[str, Any]:
        return spec.model_dump(exclude={"kind"})

    def carries(self, plan: Plan[Network], roles: Roles, rows: int) -> None:
        """A batch has no more rows than there are, and a plaintext has room for the pads of a unit.  Raises
        ConfigError."""
        check(program.terms_of(plan), rows)
        assert Sizes(program.terms_of(plan), rows, plan.spec.key_bits - HEAD_ROOM - 1).slots

    def cautions(self, plan: Plan[Network], roles: Roles, table: Table) -> list[str]:
        """Raises ConfigError for batches of more rows than this party's table has."""
        self.carries(plan, roles, len(table))
        return []

    def workload(self, plan: Plan[Network], rows: int, columns: Columns, passes: int) -> NetworkWork:
        terms = program.terms_of(plan)
        held_out = round(rows * plan.spec.validation_fraction) if plan.spec.early_stopping else 0
        trained = max(1, rows - held_out)
        return NetworkWork("network", trained, *columns, passes=terms.epochs, terms=terms, held_out=held_out)

    def batches(self, plan: Plan[Network], rows: int) -> int:
        return Sizes(program.terms_of(plan), rows, 0).batches

    def train(
        self,
        role: Role,
        session: Session,
        table: Table | None,
        plan: Plan[Network],
        search: Search[Plan[Network]] | None,
        before: None,
    ) -> Any:
        if role == "arbiter":
            return program.arbiter(session, plan, search)
        assert table is not None
        return (program.guest if role == "guest" else program.host)(session, table, plan, search)

    def score(self, role: Role, session: Session, table: Table | None, part: Any, min_rows: int, keys: int) -> Scored:
        if role == "arbiter":
            return Scored(moved=program.predict_arbiter(session, part, min_rows, keys))
        assert table is not None
        if role == "guest":
            rows, scores, own = program.predict_guest(session, table, part, min_rows)
            return Scored((rows, scores), {} if own is None else {part.party: own})
        own = program.predict_host(session, table, part, min_rows)
        return Scored(moved={} if own is None else {part.party: own})

    def gaps(self, part: NetworkPart, features: pd.DataFrame) -> pd.DataFrame:
        """Where no step of the preprocessing fills what is missing."""
        return part.standardiser.gaps(features, part.party)

    def unseen(self, part: NetworkPart, features: pd.DataFrame) -> pd.DataFrame:
        """Where no step knows the text."""
        return part.standardiser.unseen(features)

    def rare(self, part: NetworkPart) -> tuple[str, ...]:
        """Those that [preprocess] bins by the label."""
        steps = part.standardiser.steps
        return () if steps is None or steps.woe is None else steps.woe.rare

    def moved(self, part: Any, moved: Mapping[str, Moved]) -> Any:
        if isinstance(part, NetworkShares):
            return replace(part, shares={p: latest(moved.get(p), shares) for p, shares in part.shares.items()})
        return replace(part, shares=latest(moved.get(part.party), part.shares))

    def predictions(self, part: NetworkPart, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities or expected values from scores (n, 1)."""
        return part.means(scores)

    def guest_alone(self, plan: Plan[Network], fitted: Fitted, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """By a network in the clear with the same layers and steps."""
        assert isinstance(fitted, program.Fitted)
        own, decide = fitted.part, np.flatnonzero(fitted.validation)
        train = np.flatnonzero(~(fitted.held_out | fitted.validation))
        x = own.standardiser.transform(fitted.aligned.features, own.party)
        wanted = program.targets_of(plan, fitted.aligned.take(np.concatenate([train, decide])), len(train))
        inside = plaintext.Rows(x[train], *program.of_one(wanted, slice(len(train))))
        others = plaintext.Rows(x[decide], *program.of_one(wanted, slice(len(train), None)))
        alone = plaintext.fitted(program.terms_of(plan), inside, plan.spec.random_state, others)
        return own.means(alone.scores(x[rows])[:, np.newaxis])

    def notes(self, fitted: Any) -> list[str]:
        return ending.cautions([fitted.epochs], [fitted.end])

    def beyond(self, part: NetworkPart, features: pd.DataFrame) -> dict[str, int]:
        return {}  # said at the training

    def remarks(self, fitted: Any) -> list[str]:
        found = [ending.clipped(fitted.clipped, fitted.part.standardiser.clip)] if fitted.clipped else []
        return [*found, *([ending.clipped_in_folds(fitted.in_folds)] if fitted.in_folds else [])]

    def fitted_summary(self, fitted: Any) -> dict[str, Any]:
        """When training ended, where it could end early; what was limited, and at the guest the scale of its label; no
        weight is known to anybody."""
        own = fitted.part
        summary = dict[str, Any]()
        if fitted.end != "planned":
            summary |= {**ending.summary([fitted.epochs], [fitted.end]), "best_epoch": fitted.best}
        if fitted.clipped:
            summary |= {"clipped": fitted.clipped, "clipped_at": own.standardiser.clip}
        summary |= {"clipped_in_folds": fitted.in_folds} if fitted.in_folds else {}
        if own.family == "linear" and own.is_guests:
            summary |= {"label_mean": own.label_mean, "label_scale": own.label_scale}
        return summary | feature_tables(own.standardiser.steps, None)

    def shown(self, part: NetworkPart) -> Shown:
        units = " and ".join(map(str, part.layers.hidden))
        told = {"hidden layers": f"{units} units, {part.layers.activation}"}
        if part.classes is not None:
            told["scores"] = f"the probability of {part.classes[1]!r} rather than {part.classes[0]!r}"
        what = "Shares of the weights of a network: uniform numbers, which tell nothing by themselves."
        return Shown(facts=told, notes=[what, SCORES_NOT_ALONE])

    def pack(self, part_: NetworkPart) -> Body:
        return part.pack(part_)

    def unpack(self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> NetworkPart:
        return part.unpack(head, rest, tensors)


def stops(model: Network, roles: Roles) -> dict[str, str]:
    """What ends training before the last epoch, in words."""
    if not model.early_stopping:
        return {}
    by = "R^2" if model.family == "linear" else "the mean logarithmic loss"
    return {
        "stop": f"after each epoch {roles.guest} and {roles.arbiter} learn whether {by} of "
        f"{model.validation_fraction:.0%} of the training rows, held out for it, is better by {model.tol:g} than after "
        f"the best epoch; training ends when more than {model.n_iter_no_change} in a row are not, with the weights of "
        "the best one, and all learn which that is"
    }


_STARTER: dict[str, str] = {
    "hidden_layer_sizes": "Units of one or two hidden layers. Time grows with those of the first.",
    "activation": '"tanh", "logistic", "relu" (rounded off near 0) or "softplus".',
    "learning_rate_init": "The rate of every step. Too large a rate ends the run with an error.",
    "max_iter": "Epochs; early_stopping = true can end training before.",
}


class Classifier(NetworkKind):
    """vfl.MLPClassifier."""

    spec = MLPClassifier
    starter: ClassVar = _STARTER


class Regressor(NetworkKind):
    """vfl.MLPRegressor."""

    spec = MLPRegressor
    starter: ClassVar = _STARTER
