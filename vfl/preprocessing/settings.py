"""What the parties agreed that each does to its own columns: one set of rules for all of them, since nobody sees another's columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

from protocols.binning.merging import BinningRule
from protocols.errors import ConfigError
from protocols.values import check_types

IMPUTE = ("none", "mean", "median", "most_frequent", "constant")
ENCODE = ("none", "onehot", "quantile", "woe")
SCORECARD = (  # what a scorecard lets one choose
    "max_n_prebins", "min_bin_rows", "min_bin_size", "max_n_bins", "monotonic_trend", "special_codes",
    "max_missing", "min_iv", "max_correlation", "max_vif",
)  # fmt: skip


@dataclass(frozen=True)
class Preprocessing:
    """The steps, in the order in which they run; the names are scikit-learn's and optbinning's.  Every column is standardised afterwards.

    max_missing: columns that miss more than this part of the training rows are left out, and always those without any value.
    impute: what replaces a missing number: "none", "mean", "median", "most_frequent" (the smallest of equals) or "constant", which is fill_value;
    add_indicator: an additional column of 0 and 1 for each one that missed values in training.
    clip_quantiles: numbers are cut to these quantiles of the training rows, such as (0.01, 0.99).
    encode: "none" (numbers only), "onehot" (texts become columns of 0 and 1; those of fewer than min_frequency rows share one, unseen ones are all zeros),
    "quantile" (numbers too, as up to n_bins quantile bins), "woe" (every column becomes its weight of evidence, see `protocols.binning.by_label`).
    max_n_prebins ... monotonic_trend: of "woe", see `protocols.binning.merging.BinningRule`; special_codes: numbers that have a bin of their own.
    min_iv ("woe" only), min_variance, max_correlation, max_vif: columns that do not reach, or exceed, these on the training rows are left out;
    of two correlated ones that of less IV (else the later); by VIF the worst first.  All of it within a party: no correlation crosses.
    report_iv: the guest's report has WOE and IV of every party's columns, binned as for "woe", whatever becomes of them; hosts learn nothing of it.
    """

    max_missing: float = 1.0
    impute: Literal["none", "mean", "median", "most_frequent", "constant"] = "none"
    fill_value: float | None = None
    add_indicator: bool = False
    clip_quantiles: tuple[float, float] | None = None
    encode: Literal["none", "onehot", "quantile", "woe"] = "none"
    min_frequency: int = 1
    n_bins: int = 5
    max_n_prebins: int = 20
    min_bin_rows: int = 50
    min_bin_size: float = 0.05
    max_n_bins: int = 10
    monotonic_trend: str = "auto"
    special_codes: tuple[float, ...] = ()
    min_iv: float | None = None
    min_variance: float | None = None
    max_correlation: float | None = None
    max_vif: float | None = None
    report_iv: bool = False

    def __post_init__(self) -> None:
        check_types("preprocessing", self)
        cut = (0.0, 1.0) if self.clip_quantiles is None else self.clip_quantiles
        rules: tuple[tuple[str, bool, str], ...] = (
            ("max_missing", 0 <= self.max_missing <= 1, "a number from 0 to 1"),
            ("impute", self.impute in IMPUTE, "one of " + ", ".join(IMPUTE)),
            ("encode", self.encode in ENCODE, "one of " + ", ".join(ENCODE)),
            ("fill_value", self.fill_value is None or math.isfinite(self.fill_value), "a finite number"),
            ("clip_quantiles", _numbers(cut) and len(cut) == 2 and 0 <= cut[0] < cut[1] <= 1, "two numbers from 0 to 1, the smaller first"),
            ("min_frequency", _whole(self.min_frequency, 1, 10**9), "a whole number of at least 1"),
            ("n_bins", _whole(self.n_bins, 2, 256), "a whole number from 2 to 256"),
            ("special_codes", _numbers(self.special_codes), "a list of finite numbers"),
            ("min_iv", self.min_iv is None or self.min_iv >= 0, "a number of at least 0"),
            ("min_variance", self.min_variance is None or self.min_variance >= 0, "a number of at least 0"),
            ("max_correlation", self.max_correlation is None or 0 < self.max_correlation < 1, "a number between 0 and 1"),
            ("max_vif", self.max_vif is None or self.max_vif > 1, "a number above 1"),
        )
        for name, good, rule in rules:
            if not good:
                raise ConfigError(f"preprocessing: {name} = {getattr(self, name)!r} is not possible", remedy=f"{name} is {rule}")
        _ = self.rule
        self._check_unused()

    def _check_unused(self) -> None:
        """A parameter without effect is refused."""
        binning = ("max_n_prebins", "min_bin_rows", "min_bin_size", "max_n_bins", "monotonic_trend", "special_codes")
        needs: dict[str, tuple[bool, str]] = dict.fromkeys(binning, (self.bins_by_label, 'encode = "woe" or report_iv'))
        needs |= {
            "min_iv": (self.encode == "woe", 'encode = "woe"'),
            "report_iv": (self.encode != "woe", "another encode than woe, which reports IV anyway"),
            "fill_value": (self.impute == "constant", 'impute = "constant"'),
            "add_indicator": (self.impute != "none", "an impute other than none"),
            "n_bins": (self.encode == "quantile", 'encode = "quantile"'),
            "min_frequency": (self.encode in ("onehot", "quantile"), 'encode = "onehot" or "quantile"'),
        }
        for name, (used, what) in needs.items():
            if not used and getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise ConfigError(f"preprocessing: {name} has no effect", remedy=f"It goes with {what}: set that, or remove {name}")
        if self.impute == "constant" and self.fill_value is None:
            raise ConfigError('preprocessing: impute = "constant" lacks its number', remedy="Set fill_value")

    @property
    def rule(self) -> BinningRule:
        """How columns are binned by the label."""
        return BinningRule(self.max_n_prebins, self.min_bin_rows, self.min_bin_size, self.max_n_bins, self.monotonic_trend)

    @property
    def bins_by_label(self) -> bool:
        """Whether columns are binned by the label, which then has two values."""
        return self.encode == "woe" or self.report_iv

    @property
    def analysis(self) -> Preprocessing:
        """What bins the columns for the guest's report alone."""
        own = {"impute": "none", "fill_value": None, "add_indicator": False, "clip_quantiles": None, "encode": "woe", "report_iv": False}
        chosen = self.get_params() | own | dict.fromkeys(("min_variance", "max_correlation", "max_vif")) | {"n_bins": 5, "min_frequency": 1}
        return Preprocessing(**chosen)

    @property
    def takes_missing(self) -> bool:
        """Whether numbers may be missing: something fills or encodes them."""
        return self.impute != "none" or self.encode in ("quantile", "woe")

    @property
    def takes_texts(self) -> bool:
        """Whether columns may hold texts."""
        return self.encode != "none"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name."""
        return {name: getattr(self, name) for name in type(self).__dataclass_fields__}


def _numbers(values: object) -> bool:
    """Whether it is a list or tuple of finite numbers."""
    return isinstance(values, list | tuple) and all(isinstance(v, Real) and not isinstance(v, bool) and math.isfinite(v) for v in values)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
