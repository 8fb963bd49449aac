"""The sections [model] of regressions, under scikit-learn's names."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from protocols.glm.plan import LEAST_BATCH
from vfl.data.columns import Objective
from vfl.models.regression.solvers import Solver, sgd_problem
from vfl.models.regression.stopping import EVERY, FRACTION, pointless
from vfl.schema.section import Complaint, Section, choose, shown

GRID = 10  # default of disclosure.score_bits

Weight = Annotated[float, Field(gt=0, le=1e6)]


def _class_weight(value: object) -> object:
    if isinstance(value, str) and value != "balanced":
        raise Complaint(
            f'is "{value}", which is not known', 'Write "balanced", or a weight for each value of the label: { yes = 2.0, no = 1.0 }'
        )
    return value


def _max_iter(value: object) -> object:
    if value == "auto" or (type(value) is int and 5 <= value <= 10_000):
        return value
    rule = 'Expected the number of iterations, a whole number from 5 to 10000 (default 100), or "auto"'
    raise Complaint(f"is {shown(value)}", f"{rule}: earlier weights tell too much" if value in range(5) else rule)


class Regression(Section):
    """What all regressions have.  What later releases added is no part of the digest at its default."""

    max_iter: Annotated[int | Literal["auto"], BeforeValidator(_max_iter)] = Field(
        default=100,
        description='the number of iterations, a whole number from 5 to 10000 (default 100), or "auto": planned from the base rate',
    )
    weight_bits: int = Field(
        default=10,
        ge=4,
        le=24,
        description="4 to 24 (default 10): where the job reveals final weights to their owner, they are rounded to multiples of 2^-weight_bits",
    )
    clip: float = Field(
        default=6.0,
        gt=0,
        le=64,
        description="a number above 0, at most 64 (default 6): standardised values are cut to [-clip, clip]",
    )
    solver: Annotated[Solver, BeforeValidator(choose(("preconditioned", "sgd")))] = Field(
        default="preconditioned",
        exclude_if=lambda solver: solver == "preconditioned",
        description='"preconditioned" (default): steps over all rows; or "sgd": mini-batches with momentum',
    )
    batch_size: Annotated[int, Field(ge=LEAST_BATCH, le=2**30)] | Literal["auto"] = Field(
        default="auto",
        exclude_if=lambda size: size == "auto",
        description=f'with solver = "sgd" the most rows of a batch, a whole number of at least {LEAST_BATCH}, or "auto" (default)',
    )
    momentum: float = Field(
        default=0.9,
        ge=0,
        le=0.99,
        exclude_if=lambda momentum: momentum == 0.9,
        description='with solver = "sgd" the part of a step that the next one repeats, a number from 0 to 0.99 (default 0.9)',
    )
    learning_rate_init: float = Field(
        default=1.0,
        gt=0,
        le=4,
        exclude_if=lambda rate: rate == 1,
        description='with solver = "sgd" the rate of the first step, a number above 0, at most 4 (default 1.0)',
    )
    fit_intercept: bool = Field(
        default=True, exclude_if=lambda fit: fit is True, description="true (default) or false: whether the guest fits an intercept"
    )
    sample_weight: bool = Field(
        default=False,
        exclude_if=lambda weighted: not weighted,
        description="true where the guest's table weighs rows, false (default) where not",
    )

    tol: float | None = Field(
        default=None,
        exclude_if=lambda tol: tol is None,
        ge=1e-5,
        le=1,
        description="a number from 1e-5 to 1: training ends where the mean loss has not improved by it in n_iter_no_change iterations (left out: never)",
    )
    early_stopping: bool = Field(
        default=False,
        exclude_if=lambda stops: not stops,
        description="true, or false (default): whether the loss that ends training is that of rows held out for it",
    )
    validation_fraction: float = Field(
        default=FRACTION,
        exclude_if=lambda part: part == FRACTION,
        ge=0.01,
        le=0.5,
        description="with early_stopping, the part of the training rows that is held out for it, from 0.01 to 0.5 (default 0.1)",
    )
    n_iter_no_change: int = Field(
        default=EVERY,
        exclude_if=lambda every: every == EVERY,
        ge=5,
        le=1000,
        description="with tol or early_stopping, the number of iterations between two evaluations of the loss, 5 to 1000 (default 10)",
    )

    @model_validator(mode="after")
    def _solver_alone(self) -> Self:
        if problem := sgd_problem(self.solver, self.max_iter, self.batch_size, self.momentum, self.learning_rate_init):
            name, why, remedy = problem
            raise Complaint(f"is {shown(getattr(self, name))}, which {why}", remedy, f"model.{name}")
        return self

    @model_validator(mode="after")
    def _stops_somewhere(self) -> Self:
        chosen = (self.max_iter, self.tol, self.early_stopping, self.validation_fraction, self.n_iter_no_change, self.solver)
        for name, (what, remedy) in pointless(*chosen):
            raise Complaint(f"is {shown(getattr(self, name))}, which {what}", remedy, f"model.{name}")
        return self

    @property
    def stops(self) -> bool:
        """Whether the loss is opened, and ends training."""
        return self.tol is not None or self.early_stopping

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
        loss = ("loss-to-arbiter",) if self.stops else ()
        return (*edge, *scale, *loss, "scores-to-guest")

    @property
    def shares_weights(self) -> bool:
        """Whether final weights stay shared with the arbiter unless a permission reveals them."""
        return True

    @property
    def folds_are_hidden(self) -> bool:
        """Whether nobody learns a weight of a fold's model."""
        return True

    @property
    def needs_arbiter(self) -> bool:
        """Whether its protocols need one, whatever the number of hosts."""
        return True

    @property
    def arbiter_does(self) -> str:
        """What the arbiter does for it."""
        return "holds the decryption key"

    @property
    def score_bits(self) -> int | None:
        """The default grid of opened scores; None where scores are not opened by a sum."""
        return GRID

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return "numeric"

    @property
    def takes_missing(self) -> bool:
        """Whether features may miss values."""
        return False

    @property
    def takes_texts(self) -> bool:
        """Whether features may be categories."""
        return False

    @property
    def keeps_leaves(self) -> bool:
        """Whether the arbiter keeps the leaf values of the model."""
        return False


