"""Sealed networks under scikit-learn's names: what to train, in Python and as [model] of a job file."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from protocols.glm.progress import MOST_VERDICTS
from protocols.network import Activation, Family
from protocols.network.plan import MOST_BATCH, MOST_LAYERS, MOST_UNITS
from vfl.data.labels import Objective
from vfl.schema.described import Values
from vfl.schema.section import Complaint, choose, shown
from vfl.schema.spec import Spec

GRID = 10  # default of score_bits
LEAST_BATCH = 8
FRACTION, EVERY, TOL = 0.1, 10, 1e-4  # defaults of validation_fraction, n_iter_no_change and tol
ACTIVATIONS = ("tanh", "logistic", "relu", "softplus")


def _layers(value: object) -> object:
    found = (value,) if type(value) is int else value
    if isinstance(found, tuple | list) and 1 <= len(found) <= MOST_LAYERS:
        sizes = tuple(found)
        if all(type(units) is int and 1 <= units <= MOST_UNITS for units in sizes):
            return sizes
    raise Complaint(
        f"is {shown(value)}",
        f"Expected the units of one or two hidden layers, whole numbers from 1 to {MOST_UNITS}, such as [16] or "
        f"[32, 8] (default [16])",
    )


class Network(Spec):
    """What both networks share; not for use by itself."""

    REFUSED: ClassVar = {"shuffle": "rows are always taken in a random order, which random_state decides"}

    hidden_layer_sizes: Annotated[
        tuple[int, ...],
        BeforeValidator(_layers),
        Values("one or two whole numbers from 1 to 256"),
    ] = Field(
        default=(16,),
        description="the number of units of each hidden layer; time grows with those of the first",
    )
    activation: Annotated[Activation, BeforeValidator(choose(ACTIVATIONS, {}))] = Field(
        default="tanh",
        description='the function of hidden units; "relu" is rounded off within 1/2 of 0, by at most 0.08',
    )
    alpha: float = Field(
        default=1e-4,
        ge=0,
        le=1e4,
        description="the weight of the penalty alpha |w|^2 / 2, divided by the rows of a batch, as in scikit-learn",
    )
    batch_size: Annotated[
        Annotated[int, Field(ge=LEAST_BATCH, le=MOST_BATCH)] | Literal["auto"],
        Values('a whole number from 8 to 131072, or "auto"'),
    ] = Field(
        default="auto",
        description='the maximum number of rows in a mini-batch; "auto": 200, or all rows if there are fewer',
    )
    learning_rate_init: float = Field(
        default=0.1,
        gt=0,
        le=10,
        description="the rate of every step",
    )
    momentum: float = Field(
        default=0.9,
        ge=0,
        le=0.99,
        description="the part of the previous step that is added to a step",
    )
    nesterovs_momentum: bool = Field(
        default=True,
        description="whether the momentum is Nesterov's",
    )
    max_iter: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="the maximum number of epochs; without early_stopping all are made",
    )
    sample_weight: bool = Field(
        default=False,
        exclude_if=lambda weighted: not weighted,
        description="whether rows are weighted, by the column that data.weight of the guest's party file names",
    )
    early_stopping: bool = Field(
        default=False,
        exclude_if=lambda stops: not stops,
        description="whether rows held out for it decide when training ends, and which epoch's weights are kept "
        "(loss-verdict-to-parties); max_iter is at most 100 then",
    )
    validation_fraction: float = Field(
        default=FRACTION,
        exclude_if=lambda part: part == FRACTION,
        ge=0.01,
        le=0.5,
        description="with early_stopping, the part of the training rows that is held out for it; these are "
        "drawn by their ids, not by class",
    )
    n_iter_no_change: int = Field(
        default=EVERY,
        exclude_if=lambda epochs: epochs == EVERY,
        ge=1,
        le=MOST_VERDICTS,
        description="with early_stopping, training ends after more than this number of epochs in a row that are not "
        "better by tol than the best one so far; at most max_iter - 2",
    )
    tol: float = Field(
        default=TOL,
        exclude_if=lambda tol: tol == TOL,
        ge=1e-5,
        le=1,
        description="with early_stopping, by how much an epoch must be better than the best one so far: of two "
        "classes in the mean logarithmic loss, of numbers in R^2",
    )
    clip: float = Field(
        default=8.0,
        gt=0,
        le=64,
        description="standardised values are limited to [-clip, clip]: sums of a hidden unit must stay below 32 "
        "(relu: 16)",
    )
    random_state: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        description="the seed of the order of rows, which is public; initial weights are secret and never depend on it",
    )
    score_bits: int = Field(
        default=GRID,
        exclude=True,
        ge=0,
        le=20,
        description="scores are opened to the guest with an error of half of 2^-score_bits, per host",
    )

    @model_validator(mode="after")
    def _stops_somewhere(self) -> Self:
        if self.early_stopping and self.max_iter > MOST_VERDICTS:
            what = f"is {self.max_iter}, and early_stopping tells something about the loss after each epoch"
            raise Complaint(what, f"Lower it to at most {MOST_VERDICTS}, or leave early_stopping out", "model.max_iter")
        if self.early_stopping and self.max_iter < (earliest := self.n_iter_no_change + 2):
            what = f"is {self.max_iter}, and early_stopping can end training after epoch {earliest} at the earliest"
            lower = f"lower n_iter_no_change to at most {self.max_iter - 2}, " if self.max_iter > 2 else ""
            raise Complaint(what, f"Raise it, {lower}or leave early_stopping out", "model.max_iter")
        for name, usual in (("validation_fraction", FRACTION), ("n_iter_no_change", EVERY), ("tol", TOL)):
            if not self.early_stopping and getattr(self, name) != usual:
                what = f"is {shown(getattr(self, name))}, which does nothing without early_stopping"
                raise Complaint(what, "Set early_stopping, or leave it out", f"model.{name}")
        return self

    @property
    def stops(self) -> bool:
        """Whether a loss is compared after each epoch, and ends training."""
        return self.early_stopping

    @property
    def decides(self) -> tuple[str, float] | None:
        """As `Spec.decides`."""
        return ("validation_fraction", self.validation_fraction) if self.early_stopping else None

    @property
    def permits(self) -> tuple[str, ...]:
        """What its protocols reveal, besides the alignment."""
        loss = ("loss-verdict-to-parties",) if self.stops else ()
        return ("edge-count-to-arbiter", *loss, "scores-to-guest")

    @property
    def keeps_shares(self) -> bool:
        """Whether the arbiter keeps shares of weights that are never revealed."""
        return True

    @property
    def trusts_dealer(self) -> bool:
        """Whether with several hosts the one that deals could, together with the guest, learn the others' columns."""
        return True

    @property
    def scores_by_table(self) -> bool:
        """Whether rows are scored by a look-up in a table, whose edge is watched."""
        return True

    @property
    def scores_count_for_good(self) -> bool:
        """Whether a host counts the scores of a row as long as the model exists, and not by month."""
        return True

    @property
    def folds_are_hidden(self) -> bool:
        """Whether nobody learns its part of a fold's model."""
        return True

    @property
    def family(self) -> Family:
        """The distribution of the label that the loss belongs to."""
        return "linear"

    @property
    def opens_on_grid(self) -> bool:
        """Whether scores are opened on the grid of disclosure.score_bits."""
        return True


