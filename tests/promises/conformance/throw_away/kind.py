"""Everything of the kind: its spec, its part, its program and its joint model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console

from protocols import alignment
from protocols.session import Roles, Session
from vfl.data import Table
from vfl.data.columns import Objective
from vfl.models.content import Body, Head, check
from vfl.models.fitted import Scored
from vfl.models.joint import Joint
from vfl.models.kind import Kind
from vfl.models.plan import Plan, Role
from vfl.schema.spec import Spec
from vfl.steps.split import by_part, hold_out


class MeanOfLabel(Spec):
    """The mean of the guest's training labels, plus a number."""

    kind: Literal["mean-of-label"] = "mean-of-label"
    shift: float = Field(default=0.0, ge=-1, le=1, description="a number from -1 to 1 (default 0) that is added to the mean")

    @property
    def label(self) -> Objective:
        return "numeric"

    @property
    def needs_arbiter(self) -> bool:
        return False


@dataclass(frozen=True)
class MeanPart:
    """A party's part: the guest's holds the mean, a host's holds nothing."""

    party: str
    model_id: bytes
    columns: tuple[str, ...]
    mean: float | None
    classes: tuple[Any, ...] | None = None
    texts: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.columns

    @property
    def is_guests(self) -> bool:
        return self.mean is not None


@dataclass(frozen=True)
class Fitted:
    """What a data party has at the end."""

    part: MeanPart
    aligned: Table
    held_out: NDArray[np.bool_]
    later: NDArray[np.bool_]
    sizes: dict[str, int]
    scores: NDArray[np.float64] | None = None
    train_scores: NDArray[np.float64] | None = None
    searched: None = None


class FederatedMean(Joint[MeanOfLabel, MeanPart]):
    """The model of a local federation."""


class MeanKind(Kind[MeanOfLabel, MeanPart]):
    """vfl.models.throw_away.kind.MeanOfLabel."""

    spec = MeanOfLabel
    part = MeanPart
    joint = FederatedMean
    starter: ClassVar = {"shift": "Is added to the mean."}

    def described(self, plan: Plan[MeanOfLabel], roles: Roles) -> dict[str, str]:
        return {"train": f"the mean of the labels of {roles.guest}, plus {plan.spec.shift:g}"}

    def rounded(self, plan: Plan[MeanOfLabel]) -> list[str]:
        return []

    def summary(self, spec: MeanOfLabel) -> dict[str, Any]:
        return {"shift": spec.shift}

    def carries(self, plan: Plan[MeanOfLabel], roles: Roles, rows: int) -> None:
        """Nothing is encrypted."""

    def train(self, role: Role, session: Session, table: Table | None, plan: Plan[MeanOfLabel], search: object, before: None) -> Any:
        with session.phase("align"):
            if role == "arbiter":
                alignment.serve(session, plan.min_intersection, keys=plan.keys)
                return None
            assert table is not None
            found = alignment.align(session, table.keys, plan.min_intersection)
            aligned = table.aligned(found)
            held_out, later = hold_out(session, aligned, plan.test, plan.split_seed, plan.out_of_time, plan.min_intersection)
        mean, scores = None, None
        if aligned.label is not None:
            mean = float(aligned.label.to_numpy(np.float64)[~held_out].mean()) + plan.spec.shift
            scores = np.full(int(held_out.sum()) if not plan.measure_train else len(held_out), mean)
        part = MeanPart(session.me, bytes(16), tuple(map(str, aligned.features.columns)), mean)
        return Fitted(part, aligned, held_out, later, found.sizes, *by_part(scores, held_out))

    def score(self, role: Role, session: Session, table: Table | None, part: Any, min_intersection: int, keys: int) -> Scored:
        with session.phase("align"):
            if role == "arbiter":
                alignment.serve(session, min_intersection, keys=keys)
                return Scored()
            assert table is not None
            rows = alignment.align(session, table.keys, min_intersection).rows
        return Scored((rows, np.full(len(rows), part.mean)) if role == "guest" else None)

    def predictions(self, part: MeanPart, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return scores

    def guest_alone(self, plan: Plan[MeanOfLabel], fitted: Any, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.full(int(rows.sum()), fitted.part.mean)

    def fitted_summary(self, fitted: Any) -> dict[str, Any]:
        return {} if fitted.part.mean is None else {"mean": fitted.part.mean}

    def print_part(self, part: MeanPart, console: Console) -> None:
        console.print(f"mean {part.mean}" if part.is_guests else "nothing")

    def pack(self, part: MeanPart) -> Body:
        return Body({"mean": part.mean}, {"columns": np.zeros(len(part.columns))})

    def unpack(self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> MeanPart:
        check(set(rest) == {"mean"}, set(tensors) == {"columns"})
        return MeanPart(head.party, head.name, tuple(head.columns), rest["mean"], head.values)
