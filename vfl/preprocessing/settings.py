"""What the parties agreed that each does to its own columns: one set of rules for all of them, since nobody sees
another's columns."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from protocols.binning.merging import TRENDS, BinningRule
from protocols.errors import ConfigError
from vfl.schema.declared import Declared
from vfl.schema.described import Values
from vfl.schema.section import Complaint, choose

IMPUTE = ("none", "mean", "median", "most_frequent", "constant")
ENCODE = ("none", "onehot", "quantile", "woe")


def _absent(value: object) -> bool:
    return value is None


class Binning(Declared):
    """How columns are binned by the label, and which are left out; a scorecard has these keys too."""

    max_missing: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="columns with a larger part of missing rows are left out, and always those without any value",
    )
    max_n_prebins: int = Field(
        default=20,
        ge=2,
        le=256,
        description="how many quantile bins, or most frequent categories, a column starts with",
    )
    min_bin_rows: int = Field(
        default=50,
        ge=1,
        le=1_000_000,
        description="the guest receives no count over fewer rows",
    )
    min_bin_size: float = Field(
        default=0.05,
        ge=0,
        le=0.5,
        description="the minimum part of the training rows in a final bin",
    )
    max_n_bins: int = Field(
        default=10, ge=2, le=256, description="the maximum number of final bins of a column, without the special bins"
    )
    monotonic_trend: Annotated[
        Literal["auto", "ascending", "descending", "none"], BeforeValidator(choose(TRENDS, {}))
    ] = Field(
        default="auto",
        description='how the event rate changes over the bins of a number; "auto": ascending or descending, '
        "whichever has more IV",
    )
    special_codes: Annotated[tuple[float, ...], Values("a list of numbers, such as [-999]")] = Field(
        default=(), description="numbers that have their own bin"
    )
    min_iv: float | None = Field(
        default=None,
        ge=0,
        exclude_if=_absent,
        description="columns with less IV are left out",
    )
    max_correlation: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        exclude_if=_absent,
        description="if two columns of one party correlate more, the one with less IV, or else the later one, "
        "is left out",
    )
    max_vif: float | None = Field(
        default=None,
        gt=1,
        exclude_if=_absent,
        description="a party's columns with a larger variance inflation are left out, the worst first",
    )


SCORECARD = tuple(Binning.model_fields)  # what a scorecard lets one choose


class Preprocessing(Binning):
    """What every party does to its own columns before a regression, in this order; every column is standardised
    afterwards.

    The names are scikit-learn's and optbinning's.

    Notes
    -----
    Columns without any value are always left out. "most_frequent" takes the smallest of equals. `encode`: "none" takes numbers only; "onehot"
    makes texts columns of 0 and 1, where texts of fewer than `min_frequency` rows share one and unseen texts are all zeros; "quantile" bins
    numbers too, into up to `n_bins` quantile bins; "woe" replaces every column by its weight of evidence (`protocols.binning.by_label`).
    `max_n_prebins`, `min_bin_rows`, `min_bin_size`, `max_n_bins` and `monotonic_trend` are of "woe". Columns that do not reach `min_iv` ("woe"
    only) or `min_variance`, or that exceed `max_correlation` or `max_vif`, are left out: of two correlated columns the one with less IV (else
    the later one); by VIF the worst first. No correlation is computed across parties.

    What each party learns: nothing, with `encode` "none", "onehot" and "quantile". With "woe" the guest learns how many
    rows and events each fine bin of a host's columns holds, and a host the number of events in its own final bins. With
    `report_iv` the guest learns the same, and hosts learn nothing.

    Cost: none, but for "woe" and `report_iv`: one encrypted label per row.

    Examples
    --------
    >>> steps = vfl.Preprocessing(impute="median", clip_quantiles=(0.01, 0.99))
    >>> model = fed.fit(vfl.LogisticRegression(link="taylor"), preprocess=steps)
    >>> model.n_features_in_
    4
    """  # noqa: E501

    FILE_ONLY: ClassVar = ("open_names",)

    impute: Annotated[
        Literal["none", "mean", "median", "most_frequent", "constant"], BeforeValidator(choose(IMPUTE, {}))
    ] = Field(default="none", description="what replaces a missing number")
    fill_value: float | None = Field(
        default=None, exclude_if=_absent, description='what replaces it with impute = "constant"'
    )
    add_indicator: bool = Field(
        default=False,
        description="whether a column of 0 and 1 is added for each imputed column",
    )
    clip_quantiles: Annotated[tuple[float, float] | None, Values("two numbers from 0 to 1, such as [0.01, 0.99]")] = (
        Field(
            default=None,
            exclude_if=_absent,
            description="numbers are limited to these quantiles",
        )
    )
    encode: Annotated[Literal["none", "onehot", "quantile", "woe"], BeforeValidator(choose(ENCODE, {}))] = Field(
        default="none",
        description='how texts, and numbers, are encoded: "onehot" makes texts columns of 0 and 1; "quantile" '
        'bins numbers too, by quantiles; "woe" replaces every column by its weight of evidence, '
        "which discloses what a scorecard discloses",
    )
    min_frequency: int = Field(
        default=1,
        ge=1,
        le=10**9,
        description="texts with fewer rows share a column; a text unseen in training is all zeros",
    )
    n_bins: int = Field(default=5, ge=2, le=256, description='the number of quantile bins, with encode = "quantile"')
    min_variance: float | None = Field(
        default=None,
        ge=0,
        exclude_if=_absent,
        description="columns whose variance does not exceed it are left out",
    )
    report_iv: bool = Field(
        default=False,
        description="whether the guest's report has WOE and IV of every party's columns, binned as for \"woe\", "
        "also of columns that are left out; hosts learn nothing",
    )
    open_names: bool = Field(
        default=False,
        description='whether hosts tell the guest their columns\' names, with encode = "woe" or report_iv',
    )

    @model_validator(mode="after")
    def _fits(self) -> Preprocessing:
        if self.open_names and not self.bins_by_label:
            what = "is true, but no names are opened"
            raise Complaint(what, 'It goes with encode = "woe" or report_iv: remove it', "preprocess.open_names")
        if self.clip_quantiles is not None and not 0 <= self.clip_quantiles[0] < self.clip_quantiles[1] <= 1:
            raise Complaint(
                "is no range", "Expected two numbers from 0 to 1, the smaller first", "preprocess.clip_quantiles"
            )
        try:
            _ = self.rule
        except ConfigError as error:
            raise Complaint(f"is not possible: {error.what}", error.remedy, "preprocess.max_n_bins") from None
        self._check_unused()
        return self

    def _check_unused(self) -> None:
        """A parameter without effect is refused."""
        needs: dict[str, tuple[bool, str]] = dict.fromkeys(
            BinningRule.__dataclass_fields__, (self.bins_by_label, 'encode = "woe" or report_iv')
        )
        needs |= {
            "special_codes": (self.bins_by_label, 'encode = "woe" or report_iv'),
            "min_iv": (self.encode == "woe", 'encode = "woe"'),
            "report_iv": (self.encode != "woe", "another encode than woe, which reports IV anyway"),
            "fill_value": (self.impute == "constant", 'impute = "constant"'),
            "add_indicator": (self.impute != "none", "an impute other than none"),
            "n_bins": (self.encode == "quantile", 'encode = "quantile"'),
            "min_frequency": (self.encode in ("onehot", "quantile"), 'encode = "onehot" or "quantile"'),
        }
        for name, (used, what) in needs.items():
            if not used and getattr(self, name) != type(self).model_fields[name].default:
                raise Complaint(
                    "has no effect", f"It goes with {what}: set that, or remove {name}", f"preprocess.{name}"
                )
        if self.impute == "constant" and self.fill_value is None:
            raise Complaint('is missing with impute = "constant"', "Set it to a number", "preprocess.fill_value")

    @property
    def rule(self) -> BinningRule:
        """How columns are binned by the label."""
        return BinningRule(
            self.max_n_prebins, self.min_bin_rows, self.min_bin_size, self.max_n_bins, self.monotonic_trend
        )

    @property
    def bins_by_label(self) -> bool:
        """Whether columns are binned by the label, which then has two values."""
        return self.encode == "woe" or self.report_iv

    @property
    def analysis(self) -> Preprocessing:
        """What bins the columns for the guest's report alone."""
        own = {
            "impute": "none",
            "fill_value": None,
            "add_indicator": False,
            "clip_quantiles": None,
            "encode": "woe",
            "report_iv": False,
        }
        chosen = (
            self.get_params(deep=False)
            | own
            | dict.fromkeys(("min_variance", "max_correlation", "max_vif"))
            | {"n_bins": 5, "min_frequency": 1}
        )
        return Preprocessing(**chosen)

    @property
    def takes_missing(self) -> bool:
        """Whether numbers may be missing: something fills or encodes them."""
        return self.impute != "none" or self.encode in ("quantile", "woe")

    @property
    def takes_texts(self) -> bool:
        """Whether columns may hold texts."""
        return self.encode != "none"

    @property
    def permits(self) -> tuple[str, ...]:
        """What it reveals."""
        if not self.bins_by_label:
            return ()
        names = ("column-names-to-guest",) if self.open_names else ()
        return ("bin-events-to-guest", *names, *(("woe-to-host",) if self.encode == "woe" else ()))
