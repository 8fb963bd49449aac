"""What every query has, whatever its lists hold: the place of an id in each host's list, keys of point functions,
budgets, and numbers that are answered once.

Source, adversary, figure and who learns what: query.py and tree_query.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from protocols._native import DpfKeys
from protocols.channel import Channel, broadcast
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.message import BLINDED, PUBLIC, REVEALED, Message
from protocols.online.lists import inverse, place_of, points_of
from protocols.online.publishing import EpochStart, Meter, Served
from protocols.randomness import Seed
from protocols.ristretto import POINT_BYTES, PointVec
from protocols.session import Session
from protocols.tags import Tags

MOST_AT_ONCE = 32  # queries that travel together
KEY_BYTES = 26 + MOST_AT_ONCE * (16 * 22 + 3)


class BlindedAsk(
    Message,
    disclosure=BLINDED,
    learns="that the sender asks about this number of ids, which it cannot tell from others",
    most_bytes=POINT_BYTES * MOST_AT_ONCE + 16,
):
    points: PointVec  # (n,)  H(id)^r, r new for each


class RaisedAsk(
    Message,
    disclosure=REVEALED,
    permit="intersection-to-parties",
    learns="for each id asked whether the sender knows it, and where it stands in its list; what is left of a budget",
    most_bytes=POINT_BYTES * MOST_AT_ONCE + 32,
):
    points: PointVec  # (n,)  the receiver's to the power b; none where the budget refuses
    left: int


class QueryKeys(
    Message,
    disclosure=BLINDED,
    learns="nothing: keys of point functions, without those of the other server",
    most_bytes=KEY_BYTES + 32,
):
    number: bytes  # (8,) of the query, big-endian: its size tells nothing
    keys: DpfKeys  # (n,)


class OnlineEnd(Message, disclosure=PUBLIC, learns="that nothing more is asked", most_bytes=16):
    done: bool


@dataclass(frozen=True, eq=False, repr=False)
class Asked:
    """What came of queries: predictors (n, models), which only count where `known`; left: of the smallest budget of a
    host, negative where it refused all of them and nothing was looked up."""

    predictors: NDArray[np.float64]
    known: NDArray[np.bool_]
    left: int


def drawn(session: Session, ids: Sequence[bytes | None]) -> Seed:
    """The guest's secrets of one query."""
    return session.seed("online ask", b"".join(len(i or b"").to_bytes(4, "big") + (i or b"") for i in ids))


def blinded(session: Session, child: Callable[[str], Seed], ids: Sequence[bytes | None]) -> list[bytes]:
    """Step 1, asked: the scalar of each id."""
    seeds = [child(f"blind {row}") for row in range(len(ids))]
    scalars = [seed.scalar() for seed in seeds]
    own = [
        points_of([seed.child("nobody").secret if one is None else one], scalar).to_bytes()
        for seed, scalar, one in zip(seeds, scalars, ids, strict=True)
    ]
    broadcast(session.hosts, BlindedAsk(PointVec.of_own(b"".join(own))))
    return scalars


def raised(session: Session, scalars: Sequence[bytes]) -> tuple[list[list[bytes]], int]:
    """Step 1, answered: by host the tag of each id, and what is left of the smallest budget."""
    inverses = [inverse(scalar) for scalar in scalars]
    found, left = list[list[bytes]](), 1 << 62
    for channel in session.hosts:
        answer = channel.recv(RaisedAsk)
        left = min(left, answer.left)
        if answer.left < 0:
            continue
        check_lengths(channel.peer, len(scalars), answer.points)
        data = answer.points.to_bytes()
        points = (PointVec.receive(data[i : i + POINT_BYTES], channel.peer) for i in range(0, len(data), POINT_BYTES))
        found.append([(p * i).tag_bytes() for p, i in zip(points, inverses, strict=True)])
    return found, left


