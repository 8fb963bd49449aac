"""Regressions under scikit-learn's names: what to train, in Python and as [model] of a job file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from vfl.data.labels import Objective
from vfl.models.regression.base import Family, Regression
from vfl.schema.described import Values
from vfl.schema.section import Complaint, choose

Weight = Annotated[float, Field(gt=0, le=1e6)]


def _class_weight(value: object) -> object:
    if isinstance(value, str) and value != "balanced":
        raise Complaint(
            f'is "{value}", which is not known',
            'Write "balanced", or a weight for each value of the label: { yes = 2.0, no = 1.0 }',
        )
    return value


class LogisticRegression(Regression):
    """Vertical logistic regression: the guest has the labels, and every party its own columns.

    The objective is scikit-learn's, C * sum(loss) + ||w||^2 / 2. The intercept is the guest's and is not penalised.

    See Also
    --------
    vfl.models.regression.joint.FederatedModel : What `Federation.fit` returns.
    GridSearchCV : Chooses `C`.

    Notes
    -----
    A label of more than two values is fitted one against the rest: as many trainings after one alignment, and as many weights per column.

    Every ten iterations all parties learn one bit: whether the weights have settled, which ends training. If `max_iter`
    ends it first, a `ConvergenceWarning` says so. `max_iter="auto"` plans the limit from the base rate, of which hosts
    and arbiter then learn the order of magnitude. With `tol` or `early_stopping` the loss ends training: all parties
    then learn whether it has improved, at a few points; `solver="sgd"` makes all epochs, and nobody learns whether they were enough.

    `solver="preconditioned"` reaches the optimum. `solver="sgd"` comes near it, for tables whose ciphertexts do not fit
    into memory.

    What each party learns: the guest learns the scores of the rows that are scored. Hosts and arbiter learn no label,
    no weight and no score. With link "exact" the arbiter learns how many rows lie near the edge of the link's table, or
    the run stops. Final weights stay shared between their party and the arbiter, unless `Federation.local(reveal=...)`
    names the party. docs/leakage.md has every message.

    Cost: encrypted work grows with rows times columns times `max_iter`; link "taylor" takes less. `vfl check` estimates
    a job.

    Examples
    --------
    >>> model = fed.fit(vfl.LogisticRegression(C=0.5))
    >>> model.predict_score(bank, {"telecom": telecom}).shape
    (200,)
    """  # noqa: E501

    kind: Literal["logistic-regression"] = "logistic-regression"
    C: float = Field(
        default=1.0,
        gt=0,
        le=1e12,
        description="the weight of the loss against the penalty, as in scikit-learn",
    )
    link: Annotated[Literal["exact", "taylor"], BeforeValidator(choose(("exact", "taylor"), {}))] = Field(
        default="exact",
        description="the true logistic loss, or its second-order expansion, which is cheaper and whose "
        "probabilities are too flat",
    )
    num_class: int = Field(
        default=2,
        ge=2,
        le=100,
        exclude_if=lambda classes: classes == 2,
        description="how many values the label has; with more than two each is fitted against the rest, with "
        "its own weights",
    )
    class_weight: Annotated[
        Literal["balanced"] | dict[str | int | float | bool, Weight] | None,
        BeforeValidator(_class_weight),
        Values('"balanced", or a weight above 0 for values of the label, such as { yes = 2.0, no = 1.0 }'),
    ] = Field(
        default=None,
        exclude_if=lambda weights: weights is None,
        description="what a row weighs by its class; a value that is not named has weight 1; write numbers as "
        'texts, such as "1"',
    )

    @property
    def announces(self) -> bool:
        """Whether the guest announces orders of magnitude of its labels and weights."""
        return super().announces or self.weighs_classes

    @property
    def looks_up(self) -> bool:
        """Whether its link is a look-up in a table, whose edge is watched."""
        return self.link == "exact"

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return "binary" if self.num_class == 2 else "multiclass"

    @property
    def reads(self) -> Objective:
        """The same before the label's values are known."""
        return "multiclass"

    @property
    def family(self) -> Family:
        """The distribution of the label that the loss belongs to."""
        return "logistic"

    @property
    def strength(self) -> float:
        """alpha of the penalty alpha |w|^2 / 2, which is added to the sum of the losses."""
        return 1 / self.C

    @property
    def weighs_classes(self) -> bool:
        """Whether rows weigh by their class."""
        return self.class_weight is not None

    @property
    def curve(self) -> Literal["exact", "taylor"]:
        """How exactly the link is computed."""
        return self.link

    @property
    def vectors(self) -> int:
        """How many score vectors the guest gets of one model: of more than two classes one per class."""
        return self.num_class if self.num_class > 2 else 1

    @model_validator(mode="after")
    def _names_classes(self) -> LogisticRegression:
        if self.class_weight is not None and not self.class_weight:
            raise Complaint(
                "names no value of the label", "Remove it, or write a weight for each value", "model.class_weight"
            )
        return self


