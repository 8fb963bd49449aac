"""What to train, in scikit-learn's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from protocols.boosting.params import Params
from protocols.errors import ConfigError
from protocols.glm.plan import LEAST_BATCH
from vfl.data import Objective
from vfl.models.regression.program import LABELS
from vfl.models.regression.solvers import sgd_of, sgd_problem
from vfl.models.regression.stopping import STOPPING, pointless
from vfl.schema.parameters import FULL_KEY_BITS, Parameters, check_key_bits, number, whole

REFUSED = {
    "l1_ratio": (0.0, "an L1 penalty needs a threshold, which no party can apply to a weight that it holds a share of"),
    "positive": (False, "keeping weights above zero needs a comparison, which no party can make on a weight that it holds a share of"),
    "warm_start": (
        False,
        "a second reveal of one problem's weights would tell each party the difference of two iterates, which holds labels",
    ),
}


@dataclass(frozen=True, repr=False, kw_only=True)
class Regression(Parameters):
    """What all regressions share; not for use by itself.

    max_iter: iterations over the rows; all of them are made, because nobody sees a gradient or a loss.  "auto" plans them from the base rate, of which hosts and
    arbiter then learn the order of magnitude; nearly separable or collinear columns can need more (docs/protocols/glm.md).
    tol: training ends where the mean loss of the training rows with the penalty, which the arbiter then learns every n_iter_no_change iterations, has not improved by
    tol (None: never).  Of numbers it is half the mean squared error in variances of the label.  early_stopping: the same with the mean loss of
    validation_fraction of the rows, which are not trained on; the weights are then the best that were evaluated (tol: 1e-4 if none is given).
    solver: "preconditioned", steps over all rows, which reaches the optimum; or "sgd", mini-batches with momentum in a new order in each epoch, which comes near it:
    for tables whose ciphertexts do not fit into memory, and where an epoch is expensive.  Its parameters, which the other solver does not take:
    batch_size: the most rows of a batch, at least 32; "auto": an eighth of the rows' power of two, at most 8192.  A run in which one batch holds all rows is refused.
    momentum: the part of a step that the next one repeats.  learning_rate_init: the first step's rate, in units of the preconditioner's step; it falls to 0.
    fit_intercept: whether the guest fits one, un-penalised.
    clip: standardised features are clipped to [-clip, clip].  score_bits: scores are opened to the guest with an error of half of 2^-score_bits, per
    host, which is always the same for a row.  weight_bits: where final weights are revealed to their owner (`reveal` of `Federation.local`), they are rounded to
    2^-weight_bits.
    key_bits: of the arbiter's Paillier key, 2048, 3072 or 4096.
    l1_ratio, positive, warm_start: only their defaults are possible; the error says why.
    """

    max_iter: int | Literal["auto"] = 100
    tol: float | None = None
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    fit_intercept: bool = True
    solver: Literal["preconditioned", "sgd"] = "preconditioned"
    batch_size: int | Literal["auto"] = "auto"
    momentum: float = 0.9
    learning_rate_init: float = 1.0
    clip: float = 6.0
    score_bits: int = 10
    weight_bits: int = 10
    key_bits: int = FULL_KEY_BITS
    l1_ratio: float = 0.0
    positive: bool = False
    warm_start: bool = False

    def __post_init__(self) -> None:
        for name, (default, why) in REFUSED.items():
            if getattr(self, name) != default:
                raise ConfigError(
                    f"{type(self).__name__}: {name} = {getattr(self, name)!r} is not possible: {why}", remedy=f"Leave {name} out"
                )
        self.check(
            (
                (
                    "max_iter",
                    self.max_iter == "auto" or whole(self.max_iter, 5, 10_000),
                    'a whole number from 5 to 10000 (earlier weights tell too much), or "auto"',
                ),
                ("tol", self.tol is None or number(self.tol, 1e-5, 1), "a number from 1e-5 to 1, or None"),
                ("early_stopping", isinstance(self.early_stopping, bool), "True or False"),
                ("validation_fraction", number(self.validation_fraction, 0.01, 0.5), "a number from 0.01 to 0.5"),
                ("n_iter_no_change", whole(self.n_iter_no_change, 5, 1000), "a whole number from 5 to 1000"),
                ("fit_intercept", isinstance(self.fit_intercept, bool), "True or False"),
                ("clip", number(self.clip, 0, 64, open_below=True), "a number above 0, at most 64"),
                ("weight_bits", whole(self.weight_bits, 4, 24), "a whole number from 4 to 24"),
                ("score_bits", whole(self.score_bits, 0, 20), "a whole number from 0 to 20"),
                ("solver", self.solver in ("preconditioned", "sgd"), '"preconditioned" or "sgd"'),
                (
                    "batch_size",
                    self.batch_size == "auto" or whole(self.batch_size, LEAST_BATCH, 2**30),
                    f'a whole number of at least {LEAST_BATCH} (with fewer rows a step costs more for the weights than for the rows, and is mostly noise), or "auto"',
                ),
                ("momentum", number(self.momentum, 0, 0.99), "a number from 0 to 0.99"),
                ("learning_rate_init", number(self.learning_rate_init, 0, 4, open_below=True), "a number above 0, at most 4"),
            )
        )
        if problem := sgd_problem(self.solver, self.max_iter, self.batch_size, self.momentum, self.learning_rate_init):
            name, why, remedy = problem
            raise ConfigError(f"{type(self).__name__}: {name} = {getattr(self, name)!r} {why}", remedy=remedy)
        chosen = (self.max_iter, self.tol, self.early_stopping, self.validation_fraction, self.n_iter_no_change, self.solver)
        for parameter, (what, remedy) in pointless(*chosen):
            raise ConfigError(f"{type(self).__name__}: {parameter} = {getattr(self, parameter)!r} {what}", remedy=remedy)
        check_key_bits(self.key_bits)

    @property
    def objective(self) -> Objective:
        """What the guest's label must hold."""
        return LABELS[self.job()["family"]]

    def job(self) -> dict[str, Any]:
        """As the program takes them."""
        names = ("max_iter", *STOPPING, "fit_intercept", "clip", "score_bits", "weight_bits")
        passes = None if self.max_iter == "auto" else self.max_iter
        sgd = sgd_of(self.solver, self.batch_size, self.momentum, self.learning_rate_init)
        return {name: getattr(self, name) for name in names} | {"max_iter": passes, "sgd": sgd}


