"""Private set intersection of three or more data parties: only the intersection of all becomes known to them.

The arbiter passes each list round the ring of data parties until it is under every party's secret, and compares.  At no time does a data party see two
lists under the same set of secrets: the list that reaches it after t steps is under t of them.
Adversary: honest but curious.  The arbiter holds none of the secrets; together with all but one data party it could test guesses of that one's ids.

     data party P_i, ids, secret k_i                                    arbiter
 1   shuffle          BlindedIds H(id)^k_i    ---------------------->
     for t = 1 .. m-1:
 2                                            <----------------------   RelayedIds: the list of P_(i-t), under t secrets
                      ReblindedIds: ^k_i      ---------------------->
 3                                                                      m lists under k_1 ... k_m: compares their tags
                                              <----------------------   AgreedSize; all stop here if it is too small
 4                                            <----------------------   CommonRows: P_i's own rows, in tag order

Who learns what: the arbiter the size of every intersection; a data party the others' numbers of ids, the size of the intersection of all and, if that is large
enough, which of its own ids are in it.
Cost: m scalar products and one hash to the group an id, 64 m bytes.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from protocols.alignment.psi import Alignment, BlindedIds, blind, check_rows, too_small
from protocols.channel import broadcast
from protocols.codec import Int32s, check_lengths
from protocols.message import BLINDED, REVEALED, Message
from protocols.ristretto import PointVec
from protocols.session import Session


class RelayedIds(Message, disclosure=BLINDED, learns="how many ids another party has"):
    points: PointVec  # (n,)  under the secrets of t parties, none of them the receiver's


class ReblindedIds(
    Message,
    disclosure=REVEALED,
    permit="intersection-sizes-to-arbiter",
    learns="once a list is under every party's secret: how many ids any set of parties has in common",
):
    points: PointVec  # (n,)  under one secret more


class AgreedSize(Message, disclosure=REVEALED, permit="intersection-to-parties", learns="how many ids all parties have in common"):
    size: int


class CommonRows(Message, disclosure=REVEALED, permit="intersection-to-parties", learns="which of its own ids are common to all parties"):
    rows: Int32s  # (size,)  positions in the receiver's list, in tag order


def data_party(session: Session, ids: list[bytes], min_intersection: int) -> Alignment:
    """Rows of `ids` that every data party holds, in the shared order.  Raises DataError below `min_intersection`, InvalidPoint."""
    arbiter = session.arbiter
    shuffle, secret, points = blind(session, ids)
    arbiter.send(BlindedIds(points))  # 1
    ring = session.roles.data_parties
    sizes = {session.me: len(ids)}
    for t in range(1, len(ring)):
        relayed = arbiter.recv(RelayedIds).points
        sizes[ring[(ring.index(session.me) - t) % len(ring)]] = len(relayed)
        arbiter.send(ReblindedIds(relayed * secret))  # 2
    size = arbiter.recv(AgreedSize).size  # 3
    if size < min_intersection:
        raise too_small(max(size, 0), min_intersection)
    rows = arbiter.recv(CommonRows).rows  # 4
    check_rows(arbiter.peer, rows, size, len(ids))
    return Alignment(shuffle[rows], sizes)


def comparer(session: Session, min_intersection: int) -> None:
    """The arbiter's side.  Raises DataError below `min_intersection`."""
    ring = [session.channels[p] for p in session.roles.data_parties]
    lists = [party.recv(BlindedIds).points for party in ring]  # 1
    for t in range(1, len(ring)):
        for i, points in enumerate(lists):
            ring[(i + t) % len(ring)].send(RelayedIds(points))  # 2
        for i, points in enumerate(lists):
            party = ring[(i + t) % len(ring)]
            lists[i] = party.recv(ReblindedIds).points
            check_lengths(party.peer, len(points), lists[i], what="re-blinded ids")
    tags = [points.tags() for points in lists]  # 3
    common = reduce(np.intersect1d, tags)
    broadcast(ring, AgreedSize(len(common)))
    if len(common) < min_intersection:
        raise too_small(len(common), min_intersection)
    for party, own in zip(ring, tags, strict=True):
        order = np.argsort(own, kind="stable")
        party.send(CommonRows(order[np.searchsorted(own[order], common)].astype(np.int32)))  # 4
