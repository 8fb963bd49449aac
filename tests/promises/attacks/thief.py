"""A host that deviates: in place of its first gradient it sends sums of residuals of rows of its choice, with powers of
two for factors, and nothing afterwards.

Its own share of the weights stays zero, so that what it is told in the end as its weights is what it sent, opened: sum
of 2^k (y_k - r) of some rows k, with the rate r at which the intercept starts.  One weight is spent on r alone.  Nobody
else ever sees the number (outputs.md, finding 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.cipher import Scheme
from protocols.glm import predictors, training
from protocols.glm.plan import SCORE, WEIGHT
from protocols.glm.shares import WeightShares
from protocols.parts import parts
from tests.plans import planned
from tests.promises.attacks.budgeted import Budgeted, table
from vfl.models.regression.spec import LogisticRegression

THIEF = "telecom"


@contextmanager
def deviating(rows: int, columns: int, digits: int, weight_bits: int) -> Iterator[dict[str, Any]]:
    """While it lasts the host steals; yields what it is told at the end ("told") and, for the count alone, the labels
    in the shared order ("labels")."""
    seen: dict[str, Any] = {}
    honest = training.descend, training.hear_residuals, training.own_shares, training.announce

    def factors(column: int) -> list[int]:
        chosen = [0] * rows
        if not column:
            chosen[0] = 1 << (SCORE + weight_bits)
        for k, row in enumerate(range((column - 1) * digits, min(column * digits, rows)) if column else ()):
            chosen[row] = 1 << k
        return chosen

    def descend(session: Any, plan: Any, block: Any, share: Any, residual: Any, theirs: Any, planned: Any) -> None:
        if session.me != THIEF:
            return honest[0](session, plan, block, share, residual, theirs, planned)
        stolen = theirs.mul_plain(PlainVec.zeros(columns))
        if planned.number == 0:
            sums = [residual.mul_plain(PlainVec.from_ints(factors(c))).sum() for c in range(columns)]
            stolen = sums[0]
            for one in sums[1:]:
                stolen = stolen.concat(one)
            stolen = stolen.mul_plain(
                PlainVec.from_ints([1 << (plan.shift - plan.residual_bits + WEIGHT - weight_bits)])
            )
        packed = stolen.pack(plan.width, plan.slots).rerandomise(session.seed("stolen", stolen.digest()))
        return session.arbiter.send(training.MaskedGradient(packed))

    def hear_residuals(session: Any, link: Any, block: Any, *rest: Any) -> Any:
        if session.me != THIEF:
            return honest[1](session, link, block, *rest)
        theirs, (part,) = predictors.receive_share(session, block.width), parts(len(block))
        z = theirs.matmul(np.zeros((len(block), block.width), np.int64))
        session.guest.send(predictors.Predictor(z.rerandomise(session.seed("predictor", z.digest()))))
        link.deal(session, part)
        return session.guest.recv(training.Residual).d, theirs

    def own_shares(session: Any, terms: Any, trained: Any, model_id: bytes) -> WeightShares:
        found = honest[2](session, terms, trained, model_id)
        if session.me == THIEF:
            seen["told"] = found.latest[0].view(np.int64)
        return found

    def announce(session: Any, terms: Any, targets: Any, *rest: Any) -> Any:
        seen["labels"] = targets[0].astype(int)
        return honest[3](session, terms, targets, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "descend", descend)
        patch.setattr(training, "hear_residuals", hear_residuals)
        patch.setattr(training, "own_shares", own_shares)
        patch.setattr(training, "announce", announce)
        yield seen


def stolen(
    rows: int,
    columns: int,
    digits: int,
    *,
    reveal: tuple[str, ...],
    weight_bits: int = 10,
    link: str = "taylor",
    scheme: Scheme | None = None,
) -> tuple[NDArray[np.bool_], int]:
    """Which of the chosen rows' labels the host reads right, and how many events they hold."""
    rng = np.random.default_rng(1)
    own, theirs = rng.normal(size=(rows, 3)), rng.normal(size=(rows, columns))
    y = (own.sum(axis=1) + rng.logistic(size=rows) > 1.5).astype(float)
    job = planned(LogisticRegression, max_iter=10, link=link, reveal=reveal, weight_bits=weight_bits)
    with deviating(rows, columns, digits, weight_bits) as seen:
        Budgeted(None).train(table("bank", own, y), table(THIEF, theirs), job, scheme)
    read = labels_in(seen["told"], rows, digits, weight_bits)
    truth = seen["labels"][: len(read)]
    return read == truth, int(truth.sum())


def labels_in(told: NDArray[np.int64], rows: int, digits: int, weight_bits: int = 10) -> NDArray[np.int64]:
    """The labels of the first rows in the shared order, by what a host that deviates is told as its weights."""
    units = np.rint(told / 2.0 ** (WEIGHT - weight_bits))
    rate = np.rint((-units[0] / 2.0 ** (SCORE + weight_bits)) % 1.0 * rows) / rows
    sizes = np.array([min(digits, rows - j * digits) for j in range(len(told) - 1)])
    sums = np.rint(units[1:] + rate * (2.0**sizes - 1)) % 2.0 ** (SCORE + 1 + weight_bits)
    return np.concatenate([(int(s) >> np.arange(n)) & 1 for s, n in zip(sums, sizes, strict=True)])