@dataclass(frozen=True, repr=False, kw_only=True)
class LogisticRegression(Regression):
    """Vertical logistic regression; objective C * sum(loss) + ||w||^2 / 2, intercept (the guest's) un-penalised, as scikit-learn's.

    A label of more than two values is fitted one-vs-rest: as many trainings, after one alignment, and as many weights per column.
    C: inverse penalty, > 0.  link: "exact", or "taylor", the second-order expansion of the loss around 0: cheaper by about a half, but a least-squares fit,
    whose probabilities are too flat.  class_weight: "balanced", or a weight for each value of the label (1 where none is named).
    The other parameters: `Regression`.
    """

    C: float = 1.0
    link: Literal["exact", "taylor"] = "exact"
    class_weight: Literal["balanced"] | Mapping[Any, float] | None = None

    def __post_init__(self) -> None:
        given = self.class_weight
        weights = isinstance(given, Mapping) and len(given) > 0 and all(number(w, 0, 1e6, open_below=True) for w in given.values())
        self.check(
            (
                ("C", number(self.C, 0, 1e12, open_below=True), "a positive number"),
                ("link", self.link in ("exact", "taylor"), '"exact" or "taylor"'),
                ("class_weight", given is None or given == "balanced" or weights, 'None, "balanced" or a positive number for each class'),
            )
        )
        super().__post_init__()

    def job(self) -> dict[str, Any]:
        given = self.class_weight
        weights = tuple(given.items()) if isinstance(given, Mapping) else given
        return {**super().job(), "family": "logistic", "alpha": 1 / self.C, "link": self.link, "class_weight": weights}


