"""Every kind of model, and every kind of part that an arbiter keeps: a new one is a folder and a line here."""

from __future__ import annotations

from typing import Any

from vfl.models.kind import ArbiterKind, Kind
from vfl.models.network.kind import Classifier, Regressor
from vfl.models.network.shares import NetworkSharesKind
from vfl.models.regression.kind import Linear, Logistic, Poisson
from vfl.models.scorecard.kind import Scorecards
from vfl.models.shared_weights import SharedWeightsKind
from vfl.models.trees.kind import Trees
from vfl.models.trees.leaf_values import LeafValuesKind
from vfl.schema.spec import Spec

_KINDS: tuple[Kind[Any, Any], ...] = (
    Logistic(),
    Linear(),
    Poisson(),
    Trees(),
    Scorecards(),
    Classifier(),
    Regressor(),
)
_KEPT: tuple[ArbiterKind, ...] = (SharedWeightsKind(), LeafValuesKind(), NetworkSharesKind())

KINDS: dict[str, Kind[Any, Any]] = {kind.name: kind for kind in _KINDS}
ARBITER_KINDS: dict[str, ArbiterKind] = {kind.name: kind for kind in _KEPT}


def kind_of(spec: Spec) -> Kind[Any, Any]:
    """The kind of what is trained."""
    return KINDS[spec.kind]