class LinearRegression(Regression):
    """Vertical least squares: the guest has a numeric label, and every party its own columns.

    The objective is that of scikit-learn's Ridge, ||y - X w - b||^2 + alpha ||w||^2. The intercept is the guest's and is not penalised.

    See Also
    --------
    vfl.models.regression.joint.FederatedModel : What `Federation.fit` returns.

    Notes
    -----
    The guest standardises the label, so weights are in its standard deviations; that scale stays with the guest. `tol` is in half the mean
    squared error of the standardised label. For `max_iter`, `tol` and `solver` see `LogisticRegression`.

    What each party learns: the guest learns the scores of the rows that are scored. Hosts and arbiter learn no label,
    no weight and no score. Final weights stay shared between their party and the arbiter, unless
    `Federation.local(reveal=...)` names the party.

    Cost: encrypted work grows with rows times columns times `max_iter`. `vfl check` estimates a job.

    Examples
    --------
    >>> spend = bank.assign(default=bank["age"] + telecom["bill"]).rename(columns={"default": "spend"})
    >>> numbers = vfl.Federation.local(spend, {"telecom": telecom}, on="id", label="spend", cipher=Identity())
    >>> model = numbers.fit(vfl.LinearRegression(alpha=1.0))
    >>> bool(model.score(spend, {"telecom": telecom}) > 0.99)
    True
    """  # noqa: E501

    kind: Literal["linear-regression"] = "linear-regression"
    alpha: float = Field(
        default=1.0,
        gt=0,
        le=1e12,
        description="the weight of the penalty, as in scikit-learn's Ridge",
    )

    @property
    def strength(self) -> float:
        """alpha of the penalty alpha |w|^2 / 2, which is added to the sum of the losses."""
        return self.alpha


class PoissonRegression(Regression):
    """Vertical regression of counts with a log link: the guest has the counts, and every party its own columns.

    The objective is that of scikit-learn's PoissonRegressor, half the mean deviance + alpha ||w||^2 / 2. The intercept is the guest's and is
    not penalised.

    See Also
    --------
    vfl.models.regression.joint.FederatedModel : What `Federation.fit` returns.

    Notes
    -----
    With `exposure=True` the guest's column of weights (`Federation.local(sample_weight=...)`) is each row's exposure, such as policy years:
    the label counts events in it, and predictions are frequencies, events per unit of exposure. It is fitted as PoissonRegressor is to
    count / exposure with `sample_weight=exposure`. For `max_iter`, `tol` and `solver` see `LogisticRegression`.

    A run in which a row's mean ends far above the labels' mean stops with an error: from 19 times on it may, above 32
    times it does.

    What each party learns: the guest learns the scores of the rows that are scored. Hosts and arbiter learn the power
    of two above the labels' mean, and no label, no weight and no score. The arbiter learns how many rows lie near the
    edge of the link's table, or the run stops. Final weights stay shared between their party and the arbiter, unless
    `Federation.local(reveal=...)` names the party.

    Cost: encrypted work grows with rows times columns times `max_iter`. `vfl check` estimates a job.

    Examples
    --------
    >>> claims = bank.assign(default=bank["default"] + 1).rename(columns={"default": "claims"})
    >>> counts = vfl.Federation.local(claims, {"telecom": telecom}, on="id", label="claims", cipher=Identity())
    >>> model = counts.fit(vfl.PoissonRegression(alpha=0.01))
    >>> bool(model.predict(claims, {"telecom": telecom}).gt(0).all())
    True
    """  # noqa: E501

    kind: Literal["poisson-regression"] = "poisson-regression"
    alpha: float = Field(
        default=1.0,
        gt=0,
        le=1e12,
        description="the weight of the penalty, as in scikit-learn's PoissonRegressor",
    )

    exposure: bool = Field(
        default=False,
        exclude_if=lambda exposed: not exposed,
        description="whether the column named by data.weight of the guest's party file is each row's exposure "
        "(policy years): the label counts the events in it, predictions are events per unit of "
        "exposure, and metrics compare predictions times exposure with the counts; not with "
        "sample_weight",
    )

    def check_file(self) -> None:
        """One column of the guest's table weighs rows, or is their exposure."""
        if self.exposure and self.sample_weight:
            what = "is true together with sample_weight, and data.weight names one column, which is either"
            raise Complaint(what, "Remove one of them: exposures weigh rows by themselves", "model.exposure")

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

    @property
    def family(self) -> Family:
        """The distribution of the label that the loss belongs to."""
        return "poisson"

    @property
    def strength(self) -> float:
        """alpha of the penalty alpha |w|^2 / 2, which is added to the mean of the losses."""
        return self.alpha

    @property
    def exposed(self) -> bool:
        """Whether the guest's column of weights is each row's exposure."""
        return self.exposure
