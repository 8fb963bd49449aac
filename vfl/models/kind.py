"""What differs between kinds of model: one class per kind, in its own folder.  `vfl run`, `predict`, `check`, `show`
and the report are written once, against it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import ConfigError
from protocols.glm.gram_layout import Layout
from protocols.glm.shares import Moved
from protocols.glm.slots import Slots
from protocols.online.lists import Form
from protocols.session import Roles, Session
from vfl.data import Table
from vfl.models.content import Body, Head
from vfl.models.fallback import Keepable
from vfl.models.fitted import Fitted, Scored
from vfl.models.plan import Plan, Role
from vfl.models.workload import Columns, Workload
from vfl.report.schema import Model
from vfl.schema.spec import Spec
from vfl.screen.shown import Shown
from vfl.steps.search import Search
from vfl.transport.identity import Identity

S = TypeVar("S", bound=Spec)
P = TypeVar("P")
SCORES_NOT_ALONE = "The model scores rows only with this party; if this folder is deleted, it cannot score any more."


class ArbiterKind(ABC):
    """What an arbiter keeps of a model, on its disk."""

    name: ClassVar[str]

    @abstractmethod
    def pack(self, part: Any, identity: Identity) -> Body:
        """A part as it is written, sealed for the arbiter alone."""

    @abstractmethod
    def unpack(
        self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], identity: Identity | None
    ) -> Any:
        """A part from what was read; without an identity, without what is sealed.  Raises `content.CorruptPartError`,
        ModelError."""

    @abstractmethod
    def shown(self, part: Any) -> Shown:
        """A part, as `vfl model show` shows it."""


class Kind(ABC, Generic[S, P]):
    """One kind of model.  S: its spec; P: a data party's part of it."""

    spec: type[S]
    reported: type[Model] = Model  # what a report says of it, besides its parameters
    joint: type[Any]  # the model of a local federation, made from `joint.Trained`
    scores_in_blocks: ClassVar[bool] = True  # whether scoring reads new rows in blocks, or a column at a time
    starter: ClassVar[Mapping[str, str]] = {}  # the keys that a starter job file spells out, each with a comment

    @property
    def name(self) -> str:
        """As a job file names it."""
        return str(self.spec.model_fields["kind"].default)

    # -- before a run

    @abstractmethod
    def described(self, plan: Plan[S], roles: Roles) -> dict[str, str]:
        """The model in plain words, one fact per entry."""

    @abstractmethod
    def rounded(self, plan: Plan[S]) -> list[str]:
        """How coarse what is opened is, one sentence per entry."""

    @abstractmethod
    def summary(self, spec: S) -> dict[str, Any]:
        """What report.json says about the model at every role."""

    @abstractmethod
    def carries(self, plan: Plan[S], roles: Roles, rows: int) -> None:
        """Raises ConfigError unless the key has the head-room for this number of common rows."""

    def cautions(self, plan: Plan[S], roles: Roles, table: Table) -> list[str]:
        """What in this party's own table deserves a word before a run.  Raises ConfigError for what the run would
        refuse."""
        return []

    def usual_passes(self, plan: Plan[S], roles: Roles, table: Table) -> int | None:
        """At the guest, how many passes its labels usually take; None where there are no passes, or nobody can tell."""
        return None

    def workload(self, plan: Plan[S], rows: int, columns: Columns, passes: int) -> Workload | None:
        """What the cost model is asked, for this number of training rows; None: there is no estimate.  passes: where
        they are planned from labels."""
        return None

    def chunks(self, plan: Plan[S], parties: int, rows: int, passes: int) -> Sequence[Slots]:
        """The chunks of prepared iterations between this number of data parties, none where none are prepared; passes:
        as of `workload`."""
        return ()

    def gram(self, plan: Plan[S], work: Workload) -> Layout | None:
        """The layout of shares of Gram matrices, where a training of this size takes them in the place of prepared
        iterations."""
        return None

    def may_be_less(self, plan: Plan[S]) -> bool:
        """Whether training may end early, use a part of rows or columns, or have a part of its rounds already."""
        return plan.spec.stops or plan.settles

    def caveats(self, plan: Plan[S], rows: int) -> list[str]:
        """What the cost model does not know of this training."""
        return []

    def batches(self, plan: Plan[S], rows: int) -> int:
        """In how many mini-batches an iteration goes through this number of rows."""
        return 1

    def fine_bins(self, plan: Plan[S]) -> int | None:
        """How many fine bins of each column are counted by the label; None where none are."""
        return None

    def in_blocks(self, plan: Plan[S]) -> bool:
        """Whether a training and its report read the columns of the common rows in blocks, or one at a time."""
        return False

    def check_continues(self, plan: Plan[S], roles: Roles, part: Any, table: Table | None) -> None:
        """Raises ConfigError or DataError unless the plan can continue `part`, this party's part of an earlier
        model."""
        raise ConfigError(f"a model of kind {self.name} is never continued", remedy="Train it again")

    # -- programs

    @abstractmethod
    def train(
        self,
        role: Role,
        session: Session,
        table: Table | None,
        plan: Plan[S],
        search: Search[Plan[S]] | None,
        before: Any,
    ) -> Any:
        """The role's part of training: `Fitted` at a data party, at the arbiter what it keeps of the model or None.

        before: this party's part of the model that is continued."""

    @abstractmethod
    def score(self, role: Role, session: Session, table: Table | None, part: Any, min_rows: int, keys: int) -> Scored:
        """The role's part of scoring new rows; part: None at an arbiter that keeps none; min_rows: the fewest that all
        parties must know, if they know any."""

    def gaps(self, part: P, features: pd.DataFrame) -> pd.DataFrame:
        """(n, columns) of rows to be scored, by column that the model cannot do without: where a value is missing."""
        return features[[]]

    def unseen(self, part: P, features: pd.DataFrame) -> pd.DataFrame:
        """(n, columns) by column of texts: where a text stands that the model does not know."""
        return features[[]]

    def rare(self, part: P) -> tuple[str, ...]:
        """The columns of texts with a bin of rare texts, by which those that the model does not know are scored."""
        return ()

    def moved(self, part: Any, moved: Mapping[str, Moved]) -> Any:
        """A part after a scoring that moved shares on, and that all parties finished; by whose weights they are of."""
        return part

    def online(self, part: P) -> Form | None:
        """What the numbers of a row are where its score is a sum of what the parties' lists hold (protocols/online/);
        None: of this kind none is."""
        return None

    def check_online(self, part: P, rows: int | None) -> None:
        """Raises ConfigError unless a data party's part can be published; rows: a host's customers, None at the
        guest."""
        if self.online(part) is None:
            raise ConfigError(
                f"a model of kind {self.name} cannot be published", remedy="Score its rows in batches, with vfl predict"
            )

    def online_row(self, part: P, features: pd.DataFrame) -> NDArray[np.int64]:
        """At the guest, of a kind that is published: its own columns (n, width) of rows, as integers."""
        raise ConfigError(f"a model of kind {self.name} cannot be published", remedy="Score its rows in batches")

    def online_scores(self, part: P, opened: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the guest's program would compute for n rows, from what was opened online."""
        return opened

    def load_fallback(self, part: P, folder: Path) -> Any:
        """What a training left in the folder of the guest's part, to score by its own columns; None where it left
        none.  Raises ModelError."""
        return None

    def fallback(self, plan: Plan[S], fitted: Fitted) -> Keepable | None:
        """At the guest, what scores rows by its own columns alone, for the time when a partner does not answer; None:
        this kind has none."""
        return None

    def alone(self, part: P, fallback: Any, features: pd.DataFrame) -> NDArray[np.float64]:
        """What the guest's program would compute for n rows, by its own columns alone; fallback: as `load_fallback`
        read it."""
        raise ConfigError(f"a model of kind {self.name} has no fallback", remedy="Ask again when all partners answer")

    # -- afterwards

    @abstractmethod
    def predictions(self, part: P, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) probabilities of the event or means, (n, classes) probabilities, from what the guest's program computed
        for n rows."""

    @abstractmethod
    def guest_alone(self, plan: Plan[S], fitted: Fitted, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The same of some aligned rows by the same model on the guest's own columns, trained in the clear: the
        difference is what the hosts add."""

    def columns(self, part: P, scores: NDArray[np.float64]) -> dict[str, Any]:
        """Columns of scores.csv besides the predictions."""
        return {}

    def explained(self, part: P, features: pd.DataFrame) -> pd.DataFrame | None:
        """Why each row of a party's own table scores as it does, in that party's own columns; None where the kind has
        no such words."""
        return None

    def notes(self, fitted: Any) -> list[str]:
        """What a user is warned of after a training, by what the guest has."""
        return []

    def beyond(self, part: P, features: pd.DataFrame) -> dict[str, int]:
        """By own column of new rows, how many values are so far out that the protocol limits them."""
        return {}

    def remarks(self, fitted: Any) -> list[str]:
        """What a data party is warned of in its own columns after a training."""
        return []

    @abstractmethod
    def fitted_summary(self, fitted: Any) -> dict[str, Any]:
        """What a data party's report.json says of its own part and of how it was fitted."""

    @abstractmethod
    def shown(self, part: P) -> Shown:
        """A part, as `vfl model show` shows it."""

    @abstractmethod
    def pack(self, part: P) -> Body:
        """A part as it is written: what the manifest says besides its head, and the tensors."""

    @abstractmethod
    def unpack(self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> P:
        """A part from what was read.  Raises `content.CorruptPartError`."""
