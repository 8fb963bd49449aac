"""Margins of rows by sealed trees, as shares of guest and arbiter: all trees at once, level by level; nobody sees where
a row goes.

     guest, arbiter                                                     owners of splits
 1   TreesName: all hold parts of the same model
 2   each level: products (product.py) of membership with the owners' directions; only u goes down
 3   leaves (leaves.py): the arbiter's values

Who learns what: the first host how many splits of a level are the guest's; nobody anything else.  Rows go in blocks, so
that their shares fit into memory.
Cost for each row, tree and place: 6 bytes for each of about five messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Bins
from protocols.boosting import leaves, product
from protocols.boosting.ensemble import HostSplits
from protocols.boosting.keys import PairKeys
from protocols.boosting.product import Level
from protocols.boosting.rings import Shares, Words
from protocols.boosting.sealed_parts import GUEST, ArbiterTrees, GuestTrees, Shape
from protocols.channel import broadcast
from protocols.codec import Int32s, check_lengths
from protocols.errors import ModelError, RemoteProtocolError
from protocols.message import PUBLIC, REVEALED, Message
from protocols.parts import Part
from protocols.session import Session

T = TypeVar("T", bound=np.generic)
Ints = NDArray[np.int64]
BLOCK = 1 << 22  # rows times last places of all trees that are under way at once
MOST_ROWS, MOST_OUTPUTS = 1 << 32, 1000


class SealedName(
    Message,
    disclosure=PUBLIC,
    learns=("the random name of the model that scores, and how many rows and outputs it scores"),
):
    model_id: bytes  # (16,)
    rows: int
    outputs: int


class HelpOrder(
    Message,
    disclosure=REVEALED,
    permit="wins-to-owners",
    learns="for each level of the trees, at how many nodes the split is the guest's",
):
    places: Int32s  # (depth,)


def guest(session: Session, keys: PairKeys, binned: Bins, part: GuestTrees) -> Words:
    """The guest's shares (outputs, rows)."""
    broadcast([*session.hosts, session.arbiter], SealedName(part.model_id, len(binned), part.params.num_class))  # 1
    margin = np.zeros((part.params.num_class, len(binned)), dtype=np.uint64)

    def step(level: int, shares: Shares, orders: Ints | None, rows: Ints, own: Bins) -> Shares:
        owners = part.shape.level(level)[0]
        bits = np.zeros((int((owners == GUEST).sum()), len(rows)), dtype=np.bool_)
        for k, (tree, place) in enumerate(zip(*np.nonzero(owners == GUEST), strict=True)):
            bits[k] = part.goes_left(own, slice(None), int(tree), (1 << level) - 1 + int(place))
        products = walked(rows, level, len(part.shape))
        return product.guest(session, keys, products, shares, owners.ravel(), partial(within, bits), orders)  # 2

    for rows in blocks(len(binned), len(part.shape), part.shape.depth):
        start = np.ones((len(part.shape), len(rows)), dtype=np.uint64)
        u = descend(part.shape, start, partial(step, rows=rows, own=binned.take(rows)))
        for tree, own in enumerate(u):
            label = f"walk leaves {rows[0]} {tree}"
            for here, more in leaves.guest(session, keys, label, own.shape, partial(within, own)):  # 3
                margin[tree % len(margin), rows[here.rows]] += more
    return margin


def arbiter(session: Session, keys: PairKeys, part: ArbiterTrees) -> Words:
    """The arbiter's shares (outputs, rows)."""
    name = session.guest.recv(SealedName)
    check_name(session, name, part.model_id)
    owners = [part.shape.level(level)[0].ravel() for level in range(part.shape.depth)]
    session.channels[session.roles.hosts[0]].send(
        HelpOrder(np.array([(o == GUEST).sum() for o in owners], dtype=np.int32))
    )
    found = list[Words]()  # by block: a number of rows that the guest only claims takes no memory

    def step(level: int, shares: Shares, orders: Ints | None, rows: Ints) -> Shares:
        return product.arbiter(session, keys, walked(rows, level, len(part.shape)), shares, owners[level], orders)  # 2

    for rows in blocks(name.rows, len(part.shape), part.shape.depth):
        u = descend(part.shape, np.zeros((len(part.shape), len(rows)), dtype=np.uint64), partial(step, rows=rows))
        margin = np.zeros((part.num_class, len(rows)), dtype=np.uint64)
        for tree, own in enumerate(u):
            label, of_rows = f"walk leaves {rows[0]} {tree}", partial(within, own)
            for here, more in leaves.arbiter(session, keys, label, len(rows), of_rows, part.value[tree]):  # 3
                margin[tree % len(margin), here.rows] += more
        found.append(margin)
    if not found:  # no trees, or no rows
        return np.broadcast_to(np.uint64(0), (part.num_class, name.rows))
    return np.concatenate(found, axis=1)


