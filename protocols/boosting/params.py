"""What the parties agreed to train: xgboost's names and meanings wherever it has the idea."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import MAX_BIN, MIN_BIN
from protocols.errors import ConfigError
from protocols.parts import parts
from protocols.values import check_types

Objective = Literal["binary:logistic", "reg:squarederror", "count:poisson", "multi:softprob"]
OBJECTIVES = ("binary:logistic", "reg:squarederror", "count:poisson", "multi:softprob")
MAX_DEPTH = 10
FEW_ROWS = 5_000
# What a model that is continued keeps.
SAME = (
    "objective",
    "num_class",
    "max_depth",
    "max_bin",
    "min_bin_rows",
    "membership",
    "base_score",
    "monotone_constraints",
)
_ROUNDING, _ROWS, _COLUMNS = range(3)  # streams of public randomness


@dataclass(frozen=True)
class Params:
    """n_estimators rounds (of one tree, or with multi:softprob of `num_class` trees, which have the same rows and
    columns).

    membership: "sealed" (nobody sees a row's gradient, margin, node or direction; sealed.py) or "open" (SecureBoost as
    published; open.py).  multi:softprob is one against the rest where it is sealed.
    gradient_bits: bits of a rounded g and h; None: 12 below 5,000 rows, 8 from there.  min_bin_rows: no bin of a host
    has fewer of its rows (1: no limit).
    subsample: of sealed trees in secret: the guest alone knows which rows a round leaves out.
    score_bits: scores of sealed trees are opened on a grid of 2^-score_bits (of squared error: of a power of two above
    the labels' spread).
    top_rate, other_rate: the parts of the rows that a round takes for their large gradients, and of the others
    (goss.py); 0: all rows.  `open` only.
    guest_only_trees: the number of first rounds that use only the guest's columns; hosts hear nothing of them.
    early_stopping_rounds: rounds without a better loss on the held-out rows before training ends; 0: never.
    monotone_constraints: each party has a sign for each of its columns (`Bins.monotone`), which the party that
    chooses splits hears (constraints.py).
    seed: of everything random that is public (rounding, rows, columns).  Raises ConfigError.
    """

    objective: Objective = "binary:logistic"
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
    num_class: int = 1
    base_score: float | None = None
    score_bits: int = 10
    monotone_constraints: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_types("boosted trees", self)
        rules: tuple[tuple[str, bool, str], ...] = (
            ("objective", self.objective in OBJECTIVES, "one of " + ", ".join(OBJECTIVES)),
            ("n_estimators", _whole(self.n_estimators, 1, 10_000), "a whole number from 1 to 10000"),
            ("max_depth", _whole(self.max_depth, 1, MAX_DEPTH), f"a whole number from 1 to {MAX_DEPTH}"),
            ("learning_rate", 0 < self.learning_rate <= 1, "a number above 0, at most 1"),
            ("max_bin", _whole(self.max_bin, MIN_BIN, MAX_BIN), f"a whole number from {MIN_BIN} to {MAX_BIN}"),
            ("reg_lambda", 0 <= self.reg_lambda < np.inf, "a number of at least 0"),
            ("reg_alpha", 0 <= self.reg_alpha < np.inf, "a number of at least 0"),
            ("gamma", 0 <= self.gamma < np.inf, "a number of at least 0"),
            ("min_child_weight", 0 <= self.min_child_weight < np.inf, "a number of at least 0"),
            ("subsample", 0 < self.subsample <= 1, "a number above 0, at most 1"),
            ("colsample_bytree", 0 < self.colsample_bytree <= 1, "a number above 0, at most 1"),
            ("top_rate", 0 <= self.top_rate < 1 and (self.top_rate > 0) <= (self.membership == "open"), _GOSS),
            (
                "other_rate",
                _others(self),
                "above 0 with top_rate and 0 without; both together, and without subsample, at most 1",
            ),
            (
                "gradient_bits",
                self.gradient_bits is None or _whole(self.gradient_bits, 3, 16),
                "a whole number from 3 to 16, or None",
            ),
            ("min_bin_rows", _whole(self.min_bin_rows, 1, 1_000_000), "a whole number of at least 1"),
            ("membership", self.membership in ("sealed", "open"), _MEMBERSHIP),
            ("score_bits", _whole(self.score_bits, 0, 20), "a whole number from 0 to 20"),
            (
                "guest_only_trees",
                _whole(self.guest_only_trees, 0, self.n_estimators),
                "a whole number from 0 to n_estimators",
            ),
            ("early_stopping_rounds", _whole(self.early_stopping_rounds, 0, 10_000), "a whole number from 0 to 10000"),
            (
                "num_class",
                _classes(self),
                "3 to 1000 for multi:softprob (two classes: binary:logistic), and 1 for everything else",
            ),
            (
                "base_score",
                self.base_score is None or _base(self.objective, self.base_score),
                _BASES.get(str(self.objective), "a number"),
            ),
            (
                "monotone_constraints",
                not self.monotone_constraints or self.objective != "multi:softprob",
                "False for multi:softprob: the probability of a class depends on the scores of all classes",
            ),
            ("seed", _whole(self.seed, 0, 2**63 - 1), "a whole number of at least 0"),
        )
        for name, good, rule in rules:
            if not good:
                raise ConfigError(
                    f"boosted trees: {name} = {getattr(self, name)!r} is not possible", remedy=f"{name} is {rule}"
                )

    @property
    def trees(self) -> int:
        """Trees in all, if nothing stops early: tree t belongs to round t // num_class and class t % num_class."""
        return self.n_estimators * self.num_class

    def trees_of(self, number: int) -> range:
        """The trees of a round, one a class."""
        return range(number * self.num_class, (number + 1) * self.num_class)

    def bits(self, rows: int) -> int:
        """Bits of a rounded g and h over this number of rows."""
        return self.gradient_bits or (12 if rows < FEW_ROWS else 8)

    @property
    def sealed(self) -> bool:
        return self.membership == "sealed"

    def check_continues(self, before: Params, trees: int) -> None:
        """Raises ConfigError unless trees with these parameters can follow `trees` trees with those of `before`;
        n_estimators counts all rounds."""
        for name in (*SAME, "guest_only_trees") if self.sealed else SAME:
            if getattr(self, name) != getattr(before, name):
                raise ConfigError(
                    f"boosted trees: a model is continued with its own {name}",
                    remedy=f"Set {name} as it was",
                    expected=getattr(before, name),
                )
        if self.trees <= trees:
            raise ConfigError(
                "boosted trees: the model to continue has all its rounds already",
                remedy="Raise n_estimators, which counts its rounds too",
                found=self.n_estimators,
            )

    # -- public randomness: every party, and every run with the same seed, draws the same

    def rounding(self, tree: int, rows: int) -> Iterator[NDArray[np.float64]]:
        """(rows, 2) uniform in [0, 1), block after block: how g and h of a row are rounded in a tree."""
        stream = self._stream(_ROUNDING, tree)
        return (stream.random((len(part), 2)) for part in parts(rows))

    def sampled(self, number: int, held_out: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows the trees of a round are trained on: each that is not held out with probability `subsample`."""
        if self.subsample == 1:
            return ~held_out
        draws = self._stream(_ROWS, number).random(len(held_out))
        return np.asarray((draws < self.subsample) & ~held_out)

    def order(self, number: int, rows: int) -> NDArray[np.int64]:
        """(rows,) a random order of rows, for a round."""
        return self._stream(_ROWS, number).permutation(rows)

    def columns(self, number: int, total: int) -> NDArray[np.bool_]:
        """Which of all parties' columns (the guest's first, then the hosts' in the job's order) the trees of a round
        may split on."""
        keep = max(1, int(self.colsample_bytree * total))
        chosen = np.zeros(total, dtype=np.bool_)
        chosen[self._stream(_COLUMNS, number).permutation(total)[:keep] if keep < total else slice(None)] = True
        return chosen

    def _stream(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, purpose, number])))


_GOSS = (
    'a number from 0, below 1; above 0 only with membership = "open": hosts must know the rows, and large '
    "gradients nearly are the label"
)
_MEMBERSHIP = (
    '"sealed" or "open" ("hidden" was removed: its guest could work out the bins of every row; train again '
    'with "sealed")'
)
_BASES = {
    "binary:logistic": "a number between 0 and 1",
    "count:poisson": "a number above 0",
    "multi:softprob": "None for multi:softprob",
}


def _base(objective: str, score: float) -> bool:
    """Whether `base_score` is a mean that the objective can have."""
    if objective == "binary:logistic":
        return 0 < score < 1
    return (
        0 < score < np.inf
        if objective == "count:poisson"
        else objective == "reg:squarederror" and bool(np.isfinite(score))
    )


def _others(p: Params) -> bool:
    return (
        (p.other_rate > 0) == (p.top_rate > 0)
        and 0 <= p.other_rate <= 1 - p.top_rate
        and (not p.top_rate or p.subsample == 1)
    )


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _classes(p: Params) -> bool:
    return _whole(p.num_class, 3, 1000) if p.objective == "multi:softprob" else p.num_class == 1
