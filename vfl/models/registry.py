"""What differs between kinds of model when a job is run by files: one module a family, looked up by the job's `model.kind`.

`vfl run`, `predict`, `check`, `show` and the report are written once, against `Kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from protocols.session import Session
from vfl.data import Table
from vfl.job.job import Job, Role
from vfl.models import shared_weights as shared
from vfl.models.content import Body, Head, Part
from vfl.models.fitted import Fitted, Scored
from vfl.models.part import ArbiterPart
from vfl.models.regression import kind as regression
from vfl.models.scorecard import kind as scorecard
from vfl.models.trees import kind as trees
from vfl.models.trees import leaf_values
from vfl.transport.identity import Identity

# of a session and a table, and as `before` the part of the model that the job continues, where it does; at the arbiter, what it keeps of the model
Program = Callable[..., Fitted | ArbiterPart | None]
Scorer = Callable[[Session, Table | None], Scored]


class Kind(Protocol):
    """The functions of a family's module."""

    def described(self, job: Job) -> dict[str, str]:
        """The model in plain words, one fact an entry."""

    def rounded(self, job: Job) -> list[str]:
        """How coarse what is opened is, a sentence an entry."""

    def summary(self, job: Job) -> dict[str, Any]:
        """What report.json says about the model at every role."""

    def carries(self, job: Job, rows: int) -> None:
        """Raises ConfigError unless the key has the head-room for this number of common rows."""

    def program(self, job: Job, role: Role) -> Program:
        """The role function that trains; the arbiter's takes no table and returns its own part of the model, or None."""

    def scorer(self, job: Job, role: Role, part: Any) -> Scorer:
        """The role function that scores new rows; part: None at an arbiter that keeps none."""

    def predictions(self, part: Any, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) probabilities of the event or means, (n, classes) probabilities, from what the guest's program computed for n rows."""

    def plan_of(self, job: Job, classes: tuple[Any, ...]) -> Any:
        """The job as the program takes it; classes: the label's values at the guest."""

    def guest_alone(self, plan: Any, fitted: Fitted, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The same of some aligned rows by the same model on the guest's own columns, trained in the clear: the difference is what the hosts add."""

    def columns(self, part: Any, scores: NDArray[np.float64]) -> dict[str, Any]:
        """Columns of scores.csv in addition to the predictions."""

    def explained(self, part: Any, features: pd.DataFrame) -> pd.DataFrame | None:
        """Why each row of a party's own table scores as it does, in that party's own columns; None where the kind has no such words."""

    def fitted_summary(self, fitted: Any) -> dict[str, Any]:
        """What a data party's report.json says of its own part and of how it was fitted."""

    def print_part(self, part: Any, console: Console) -> None:
        """A part in the terminal."""

    def pack(self, part: Any) -> Body:
        """A part as it is written: what the manifest says besides its head, and the tensors."""

    def unpack(self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Part:
        """A part from what was read.  Raises `parts.Damaged`."""


class ArbiterKind(Protocol):
    """The functions of a module of what an arbiter keeps."""

    def pack(self, part: Any, identity: Identity) -> Body:
        """A part as it is written, sealed for the arbiter alone."""

    def unpack(self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], identity: Identity | None) -> ArbiterPart:
        """A part from what was read; without an identity, without what is sealed.  Raises `parts.Damaged`, ModelError."""

    def print_part(self, part: Any, console: Console) -> None:
        """A part in the terminal."""


ARBITER_KINDS: dict[str, ArbiterKind] = {shared.KIND: shared, leaf_values.KIND: leaf_values}
KINDS: dict[str, Kind] = {**dict.fromkeys(regression.FAMILIES, regression), "boosted-trees": trees, "scorecard": scorecard}


def kind_of(job: Job) -> Kind:
    """The functions for this job's model."""
    return KINDS[job.model.kind]


__all__ = ["ARBITER_KINDS", "KINDS", "Fitted", "Kind", "Part", "Scored", "kind_of"]
