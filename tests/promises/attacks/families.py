"""A small problem for each family of regressions that has a transcript of its own."""

from __future__ import annotations

import numpy as np

from protocols.glm.links import IDENTITY, LOGISTIC_LINKS, POISSON, Link
from tests.promises.attacks.host_view import Matrix

ROWS = 400
FAMILIES = ("exact", "taylor", "linear", "poisson")


def problem(family: str) -> tuple[Link, list[Matrix], Matrix]:
    """The link, the columns of guest (3) and host (10), standardised, and labels that hang mostly on the guest's."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(ROWS, 13))
    x = np.clip((x - x.mean(0)) / x.std(0), -6, 6)
    z = x @ np.r_[1.5, -1.2, 0.9, np.linspace(-0.4, 0.4, 10)]
    blocks = [x[:, :3], x[:, 3:]]
    if family == "linear":
        y = z + rng.normal(size=ROWS)
        return IDENTITY, blocks, (y - y.mean()) / y.std()
    if family == "poisson":
        return (
            POISSON,
            blocks,
            rng.poisson(np.exp(1 + 0.2 * z + 0.2 * blocks[1] @ np.linspace(-0.4, 0.4, 10))).astype(float),
        )
    return LOGISTIC_LINKS[family], blocks, (z + rng.logistic(size=ROWS) > 0).astype(float)