def host(
    session: Session,
    keys: PairKeys,
    binned: Bins,
    part: HostSplits,
    depth: int,
    allow: Callable[[int], None] | None = None,
) -> int:
    """A host's part; returns how many outputs the model has.  allow: receives that number before anything else is sent,
    and raises if it does not agree.

    Raises ModelError, ProtocolError.
    """
    name = session.guest.recv(SealedName)
    check_name(session, name, part.model_id)
    if name.rows != len(binned):
        raise RemoteProtocolError(
            f"{session.roles.guest} scores another number of rows than are common", party=session.roles.guest
        )
    if allow:
        allow(name.outputs)
    helps = np.zeros(depth, dtype=np.int64)
    if session.me == session.roles.hosts[0]:
        message = session.arbiter.recv(HelpOrder)
        check_lengths(session.roles.arbiter, depth, message.places, what="levels")
        helps = message.places.astype(np.int64)
        most = part.trees << np.arange(depth)
        if (helps < 0).any() or (helps > most).any():
            raise RemoteProtocolError(
                f"{session.roles.arbiter} orders help at an impossible number of nodes", party=session.roles.arbiter
            )
    by_level = part.handles_by_level(depth)
    for rows in blocks(len(binned), part.trees, depth):
        own = binned.take(rows)
        for level, handles in enumerate(by_level):
            left = np.array([part.goes_left(own, slice(None), k) for k in handles], dtype=np.bool_).reshape(
                len(handles), len(rows)
            )
            products = walked(rows, level, part.trees)
            product.host(session, keys, products, partial(within, left), int(helps[level]))  # 2
        for tree in range(part.trees):
            leaves.host(session, keys, f"walk leaves {rows[0]} {tree}", 1 << depth, len(rows))  # 3
    return name.outputs


def descend(shape: Shape, start: Words, step: Callable[[int, Shares, Ints | None], Shares]) -> Words:
    """Membership (trees, leaves, rows) from that in the first nodes (trees, rows)."""
    shares = Shares((), start)
    for level in range(shape.depth):
        orders = shape.level(level + 1)[1] if level + 1 < shape.depth else None
        shares = step(level, shares, orders)
    return shares.u.reshape(len(start), 1 << shape.depth, -1)


def blocks(rows: int, trees: int, depth: int) -> Iterator[Ints]:
    """Consecutive rows whose shares fit into memory; none where there are no trees."""
    size = max(1, BLOCK // max(1, trees << depth))
    return (np.arange(first, min(first + size, rows)) for first in range(0, rows if trees else 0, size))


def walked(rows: Ints, level: int, trees: int) -> Level:
    """The products of one level of all trees, for these rows."""
    return Level(f"walk {rows[0]} {level}", len(rows), None, trees << level)


def within(of_all: NDArray[T], part: Part) -> NDArray[T]:
    """The columns of a block of rows."""
    return of_all[:, part.rows]


def check_name(session: Session, name: SealedName, model_id: bytes) -> None:
    """At hosts and arbiter.  Raises ModelError where the guest scores with another model than this party's part belongs
    to, ProtocolError."""
    if name.model_id != model_id:
        raise another_model(session)
    if not (0 <= name.rows <= MOST_ROWS and 1 <= name.outputs <= MOST_OUTPUTS):
        raise RemoteProtocolError(
            f"{session.roles.guest} scores an impossible number of rows", party=session.roles.guest
        )


def another_model(session: Session) -> ModelError:
    return ModelError(
        f"{session.roles.guest} scores with another model than this party's part belongs to",
        remedy="Give every party the model folder of the same run",
        party=session.me,
    )
