"""One customer's score, looked up in the lists of an epoch: nobody but the guest learns whose.

Source and adversary: epoch.py.

     guest: id, own columns x              host P (all hosts alike)                    arbiter
 1   r new; BlindedAsk H(id)^r  -------->  counts it against the day's budget
                <------------------------  RaisedAsk H(id)^(r b), and what is left of the budget
     place of the tag of H(id)^b, or a random place if some host does not know the id
 2   number, QueryKeys ----------------->  new number?
     number, QueryKeys for each host's list, and where its weights stay shared x - r (products.py)  ->
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
to each host, one key per host and 8 bytes per own column to the arbiter, and what products.py costs ahead.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from protocols._native import DpfKeys
from protocols.cipher import DecryptionKey
from protocols.codec import Int64s, check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm import scoring
from protocols.glm.shares import Words
from protocols.message import REVEALED, Message
from protocols.online import asking, products
from protocols.online.asking import MOST_AT_ONCE, Asked
from protocols.online.epoch import ArbiterEpoch, GuestEpoch, ServerEpoch
from protocols.online.lists import Form, answer_mask, looked_up
from protocols.online.products import PreparedProducts
from protocols.online.publishing import EpochStart, Meter
from protocols.session import Session


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
    own = scoring.times(x, epoch.words)  # while the hosts work
    while epoch.prepared is not None and len(epoch.prepared) < n:
        prepare(session, epoch)
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
    if epoch.prepared is not None:
        own = own - products.masked(session, epoch.prepared, x)
    for channel in (*session.hosts, session.arbiter):
        answer = channel.recv(Answer).numbers  # 3
        check_lengths(channel.peer, n * models, answer)
        total += answer.view(np.uint64).reshape(n, models)
    return Asked(form.predictors(form.cut_off(total + (own >> np.uint64(form.cut)))), known, left)


def prepare(session: Session, epoch: GuestEpoch) -> None:
    """Prepares some queries to come, where the guest's weights stay shared: the less there is left to do in a query."""
    assert epoch.prepared is not None
    assert epoch.theirs is not None
    products.prepare(session, epoch.prepared, epoch.theirs)


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
    epoch: ArbiterEpoch,
    key: DecryptionKey | None,
    counted: Callable[[int], object] = lambda _: None,
) -> EpochStart | None:
    """As `asking.serve_arbiter`; key: where any weights stay shared."""
    guest, form = session.guest, epoch.lists[0].form

    def answer(each: Sequence[DpfKeys], count: int) -> None:
        total = np.zeros((count, form.models), np.uint64)
        for one, keys in zip(epoch.lists, each, strict=True):
            total += looked_up(keys, one.tables, form)
            total -= answer_mask(one.seed, one.number, count, form)
        if epoch.prepared is not None:
            assert epoch.words is not None
            total += products.multiplied(session, epoch.prepared, epoch.words, count)
        guest.send(_answer(form, total))  # 3

    def opens(message: Message) -> None:
        assert isinstance(message, PreparedProducts)
        if key is None or epoch.prepared is None:
            raise RemoteProtocolError(f"{guest.peer} prepares products of weights that it knows", party=guest.peer)
        products.opened(session, epoch.prepared, key, message)

    return asking.serve_arbiter(session, epoch.lists, counted, answer, {PreparedProducts: opens})


def _answer(form: Form, numbers: Words) -> Answer:
    return Answer(form.cut_off(numbers).view(np.int64).ravel())
