"""Publishes an epoch: lists in which a guest can look up the score of one customer, and nobody sees which one.

Source: look-ups by two servers that hold one list, by distributed point functions (Boyle, Gilboa, Ishai, CCS 2016);
symmetric, since the servers blind their answers by common numbers (Gertner et al., STOC 1998); places by an oblivious
pseudo-random function (Naor, Reingold, FOCS 1997; as in alignment/ecdh.py).
Adversary: honest but curious, and a guest that sends any keys that it likes; host and arbiter do not collude.

     guest                                 host P                                     arbiter
 1   EpochStart: model, form  ---------->
     EpochStart  -------------------------------------------------------------------->
 2   (two or more hosts: pair_masks.py, relayed by the guest)
 3                                         new scalar b; tags of H(id)^b, filled up to a power of two, sorted:
                                           a row's place in this epoch
                                           ListStart: length, answer seed  ---------->
                <------------------------  PublishedTags, and pad seed
 4   (weights that stay shared: shares.py, scoring.py, over the rows in their places)
     a_G; [[b_G]]                          s = X_P a_P - m_P + e_P                     t = X_P b_P + m_P
     (weights that their owner knows:      s = X_P w_P + e_P                           t = 0)
 5                                         PaddedList s + masks + pad  ------------->
                                           <------------------------  PaddedList t + pad, where weights stay shared
                <---------------------------------------------------------------------  PadSeed, where weights stay shared
     both servers hold one list per host, T = z + masks + pads modulo 2^w; the pads are known to the guest, z to no server
 6              <------------------------  EpochReady
                <---------------------------------------------------------------------  EpochReady
     EpochOpen  ------------------------>
     EpochOpen  --------------------------------------------------------------------->

e_P is the host's error of scoring.py, so a score is the one of `vfl predict`, bit for bit.  The masks between hosts
cancel in the sum over all hosts of one id; they are functions of the id under a key of each pair of hosts.
w is the number of bits of a score: 61, or 21 where scores are whole points.  The lowest 40 - score_bits of the 61 are
its host's error, so w bits hold one rounded score.

Who learns what: guest and arbiter the length of each host's list, rounded up to a power of two.  The guest where its
own customers stand among the tags, but only one by one, by asking (query.py).  Host and arbiter nothing of each other.
Guest and arbiter together: z of all places (of several hosts only sums, at places of the same id).  Guest and host
together: that host's own part of all scores, hence its weights.
Cost per row: two hashes and scalar products for each host, 16 bytes to the guest, 8 each way between host and arbiter,
and with shared weights what scoring.py costs.  Rows are those of the padded list.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols._native import DpfTables
from protocols.channel import Channel, broadcast
from protocols.cipher import CipherVec, DecryptionKey
from protocols.codec import Int64s, check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm import pair_masks, scoring, shares
from protocols.glm.shares import Moved, WeightShares, Words
from protocols.message import BLINDED, Message
from protocols.online.lists import (
    Form,
    bits_of,
    check_length,
    laid_out,
    pad,
    placed,
    row_masks,
)
from protocols.online.products import Prepared
from protocols.online.publishing import (
    NAME,
    EpochStart,
    ListStart,
    PadSeed,
    Served,
    check_start,
    opened,
    ready,
    receive_list_start,
    receive_pad_seed,
    receive_tags,
    send_tags,
)
from protocols.parts import parts
from protocols.row_blocks import pace, taken
from protocols.session import Session
from protocols.tags import Tags


class PaddedList(
    Message,
    disclosure=BLINDED,
    learns="nothing: uniform numbers, since it does not know the sender's pad",
    in_blocks=True,
):
    numbers: Int64s  # (rows * models,) modulo 2^w


@dataclass(frozen=True, eq=False, repr=False)
class Listed:
    """What a host brings to an epoch.  ids (n,) distinct; x (n, width) and error (n, models): as of `scoring.Own`;
    whole: whether all parts of scores are whole points."""

    model_id: bytes
    ids: Sequence[bytes]
    x: NDArray[np.int64]
    shares: WeightShares
    error: NDArray[np.int64] | None
    form: Form


@dataclass(eq=False, repr=False, kw_only=True)
class ServerEpoch(Served):
    """With the numbers of the list, modulo 2^w."""

    form: Form
    tables: DpfTables


@dataclass(frozen=True, eq=False, repr=False)
class ArbiterEpoch:
    """What the arbiter holds: the list of each host; where the guest's weights stay shared its share of them (models,
    width), and what is prepared."""

    lists: tuple[ServerEpoch, ...]
    words: Words | None = None
    prepared: Prepared | None = None


@dataclass(frozen=True, eq=False, repr=False)
class GuestEpoch:
    """What the guest holds: of each host the tags and the pads (2^bits, models); own share of its weights (models,
    width), and where they stay shared the arbiter's, encrypted for products.py, and what is prepared."""

    name: bytes
    form: Form
    tags: tuple[Tags, ...]
    pads: tuple[Words, ...]
    words: Words
    theirs: CipherVec | None
    prepared: Prepared | None
    left: int  # how many queries the hosts still answer today
    asked: list[int] = field(default_factory=lambda: [0])  # the number of the last query

    @property
    def short(self) -> bool:
        """Whether more products should be prepared for queries to come."""
        return self.prepared is not None and self.prepared.short