@dataclass(frozen=True, repr=False, kw_only=True)
class LinearRegression(Regression):
    """Vertical least squares; objective ||y - X w - b||^2 + alpha ||w||^2, intercept (the guest's) un-penalised, as scikit-learn's Ridge.

    alpha: penalty, > 0.  The guest standardises the label, so that weights are in its standard deviations; that scale stays with the guest.
    The other parameters: `Regression`.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        self.check((("alpha", number(self.alpha, 0, 1e12, open_below=True), "a positive number"),))
        super().__post_init__()

    def job(self) -> dict[str, Any]:
        return {**super().job(), "family": "linear", "alpha": self.alpha}


@dataclass(frozen=True, repr=False, kw_only=True)
class PoissonRegression(Regression):
    """Vertical regression of counts, log link; objective half the mean deviance + alpha ||w||^2 / 2, intercept (the guest's) un-penalised, as scikit-learn's
    PoissonRegressor.

    alpha: penalty, > 0.  Hosts and arbiter learn the power of two above the labels' mean, which bounds the curvature; a run in which a row's mean ends far above
    that stops with an error: from 19 times on it may, above 32 times it does.
    exposure: the guest's column of weights (`Federation.local(sample_weight=...)`) is each row's exposure, such as policy years: the label counts events in it,
    and predictions are frequencies, events a unit of exposure.  As PoissonRegressor fitted to count / exposure with sample_weight=exposure.
    The other parameters: `Regression`.
    """

    alpha: float = 1.0
    exposure: bool = False

    def __post_init__(self) -> None:
        self.check(
            (
                ("alpha", number(self.alpha, 0, 1e12, open_below=True), "a positive number"),
                ("exposure", isinstance(self.exposure, bool), "True or False"),
            )
        )
        super().__post_init__()

    def job(self) -> dict[str, Any]:
        return {**super().job(), "family": "poisson", "alpha": self.alpha, "exposure": self.exposure}


@dataclass(frozen=True, repr=False)
class BoostedTrees(Parameters):
    """Vertical gradient-boosted trees; xgboost's names and meanings, its `hist` method.  Columns of texts are categories; values may be missing.

    objective: "binary:logistic", "multi:softprob" (three classes or more), "reg:squarederror" or "count:poisson".
    membership: "sealed" (nobody sees a row's gradient, margin, node or direction; the arbiter sees sums of unnamed bins), or "open" (SecureBoost as published:
    assume that the guest learns the bin of every row in every column that wins, and that a host learns labels).  docs/protocols/boosting.md.
    gradient_bits: gradients are rounded at random to integers with this number of bits; None: 12 below 5,000 rows, 8 from there.  min_bin_rows: no bin of a host has fewer rows.
    top_rate, other_rate: with membership = "open", the parts of the rows that a round takes for their large gradients, and of the others (LightGBM's GOSS).
    guest_only_trees: first trees on the guest's columns alone.  early_stopping_rounds: with `validation`, the part of the rows held out for it.
    score_bits: scores of sealed trees are opened to the guest on a grid of 2^-score_bits.
    random_state: of sampling and the split, and of the rounding of open trees; public.  key_bits: of the Paillier key, 2048, 3072 or 4096.
    """

    objective: Literal["binary:logistic", "reg:squarederror", "count:poisson", "multi:softprob"] = "binary:logistic"
    n_estimators: int = 100
    max_depth: int = 5
    learning_rate: float = 0.3
    max_bin: int = 32
    reg_lambda: float = 1.0
    reg_alpha: float = 0.0
    gamma: float = 0.0
    min_child_weight: float = 1.0
    subsample: float = 1.0
    colsample_bytree: float = 1.0
    top_rate: float = 0.0
    other_rate: float = 0.0
    gradient_bits: int | None = None
    min_bin_rows: int = 10
    membership: Literal["sealed", "open"] = "sealed"
    guest_only_trees: int = 0
    early_stopping_rounds: int = 0
    validation: float = 0.0
    base_score: float | None = None
    score_bits: int = 10
    random_state: int = 0
    key_bits: int = FULL_KEY_BITS

    def __post_init__(self) -> None:
        self.check((("random_state", whole(self.random_state, 0, 2**63 - 1), "a whole number of at least 0"),))
        self.params()
        if not number(self.validation, 0, 1) or self.validation == 1 or (self.validation > 0) != (self.early_stopping_rounds > 0):
            raise ConfigError(
                f"BoostedTrees: validation = {self.validation!r} is not possible",
                remedy="validation is a number above 0 and below 1 with early_stopping_rounds, and 0 without",
            )
        check_key_bits(self.key_bits)

    def params(self, classes: int = 3) -> Params:
        """As the protocols take them, for a label with this number of classes."""
        own = {"validation", "random_state", "key_bits"}
        given = {name: value for name, value in asdict(self).items() if name not in own}
        return Params(seed=self.random_state, num_class=classes if self.objective == "multi:softprob" else 1, **given)