class MLPClassifier(Network):
    """Vertical network for a label of two values, whose weights, sums, activations and gradients nobody sees.

    Parameters have scikit-learn's names and meanings; steps are those of its `solver="sgd"`.

    See Also
    --------
    vfl.models.network.joint.FederatedNetwork : What `Federation.fit` returns.

    Notes
    -----
    Every party standardises its own columns. Weights stay in two shares, of a data party and the arbiter or of the
    guest and the arbiter, from the first step to the last score. The first host deals random numbers. With several
    hosts, the guest and that host together could learn the other hosts' columns, so that a job needs the permission
    `dealer-collusion`.

    There are at most two hidden layers of at most 256 units each. A training that diverges ends with an error, and
    there is no model. Without `early_stopping` all `max_iter` epochs are made, and nobody learns whether they were
    enough: compare models by `vfl.Split` or search `max_iter`.

    With `early_stopping` a part of the training rows is held out. After each epoch its loss is compared with that of
    the best epoch so far, on shares. Training ends when more than `n_iter_no_change` epochs in a row are not better by
    `tol`, and the weights are those after the best one. **Three things differ from scikit-learn.** What is compared is
    the mean logarithmic loss, not the accuracy, which no party can count. An epoch is the best only if it is better by
    `tol`. The rows are drawn by their ids without regard to classes, because a draw by class would tell labels.

    Rows can have weights (`Federation.local(sample_weight=...)`), of which nobody but the guest learns anything.
    Gradients are weighted as scikit-learn weights them; the penalty is divided by the rows of a batch, and not by their
    weights.

    What each party learns: the guest learns the scores of the rows that are scored. Hosts and arbiter learn no label,
    no weight and no score. The arbiter learns whether any sum lies near the edge of the activation's table, which ends
    the run. With `early_stopping` guest and arbiter learn which epochs were better, one bit each, and hosts when
    training ended and which epoch was best. Nobody learns a loss. docs/leakage.md has every message.

    Cost: each unit of the first layer costs per epoch as much as an iteration of a regression; a row that is held out
    costs less than one that is trained on. Boosted trees are usually as good on tables, for less
    (docs/protocols/network.md).

    Examples
    --------
    >>> model = fed.fit(vfl.MLPClassifier(hidden_layer_sizes=(2,), max_iter=2))
    >>> model.predict_score(bank, {"telecom": telecom}).shape
    (200,)
    """

    kind: Literal["mlp-classifier"] = "mlp-classifier"

    @property
    def family(self) -> Family:
        """The distribution of the label that the loss belongs to."""
        return "logistic"

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return "binary"


class MLPRegressor(Network):
    """Vertical network for a numeric label, whose weights, sums, activations and gradients nobody sees.

    Parameters have scikit-learn's names and meanings; steps are those of its `solver="sgd"`, on the label in its own
    standard deviations.

    See Also
    --------
    vfl.models.network.joint.FederatedNetwork : What `Federation.fit` returns.
    MLPClassifier : What holds for both.

    Notes
    -----
    The guest standardises the label, and that scale stays with the guest. With `early_stopping` the order of epochs is
    that of R^2 on the rows held out, and `tol` is in R^2, as in scikit-learn; what is kept, and how rows are drawn,
    differs as `MLPClassifier` says.

    What each party learns: the guest learns the scores of the rows that are scored. Hosts and arbiter learn no label,
    no weight and no score. The arbiter learns whether any sum lies near the edge of the activation's table, which ends
    the run; with `early_stopping` all learn what they do of `MLPClassifier`.

    Cost: as of `MLPClassifier`.

    Examples
    --------
    >>> spend = bank.assign(default=bank["age"] + telecom["bill"]).rename(columns={"default": "spend"})
    >>> numbers = vfl.Federation.local(spend, {"telecom": telecom}, on="id", label="spend", cipher=Identity())
    >>> model = numbers.fit(vfl.MLPRegressor(hidden_layer_sizes=(2,), max_iter=2))
    >>> model.predict(spend, {"telecom": telecom}).shape
    (200,)
    """

    kind: Literal["mlp-regressor"] = "mlp-regressor"

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return "numeric"
