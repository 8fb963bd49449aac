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

import numpy as np
from numpy.typing import NDArray

from protocols._native import DpfKeys
from protocols.cipher import CipherVec, DecryptionKey
from protocols.codec import Int64s, check_lengths
from protocols.glm import scoring
from protocols.glm.scoring import Slots
from protocols.glm.shares import WeightShares, Words
from protocols.message import BLINDED, REVEALED, Message
from protocols.online import asking
from protocols.online.asking import MOST_AT_ONCE, Asked
from protocols.online.epoch import GuestEpoch, ServerEpoch
from protocols.online.lists import Form, answer_mask, looked_up
from protocols.online.publishing import EpochStart, Meter
from protocols.session import Session


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


def ask(session: Session, epoch: GuestEpoch, ids: Sequence[bytes | None], x: NDArray[np.int64]) -> Asked:
    """The guest's side; ids: canonical, None for one that cannot be read; x (n, width): its own columns as integers.

    The steps, their sizes and their order do not depend on the ids.
    """
    n, models, form = len(ids), epoch.form.models, epoch.form
    secret = asking.drawn(session, ids)
    scalars = asking.blinded(session, secret.child, ids)  # 1
    own, packed = _own(session, epoch, x)  # while the hosts work
    tags, left = asking.raised(session, scalars)
    if left < 0:
        return Asked(np.zeros((n, models)), np.zeros(n, np.bool_), left)
    places, known = asking.places_of(epoch.tags, tags, secret.child("places").words(n * len(tags)))
    epoch.asked[0] += 1
    total = np.zeros((n, models), np.uint64)
    for host, place in enumerate(places):
        size = len(epoch.tags[host])
        asking.send_keys(session, secret, epoch.asked[0], host, -place % size, size.bit_length() - 1)  # 2
        total -= epoch.pads[host][place]
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


def serve_host(
    session: Session, epoch: ServerEpoch, meter: Meter, settle: Callable[[], None] = lambda: None
) -> EpochStart | None:
    """As `asking.serve_host`."""

    def answer(keys: DpfKeys) -> Answer:
        found = looked_up(keys, epoch.tables, epoch.form)
        return _answer(epoch.form, found + answer_mask(epoch.seed, epoch.number, len(keys), epoch.form))

    return asking.serve_host(session, epoch, meter, settle, answer)


def serve_arbiter(
    session: Session,
    epochs: Sequence[ServerEpoch],
    key: DecryptionKey | None,
    held: WeightShares | None,
    counted: Callable[[int], object] = lambda _: None,
) -> EpochStart | None:
    """As `asking.serve_arbiter`; held: its shares of the guest's weights, where these stay shared."""
    guest, form = session.guest, epochs[0].form

    def answer(each: Sequence[DpfKeys], count: int) -> None:
        total = np.zeros((count, form.models), np.uint64)
        for epoch, keys in zip(epochs, each, strict=True):
            total += looked_up(keys, epoch.tables, form)
            total -= answer_mask(epoch.seed, epoch.number, count, form)
        if held is not None:
            assert key is not None
            slots, numbers = Slots.of(key.public, 1, held.latest.shape[1]), count * form.models
            packed = guest.recv(OwnProducts).packed
            check_lengths(guest.peer, numbers, packed, what="packed products")
            total += slots.words(key.open_whole(packed), numbers).reshape(form.models, count).T
        guest.send(_answer(form, total))  # 3

    return asking.serve_arbiter(session, epochs, counted, answer)


def _answer(form: Form, numbers: Words) -> Answer:
    return Answer(form.cut_off(numbers).view(np.int64).ravel())
