"""What is averaged: parameters of the model, of its local training and of the rounds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from protocols.averaging.cohorts import Terms
from vfl.schema.arguments import whole
from vfl.schema.declared import Declared
from vfl.schema.described import Values
from vfl.schema.section import Complaint

if TYPE_CHECKING:
    from vfl.models.averaging.cost import AveragingCost
    from vfl.models.privacy import Privacy

Estimator = Literal["logistic", "linear", "poisson", "mlp"]
WIDE, NARROW = 64, 32  # bits of the numbers that are added
RANGE = 7  # bits before the point of an update that is not quantised
MOST_FRACTION = 32  # bits behind it
CLIP = 1.0


class Averaging(Declared):
    """A model that members with the same columns train together: each on its own rows, and in each round their updates are averaged.

    With `mu=0` this is FedAvg (McMahan et al. 2017), above it FedProx (Li et al. 2020). Updates are weighted by rows.
    Columns, and the label of `"linear"`, are standardised by the mean and standard deviation of all members' rows.

    See Also
    --------
    Members : The members and their tables.
    Privacy : Noise on all sums.

    Notes
    -----
    With `local_epochs=1`, `batch_size=None` and all members, a round is one step of gradient descent on the rows of all.

    What each party learns: members and aggregator learn the sums over the members that took part to the end of a round,
    and who these are: before the first round of columns, their squares, the label and the number of rows, then of
    updates. No sum involves fewer than `min_members`
    members, nor does any linear combination of the sums of this run (with `window="recent"`: of its last four); members
    that share what they know count among these. Sums of other runs are compared by `vfl run`, and not in Python. With
    rows held out, `vfl run` also opens the means of two measures over members. An aggregator that deviates can
    choose the model, and learn more from updates than from those of a training. Unless `Members.fit` is given a
    `Privacy`, no noise is added: the model is computed from everybody's rows, and says about them what any model says
    about its training rows.
    docs/protocols/averaging.md has the protocol, docs/threat-model.md the limits.

    Members: three at least, or two with `min_members=2`, each of which then reads the other's sums and updates. One of
    them may drop out at any time where there are `3 * min_members + 1` or more (10 by default), and all take part in
    each round; with fewer, one that drops out after the first sum ends the run.

    Cost: per round and member one update each way, and about 430 bytes for each other member of the round;
    `update_bits` halves the bytes of updates. `cost(members, columns)` predicts the bytes of a run in which nobody
    drops out, exactly. Local training is numpy's.

    Examples
    --------
    >>> vfl.Averaging(estimator="mlp", hidden=8, rounds=30, local_epochs=2)
    Averaging(estimator='mlp', hidden=8, rounds=30, local_epochs=2)
    """  # noqa: E501

    FILE_ONLY: ClassVar = ("kind",)

    kind: Literal["averaging"] = Field(default="averaging", description="members with the same columns average")
    estimator: Estimator = Field(
        default="logistic",
        description="logistic, linear and poisson are regressions; mlp is a perceptron for a label of two values, "
        "with one hidden layer of tanh",
    )
    hidden: int = Field(default=16, ge=1, le=1024, description="with mlp, the units of the hidden layer")
    rounds: int = Field(default=50, ge=1, le=100_000, description="how often updates are averaged")
    local_epochs: int = Field(
        default=1, ge=1, le=1000, description="how often a member goes through its rows in a round"
    )
    batch_size: int | None = Field(
        default=None, ge=1, description="rows per local step; None takes all rows of the member at once"
    )
    learning_rate: float = Field(default=0.5, gt=0, le=100, description="the length of a local step")
    alpha: float = Field(
        default=0.0, ge=0, le=1e6, description="the weight of the penalty alpha ||w||^2 / 2 on top of the mean loss"
    )
    mu: float = Field(default=0.0, ge=0, le=1e6, description="FedProx: what holds local training near the common model")
    fraction: float = Field(default=1.0, gt=0, le=1, description="the part of the members drawn for each round")
    min_members: int = Field(
        default=3,
        ge=2,
        le=4096,
        description="the fewest members that a sum involves: two more than may deviate together with the aggregator; "
        "2 only of two members, each of which reads the other's numbers",
    )
    window: Literal["run", "recent"] = Field(
        default="run",
        description="which sums may say nothing together about fewer than min_members members: all of the run, in "
        "which at most four different groups of members are then added up, or the last four; beyond these a long "
        "run can give single updates away",
    )
    update_bits: Annotated[int | None, Values("a whole number from 4 to 24, or None")] = Field(
        default=None,
        ge=4,
        le=24,
        description="updates are rounded to this number of bits and added in 32-bit words; what rounding and clip cut "
        "off is carried over to the member's next update",
    )
    clip: float = Field(default=CLIP, gt=0, le=1e6, description="with update_bits, the largest entry of an update")
    max_rows: int = Field(default=1 << 20, ge=1, le=1 << 32, description="the most rows that a member may have")
    random_state: int = Field(
        default=0, ge=0, lt=2**63, description="the order of batches, and the weights from which mlp starts"
    )

    @model_validator(mode="after")
    def _go_together(self) -> Averaging:
        """What would do nothing is refused."""
        defaults = type(self).model_fields
        if self.estimator != "mlp" and self.hidden != defaults["hidden"].default:
            raise Complaint(f'is given, and "{self.estimator}" has no hidden layer', "Leave it out", "model.hidden")
        if self.update_bits is None and self.clip != CLIP:
            raise Complaint("is given without update_bits: it would do nothing", "Set update_bits too", "model.clip")
        if self.fraction < 1 and self.window == "run":
            what = (
                "is below 1, and each round would be a sum of other members: at most four such sums are opened in a run"
            )
            raise Complaint(
                what, 'Set window = "recent", with the limits that docs/threat-model.md names', "model.fraction"
            )
        return self

    def cost(self, members: int, columns: int, privacy: Privacy | None = None, measures: int = 0) -> AveragingCost:
        """What a run with this number of members and columns sends, if no member drops out: `rounds`, `sums`,
        `member_bytes` and `aggregator_bytes`.  measures: how many are opened at the end, as by `vfl run` with rows held
        out.  Raises ConfigError."""
        from vfl.models.averaging.cost import predicted  # which imports this module

        opened = whole("measures", measures, 0)
        return predicted(self, whole("members", members, 1), whole("columns", columns, 1), privacy, opened)

    @property
    def label(self) -> Literal["binary", "numeric", "count"]:
        """What the label must hold."""
        if self.estimator in ("logistic", "mlp"):
            return "binary"
        return "numeric" if self.estimator == "linear" else "count"

    def terms(self, members: tuple[str, ...]) -> Terms:
        """What the members agree on.  Raises ConfigError."""
        bits = WIDE if self.update_bits is None else NARROW
        return Terms(members, self.min_members, self.fraction, word_bits=bits, whole_run=self.window == "run")

    @property
    def least_members(self) -> int:
        """The fewest members of which one may drop out at any time, where all take part in each round: `min_members`
        of them are then left out together, and more than two thirds remain."""
        return 3 * self.min_members + 1

    def unit(self, members: int) -> float:
        """The step between two values of an update.  Raises Complaint where sums would not fit into the words."""
        rows = math.ceil(math.log2(members * self.max_rows))
        if self.update_bits is None:
            return math.ldexp(1.0, -min(MOST_FRACTION, WIDE - 2 - RANGE - rows))
        if self.update_bits + rows > NARROW - 1:
            raise Complaint(
                f"is {self.update_bits}, and {members} members of up to {self.max_rows} rows leave "
                f"{NARROW - 1 - rows} bits for an entry",
                "Choose fewer bits, or set max_rows to what the largest member has",
                "model.update_bits",
            )
        return self.clip / (2.0 ** (self.update_bits - 1) - 1)

    @property
    def largest(self) -> float:
        """The largest entry of an update."""
        return 2.0**RANGE if self.update_bits is None else self.clip
