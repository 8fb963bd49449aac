"""Which rows a step takes: all of them or, with mini-batches, the next part of a random order, with a new order in each
epoch, or in each chunk of prepared iterations (preparation.py).

     guest                                                  hosts
 1   (mini-batches)  RowOrder: a random seed  ----------->   pass p: the rows in an order that seed and p decide; batch k: the k-th part of it

Who learns what: nothing.  The arbiter, which does not receive the order, knows at most a batch's size; data parties
hold no number of a batch, so that an order does not help them.
"""  # noqa: E501

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from protocols.channel import broadcast
from protocols.codec import check_lengths
from protocols.glm.plan import Plan, Step
from protocols.message import PUBLIC, Message
from protocols.randomness import Seed
from protocols.session import Session

SEED = 32  # bytes
Rows = slice | NDArray[np.int64]


class RowOrder(Message, disclosure=PUBLIC, learns="the random seed of the order in which training takes the rows"):
    seed: bytes  # (32,)


class Batches:
    """`count` parts of `rows` rows per epoch, whose sizes differ by at most one; without a seed the one part that all
    rows are.  hold: epochs that keep an order."""

    def __init__(self, rows: int, count: int = 1, seed: Seed | None = None, hold: int = 1) -> None:
        self.rows, self.count, self._seed, self._hold = rows, count, seed, hold
        self._kept: tuple[int, NDArray[np.int64]] | None = None  # a pass and its order

    def digest(self) -> bytes:
        """SHA-256 of what decides which rows a step takes."""
        parts = (self.rows, self.count, self._hold, b"" if self._seed is None else self._seed.secret)
        return hashlib.sha256(repr(parts).encode()).digest()

    def of(self, step: Step) -> Rows:
        """The rows of a step."""
        if self._seed is None:
            return slice(None)
        epoch, batch = divmod(step.number, self.count)
        done = epoch // self._hold
        if self._kept is None or self._kept[0] != done:
            self._kept = done, self._seed.child(f"pass {done}").permutation(self.rows)
        first, end = (self.rows * k // self.count for k in (batch, batch + 1))
        return self._kept[1][first:end]


def announce(session: Session, plan: Plan, rows: int, hold: int = 1) -> Batches:
    """The guest's side."""
    if plan.sgd is None:
        return Batches(rows)
    seed = session.seed("row order")
    broadcast(session.hosts, RowOrder(seed.secret))  # 1
    return Batches(rows, plan.batches, seed, hold)


def receive(session: Session, plan: Plan, rows: int, hold: int = 1) -> Batches:
    """A host's side."""
    if plan.sgd is None:
        return Batches(rows)
    seed = session.guest.recv(RowOrder).seed  # 1
    check_lengths(session.roles.guest, SEED, seed, what="bytes of a seed")
    return Batches(rows, plan.batches, Seed(session.roles.guest, seed), hold)