def places_of(
    lists: Sequence[Tags], tags: Sequence[Sequence[bytes]], random: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(hosts, n) the place of each id in each host's list, a random one where any host does not know it; and (n,)
    whether all know it."""
    hosts, n = len(tags), len(tags[0])
    places = np.empty((hosts, n), np.int64)
    known = np.ones(n, np.bool_)
    for host in range(hosts):
        for row in range(n):
            place = place_of(lists[host], tags[host][row])
            known[row] &= place is not None
            places[host, row] = place or 0
    drawn = random.reshape(hosts, n)
    for host in range(hosts):
        lost = (drawn[host] % np.uint64(len(lists[host]))).astype(np.int64)
        places[host] = np.where(known, places[host], lost)
    return places, known


def send_keys(session: Session, secret: Seed, number: int, host: int, points: NDArray[np.int64], bits: int) -> None:
    """Step 2: keys for the list of host number `host`, first to whom it is the longest work."""
    ours, other = DpfKeys.deal(secret.child(f"keys {host}").secret, points, bits)
    session.arbiter.send(QueryKeys(number.to_bytes(8, "big"), other))
    session.hosts[host].send(QueryKeys(number.to_bytes(8, "big"), ours))


def serve_host(
    session: Session,
    epoch: Served,
    meter: Meter,
    settle: Callable[[], None],
    answer: Callable[[DpfKeys], Message],
    after: Callable[[int], None] = lambda count: None,
) -> EpochStart | None:
    """A host's side, until the guest starts another epoch, which is returned, or ends.  Learns: how often, and when.

    meter: charges queries before anything is said of them; settle: returns when nothing can undo what was charged, and
    is called before an answer; answer: of step 3; after: receives how many were answered.  Raises ProtocolError for a
    number that is not the next one.
    """
    guest, asked = session.guest, 0  # ids that are raised and not looked up
    while True:
        message = guest.recv_of((BlindedAsk, QueryKeys, EpochStart, OnlineEnd))
        if isinstance(message, BlindedAsk):  # the earlier ones were given up, where another host refused them
            asked = _raise(guest, epoch, message.points, meter)  # 1
        elif isinstance(message, QueryKeys):
            check_count(guest, asked)
            keys = keys_of(guest, message, epoch, 0)  # 2
            check_lengths(guest.peer, asked, keys, what="keys")
            found = answer(keys)
            settle()
            guest.send(found)  # 3
            after(asked)
            asked = 0
        else:
            return message if isinstance(message, EpochStart) else None


def _raise(guest: Channel, epoch: Served, points: PointVec, meter: Meter) -> int:
    """Step 1 at a host: how many ids may be looked up now, none where the budget refuses."""
    count = len(points)
    check_count(guest, count)
    left = meter(count)
    if left < 0:
        guest.send(RaisedAsk(PointVec.of_own(b""), left))
        return 0
    guest.send(RaisedAsk(points * epoch.scalar, left))
    return count


def serve_arbiter(
    session: Session,
    epochs: Sequence[Served],
    counted: Callable[[int], object],
    answer: Callable[[Sequence[DpfKeys], int], None],
    between: Mapping[type[Message], Callable[[Message], None]] = MappingProxyType({}),
) -> EpochStart | None:
    """The arbiter's side; counted: receives the number of queries; answer: of step 3, from the keys of each host's list
    and that number; between: what else may come between queries, and what takes it.  As `serve_host`: what the hosts
    refuse does not get here, or is not worth anything."""
    guest = session.guest
    while True:
        message = guest.recv_of((QueryKeys, *between, EpochStart, OnlineEnd))
        if (takes := between.get(type(message))) is not None:
            takes(message)
            continue
        if not isinstance(message, QueryKeys):
            return message if isinstance(message, EpochStart) else None
        count, keys = len(message.keys), list[DpfKeys]()
        check_count(guest, count)
        counted(count)
        for host, epoch in enumerate(epochs):
            asked = guest.recv(QueryKeys) if host else message
            keys.append(keys_of(guest, asked, epoch, 1))  # 2
            check_lengths(guest.peer, count, keys[-1], what="keys")
        answer(keys, count)


def check_count(channel: Channel, count: int) -> None:
    """Raises RemoteProtocolError for more ids than travel together, or none."""
    if not 1 <= count <= MOST_AT_ONCE:
        raise RemoteProtocolError(f"{channel.peer} asks about an impossible number of ids", party=channel.peer)


def keys_of(channel: Channel, message: QueryKeys, epoch: Served, party: int) -> DpfKeys:
    """The keys of the next query.  Raises RemoteProtocolError for one that was answered before, or of another list."""
    number = int.from_bytes(message.number, "big") if len(message.number) == 8 else -1
    if number != epoch.number + 1:
        raise RemoteProtocolError(
            f"{channel.peer} sent a query under a number that is not the next one",
            remedy="Nothing was answered. If this occurs again, ask there what was repeated",
            party=channel.peer,
            expected=epoch.number + 1,
            found=number,
        )
    if message.keys.bits != epoch.bits or message.keys.party != party:
        raise RemoteProtocolError(f"{channel.peer} sent keys of another list", party=channel.peer)
    epoch.number += 1
    return message.keys
