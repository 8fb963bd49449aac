"""One customer's score by sealed trees, from shares of the directions that are looked up in the lists of an epoch:
nobody but the guest learns whose, and nobody where the row goes.

Source and adversary: tree_epoch.py.

     guest: id, own columns                host P (all hosts alike)                   arbiter
 1   BlindedAsk, RaisedAsk  <---------->   counts it against the day's budget         (asking.py)
     place of the id in each host's list, or a random place if some host does not know the id
 2   number, QueryKeys ----------------->  new number?
     number, QueryKeys for each host's list  ----------------------------------------->
     <key, T> is the exclusive or of the records at which the key's leaf is odd
 3              <------------------------  RecordShares <key, T> ^ v                  keeps <key, T> ^ v
     takes the pad of the place off: shares of the directions at P's splits
 4   tree_walk.py: shares of the margin of the joint trees  <------------------------->
 5   boosting/rounding.py: OpenedScores, the rounded margin of the joint trees  <----->
     and adds what it knows: base, and trees of its own columns
 6                                         (the first host) DealtWalks, for as many rows as were asked  -->

v is uniform, new for each number, and known to the servers alone: to the guest a host's answer is uniform, whatever
keys it sends, and so is every message of the walk.  What it learns from a query is one rounded score per output.
A number is answered once, and pads of a walk are taken once: no v and no triple meets two queries.

Who learns what: the guest the score of one customer, as of `vfl predict`, and which hosts know the id.  Host and arbiter
that somebody was asked about, and when; an unknown, repeated or malformed id takes the same steps.  Host and arbiter
together: whom.
Cost per query: three scalar products; a look-up at each server, which reads the whole list; the walk.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from protocols._native import DpfKeys
from protocols.binning.quantile import Binned
from protocols.boosting import rounding
from protocols.boosting.sealed_parts import GUEST, NO_SPLIT, ArbiterTrees, GuestTrees
from protocols.codec import check_lengths
from protocols.message import BLINDED, Message
from protocols.online import asking, tree_walk
from protocols.online.asking import MOST_AT_ONCE, Asked
from protocols.online.publishing import EpochStart, Meter
from protocols.online.records import (
    MOST_LEAVES,
    Bits,
    Words,
    answer_mask,
    bits_of_records,
    looked_up,
    pads_at,
    width_of,
)
from protocols.online.tree_epoch import ArbiterTreeEpoch, GuestTreeEpoch, ServedRecords
from protocols.parts import ONE
from protocols.session import Session


class RecordShares(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each id asked uniform bits, without what the other server keeps",
    most_bytes=MOST_AT_ONCE * MOST_LEAVES // 8 + 64,
):
    words: bytes  # (n, width) of 8 bytes


def ask(session: Session, epoch: GuestTreeEpoch, ids: Sequence[bytes | None], binned: Binned) -> Asked:
    """The guest's side; ids: canonical, None for one that cannot be read; binned (n,): its own columns of these rows.
    What is opened are margins.

    The steps, their sizes and their order do not depend on the ids.
    """
    n, part = len(ids), epoch.part
    secret = asking.drawn(session, ids)
    scalars = asking.blinded(session, secret.child, ids)  # 1
    epoch.stock.refill()  # while the hosts work
    left_of = own_directions(part, binned)
    tags, left = asking.raised(session, scalars)
    if left < 0:
        return Asked(np.zeros((n, epoch.walk.outputs)), np.zeros(n, np.bool_), left)
    places, known = asking.places_of(epoch.tags, tags, secret.child("places").words(n * len(tags)))
    epoch.asked += 1
    for host, place in enumerate(places):
        asking.send_keys(session, secret, epoch.asked, host, place, len(epoch.tags[host]).bit_length() - 1)  # 2
    for host, place in enumerate(places):
        width = width_of(part.shape.splits(host + 1))
        words = _record_shares(session, host, n, width) ^ pads_at(epoch.pads[host], place.tolist(), width)  # 3
        changed(left_of, bits_of_records(words, part.shape, host + 1))
    dealt = epoch.stock.take(n)
    share = tree_walk.guest(session.arbiter, part.shape, epoch.walk, left_of, dealt.pads)  # 4
    names = [secret.child(f"nobody {row}").secret if one is None else one for row, one in enumerate(ids)]
    cells = rounding.guest_block(session, dealt.rounding, share.T, part, names, binned.bins, ONE)  # 5
    return Asked(rounding.margins(part, cells, binned), known, left)


def own_directions(part: GuestTrees, binned: Binned) -> list[Bits]:
    """By level (n, trees << level) the guest's share of all directions: whether rows go left at its own splits, and
    that all do where there is no split."""
    found, bins = list[Bits](), binned.bins
    named = np.array([c is not None for c in binned.binner.categories], np.bool_)
    for level in range(part.shape.depth):
        nodes = slice((1 << level) - 1, (2 << level) - 1)
        owner = part.shape.owner[:, nodes].ravel()
        left = np.zeros((len(binned), len(owner)), np.uint8)
        left[:, owner == NO_SPLIT] = 1
        own = owner == GUEST
        feature, cut, missing_left = (
            each[:, nodes].ravel()[own] for each in (part.feature, part.cut, part.missing_left)
        )
        column = bins[:, feature]
        near = np.where(named[feature], column == cut, column <= cut)
        left[:, own] = near | (missing_left & (column == binned.missing))
        found.append(left)
    return found


def changed(left: Sequence[Bits], by: Sequence[Bits]) -> None:
    """Each level's bits by others, in place."""
    for one, other in zip(left, by, strict=True):
        one ^= other


def _record_shares(session: Session, host: int, n: int, width: int) -> Words:
    channel = session.hosts[host]
    words = channel.recv(RecordShares).words
    check_lengths(channel.peer, 8 * n * width, words, what="bytes of records")
    return np.frombuffer(words, "<u8").reshape(n, width)


def serve_host(
    session: Session, epoch: ServedRecords, meter: Meter, settle: Callable[[], None] = lambda: None
) -> EpochStart | None:
    """As `asking.serve_host`."""

    def answer(keys: DpfKeys) -> RecordShares:
        found = looked_up(keys, epoch.records)
        return RecordShares((found ^ answer_mask(epoch.seed, epoch.number, len(keys), epoch.width)).tobytes())

    after = (lambda count: None) if epoch.dealer is None else epoch.dealer.after  # 6
    return asking.serve_host(session, epoch, meter, settle, answer, after)


def serve_arbiter(
    session: Session,
    epoch: ArbiterTreeEpoch,
    part: ArbiterTrees,
    counted: Callable[[int], object] = lambda _: None,
) -> EpochStart | None:
    """As `asking.serve_arbiter`."""

    def answer(each: Sequence[DpfKeys], count: int) -> None:
        left = [np.zeros((count, len(part.shape) << level), np.uint8) for level in range(part.shape.depth)]
        for number, (one, keys) in enumerate(zip(epoch.lists, each, strict=True), 1):
            words = looked_up(keys, one.records) ^ answer_mask(one.seed, one.number, count, one.width)  # 3
            changed(left, bits_of_records(words, part.shape, number))
        dealt = epoch.stock.take(count)
        share = tree_walk.arbiter(session.guest, part, epoch.walk, left, dealt.pads)  # 4
        rounding.arbiter_block(session, dealt.rounding, share.T, part, ONE)  # 5
        epoch.stock.refill()

    return asking.serve_arbiter(session, epoch.lists, counted, answer)
