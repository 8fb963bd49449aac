"""Steps 4 and 5 of sealed trees (sealed.py), block after block of rows: what is on its way is one block at each party.

Blocks are of the vector of all classes' rows, one class after the other; a class's rows in a block are a stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.boosting import product, rings
from protocols.boosting.by_class import Stretch, stretches_of
from protocols.boosting.kept_shares import KeptShares
from protocols.boosting.prepare import Owned, Prepared
from protocols.boosting.rings import Shares
from protocols.boosting.sealed import Blocks, LevelShares, Start
from protocols.channel import broadcast
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.parts import Part, parts
from protocols.row_blocks import pace, taken
from protocols.session import Session

Ints = NDArray[np.int64]


def blocks_of(start: Start) -> Iterator[tuple[Part, list[Stretch]]]:
    """The blocks of a level's vector, and the stretches of each."""
    rows = len(start.rows)
    for part in parts(start.p.num_class * rows):
        yield part, stretches_of(part.first, part.last, rows)


def at_root(session: Session, start: Start, x: Callable[[int, int], PlainVec], share: int) -> KeptShares:
    """A holder's shares at the roots of a round's trees; x: of some of (classes * training rows,); share: of being
    there."""
    classes, rows = start.p.num_class, len(start.rows)

    def blocks() -> Iterator[Shares]:
        for part in parts(len(start.held_out)):
            u = np.full((classes, len(part)), share, dtype=np.uint64)
            first, last = start.rows.before(part.first), start.rows.before(part.last)
            each = (x(k * rows + first, k * rows + last) for k in range(classes))
            yield Shares(tuple(each) if first < last else (), u)

    return KeptShares(session.keep, classes, blocks())


class LevelSums:
    """What an owner adds up by bin of a level, by class."""

    def __init__(self, start: Start, owned: Sequence[Owned], step: range, number: int, level: int) -> None:
        self._level, self._places = level, [start.place(step, number, k) for k in range(start.p.num_class)]
        self._owned = [owned[group] for group, _ in self._places]
        self._cells = [PlainVec.zeros(0)] * start.p.num_class

    def add(self, xi: PlainVec, stretches: Sequence[Stretch]) -> None:
        """A block of xi."""
        for k, first, last, at in stretches:
            more = self._owned[k].cells(xi.slice(at, at + last - first), first, last)
            self._cells[k] = self._cells[k] + more if len(self._cells[k]) else more

    def answers(self, session: Session) -> PlainVec:
        """Step 5: t of each class, one after the other."""
        each = zip(self._owned, self._places, self._cells, strict=True)
        return rings.join([own.answer(session, tree, self._level, cells) for own, (_, tree), cells in each])


class LeftChildren:
    """A holder's shares of a level's left children (of the root at level 0), out of those of all nodes of the level;
    orders: as of `product.children`."""

    def __init__(self, start: Start, shares: KeptShares, level: int, orders: Ints | None) -> None:
        self._start, self._shares, self._nodes = start, shares, start.layout.nodes(level)
        count = start.p.num_class * self._nodes
        left = product.seats_of(count, orders)[:, 0] if level else np.arange(count)
        self._seats = left.reshape(start.p.num_class, -1) - np.arange(start.p.num_class)[:, None] * (1 << level)

    def stacked(self, stretch: Stretch) -> PlainVec:
        """One integer for each row."""
        x = self._shares.x(stretch.k, stretch.first, stretch.last, self._seats[stretch.k].tolist())
        return self._start.layout.stacked(Shares(tuple(x), np.zeros((0, 0), dtype=np.uint64)))


def guest(session: Session, start: Start, lefts: LeftChildren, level: int, sums: LevelSums) -> PlainVec:
    """The guest receives the arbiter's shares, sends all owners xi, and adds it up by bin itself.  Returns the sums of
    xi of each class, at the root."""
    bits, whole = start.layout.bits(level), [PlainVec.zeros(1)] * start.p.num_class
    for part, stretches in blocks_of(start):
        theirs = session.arbiter.recv(LevelShares, part).shares
        check_lengths(session.roles.arbiter, len(part), theirs)
        xi = (rings.join([lefts.stacked(one) for one in stretches]) + theirs).residue(bits)
        taken(session.arbiter, part)
        for k, first, last, at in stretches if not level else ():
            whole[k] = whole[k] + xi.slice(at, at + last - first).sum()
        pace(session.hosts, part)
        broadcast(session.hosts, Blocks(xi), part)
        sums.add(xi, stretches)
    return rings.join([one.residue(bits) for one in whole])


def host(session: Session, start: Start, level: int, sums: LevelSums) -> None:
    """A host receives xi, and adds it up by bin."""
    guest_name = session.roles.guest
    for part, stretches in blocks_of(start):
        xi = session.guest.recv(Blocks, part).xi
        check_lengths(guest_name, len(part), xi)
        if xi.max_bits() > start.layout.bits(level):
            raise RemoteProtocolError(f"{guest_name} sent shares out of range", party=guest_name)
        sums.add(xi, stretches)
        taken(session.guest, part)


def arbiter(
    session: Session, start: Start, lefts: LeftChildren, level: int, prepared: Sequence[tuple[Prepared, int]]
) -> PlainVec:
    """The arbiter sends its shares less the pads; prepared: of each class, and the tree's number there.  Returns the
    sums of the pads of each class, at the root."""
    bits, whole = start.layout.bits(level), [PlainVec.zeros(1)] * start.p.num_class
    for part, stretches in blocks_of(start):
        own = list[PlainVec]()
        for one in stretches:
            group, tree = prepared[one.k]
            pads = group.pads(tree, level, one.first, one.last)
            if not level:
                whole[one.k] = whole[one.k] + pads.sum()
            own.append((lefts.stacked(one) - pads).residue(bits))
        pace([session.guest], part)
        session.guest.send(LevelShares(rings.join(own)), part)
    return rings.join(whole)
