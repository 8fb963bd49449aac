"""Scorecards: binning under optbinning's names, the regression under scikit-learn's, and the scale of points; in Python
and as [model] of a job file."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from vfl.models.regression.base import MAX_ITER
from vfl.models.scorecard.points import Scale
from vfl.preprocessing import Preprocessing
from vfl.preprocessing.settings import SCORECARD, Binning
from vfl.schema.section import choose
from vfl.schema.spec import Spec


class Scorecard(Binning, Spec):
    """A vertical scorecard: every column binned by the label, a logistic regression on the weights of evidence, and
    whole points.

    `base_score` points stand for odds of `base_odds` to 1 that there is no event, which is the label's larger value;
    `pdo` points more double the odds.

    See Also
    --------
    vfl.models.scorecard.joint.FederatedScorecard : What `Federation.fit` returns.
    Preprocessing : The same binning before a regression.

    Notes
    -----
    Binning and the selection of columns are those of `Preprocessing`; the regression is that of `LogisticRegression`. With `open_names` hosts
    give the guest the names of their columns; else the guest knows them by numbers.

    What each party learns: the guest learns how many rows and events each fine bin of a host's columns holds, and the
    scores of the rows that are scored. A host learns the number of events in its own final bins, whether or not weights
    and points are revealed to it (docs/protocols/woe.md). Points are revealed to the parties that
    `Federation.local(reveal=...)` names.

    Cost: one encrypted label per row for the bins, then a logistic regression. `vfl check` estimates a job.

    Examples
    --------
    >>> card = known.fit(vfl.Scorecard(max_n_bins=3, min_bin_rows=10))
    >>> sorted(card.points())
    ['guest', 'telecom']
    >>> points = card.predict_points(bank.drop(columns="default"), {"telecom": telecom})
    >>> bool(points[bank["default"].to_numpy()].mean() < points.mean())
    True
    """  # noqa: E501

    BINS: ClassVar = "a scorecard bins every column, as [model] says"

    kind: Literal["scorecard"] = "scorecard"
    base_score: float = Field(
        default=600.0,
        ge=-1e5,
        le=1e5,
        description="the points of a row with odds of base_odds to 1",
    )
    base_odds: float = Field(
        default=50.0,
        ge=1e-6,
        le=1e6,
        description="odds that there is no event, at base_score points",
    )
    pdo: float = Field(
        default=20.0,
        ge=1,
        le=1e4,
        description="the number of points that double the odds",
    )
    C: float = Field(
        default=1.0,
        gt=0,
        le=1e12,
        description="the weight of the loss against the penalty, on standardised weights of evidence",
    )
    max_iter: int = Field(
        default=MAX_ITER,
        ge=5,
        le=10_000,
        description="the maximum number of iterations; with convergence-to-parties training ends when the "
        "weights have settled (a job without that permission has 100 by default)",
    )
    link: Annotated[Literal["exact", "taylor"], BeforeValidator(choose(("exact", "taylor"), {}))] = Field(
        default="exact",
        description="the true logistic loss, or its second-order expansion, which is cheaper and whose "
        "probabilities are too flat",
    )
    weight_bits: int = Field(
        default=10,
        ge=4,
        le=24,
        description="if the job reveals final weights to their owner, they are rounded to multiples of 2^-weight_bits",
    )
    open_names: bool = Field(default=False, description="whether hosts tell the guest their columns' names")

    @property
    def scale(self) -> Scale:
        """What points stand for."""
        return Scale(self.base_score, self.base_odds, self.pdo)

    @property
    def preprocessing(self) -> Preprocessing:
        """As the program takes it."""
        chosen: dict[str, Any] = {name: getattr(self, name) for name in SCORECARD}
        return Preprocessing(encode="woe", **chosen)

    @property
    def permits(self) -> tuple[str, ...]:
        """What its protocols reveal, besides the alignment."""
        names = ("column-names-to-guest",) if self.open_names else ()
        edge = ("edge-count-to-arbiter",) if self.link == "exact" else ()
        return ("bin-events-to-guest", *names, "woe-to-host", *edge, "scores-to-guest")

    @property
    def settles(self) -> bool:
        """Whether a verdict on its weights can end training, where all parties may learn it."""
        return True

    @property
    def prepares(self) -> bool:
        """Whether its iterations can be prepared, several at once."""
        return True

    @property
    def shares_weights(self) -> bool:
        """Whether final weights stay shared with the arbiter unless a permission reveals them."""
        return True

    @property
    def takes_missing(self) -> bool:
        """Whether features may miss values: these have a bin."""
        return True

    @property
    def takes_texts(self) -> bool:
        """Whether features may be categories: these are binned too."""
        return True

    @property
    def bins_by_label(self) -> bool:
        """Whether columns are binned by the label."""
        return True
