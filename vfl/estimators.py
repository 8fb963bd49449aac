"""What to train, in scikit-learn's words."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any, Literal

from protocols.boosting.params import Params
from protocols.cipher import Paillier
from protocols.errors import ConfigError

MIN_KEY_BITS, FULL_KEY_BITS = 2048, 3072


def paillier(key_bits: int) -> Paillier:
    """The scheme for a key size; raises ConfigError below 2048 bits, warns below 3072."""
    if key_bits < MIN_KEY_BITS:
        raise ConfigError(
            f"key_bits = {key_bits} is too short to protect anything",
            remedy=f"Use {FULL_KEY_BITS} (128-bit security, NIST SP 800-57), or {MIN_KEY_BITS} (112-bit)",
        )
    if key_bits not in (2048, 3072, 4096):
        raise ConfigError(f"key_bits = {key_bits} is not a supported size", remedy="Use 2048, 3072 or 4096")
    if key_bits < FULL_KEY_BITS:
        warnings.warn(f"a {key_bits}-bit key gives 112-bit security; {FULL_KEY_BITS} is the default", UserWarning, stacklevel=3)
    return Paillier(key_bits)


@dataclass(frozen=True)
class LogisticRegression:
    """Vertical logistic regression; objective C * sum(loss) + ||w||^2 / 2, intercept (the guest's) un-penalised, as scikit-learn's.

    C: inverse penalty, > 0.  max_iter: passes over the rows; their number is fixed, because nobody sees a gradient or a loss.
    link: "exact", or "taylor", the second-order expansion of the loss around 0: cheaper by about a half, but a least-squares fit, whose probabilities are
    too flat.
    clip: standardised features are clipped to [-clip, clip].  score_bits: scores are opened to the guest rounded to 2^-score_bits.
    weight_bits: final weights are revealed to their owner rounded to 2^-weight_bits.
    key_bits: of the arbiter's Paillier key, 2048, 3072 or 4096.
    """

    C: float = 1.0
    max_iter: int = 100
    link: Literal["exact", "taylor"] = "exact"
    clip: float = 6.0
    score_bits: int = 10
    weight_bits: int = 10
    key_bits: int = FULL_KEY_BITS

    def __post_init__(self) -> None:
        rules: tuple[tuple[str, bool, str], ...] = (
            ("C", 0 < self.C < 1e12, "a positive number"),
            (
                "max_iter",
                isinstance(self.max_iter, int) and 5 <= self.max_iter <= 10_000,
                "a whole number from 5 to 10000: earlier weights tell too much",
            ),
            ("link", self.link in ("exact", "taylor"), '"exact" or "taylor"'),
            ("clip", 0 < self.clip <= 64, "a number above 0, at most 64"),
            ("weight_bits", isinstance(self.weight_bits, int) and 4 <= self.weight_bits <= 24, "a whole number from 4 to 24"),
            ("score_bits", isinstance(self.score_bits, int) and 0 <= self.score_bits <= 20, "a whole number from 0 to 20"),
        )
        for name, good, rule in rules:
            if not good:
                raise ConfigError(f"LogisticRegression: {name} = {getattr(self, name)!r} is not possible", remedy=f"{name} is {rule}")
        if self.key_bits < MIN_KEY_BITS:
            paillier(self.key_bits)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name."""
        return asdict(self)


@dataclass(frozen=True)
class BoostedTrees:
    """Vertical gradient-boosted trees; xgboost's names and meanings, its `hist` method.  Columns of texts are categories; values may be missing.

    objective: "binary:logistic", "multi:softprob" (three classes or more), "reg:squarederror" or "count:poisson".
    membership: "hidden" (hosts never learn which rows a node holds; the arbiter deals), or "shared" (faster; hosts learn it).
    gradient_bits: gradients are rounded to so many bits: more let the guest recognise rows.  min_bin_rows: sums over fewer of a host's rows are not given
    (docs/protocols/boosting.md).
    guest_only_trees: first trees on the guest's columns alone.  early_stopping_rounds: with `validation`, the part of the rows held out for it.
    random_state: of rounding, sampling and the split; public.  key_bits: of the guest's Paillier key, 2048, 3072 or 4096.
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
    gradient_bits: int = 3
    min_bin_rows: int = 10
    membership: Literal["hidden", "shared"] = "hidden"
    guest_only_trees: int = 0
    early_stopping_rounds: int = 0
    validation: float = 0.0
    base_score: float | None = None
    random_state: int = 0
    key_bits: int = FULL_KEY_BITS

    def __post_init__(self) -> None:
        self.params()
        if not 0 <= self.validation < 1 or (self.validation > 0) != (self.early_stopping_rounds > 0):
            raise ConfigError(
                f"BoostedTrees: validation = {self.validation!r} is not possible",
                remedy="validation is a number above 0 and below 1 with early_stopping_rounds, and 0 without",
            )
        if self.key_bits < MIN_KEY_BITS:
            paillier(self.key_bits)

    def params(self, classes: int = 3) -> Params:
        """As the protocols take them, for a label of so many classes."""
        own = {"validation", "random_state", "key_bits"}
        given = {name: value for name, value in asdict(self).items() if name not in own}
        return Params(seed=self.random_state, num_class=classes if self.objective == "multi:softprob" else 1, **given)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name."""
        return asdict(self)
