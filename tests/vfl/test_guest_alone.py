"""The model of the guest's own columns, fitted in the clear: scikit-learn's optimum without scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from vfl.models.regression.plaintext import minimised


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("steepness", [1.0, 30.0])  # 30: nearly separable
def test_newton_finds_scikit_learns_optimum(C: float, steepness: float) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 4))
    x[:, 3] = x[:, 2]  # a column twice
    y = (steepness * x @ [1.0, -0.5, 0.3, 0.0] + rng.logistic(size=300) > 1).astype(float)
    theirs = LogisticRegression(C=C, tol=1e-10, max_iter=100_000).fit(x, y)
    ours = minimised(np.column_stack([x, np.ones(300)]), y, C)
    assert ours == pytest.approx([*theirs.coef_[0], *theirs.intercept_], rel=1e-3, abs=1e-4)


def test_newton_without_a_column_finds_the_base_rate() -> None:
    (intercept,) = minimised(np.ones((4, 1)), np.array([0.0, 0.0, 0.0, 1.0]), 1.0)
    assert intercept == pytest.approx(np.log(1 / 3))
