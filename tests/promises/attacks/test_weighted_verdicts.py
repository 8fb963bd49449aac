"""A guest that follows the protocol weights its rows so that verdicts on the loss are about one of them.

It compares two tables of a host that differ in one row held out, so that both trainings are the same.  With nearly all
weight on this row each verdict is about its loss, which falls in one of them where it rises in the other: the first
verdict tells the two apart.  So the guest's program refuses such weights before it announces the training; with the
most uneven ones that it accepts, most first verdicts are those of the other rows (protocols/group_size.py).

These figures are of the first verdict alone.  A long training has many, and when it ends tells two such tables apart
even with equal weights: the last test, in the clear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocols import glm
from protocols.channel import Tap
from protocols.cipher import Identity
from protocols.errors import PeerAborted, TooFewHeldOut, VFLError
from protocols.glm import training
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import Penalty
from protocols.glm.stopping import Stopping, Verdict
from protocols.group_size import LEAST_ROWS
from protocols.local import run_local
from protocols.message import Message
from protocols.session import Roles

ROLES = Roles("guest", ("h0",), "arbiter")
TRAIN, DECIDE, SEEDS, HEAVY = 80, 40, range(8), 10_000.0
MOST = (DECIDE - 1) / (LEAST_ROWS - 1)  # the largest weight of one row that the guest accepts
EFFECTIVE = 5.07  # that under which (sum w)^2 / sum w^2 is LEAST_ROWS
Matrix = np.ndarray[Any, np.dtype[np.float64]]


class Heard(Tap):
    """The messages of a training, and the verdicts in them."""

    def __init__(self) -> None:
        self.verdicts, self.kinds = list[bytes](), list[str]()

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.kinds.append(kind.kind)

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        if kind is Verdict:
            self.verdicts.append(data)


def weights(rows: int, heavy: float) -> Matrix:
    """(1, rows): the first row weighs this many times as much as each other one."""
    return np.r_[heavy, np.ones(rows - 1)][np.newaxis]


def trained(seed: int, victim: float, heavy: float, heard: Heard, *, validation: bool = True) -> None:
    """A training in which one row of the host has these values, and this weight; validation: whether it is held out."""
    rng = np.random.default_rng(seed)
    tables = {name: rng.normal(size=(TRAIN + DECIDE, 2)) for name in ("guest", "h0")}
    y = (tables["guest"][:, 0] + 2 * tables["h0"][:, 0] + rng.logistic(size=TRAIN + DECIDE) > 0).astype(float)
    row = TRAIN if validation else 0
    tables["guest"][row], tables["h0"][row], y[row] = 0.0, (victim, 0.0), 1.0
    train, rest = {n: x[:TRAIN] for n, x in tables.items()}, {n: x[TRAIN:] for n, x in tables.items()}
    stops = Stopping(1e-6, 5, validation)
    terms = glm.Terms(LOGISTIC_LINKS["exact"], Penalty(1.0), 15, weighted=True, stopping=stops, intercept=False)
    own = np.full((1, TRAIN), heavy) if validation else weights(TRAIN, heavy)  # the largest bounds all weights
    held = glm.HeldOut(rest["guest"], y[np.newaxis, TRAIN:], weights(DECIDE, heavy)) if validation else None
    programs: dict[str, Callable[..., Any]] = {
        "guest": lambda s: glm.guest(s, train["guest"], y[np.newaxis, :TRAIN], terms, bytes(16), own, held),
        "h0": lambda s: glm.host(s, train["h0"], terms, rest["h0"] if validation else None),
        "arbiter": lambda s: glm.arbiter(s, s.scheme.generate("arbiter", s.seed("key")), terms),
    }
    run_local(ROLES, programs, Identity(), taps={"guest": [heard]})


def told_apart(heavy: float) -> float:
    """In how many trainings the guest tells two tables of the host apart by the first verdict that compares."""
    found = []
    for seed in SEEDS:
        both = [Heard(), Heard()]
        for side, heard in zip((1.0, -1.0), both, strict=True):
            trained(seed, side, heavy, heard)
        found.append(both[0].verdicts[1] != both[1].verdicts[1])
    return float(np.mean(found))


@pytest.mark.parametrize("validation", [True, False])
def test_weights_that_make_a_verdict_one_about_a_row_are_refused(validation: bool) -> None:
    heard = Heard()
    with pytest.raises(VFLError) as refused:
        trained(0, 1.0, HEAVY, heard, validation=validation)
    error = refused.value
    assert isinstance(error, TooFewHeldOut) or (
        isinstance(error, PeerAborted) and error.peer_code == TooFewHeldOut.code
    )
    assert heard.kinds == []


def test_control_without_the_rule_the_first_verdict_tells_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "check_weights", lambda *_: None)
    assert told_apart(HEAVY) >= 0.9


def test_with_the_most_uneven_weights_it_seldom_does() -> None:
    assert told_apart(MOST) <= 0.5


@pytest.mark.slow
def test_a_bound_on_the_effective_number_of_rows_would_not_be_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the part of each row is bounded in its place."""
    assert weights(DECIDE, EFFECTIVE).sum() ** 2 / (weights(DECIDE, EFFECTIVE) ** 2).sum() >= LEAST_ROWS
    monkeypatch.setattr(training, "check_weights", lambda *_: None)
    assert told_apart(EFFECTIVE) >= 0.6


def end_of_training(seed: int, victim: float, decide: int) -> int:
    """Of a logistic regression in the clear, so many rows held out with equal weights: the iteration at which it ends,
    with an evaluation every tenth and after the second in turn that is not lower by 1e-4."""
    rng, rows = np.random.default_rng(seed), 2000
    theirs = rng.normal(size=(rows + decide, 3))
    y = (theirs @ [1.0, -1.0, 0.5] + rng.normal(size=rows + decide) > 0).astype(float)
    mine = rng.normal(size=rows + decide)
    theirs[rows], y[rows], mine[rows] = (victim, 0.0, 0.0), 0.0, 0.0
    x, w, lowest, above = np.column_stack([mine, theirs, np.ones(rows + decide)]), np.zeros(5), np.inf, 0
    for iteration in range(1, 400):
        w -= 0.5 * x[:rows].T @ (1 / (1 + np.exp(-x[:rows] @ w)) - y[:rows]) / rows
        if iteration % 10 == 0:
            z = x[rows:] @ w
            loss = float(np.mean(np.logaddexp(0, z) - y[rows:] * z))
            lowest, above = (loss, 0) if loss < lowest - 1e-4 else (lowest, above + 1)
            if above == 2:
                return iteration
    return 400


def ends_that_differ(decide: int) -> int:
    """Of 20 pairs of trainings whose tables differ in one row held out."""
    return sum(end_of_training(seed, -0.5, decide) != end_of_training(seed, 0.5, decide) for seed in range(20))


def test_the_end_of_a_long_training_tells_the_row_even_with_equal_weights() -> None:
    """What the rule does not prevent; with 4,000 rows held out, the control, it seldom happens."""
    few, many = ends_that_differ(DECIDE), ends_that_differ(4000)
    print(f"ends that differ: {few} of 20 with {DECIDE} rows held out, {many} with 4,000")
    assert few >= 15
    assert many <= 5
