"""The parameters of `solver`, and which of them go together: the same for estimators and job files."""

from __future__ import annotations

from typing import Any, Literal

from protocols.glm import Sgd

Solver = Literal["preconditioned", "sgd"]
DEFAULTS: dict[str, Any] = {"batch_size": "auto", "momentum": 0.9, "learning_rate_init": 1.0}
# unit steps a batch, were all taken at the first rate: with two batches and the falling rate five, as many as the
# fewest passes of the other solver
LEAST_WAY = 10.0


def sgd_problem(
    solver: Solver, max_iter: int | str, batch_size: int | str, momentum: float, learning_rate_init: float
) -> tuple[str, str, str] | None:
    """What does not go together: the parameter, what is wrong with it, and the remedy."""
    if solver == "preconditioned":
        given = {"batch_size": batch_size, "momentum": momentum, "learning_rate_init": learning_rate_init}
        for name, value in given.items():
            if value != DEFAULTS[name]:
                return (
                    name,
                    'does nothing with solver = "preconditioned", whose steps take all rows',
                    'Remove it, or use solver = "sgd"',
                )
        return None
    if isinstance(max_iter, str):
        return (
            "max_iter",
            'is planned for solver = "preconditioned" only: no rule says how many epochs mini-batches need',
            "Write a whole number",
        )
    if max_iter * learning_rate_init / (1 - momentum) < LEAST_WAY:
        return (
            "learning_rate_init",
            "is so small that the weights would be revealed near their start, where they reveal a gradient, "
            "and so labels",
            f"Raise it, momentum or max_iter: max_iter * learning_rate_init / (1 - momentum) is at least {LEAST_WAY:g}",
        )
    return None


def sgd_of(solver: Solver, batch_size: int | str, momentum: float, learning_rate_init: float) -> Sgd | None:
    """As the protocol takes it."""
    if solver == "preconditioned":
        return None
    return Sgd(None if isinstance(batch_size, str) else batch_size, float(momentum), float(learning_rate_init))
