"""The candidates of a search: every combination of the values that are listed, in scikit-learn's order, and what is
never searched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MIN_FOLDS, MAX_FOLDS = 2, 20
MAX_CANDIDATES = 100

# Parameters that no search chooses, each with the reason.
FIXED: dict[str, str] = {
    **dict.fromkeys(("kind", "objective", "num_class"), "candidates of different outcomes cannot be compared"),
    **dict.fromkeys(
        ("sample_weight", "exposure", "base_score"), "it says what the label or the table is, which no score decides"
    ),
    "monotone_constraints": "it says what is known of the columns, which no score decides",
    **dict.fromkeys(
        ("key_bits", "gradient_bits", "min_bin_rows", "score_bits"), "it decides what is protected, and how well"
    ),
    "weight_bits": "no weights of a fold are revealed: it would do nothing",
    "membership": "it decides what hosts learn, and the trees are the same",
    **dict.fromkeys(("tol", "early_stopping"), "each fold and candidate would open verdicts on its loss"),
    "continue_from": "the model that it names was trained on the rows of every fold",
    "random_state": "a seed with a better score is chance",
}


def combinations(param_grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """The parameters of each candidate: names sorted, the last one changing fastest; one candidate, {}, of an empty
    grid."""
    from sklearn.model_selection import ParameterGrid  # takes a second to import, and most jobs search nothing

    return list(ParameterGrid(param_grid))


def count(param_grid: Mapping[str, Sequence[Any]]) -> int:
    """How many candidates there are."""
    return math.prod(len(values) for values in param_grid.values())
