"""The section [preprocess] of a regression's job: what every party does to its own columns before they are standardised."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from protocols.binning.merging import TRENDS
from protocols.errors import ConfigError
from vfl.preprocessing import Preprocessing
from vfl.preprocessing.settings import ENCODE, IMPUTE
from vfl.schema.section import Complaint, Section, choose


def _absent(value: object) -> bool:
    return value is None


class Binning(Section):
    """How columns are binned by the label, and which are left out; a scorecard has these keys too."""

    max_missing: float = Field(
        default=1.0, ge=0, le=1, description="a number from 0 to 1 (default 1): columns that miss more than this part are left out"
    )
    max_n_prebins: int = Field(
        default=20, ge=2, le=256, description="2 to 256 (default 20): quantile bins, or categories, that a column starts with"
    )
    min_bin_rows: int = Field(
        default=50,
        ge=1,
        le=1_000_000,
        description="a whole number of at least 1 (default 50): no bin of fewer rows is counted for the guest",
    )
    min_bin_size: float = Field(
        default=0.05, ge=0, le=0.5, description="a number from 0 to 0.5 (default 0.05): the least part of the rows in a final bin"
    )
    max_n_bins: int = Field(default=10, ge=2, le=256, description="2 to 256 (default 10): final bins of a column")
    monotonic_trend: Annotated[Literal["auto", "ascending", "descending", "none"], BeforeValidator(choose(TRENDS, {}))] = Field(
        default="auto", description="how the event rate of an ordered column goes: one of " + ", ".join(f'"{t}"' for t in TRENDS)
    )
    special_codes: tuple[float, ...] = Field(default=(), description="a list of numbers that have a bin of their own, such as [-999]")
    min_iv: float | None = Field(
        default=None, ge=0, exclude_if=_absent, description="a number of at least 0, such as 0.02: columns of less IV are left out"
    )
    max_correlation: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        exclude_if=_absent,
        description="a number between 0 and 1: of two columns of a party that correlate more, that of less IV is left out",
    )
    max_vif: float | None = Field(
        default=None, gt=1, exclude_if=_absent, description="a number above 1: a party's columns of greater variance inflation are left out"
    )


class Preprocess(Binning):
    """The keys are those of `vfl.Preprocessing`; one that is not given has its default."""

    impute: Annotated[Literal["none", "mean", "median", "most_frequent", "constant"], BeforeValidator(choose(IMPUTE, {}))] = Field(
        default="none", description="what replaces a missing number: one of " + ", ".join(f'"{v}"' for v in IMPUTE)
    )
    fill_value: float | None = Field(default=None, exclude_if=_absent, description='a number, with impute = "constant"')
    add_indicator: bool = Field(
        default=False, description="true, or false (default): whether a column of 0 and 1 is added for each imputed column"
    )
    clip_quantiles: tuple[float, float] | None = Field(
        default=None, exclude_if=_absent, description="two numbers from 0 to 1, such as [0.01, 0.99]: numbers are cut to these quantiles"
    )
    encode: Annotated[Literal["none", "onehot", "quantile", "woe"], BeforeValidator(choose(ENCODE, {}))] = Field(
        default="none", description="what becomes of texts, and of numbers: one of " + ", ".join(f'"{v}"' for v in ENCODE)
    )
    min_frequency: int = Field(default=1, ge=1, le=10**9, description="a whole number of at least 1 (default): rarer texts share a column")
    n_bins: int = Field(default=5, ge=2, le=256, description='2 to 256 (default 5): quantile bins, with encode = "quantile"')
    min_variance: float | None = Field(
        default=None, ge=0, exclude_if=_absent, description="a number of at least 0: columns whose variance does not exceed it are left out"
    )
    report_iv: bool = Field(
        default=False,
        description="true, or false (default): whether the guest's report has WOE and IV of every party's columns, of which hosts learn nothing",
    )
    open_names: bool = Field(
        default=False, description='true, or false (default): whether hosts tell the guest their columns\' names, with encode = "woe"'
    )

    @model_validator(mode="after")
    def _fits(self) -> Preprocess:
        if self.open_names and self.encode != "woe" and not self.report_iv:
            what = "is true, and nothing is named to anybody"
            raise Complaint(what, 'It goes with encode = "woe" or report_iv: remove it', "preprocess.open_names")
        try:
            _ = self.steps
        except ConfigError as error:
            raise Complaint(f"cannot be: {error.what.removeprefix('preprocessing: ')}", error.remedy, "preprocess") from None
        return self

    @property
    def steps(self) -> Preprocessing:
        """As the program takes it."""
        chosen: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields if name != "open_names"}
        return Preprocessing(**chosen)

    @property
    def permits(self) -> tuple[str, ...]:
        """What it reveals."""
        if not self.steps.bins_by_label:
            return ()
        names = ("column-names-to-guest",) if self.open_names else ()
        return ("bin-events-to-guest", *names, *(("woe-to-host",) if self.encode == "woe" else ()))
