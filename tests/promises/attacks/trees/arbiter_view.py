"""What the arbiter of sealed trees opens, as it happens: sums left of every candidate, put in the owners' own order.

The arbiter does not know that order.  It is granted here, since it can link candidates by their sums from tree to tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.boosting import prepare, sealed_arbiter
from protocols.boosting.split import Offer

Ints = NDArray[np.int64]


@dataclass
class Level:
    """Of one level of a round's trees: each party's sums, (classes * nodes, candidates)."""

    number: int
    level: int
    offers: list[Offer] = field(default_factory=list)


@dataclass
class View:
    """A training's levels in their order; orders: of each party, how its candidates stood in each group of trees."""

    levels: list[Level] = field(default_factory=list)
    orders: dict[str, list[Ints]] = field(default_factory=dict)
    groups: list[tuple[int, int]] = field(
        default_factory=list
    )  # of each entry of `levels`: the group of its first class's tree

    def sums(self, party: int, name: str, level: int) -> list[tuple[int, Ints, Ints]]:
        """(round, g, h) of one party at one level, candidates in its own order; for objectives with one output."""
        found = []
        for seen, (_, group) in zip(self.levels, self.groups, strict=True):
            if seen.level == level:
                back = np.argsort(self.orders[name][group])
                found.append((seen.number, seen.offers[party].g[:, back], seen.offers[party].h[:, back]))
        return found


@contextmanager
def watching() -> Iterator[View]:
    """Collects it from the trainings within."""
    view, honest_owner, honest_sums = View(), prepare.owner, sealed_arbiter.receive_sums

    def owner(session: Any, *rest: Any) -> Any:
        owned = honest_owner(session, *rest)
        view.orders.setdefault(session.me, []).append(owned.order)
        return owned

    def receive(session: Any, start: Any, step: range, number: int, level: int, prepared: Any, party: int) -> Offer:
        offer = honest_sums(session, start, step, number, level, prepared, party)
        if party == 0:
            before = sum(len(start.groups(s)) for s in start.steps if s.start < step.start)
            view.levels.append(Level(number, level))
            view.groups.append((number, before + start.place(step, number, 0)[0]))
        view.levels[-1].offers.append(offer)
        return offer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "owner", owner)
        patch.setattr(sealed_arbiter, "receive_sums", receive)
        yield view
