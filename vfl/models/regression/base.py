"""What all regressions share: the parameters of their solver, when it stops, and their weights."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from protocols.glm import Sgd
from protocols.glm.plan import LEAST_BATCH
from vfl.data.labels import Objective
from vfl.models.regression.solvers import Solver, sgd_of, sgd_problem
from vfl.models.regression.stopping import EVERY, FRACTION, pointless
from vfl.schema.described import Values
from vfl.schema.section import Complaint, choose, shown
from vfl.schema.spec import Spec

GRID = 10  # default of score_bits
MAX_ITER = 200  # with a verdict on the weights it is seldom reached
Family = Literal["logistic", "linear", "poisson"]


def _max_iter(value: object) -> object:
    if (isinstance(value, str) and value == "auto") or (type(value) is int and 5 <= value <= 10_000):
        return value
    rule = 'Expected the number of iterations, a whole number from 5 to 10000 (default 200), or "auto"'
    raise Complaint(
        f"is {shown(value)}",
        f"{rule}: weights of fewer iterations reveal too much" if type(value) is int and value in range(5) else rule,
    )


class Regression(Spec):
    """What all regressions share; not for use by itself.

    Notes
    -----
    Nobody sees a gradient. Every ten iterations all parties learn whether the weights have settled, which ends training
    (`Federation.local(convergence=False)` makes all iterations). With `tol` the loss ends it instead: every `n_iter_no_change`
    iterations all parties then learn whether the mean loss of the training rows with the penalty (of numbers half the mean squared error, in
    variances of the label) is lower than the lowest so far, by `tol` or by less. Nobody learns the loss itself.
    With `early_stopping` it is the mean loss of `validation_fraction` of the rows, which are not trained on; the weights are then the best
    that were evaluated, and `tol` is 1e-4 if none is given.

    `solver="sgd"` makes mini-batches in a new order in each epoch; a run in which one batch holds all rows is refused.
    The rate is in units of the preconditioner's step, and falls to 0.

    `l1_ratio`, `positive` and `warm_start` are not possible; the error says why.
    """  # noqa: E501

    REFUSED: ClassVar = {
        "l1_ratio": "an L1 penalty needs a threshold, which no party can apply to a weight that it holds a share of",
        "positive": "keeping weights above zero needs a comparison, which no party can make on a weight that it "
        "holds a share of",
        "warm_start": "a second reveal of one problem's weights would tell each party the difference of two iterates, "
        "which holds labels",
        "standardise": "every party always standardises its own columns on the training rows",
        "penalty": "the penalty is always L2, set by C or alpha",
    }

    # what later releases added is no part of a job's digest at its default: exclude_if

    max_iter: Annotated[
        int | Literal["auto"],
        BeforeValidator(_max_iter),
        Values('a whole number from 5 to 10000, or "auto"'),
    ] = Field(
        default=MAX_ITER,
        description="the maximum number of iterations, each over all rows; with convergence-to-parties "
        "training ends when the weights have settled (a job without that permission has 100 by "
        'default); "auto": planned from the base rate (label-scale-to-parties)',
    )
    weight_bits: int = Field(
        default=10,
        ge=4,
        le=24,
        description="if the job reveals final weights to their owner, they are rounded to multiples of 2^-weight_bits",
    )
    clip: float | None = Field(
        default=None,
        gt=0,
        le=64,
        exclude_if=lambda clip: clip is None,
        description="standardised values are limited to [-clip, clip]; without it only to 128, the head-room "
        "of the protocol",
    )
    solver: Annotated[Solver, BeforeValidator(choose(("preconditioned", "sgd")))] = Field(
        default="preconditioned",
        exclude_if=lambda solver: solver == "preconditioned",
        description="steps over all rows; or mini-batches with momentum, which come near the optimum with "
        "only one batch of ciphertexts in memory",
    )
    batch_size: Annotated[
        Annotated[int, Field(ge=LEAST_BATCH, le=2**30)] | Literal["auto"],
        Values('a whole number from 32 to 2^30, or "auto"'),
    ] = Field(
        default="auto",
        exclude_if=lambda size: size == "auto",
        description='with solver = "sgd" the maximum number of rows in a batch; "auto": an eighth of the '
        "power of two above the number of rows, at most 8192; a run whose rows all fit in one "
        "batch is refused",
    )
    momentum: float = Field(
        default=0.9,
        ge=0,
        le=0.99,
        exclude_if=lambda momentum: momentum == 0.9,
        description='with solver = "sgd" the part of the previous step that is added to a step',
    )
    learning_rate_init: float = Field(
        default=1.0,
        gt=0,
        le=4,
        exclude_if=lambda rate: rate == 1,
        description='with solver = "sgd" the rate of the first steps, which falls to 0; max_iter * '
        "learning_rate_init / (1 - momentum) must be at least 10",
    )
    fit_intercept: bool = Field(
        default=True,
        exclude_if=lambda fit: fit is True,
        description="whether the guest fits an intercept, which is not penalised",
    )
    sample_weight: bool = Field(
        default=False,
        exclude_if=lambda weighted: not weighted,
        description="whether rows are weighted, by the column that data.weight of the guest's party file names",
    )
    score_bits: int = Field(
        default=GRID,
        exclude=True,
        ge=0,
        le=20,
        description="scores are opened to the guest with an error of half of 2^-score_bits, per host",
    )

    tol: float | None = Field(
        default=None,
        exclude_if=lambda tol: tol is None,
        ge=1e-5,
        le=1,
        description="training ends when the mean loss of the training rows, with the penalty, has not "
        "improved by this in n_iter_no_change iterations (loss-verdict-to-parties); for a linear "
        "regression the loss is half the mean squared error, in variances of the label",
    )
    early_stopping: bool = Field(
        default=False,
        exclude_if=lambda stops: not stops,
        description="whether the loss that ends training is that of rows held out for it; without tol the "
        "threshold is 1e-4",
    )
    validation_fraction: float = Field(
        default=FRACTION,
        exclude_if=lambda part: part == FRACTION,
        ge=0.01,
        le=0.5,
        description="with early_stopping, the part of the training rows that is held out for it",
    )
    n_iter_no_change: int = Field(
        default=EVERY,
        exclude_if=lambda every: every == EVERY,
        ge=5,
        le=1000,
        description="with tol or early_stopping, the number of iterations between two evaluations of the "
        "loss: at most a third of max_iter, and at least a hundredth",
    )

    @model_validator(mode="after")
    def _solver_alone(self) -> Self:
        if problem := sgd_problem(self.solver, self.max_iter, self.batch_size, self.momentum, self.learning_rate_init):
            name, why, remedy = problem
            raise Complaint(f"is {shown(getattr(self, name))}, which {why}", remedy, f"model.{name}")
        return self

    @model_validator(mode="after")
    def _stops_somewhere(self) -> Self:
        chosen = (
            self.max_iter,
            self.tol,
            self.early_stopping,
            self.validation_fraction,
            self.n_iter_no_change,
            self.solver,
        )
        for name, (what, remedy) in pointless(*chosen):
            raise Complaint(f"is {shown(getattr(self, name))}, which {what}", remedy, f"model.{name}")
        return self

    @property
    def stops(self) -> bool:
        """Whether the loss is evaluated, and ends training."""
        return self.tol is not None or self.early_stopping

    @property
    def decides(self) -> tuple[str, float] | None:
        """As `Spec.decides`."""
        return ("validation_fraction", self.validation_fraction) if self.early_stopping else None

    @property
    def announces(self) -> bool:
        """Whether the guest announces orders of magnitude of its labels and weights."""
        return self.sample_weight or self.max_iter == "auto"

    @property
    def looks_up(self) -> bool:
        """Whether its link is a look-up in a table, whose edge is watched."""
        return False

    @property
    def permits(self) -> tuple[str, ...]:
        """What its protocols reveal, besides the alignment."""
        edge = ("edge-count-to-arbiter",) if self.looks_up else ()
        scale = ("label-scale-to-parties",) if self.announces else ()
        loss = ("loss-verdict-to-parties",) if self.stops else ()
        return (*edge, *scale, *loss, "scores-to-guest")

    @property
    def settles(self) -> bool:
        """Whether a verdict on its weights can end training, where all parties may learn it."""
        return not self.stops and self.sgd is None

    @property
    def prepares(self) -> bool:
        """Whether its iterations can be prepared, several at once."""
        return True

    @property
    def shares_weights(self) -> bool:
        """Whether final weights stay shared with the arbiter unless a permission reveals them."""
        return True

    @property
    def family(self) -> Family:
        """The distribution of the label that the loss belongs to."""
        return "linear"

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return "numeric"

    @property
    @abstractmethod
    def strength(self) -> float:
        """alpha of the penalty alpha |w|^2 / 2 added to the sum of the losses (of counts: added to their mean)."""

    @property
    def weighs_classes(self) -> bool:
        """Whether rows weigh by their class."""
        return False

    @property
    def exposed(self) -> bool:
        """Whether the guest's column of weights is each row's exposure."""
        return False

    @property
    def curve(self) -> Literal["exact", "taylor"]:
        """How exactly the link is computed."""
        return "exact"

    @property
    def passes(self) -> int | None:
        """How many passes are made at most; None: planned from the base rate."""
        return None if isinstance(self.max_iter, str) else self.max_iter

    @property
    def sgd(self) -> Sgd | None:
        """Mini-batches, as the protocol takes them; None: steps over all rows."""
        return sgd_of(self.solver, self.batch_size, self.momentum, self.learning_rate_init)
