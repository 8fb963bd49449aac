"""When a regression's training ends before all iterations are made: the keys of [model] and parameters of estimators,
and what about them would do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from protocols.glm.plan import planned_passes
from protocols.glm.progress import MOST_VERDICTS

STOPPING = ("tol", "early_stopping", "validation_fraction", "n_iter_no_change")
FRACTION, EVERY = 0.1, 10  # defaults of validation_fraction and n_iter_no_change
LOOKS = 3  # at the loss, before it can end training
LEAST_PLANNED = planned_passes(0, 2)  # by max_iter = "auto"


def pointless(
    max_iter: int | Literal["auto"],
    tol: float | None,
    early_stopping: bool,
    validation_fraction: float,
    n_iter_no_change: int,
    solver: Literal["preconditioned", "sgd"],
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Parameters that would do nothing or do not go together, each with what is wrong and a remedy."""
    if solver == "sgd" and (tol is not None or early_stopping):
        what = (
            'does not go with solver = "sgd", whose rate falls to 0 over the planned epochs: if it ends '
            "earlier, it is not at an optimum"
        )
        yield "early_stopping" if early_stopping else "tol", (what, 'Leave it out, or use solver = "preconditioned"')
    if tol is None and not early_stopping:
        if n_iter_no_change != EVERY:
            yield (
                "n_iter_no_change",
                ("does nothing without tol or early_stopping", "Set tol, such as 1e-4, or leave it out"),
            )
    elif LOOKS * n_iter_no_change > (LEAST_PLANNED if max_iter == "auto" else max_iter):
        what = "evaluates the loss too seldom: training can end at the third evaluation at the earliest"
        yield "n_iter_no_change", (what, "Lower it to a third of max_iter or less, or raise max_iter")
    elif max_iter != "auto" and max_iter // n_iter_no_change > MOST_VERDICTS:
        what = f"evaluates the loss more than {MOST_VERDICTS} times, and each time tells something about it"
        yield "n_iter_no_change", (what, f"Raise it to at least {-(-max_iter // MOST_VERDICTS)}, or lower max_iter")
    if not early_stopping and validation_fraction != FRACTION:
        yield "validation_fraction", ("does nothing without early_stopping", "Set early_stopping, or leave it out")
