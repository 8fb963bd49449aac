"""What a run promises of differential privacy: as `[privacy]` of a job file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from vfl.models import accounting
from vfl.schema.declared import Declared
from vfl.schema.described import Values
from vfl.schema.section import Complaint, check_column, listed

Bounds = tuple[float, float]


def _ordered(bounds: dict[str, Bounds]) -> dict[str, Bounds]:
    for name, (low, high) in bounds.items():
        check_column(name)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise Complaint(f"gives '{name}' a lower bound that is not below its upper one", "Write [low, high]")
    return bounds


class Privacy(Declared):
    """Differential privacy: what is opened carries noise, so that it hardly depends on any one row, member or label.

    Of an averaging, members clip what they send, and each adds a part of the noise before it is masked. So nobody ever holds a sum
    without noise. Of a scorecard, or a regression with `encode="woe"`, the guest adds noise to the events of bins before a host
    learns them; of any other logistic regression it adds noise to the labels that are trained on. An event is at most exp(`epsilon`)
    times as likely, plus `delta`, as in the same run without that row or member, or with another label of that row.

    See Also
    --------
    Averaging : Takes `unit="row"` and `unit="member"`.
    Scorecard : Takes `unit="label"`.
    LogisticRegression : Takes `unit="label"`.

    Notes
    -----
    What each party learns: what it learns without noise, but the sums, and the model that is computed from them, carry noise. The
    promise holds towards all parties together, as long as `min_members - 2` members at most deviate, or tell the aggregator what
    they know; it holds whatever model the aggregator chooses. It is about all sums of one run. It is not about
    who takes part, how long a member needs, or what other runs open. With `unit="row"` numbers of rows are hidden too.

    With `unit="row"` each row's gradient is clipped, and a round is one step over all rows: `local_epochs=1` and no `batch_size`. With
    `unit="member"` the whole update of a member is clipped, and all members weigh the same. That protects everything that a
    member holds, and needs many members. docs/protocols/noise.md derives all three.

    With `unit="label"` the promise is about what all hosts together learn of each training row's label. With bins by the label it is
    refused where a host would learn anything else that is computed from labels: revealed weights, verdicts on weights (`convergence`) or
    on the loss. It then says nothing about a run that stops because predictors left their range. A logistic regression of two classes
    without such bins is trained on labels with noise: then weights may be revealed to hosts and verdicts on weights opened, and the
    promise holds also if hosts and arbiter deviate and put together what they have. It says nothing about what the guest learns.

    Cost: a discrete Gaussian draw for each number that is sent, and for `unit="row"` one gradient per row. The accounting is
    dp-accounting's: `pip install "vfl[dp]"`.

    Examples
    --------
    >>> vfl.Privacy(epsilon=2, delta=1e-6, bounds={"age": (18, 100), "limit": (0, 500_000)})
    Privacy(epsilon=2.0, delta=1e-06, bounds={'age': (18.0, 100.0), 'limit': (0.0, 500000.0)})
    """  # noqa: E501

    epsilon: float = Field(
        ge=1e-3,
        le=100,
        description="by how much the logarithm of a probability may depend on one row or member; 1 is strong, 10 weak",
    )
    delta: float = Field(
        gt=0,
        le=1e-3,
        description="a probability with which epsilon may not hold; choose it far below 1 / rows",
    )
    unit: Literal["row", "member", "label", "id"] = Field(
        default="row",
        description="what is protected: of an averaging each row of each member, or all that a member holds; of bins "
        "by the label, or of labels that a logistic regression is trained on, each label, from hosts; of the "
        "size of an intersection each id of the other party",
    )
    clip: float = Field(
        default=1.0,
        gt=0,
        le=1e6,
        description="of an averaging, the longest that one row's gradient, or one member's update, is (L2)",
    )
    bounds: Annotated[
        dict[str, Bounds],
        AfterValidator(_ordered),
        Values("a table of columns, each with [low, high], such as bounds = { age = [18, 100] }"),
    ] = Field(
        default={},
        description="of an averaging, for each feature and a label that is a number or count: values outside are taken "
        "as the nearer bound when common means and deviations are computed. Choose them without the rows",
    )

    @model_validator(mode="after")
    def _go_together(self) -> Privacy:
        """What would do nothing is refused."""
        if self.unit in ("label", "id"):
            for name in ("clip", "bounds"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    what = (
                        'is given, and with unit = "' + self.unit + '" nothing is clipped: one changes a count by one'
                    )
                    raise Complaint(what, "Leave it out", f"privacy.{name}")
        return self

    def multiplier(self, releases: int) -> Fraction:
        """Of the noise of each of this number of releases.  Raises ConfigError."""
        return accounting.multiplier(self.epsilon, self.delta, releases)

    def of(self, names: Sequence[str]) -> tuple[Bounds, ...]:
        """The bounds of these columns.  Raises Complaint where one has none, or another one has some."""
        missing = [f"'{name}'" for name in names if name not in self.bounds]
        if missing:
            raise Complaint(
                f"lacks {listed(missing[:10], 'and')}",
                "Give bounds to each feature, and to a label that is a number or count, chosen without the rows",
                "privacy.bounds",
            )
        if more := [f"'{name}'" for name in self.bounds if name not in names]:
            raise Complaint(
                f"names {listed(more[:10], 'and')}, which is no feature, or a label of 0 and 1",
                "Leave it out",
                "privacy.bounds",
            )
        return tuple(self.bounds[name] for name in names)
