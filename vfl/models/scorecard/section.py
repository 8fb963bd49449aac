"""The section [model] of a scorecard's job: binning under optbinning's names, the regression under scikit-learn's, and the scale of points."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from vfl.data.columns import Objective
from vfl.preprocessing import Preprocessing
from vfl.preprocessing.section import Binning
from vfl.preprocessing.settings import SCORECARD
from vfl.schema.section import choose


class Scorecard(Binning):
    """Weights of evidence, a logistic regression, points."""

    kind: Literal["scorecard"]
    base_score: float = Field(
        default=600.0, ge=-1e5, le=1e5, description="a number (default 600): the points of a row with odds of base_odds to 1"
    )
    base_odds: float = Field(
        default=50.0, ge=1e-6, le=1e6, description="a number above 0 (default 50): odds that there is no event, at base_score points"
    )
    pdo: float = Field(default=20.0, ge=1, le=1e4, description="a number from 1 (default 20): the number of points that double the odds")
    C: float = Field(
        default=1.0, gt=0, description="a number above 0 (default 1.0): the weight of the loss against the penalty, as in scikit-learn"
    )
    max_iter: int = Field(
        default=100, ge=5, le=10_000, description="the number of iterations, a whole number from 5 to 10000 (default 100)"
    )
    link: Annotated[Literal["exact", "taylor"], BeforeValidator(choose(("exact", "taylor"), {}))] = Field(
        default="exact", description='"exact" (default) or "taylor"'
    )
    weight_bits: int = Field(
        default=10,
        ge=4,
        le=24,
        description="4 to 24 (default 10): where the job reveals final weights to their owner, they are rounded to multiples of 2^-weight_bits",
    )
    open_names: bool = Field(default=False, description="true, or false (default): whether hosts tell the guest their columns' names")

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
    def score_bits(self) -> None:
        """Scores are sums of whole points: there is no grid to choose."""
        return None

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return "binary"

    @property
    def takes_missing(self) -> bool:
        """Whether features may miss values: these have a bin."""
        return True

    @property
    def takes_texts(self) -> bool:
        """Whether features may be categories: these are binned too."""
        return True

    @property
    def keeps_leaves(self) -> bool:
        """Whether the arbiter keeps the leaf values of the model."""
        return False