class LogisticRegression(Regression):
    """A regression on the log-odds of the label's larger value, or one-vs-rest of each of several values."""

    kind: Literal["logistic-regression"]
    C: float = Field(
        default=1.0,
        gt=0,
        description="a number above 0 (default 1.0): the weight of the loss against the penalty, as in scikit-learn",
    )
    link: Annotated[Literal["exact", "taylor"], BeforeValidator(choose(("exact", "taylor"), {}))] = Field(
        default="exact", description='"exact" (default) or "taylor"'
    )
    num_class: int = Field(
        default=2,
        ge=2,
        le=100,
        exclude_if=lambda classes: classes == 2,
        description="2 (default) to 100: how many values the label has; of more than two each is fitted against the rest",
    )
    class_weight: Annotated[Literal["balanced"] | dict[str, Weight] | None, BeforeValidator(_class_weight)] = Field(
        default=None,
        exclude_if=lambda weights: weights is None,
        description='"balanced", or a weight above 0 for each value of the label, such as { yes = 2.0, no = 1.0 }',
    )

    @property
    def announces(self) -> bool:
        """Whether the guest announces orders of magnitude of its labels and weights."""
        return super().announces or self.class_weight is not None

    @property
    def looks_up(self) -> bool:
        """Whether its link is a look-up in a table, whose edge is watched."""
        return self.link == "exact"

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return "binary" if self.num_class == 2 else "multiclass"

    @model_validator(mode="after")
    def _names_classes(self) -> LogisticRegression:
        if self.class_weight is not None and not self.class_weight:
            raise Complaint("names no value of the label", "Remove it, or write a weight for each value", "model.class_weight")
        return self


class LinearRegression(Regression):
    """Least squares on a number."""

    kind: Literal["linear-regression"]
    alpha: float = Field(
        default=1.0, gt=0, description="a number above 0 (default 1.0): the weight of the penalty, as in scikit-learn's Ridge"
    )


class PoissonRegression(Regression):
    """A regression on the logarithm of an expected count."""

    kind: Literal["poisson-regression"]
    alpha: float = Field(
        default=1.0, gt=0, description="a number above 0 (default 1.0): the weight of the penalty, as in scikit-learn's PoissonRegressor"
    )

    exposure: bool = Field(
        default=False,
        exclude_if=lambda exposed: not exposed,
        description="true where the guest's column of weights is each row's exposure, of which the label counts the events, false (default) where not",
    )

    @model_validator(mode="after")
    def _weighs_once(self) -> Self:
        if self.exposure and self.sample_weight:
            what = "is true together with sample_weight, and data.weight names one column, which is either"
            raise Complaint(what, "Remove one of them: exposures weigh rows by themselves", "model.exposure")
        return self

    @property
    def announces(self) -> bool:
        """Whether the guest announces orders of magnitude of its labels and weights."""
        return True

    @property
    def looks_up(self) -> bool:
        """Whether its link is a look-up in a table, whose edge is watched."""
        return True

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return "count"
