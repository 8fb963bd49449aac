"""One customer's score, looked up in the lists of an epoch: nobody but the guest learns whose.

Source and adversary: epoch.py.

     guest: id, own columns x              host P (all hosts alike)                    arbiter
 1   r new; BlindedAsk H(id)^r  -------->  counts it against the day's budget
                <------------------------  RaisedAsk H(id)^(r b), and what is left of the budget
     place of the tag of H(id)^b, or a random place if some host does not know the id
 2   number, QueryKeys ----------------->  new number?
     number, QueryKeys for each host's list, and where its weights stay shared [[x b_G + m]]  ->
 3              <------------------------  Answer <key, T> + v                        Answer sum of <key, T> - v + (x b_G + m)
     z = sum of all answers - pads + x a_G - m, modulo 2^w

v is uniform, new for each number, and known to the servers alone: the guest can read the sum of all answers and no
single one.  So whatever keys it sends, it learns w bits from a query, one linear combination of the lists.  Each list
is masked by other numbers, so that with several hosts only sums over all of them tell anything.  A number is answered
once: no mask meets two queries.

Who learns what: the guest the score of one customer, as of `vfl predict`, and which hosts know the id.  Host and arbiter
that somebody was asked about, and when; an unknown, repeated or malformed id takes the same steps.  Host and arbiter
together: whom.
Cost per query: three scalar products, a look-up at each server over the whole list; 64 bytes and a key of 16 (bits + 2)
to each host, one key per host and one ciphertext to the arbiter.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols._native import DpfKeys
from protocols.channel import Channel, broadcast
from protocols.cipher import CipherVec, DecryptionKey
from protocols.codec import Int64s, check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm import scoring
from protocols.glm.scoring import Slots
from protocols.glm.shares import WeightShares, Words
from protocols.message import BLINDED, PUBLIC, REVEALED, Message
from protocols.online.epoch import EpochStart, GuestEpoch, Meter, ServerEpoch
from protocols.online.lists import answer_mask, inverse, looked_up, place_of, points_of
from protocols.randomness import Seed
from protocols.ristretto import POINT_BYTES, PointVec
from protocols.session import Session

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


class OwnProducts(
    Message,
    disclosure=BLINDED,
    learns="for each id asked a number that is uniform modulo n",
    most_bytes=MOST_AT_ONCE * 1024 * 1024 + 64,
):
    packed: CipherVec  # (models * n,)


class Answer(
    Message,
    disclosure=REVEALED,
    permit="scores-to-guest",
    learns=(
        "together with what the other servers of the query answer, one score for each id asked: the joint linear "
        "predictor with the hosts' errors; alone nothing"
    ),
    most_bytes=8 * MOST_AT_ONCE * 1024 + 16,
):
    numbers: Int64s  # (n * models,) modulo 2^w


class OnlineEnd(Message, disclosure=PUBLIC, learns="that nothing more is asked", most_bytes=16):
    done: bool


@dataclass(frozen=True, eq=False, repr=False)
class Asked:
    """What came of queries: predictors (n, models), which only count where `known`; left: of the smallest budget of a
    host, negative where it refused all of them and nothing was looked up."""

    predictors: NDArray[np.float64]
    known: NDArray[np.bool_]
    left: int


def ask(session: Session, epoch: GuestEpoch, ids: Sequence[bytes | None], x: NDArray[np.int64]) -> Asked:
    """The guest's side; ids: canonical, None for one that cannot be read; x (n, width): its own columns as integers.

    The steps, their sizes and their order do not depend on the ids.
    """
    n, models, form = len(ids), epoch.form.models, epoch.form
    secret = session.seed("online ask", b"".join(len(i or b"").to_bytes(4, "big") + (i or b"") for i in ids))
    scalars = _blinded(session, secret.child, ids)  # 1
    own, packed = _own(session, epoch, x)  # while the hosts work
    tags, left = _raised(session, scalars)
    if left < 0:
        return Asked(np.zeros((n, models)), np.zeros(n, np.bool_), left)
    places, known = _places(epoch, tags, secret.child("places").words(n * len(tags)))
    epoch.asked[0] += 1
    number, total = epoch.asked[0].to_bytes(8, "big"), np.zeros((n, models), np.uint64)
    for host, channel in enumerate(session.hosts):
        size = len(epoch.tags[host])
        bits = size.bit_length() - 1
        ours, other = DpfKeys.deal(secret.child(f"keys {host}").secret, -places[host] % size, bits)
        session.arbiter.send(QueryKeys(number, other))  # 2, first to whom it is the longest work
        channel.send(QueryKeys(number, ours))
        total -= epoch.pads[host][places[host]]
    if packed is not None:
        session.arbiter.send(OwnProducts(packed))
    for channel in (*session.hosts, session.arbiter):
        answer = channel.recv(Answer).numbers  # 3
        check_lengths(channel.peer, n * models, answer)
        total += answer.view(np.uint64).reshape(n, models)
    return Asked(form.predictors(form.cut_off(total + (own >> np.uint64(form.cut)))), known, left)


def _own(session: Session, epoch: GuestEpoch, x: NDArray[np.int64]) -> tuple[Words, CipherVec | None]:
    """(n, models) the guest's own part, or where its weights stay shared its share of it and what the arbiter opens."""
    own = scoring.times(x, epoch.words)
    if epoch.theirs is None:
        return own, None
    key = session.keys.of(session.roles.arbiter)
    assert key is not None
    packed, masks = scoring.products(session, epoch.theirs, x, epoch.form.models, Slots.of(key, 1, x.shape[1]))
    return own - masks, packed


