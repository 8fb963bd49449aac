"""What to train, under the names of scikit-learn, optbinning and the scorecard literature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vfl.models.estimators import LogisticRegression
from vfl.models.scorecard.points import Scale
from vfl.models.scorecard.program import ScorecardJob
from vfl.preprocessing import Preprocessing
from vfl.preprocessing.settings import SCORECARD
from vfl.schema.parameters import FULL_KEY_BITS, Parameters, check_key_bits


@dataclass(frozen=True, repr=False)
class Scorecard(Parameters):
    """A vertical scorecard: every column binned by the label, a logistic regression on the weights of evidence, points.

    base_score points stand for odds of base_odds to 1 that there is no event (the label's larger value); pdo points more double the odds.
    C, max_iter, link, weight_bits, key_bits: of the regression, as `vfl.LogisticRegression`.
    max_n_prebins ... max_vif: of the binning and the selection of columns, as `vfl.preprocessing.Preprocessing`.
    open_names: hosts tell the guest the names of their columns; else the guest knows them by numbers.
    A host learns the events of its own final bins, whether or not weights and points are revealed to it (docs/protocols/woe.md).
    """

    base_score: float = 600.0
    base_odds: float = 50.0
    pdo: float = 20.0
    C: float = 1.0
    max_iter: int = 100
    link: Literal["exact", "taylor"] = "exact"
    weight_bits: int = 10
    max_n_prebins: int = 20
    min_bin_rows: int = 50
    min_bin_size: float = 0.05
    max_n_bins: int = 10
    monotonic_trend: Literal["auto", "ascending", "descending", "none"] = "auto"
    special_codes: tuple[float, ...] = ()
    max_missing: float = 1.0
    min_iv: float | None = None
    max_correlation: float | None = None
    max_vif: float | None = None
    open_names: bool = False
    key_bits: int = FULL_KEY_BITS

    def __post_init__(self) -> None:
        self.check((("open_names", isinstance(self.open_names, bool), "True or False"),))
        LogisticRegression(C=self.C, max_iter=self.max_iter, link=self.link, weight_bits=self.weight_bits)
        _ = self.scale, self.preprocessing
        check_key_bits(self.key_bits)

    @property
    def scale(self) -> Scale:
        return Scale(self.base_score, self.base_odds, self.pdo)

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(encode="woe", **{name: getattr(self, name) for name in SCORECARD})

    def job(self, *, min_intersection: int, keys: int, reveal: tuple[str, ...] = (), **split: Any) -> ScorecardJob:
        """As the program takes it; split: what is held out."""
        return ScorecardJob(
            self.preprocessing,
            self.scale,
            self.C,
            self.max_iter,
            self.link,
            self.weight_bits,
            reveal,
            self.open_names,
            min_intersection=min_intersection,
            keys=keys,
            **split,
        )