def guest(
    session: Session,
    model_id: bytes,
    own: WeightShares,
    form: Form,
    shared: Sequence[str],
    keep: Callable[[Mapping[str, Moved]], None] = lambda moved: None,
) -> GuestEpoch:
    """The guest's side; shared: whose weights the arbiter holds shares of.  Learns: how long hosts' lists are.

    own: its weights or its share of them; keep: stores shares that move on, by whose weights they are of, next to
    those that there are.  When this returns, all parties have stored theirs.  Raises ProtocolError.
    """
    name = session.seed("epoch").secret[:NAME]
    broadcast([*session.hosts, session.arbiter], EpochStart(model_id, name, form.models, form.cut))  # 1
    pair_masks.relay(session)  # 2
    tags, pads = list[Tags](), list[Words]()
    for channel in session.hosts:
        tags.append(receive_tags(channel))  # 3
        pads.append(pad(receive_pad_seed(channel), len(tags[-1]), form))
    theirs, prepared, moved, words = None, None, None, own.latest
    if not own.whole:  # 4
        moved = shares.move(session, own)
        words, key = moved.words, session.keys.of(session.roles.arbiter)
        assert key is not None
        prepared = Prepared.of(key, words.shape)
        theirs = session.arbiter.recv(scoring.ShiftedWeights).share
        check_lengths(session.roles.arbiter, words.size * prepared.slots.count, theirs, what="weights")
    for at, host in enumerate(session.roles.hosts):
        if host in shared:  # 5
            pads[at] = form.cut_off(pads[at] + pad(receive_pad_seed(session.arbiter), len(tags[at]), form))
    keep({session.me: moved} if moved is not None else {})
    return GuestEpoch(name, form, tuple(tags), tuple(pads), words, theirs, prepared, opened(session))  # 6


def host(
    session: Session,
    start: EpochStart,
    own: Listed,
    left: int = 1 << 30,
    keep: Callable[[Mapping[str, Moved]], None] = lambda moved: None,
) -> ServerEpoch:
    """A host's side, from the guest's `start` on: what it looks up in; left: how many queries it still answers today;
    keep: as of `guest`.

    Raises ModelError for another model, DataError for a list that is too long, ProtocolError.
    """
    check_start(session, start, own.model_id, own.form.models, own.form.cut)
    form, bits = own.form, bits_of(len(own.ids))
    check_length(len(own.ids), session.me)
    masks = pair_masks.agree(session, "online")  # 2
    secret = session.seed("epoch lists", start.epoch)
    scalar = secret.child("scalar").scalar()
    tags, rows = placed(own.ids, scalar, secret.child("places"))  # 3
    pads, seed = secret.child("pad").secret, secret.child("answers").secret
    session.arbiter.send(ListStart(bits, seed))
    send_tags(session.guest, tags)
    session.guest.send(PadSeed(pads))
    error = None if own.error is None else own.error[rows]
    words, moved = scoring.part(session, scoring.Own(own.model_id, own.x[rows], own.shares, True, error))  # 4
    if error is not None:
        words = words + error.view(np.uint64)
    hidden = row_masks(masks.seeds, own.ids, form.models)[rows] if masks.seeds else np.zeros_like(words)
    words = form.cut_off(form.into(words) + form.cut_off(hidden) + pad(pads, 1 << bits, form))
    _send_list(session.arbiter, words)  # 5
    if not own.shares.whole:
        words = form.cut_off(words + _receive_list(session.arbiter, bits, form))
    keep({session.me: moved} if moved is not None else {})
    ready(session, left)  # 6
    return ServerEpoch(name=start.epoch, bits=bits, seed=seed, scalar=scalar, form=form, tables=laid_out(words))