def _blinded(session: Session, child: Callable[[str], Seed], ids: Sequence[bytes | None]) -> list[bytes]:
    """Step 1, asked: the scalar of each id."""
    seeds = [child(f"blind {row}") for row in range(len(ids))]
    scalars = [seed.scalar() for seed in seeds]
    own = [
        points_of([seed.child("nobody").secret if one is None else one], scalar).to_bytes()
        for seed, scalar, one in zip(seeds, scalars, ids, strict=True)
    ]
    broadcast(session.hosts, BlindedAsk(PointVec.of_own(b"".join(own))))
    return scalars


def _raised(session: Session, scalars: Sequence[bytes]) -> tuple[list[list[bytes]], int]:
    """Step 1, answered: by host the tag of each id, and what is left of the smallest budget."""
    inverses = [inverse(scalar) for scalar in scalars]
    found, left = list[list[bytes]](), 1 << 62
    for channel in session.hosts:
        raised = channel.recv(RaisedAsk)
        left = min(left, raised.left)
        if raised.left < 0:
            continue
        check_lengths(channel.peer, len(scalars), raised.points)
        data = raised.points.to_bytes()
        points = (PointVec.receive(data[i : i + POINT_BYTES], channel.peer) for i in range(0, len(data), POINT_BYTES))
        found.append([(p * i).tag_bytes() for p, i in zip(points, inverses, strict=True)])
    return found, left


def _places(
    epoch: GuestEpoch, tags: Sequence[Sequence[bytes]], random: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(hosts, n) the place of each id in each host's list, a random one where any host does not know it; and (n,)
    whether all know it."""
    hosts, n = len(tags), len(tags[0])
    places = np.empty((hosts, n), np.int64)
    known = np.ones(n, np.bool_)
    for host in range(hosts):
        for row in range(n):
            place = place_of(epoch.tags[host], tags[host][row])
            known[row] &= place is not None
            places[host, row] = place or 0
    drawn = random.reshape(hosts, n)
    for host in range(hosts):
        lost = (drawn[host] % np.uint64(len(epoch.tags[host]))).astype(np.int64)
        places[host] = np.where(known, places[host], lost)
    return places, known


def serve_host(
    session: Session, epoch: ServerEpoch, meter: Meter, settle: Callable[[], None] = lambda: None
) -> EpochStart | None:
    """A host's side, until the guest starts another epoch, which is returned, or ends.  Learns: how often, and when.

    meter: charges queries before anything is said of them; settle: returns when nothing can undo what was charged, and
    is called before an answer.  Raises ProtocolError for a number that is not the next one.
    """
    guest, asked = session.guest, 0  # ids that are raised and not looked up
    while True:
        message = guest.recv_of((BlindedAsk, QueryKeys, EpochStart, OnlineEnd))
        if isinstance(message, BlindedAsk):  # the earlier ones were given up, where another host refused them
            asked = _raise(guest, epoch, message.points, meter)  # 1
        elif isinstance(message, QueryKeys):
            _check_count(guest, asked)
            keys = _keys(guest, message, epoch, 0)  # 2
            check_lengths(guest.peer, asked, keys, what="keys")
            found = looked_up(keys, epoch.tables, epoch.form)
            settle()
            _answer(guest, epoch, found + answer_mask(epoch.seed, epoch.number, asked, epoch.form))  # 3
            asked = 0
        else:
            return message if isinstance(message, EpochStart) else None


def _raise(guest: Channel, epoch: ServerEpoch, points: PointVec, meter: Meter) -> int:
    """Step 1 at a host: how many ids may be looked up now, none where the budget refuses."""
    count = len(points)
    _check_count(guest, count)
    left = meter(count)
    if left < 0:
        guest.send(RaisedAsk(PointVec.of_own(b""), left))
        return 0
    guest.send(RaisedAsk(points * epoch.scalar, left))
    return count


def serve_arbiter(
    session: Session,
    epochs: Sequence[ServerEpoch],
    key: DecryptionKey | None,
    held: WeightShares | None,
    counted: Callable[[int], object] = lambda _: None,
) -> EpochStart | None:
    """The arbiter's side; held: its shares of the guest's weights, where these stay shared; counted: receives the
    number of queries.  As `serve_host`: what the hosts refuse does not get here, or is not worth anything."""
    guest, first = session.guest, epochs[0]
    while True:
        message = guest.recv_of((QueryKeys, EpochStart, OnlineEnd))
        if not isinstance(message, QueryKeys):
            return message if isinstance(message, EpochStart) else None
        count = len(message.keys)
        _check_count(guest, count)
        counted(count)
        total = np.zeros((count, first.form.models), np.uint64)
        for host, epoch in enumerate(epochs):
            asked = guest.recv(QueryKeys) if host else message
            keys = _keys(guest, asked, epoch, 1)  # 2
            check_lengths(guest.peer, count, keys, what="keys")
            total += looked_up(keys, epoch.tables, epoch.form)
            total -= answer_mask(epoch.seed, epoch.number, count, epoch.form)
        if held is not None:
            assert key is not None
            width = held.latest.shape[1]
            slots, numbers = Slots.of(key.public, 1, width), count * first.form.models
            packed = guest.recv(OwnProducts).packed
            check_lengths(guest.peer, numbers, packed, what="packed products")
            total += slots.words(key.open_whole(packed), numbers).reshape(first.form.models, count).T
        _answer(guest, first, total)  # 3


def _check_count(channel: Channel, count: int) -> None:
    if not 1 <= count <= MOST_AT_ONCE:
        raise RemoteProtocolError(f"{channel.peer} asks about an impossible number of ids", party=channel.peer)


def _keys(channel: Channel, message: QueryKeys, epoch: ServerEpoch, party: int) -> DpfKeys:
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


def _answer(channel: Channel, epoch: ServerEpoch, numbers: Words) -> None:
    channel.send(Answer(epoch.form.cut_off(numbers).view(np.int64).ravel()))
