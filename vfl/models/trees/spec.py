"""Gradient-boosted trees under xgboost's names: what to train, in Python and as [model] of a job file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from protocols.boosting import wins
from protocols.boosting.params import MAX_DEPTH, OBJECTIVES, Params
from vfl.data import Table
from vfl.data.labels import Objective
from vfl.models.trees import constraints
from vfl.schema.described import Values
from vfl.schema.section import Complaint, choose, shown
from vfl.schema.spec import Spec

GRID = 10  # default of score_bits
REMOVED = {
    "hidden": "it was removed: from its sums and directions the guest could work out the bin of every row; "
    '"sealed" takes its place',
    "shared": 'it is called "open" now, under permits that say what it gives away',
}
LABELS: dict[str, Objective] = {
    "binary:logistic": "binary",
    "reg:squarederror": "numeric",
    "count:poisson": "count",
    "multi:softprob": "multiclass",
}


def _model_name(value: object) -> object:
    if value is None or (isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value)):
        return value
    raise Complaint(f"is {shown(value)}", "Expected a model's name, 32 hexadecimal digits as vfl model show prints it")


class BoostedTrees(Spec):
    """Vertical gradient-boosted trees, under xgboost's names and meanings; the method is its `hist`.

    Columns of texts are categories, and values may be missing.

    See Also
    --------
    vfl.models.trees.joint.FederatedTrees : What `Federation.fit` returns.

    Notes
    -----
    Gradients are rounded at random to integers of `gradient_bits` bits. Rows weigh by the guest's column
    (`Federation.local(sample_weight=...)`),
    times `scale_pos_weight` where the label has its larger value. `guest_only_trees` are the first ones. `random_state` is public.

    What each party learns, with membership "sealed": nobody sees a row's gradient, score, node or direction. The
    arbiter sees sums of gradients over unnamed bins, chooses splits and keeps the leaf values; the guest learns which
    party owns each split, and the scores of the rows that are scored; a host learns which of its own splits won, and
    from very many wins something of the labels (docs/threat-model.md). With membership "open", SecureBoost as
    published, assume that the guest learns the bin of every row in every column that wins, and that a host learns the
    labels (docs/protocols/boosting.md).

    Cost: encrypted work grows with rows times columns times levels times trees; open trees take less. `vfl check`
    estimates a job.

    Examples
    --------
    >>> model = fed.fit(vfl.BoostedTrees(n_estimators=2, max_depth=2, max_bin=8))
    >>> model.rounds_
    2
    >>> model.feature_importances_["guest"].index.tolist()
    ['age', 'limit']
    """  # noqa: E501

    INSTEAD: ClassVar = {
        **Spec.INSTEAD,
        **dict.fromkeys(
            ("warm_start", "continue_from"), "To add rounds to a fitted model, pass it to fit: init_model=model"
        ),
    }
    BINS: ClassVar = "trees bin every column themselves"
    ARBITER: ClassVar = "holds the key, chooses splits and keeps the leaf values"
    NO_ARBITER: ClassVar = 'with membership = "open" and one host the guest holds the key of the sums'

    kind: Literal["boosted-trees"] = "boosted-trees"
    objective: Annotated[
        Literal["binary:logistic", "reg:squarederror", "count:poisson", "multi:softprob"],
        BeforeValidator(choose(OBJECTIVES, {})),
    ] = Field(
        default="binary:logistic",
        description="the loss, by what the label holds: two values, numbers, counts, several values",
    )
    num_class: int = Field(
        default=1,
        ge=1,
        le=1000,
        description='the number of classes, from 3, with objective = "multi:softprob"; 1 without',
    )
    n_estimators: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description='the number of rounds; a round has one tree, with "multi:softprob" one per class',
    )
    max_depth: int = Field(
        default=5,
        ge=1,
        le=MAX_DEPTH,
        description="levels of splits; for sealed trees the key must carry the sums of 2^(max_depth - 2) "
        "nodes at once: at most 8 levels, 7 with 2048 bits",
    )
    learning_rate: float = Field(default=0.3, gt=0, le=1, description="how far a tree moves the score")
    max_bin: int = Field(default=32, ge=2, le=256, description="bins per column, at quantiles of the owner's rows")
    reg_lambda: float = Field(default=1.0, ge=0, description="the L2 penalty of leaf values")
    reg_alpha: float = Field(default=0.0, ge=0, description="the L1 penalty of leaf values")
    gamma: float = Field(default=0.0, ge=0, description="the minimum gain of a split")
    min_child_weight: float = Field(default=1.0, ge=0, description="the minimum sum of second derivatives in a child")
    subsample: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="the part of the rows that a round uses; drawn by random_state, or for sealed trees in "
        "secret by the guest",
    )
    colsample_bytree: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="the part of all parties' columns that the trees of a round use",
    )
    top_rate: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        exclude_if=lambda rate: rate == 0,
        description='with membership = "open" the part of the rows that a round takes for their large '
        "gradients, from the second round on (LightGBM's GOSS); hosts learn which",
    )
    other_rate: float = Field(
        default=0.0,
        ge=0,
        le=1,
        exclude_if=lambda rate: rate == 0,
        description="the part of the rows that a round takes from the others: above 0 with top_rate, 0 without",
    )
    gradient_bits: int | None = Field(
        default=None,
        ge=3,
        le=16,
        exclude_if=lambda bits: bits is None,
        description="gradients are rounded at random to integers with this number of bits; absent: 12 below "
        "5,000 rows, 8 from there",
    )
    min_bin_rows: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="no bin of a host has fewer rows",
    )
    membership: Annotated[Literal["sealed", "open"], BeforeValidator(choose(("sealed", "open"), REMOVED))] = Field(
        default="sealed",
        description='"sealed": nobody sees where a row goes; "open": SecureBoost as published, which gives '
        "away the bins of the hosts' rows and the labels",
    )
    guest_only_trees: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="the number of first rounds that use only the guest's columns; n_estimators at most",
    )
    early_stopping_rounds: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="training ends after this number of rounds without a better loss on the validation rows; 0: never",
    )
    validation: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="the part of the training rows on which the loss is evaluated: above 0 with "
        "early_stopping_rounds, 0 without; also chosen by split.seed",
    )
    base_score: float | None = Field(
        default=None,
        exclude_if=lambda score: score is None,
        description="the mean prediction before the first tree; absent: the mean label",
    )
    scale_pos_weight: float = Field(
        default=1.0,
        gt=0,
        le=1e6,
        exclude_if=lambda times: times == 1,
        description='with objective = "binary:logistic" how many times as much a row of the label\'s larger '
        "value weighs, as in xgboost; row weights of the table are multiplied by it",
    )
    monotone_constraints: Annotated[
        bool | dict[str, Any],
        BeforeValidator(constraints.checked),
        PlainSerializer(bool),
        WithJsonSchema({"type": "boolean"}),
        Values("true or false in a job file; in Python 1, -1 or 0 by column, or by party and column"),
    ] = Field(
        default=False,
        exclude_if=lambda given: not given,
        description=(
            "whether predictions may move in one direction only with some columns: with 1 they never fall when the "
            "column rises, with -1 they never rise. In a job file each party names its own columns, under "
            "data.monotone_constraints of its party file"
        ),
    )
    sample_weight: bool = Field(
        default=False,
        exclude_if=lambda weighted: not weighted,
        description="whether rows are weighted, by the column that data.weight of the guest's party file names",
    )
    continue_from: Annotated[str | None, BeforeValidator(_model_name), Values("32 hexadecimal digits")] = Field(
        default=None,
        exclude_if=lambda name: name is None,
        description="the name of a model, as vfl model show prints it, to which rounds are added; "
        "n_estimators counts the model's own rounds too; every data party finds its part in its "
        "own run directory; hold out the same rows as that run, or fewer, because the model was "
        "trained on the others: vfl check and the report say so",
    )
    random_state: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        description="the seed of rounding, rows and columns, which is public",
    )

    score_bits: int = Field(
        default=GRID,
        exclude=True,
        ge=0,
        le=20,
        description="scores of sealed trees are opened to the guest on a grid of 2^-score_bits",
    )

    def check_file(self) -> None:
        """The number of classes goes with one objective."""
        classes = self.objective == "multi:softprob"
        if classes != (self.num_class > 1) or (classes and self.num_class < 3):
            rule = (
                'Expected the number of classes with objective = "multi:softprob", from 3 to 1000, and no '
                "such key without"
            )
            raise Complaint(f"is {self.num_class}", rule, "model.num_class")

    @model_validator(mode="after")
    def _together(self) -> BoostedTrees:
        classes = self.objective == "multi:softprob"
        if (self.validation > 0) != (self.early_stopping_rounds > 0):
            rule = "Expected a number above 0 and below 1 with early_stopping_rounds, and 0 without"
            raise Complaint(f"is {shown(self.validation)}", rule, "model.validation")
        if self.top_rate and self.membership == "sealed":
            raise Complaint(
                f"is {shown(self.top_rate)}",
                'Expected 0 with membership = "sealed": hosts must know the rows of a sample',
                "model.top_rate",
            )
        if (
            (self.other_rate > 0) != (self.top_rate > 0)
            or self.top_rate + self.other_rate > 1
            or (self.top_rate and self.subsample < 1)
        ):
            rule = (
                "Expected a number above 0 with top_rate, at most 1 together and without subsample, and 0 "
                "without top_rate"
            )
            raise Complaint(f"is {shown(self.other_rate)}", rule, "model.other_rate")
        if self.guest_only_trees > self.n_estimators:
            raise Complaint(f"is {self.guest_only_trees}", "Expected n_estimators at most", "model.guest_only_trees")
        if self.base_score is not None and (classes or (self.label == "binary" and not 0 < self.base_score < 1)):
            rule = "Remove it" if classes else "Expected a number between 0 and 1"
            raise Complaint(
                f'is {shown(self.base_score)} with objective = "{self.objective}"', rule, "model.base_score"
            )
        if self.scale_pos_weight != 1 and self.label != "binary":
            what = f'is {shown(self.scale_pos_weight)} with objective = "{self.objective}", which has no positive class'
            raise Complaint(what, "Remove it: it goes with binary:logistic", "model.scale_pos_weight")
        if self.label == "count" and self.base_score is not None and self.base_score <= 0:
            raise Complaint(f"is {shown(self.base_score)}", "Expected a number above 0", "model.base_score")
        if self.monotone_constraints and classes:
            what = f'is set with objective = "{self.objective}", whose probabilities depend on all scores'
            raise Complaint(what, "Remove it, or fit one class against the rest", "model.monotone_constraints")
        return self

    @property
    def permits(self) -> tuple[str, ...]:
        """What its protocols reveal, besides the alignment."""
        if self.membership == "open":
            sample = ("sampled-rows-to-hosts",) if self.top_rate else ()
            signs = ("constraint-signs-to-guest",) if self.monotone_constraints else ()
            return ("bin-sums-to-guest", "directions-to-guest", "partition-to-hosts", *sample, *signs)
        scale = ("label-scale-to-parties",) if self.weighted or self.label in ("numeric", "count") else ()
        loss = ("loss-verdict-to-parties",) if self.early_stopping_rounds else ()
        signs = ("constraint-signs-to-arbiter",) if self.monotone_constraints else ()
        always = ("bin-sums-to-arbiter", "wins-to-owners", "edge-count-to-arbiter", "scores-to-guest")
        return (*always, *scale, *loss, *signs)

    def with_columns(self, tables: Mapping[str, Table]) -> dict[str, Table]:
        """With the signs of each party's own columns."""
        return constraints.with_signs(self.monotone_constraints, tables)

    def check_table(self, table: Table) -> None:
        """Raises DataError for a constraint on a column that is not there or has no order."""
        if self.monotone_constraints:
            constraints.signs_of(table)

    @property
    def weighted(self) -> bool:
        """Whether rows weigh differently: by the guest's column, or by their class."""
        return self.sample_weight or self.scale_pos_weight != 1

    def row_weights(self, y: NDArray[np.float64], weight: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """(n,) what each row weighs; y (n,): labels; weight (n,): of the guest's column, if there is one.  None: all
        weigh 1."""
        if self.scale_pos_weight == 1:
            return weight
        return np.where(y == 1, self.scale_pos_weight, 1.0) * (1.0 if weight is None else weight)

    @property
    def sealed(self) -> bool:
        """Whether nobody sees where a row goes."""
        return self.membership == "sealed"

    @property
    def needs_arbiter(self) -> bool:
        """Whether its protocols need one, whatever the number of hosts."""
        return self.membership == "sealed"

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return LABELS[self.objective]

    @property
    def takes_missing(self) -> bool:
        """Whether features may miss values: a split learns where these go."""
        return True

    @property
    def takes_texts(self) -> bool:
        """Whether features may be categories: each has a bin of its own."""
        return True

    @property
    def decides(self) -> tuple[str, float] | None:
        """As `Spec.decides`: of open trees the guest knows the loss."""
        return ("validation", self.validation) if self.sealed and self.early_stopping_rounds else None

    @property
    def keeps_leaves(self) -> bool:
        """Whether the arbiter keeps the leaf values of the model."""
        return self.membership == "sealed"

    @property
    def opens_on_grid(self) -> bool:
        """Whether scores are opened on the grid of disclosure.score_bits: of open trees the guest adds up the scores
        itself."""
        return self.membership == "sealed"

    @property
    def label_numbers(self) -> int:
        """What the wins of hosts count as, of all rounds in which they take part; of open trees, which tell hosts all
        labels, nothing is counted."""
        return wins.label_numbers(self.n_estimators - self.guest_only_trees, self.num_class) if self.sealed else 0

    @property
    def vectors(self) -> int:
        """How many score vectors the guest gets of one model: of K classes K (sealed: one against the rest), or K - 1
        (open: their margins add up to nothing)."""
        return self.num_class if self.sealed else max(1, self.num_class - 1)

    def params(self) -> Params:
        """As the protocols take them."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        others = (
            "kind",
            "validation",
            "random_state",
            "sample_weight",
            "scale_pos_weight",
            "continue_from",
            "key_bits",
        )
        own[constraints.NAME] = bool(self.monotone_constraints)
        return Params(**{name: value for name, value in own.items() if name not in others}, seed=self.random_state)