def arbiter(
    session: Session,
    start: EpochStart,
    key: DecryptionKey | None,
    model_id: bytes | None,
    held: Mapping[str, WeightShares],
    keep: Callable[[Mapping[str, Moved]], None] = lambda moved: None,
) -> ArbiterEpoch:
    """The arbiter's side; keep: as of `guest`.

    key, model_id, held: where weights stay shared; without, it knows no model.  Raises ModelError, ProtocolError.
    """
    form = Form(start.models, start.cut)
    if not (1 <= form.models <= 1 << 10 and form.cut in (0, scoring.UNIT)):
        raise RemoteProtocolError(
            f"{session.roles.guest} starts an epoch of an impossible form", party=session.roles.guest
        )
    if model_id is not None:
        check_start(session, start, model_id, form.models, form.cut)
    starts, moved = list[ListStart](), dict[str, Moved]()
    for channel in session.hosts:
        starts.append(receive_list_start(channel))  # 3
    words, prepared, lists = None, None, list[ServerEpoch]()
    if (own := held.get(session.roles.guest)) is not None:
        assert key is not None
        moved[session.roles.guest] = shares.follow(session, session.roles.guest, own)  # 4
        words = moved[session.roles.guest].words
        prepared = Prepared.of(key.public, words.shape)
        scoring.hand_over(session, key, session.roles.guest, words, prepared.slots)
    for channel, one in zip(session.hosts, starts, strict=True):
        table = _serve_host(session, channel, start, one.bits, key, held.get(channel.peer), moved)
        lists.append(ServerEpoch(name=start.epoch, bits=one.bits, seed=one.seed, form=form, tables=laid_out(table)))
    keep(moved)
    ready(session)  # 6
    return ArbiterEpoch(tuple(lists), words, prepared)


def _serve_host(
    session: Session,
    channel: Channel,
    start: EpochStart,
    bits: int,
    key: DecryptionKey | None,
    held: WeightShares | None,
    moved: dict[str, Moved],
) -> Words:
    """Steps 4 and 5 at the arbiter, with one host: its list (2^bits, models)."""
    form = Form(start.models, start.cut)
    if held is None:
        return _receive_list(channel, bits, form)
    assert key is not None
    moved[channel.peer] = scoring.serve(session, key, channel.peer, held, 1 << bits)  # 4
    own = scoring.opened(channel, key, moved[channel.peer].words.shape, 1 << bits)
    theirs = _receive_list(channel, bits, form)  # 5
    secret = session.seed("epoch pad", start.epoch + channel.peer.encode()).secret
    words = form.cut_off(form.into(own) + pad(secret, 1 << bits, form))
    _send_list(channel, words)
    session.guest.send(PadSeed(secret))
    return form.cut_off(words + theirs)


def _send_list(channel: Channel, words: Words) -> None:
    flat = np.ascontiguousarray(words).view(np.int64).ravel()
    for block in parts(len(flat)):
        pace([channel], block)
        channel.send(PaddedList(flat[block.rows]), block)


def _receive_list(channel: Channel, bits: int, form: Form) -> Words:
    found = list[Words]()
    for block in parts(form.models << bits):
        numbers = channel.recv(PaddedList, block).numbers
        check_lengths(channel.peer, len(block), numbers)
        found.append(form.cut_off(numbers.view(np.uint64)))
        taken(channel, block)
    return np.concatenate(found).reshape(1 << bits, form.models)
