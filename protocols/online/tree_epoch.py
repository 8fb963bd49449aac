"""Publishes an epoch of sealed trees: lists in which guest and arbiter look up shares of the directions of one customer
at a host's splits, and nobody sees which customer, or a direction.

Source: epoch.py; shares by exclusive or are the lowest bits of point functions' leaves (Boyle, Gilboa, Ishai, CCS 2016).
Adversary: honest but curious, and a guest that sends any keys that it likes; host and arbiter do not collude.

     guest                                 host P                                     arbiter
 1   EpochStart: model, outputs, grid  -->
     EpochStart  -------------------------------------------------------------------->
     keys of pairs, for this epoch (boosting/keys.py)
 2                                         new scalar b; tags of H(id)^b, filled up to a power of two, sorted:
                                           a row's place in this epoch
                                           ListStart: length, answer seed  ---------->
                <------------------------  PublishedTags, and pad seed
 3                                         for each place the bits of its row at P's splits ^ pad
                                           PaddedRecords  --------------------------->
     both servers hold one list per host; the pads are known to the guest, the bits to their host alone
 4              <------------------------  (the first host) what dealing.py deals  --->
 5              <------------------------  EpochReady
                <---------------------------------------------------------------------  EpochReady
     EpochOpen  ------------------------>
     EpochOpen  --------------------------------------------------------------------->

Who learns what: guest and arbiter the length of each host's list, rounded up to a power of two.  Host and arbiter
nothing of each other.  Guest and arbiter together: the bits of all places.
Cost per row: two hashes and a scalar product for each host, 16 bytes to the guest, and to the arbiter one bit for each
of the host's splits.  Rows are those of the padded list.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from protocols._native import DpfRecords
from protocols.binning.quantile import Binned
from protocols.boosting.ensemble import HostSplits
from protocols.boosting.keys import agree
from protocols.boosting.scoring import MOST_SCORE_BITS
from protocols.boosting.sealed_parts import ArbiterTrees, GuestTrees
from protocols.channel import Channel, broadcast
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.message import BLINDED, Message
from protocols.online.dealing import Dealer, Stock, deal, of_arbiter, of_guest
from protocols.online.lists import bits_of, check_length, placed
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
from protocols.online.records import (
    MOST_OUTPUTS,
    Walk,
    Words,
    check_list,
    check_walk,
    pads_of_block,
    records_of,
    width_of,
)
from protocols.parts import parts
from protocols.randomness import Seed
from protocols.row_blocks import pace, taken
from protocols.session import Session
from protocols.tags import Tags


class PaddedRecords(
    Message,
    disclosure=BLINDED,
    learns="nothing: uniform bits, since it does not know the sender's pad",
    in_blocks=True,
):
    words: bytes  # (places, width) of 8 bytes


@dataclass(frozen=True, eq=False, repr=False)
class ListedRows:
    """What a host brings to an epoch.  ids (n,) distinct, and their rows; depth: of the trees."""

    ids: Sequence[bytes]
    binned: Binned
    splits: HostSplits
    depth: int


@dataclass(eq=False, repr=False, kw_only=True)
class ServedRecords(Served):
    """With the records, `width` words each; dealer: at the first host, who deals for walks."""

    records: DpfRecords
    width: int
    dealer: Dealer | None = None


@dataclass(frozen=True, eq=False, repr=False)
class ArbiterTreeEpoch:
    """What the arbiter holds: the lists of all hosts, and what the first one deals."""

    walk: Walk
    lists: Sequence[ServedRecords]
    stock: Stock


@dataclass(eq=False, repr=False)
class GuestTreeEpoch:
    """What the guest holds: of each host the tags and the seed of the pads; what the first one deals.  asked: queries
    so far."""

    name: bytes
    part: GuestTrees
    walk: Walk
    tags: tuple[Tags, ...]
    pads: tuple[Seed, ...]
    stock: Stock
    left: int  # how many queries the hosts still answer today
    asked: int = 0


def guest(session: Session, part: GuestTrees) -> GuestTreeEpoch:
    """The guest's side.  Learns: how long hosts' lists are.  Raises ConfigError for too many trees, ProtocolError."""
    walk = walk_of(part)
    check_walk(walk.trees, walk.depth, session.me)
    name = session.seed("epoch").secret[:NAME]
    broadcast([*session.hosts, session.arbiter], EpochStart(part.model_id, name, walk.outputs, walk.score_bits))  # 1
    keys = agree(session)
    tags, pads = list[Tags](), list[Seed]()
    for channel in session.hosts:
        tags.append(receive_tags(channel))  # 2
        pads.append(Seed(channel.peer, receive_pad_seed(channel)))
    stock = Stock(partial(of_guest, session, keys, walk))  # 4
    return GuestTreeEpoch(name, part, walk, tuple(tags), tuple(pads), stock, opened(session))  # 5


def host(
    session: Session,
    start: EpochStart,
    own: ListedRows,
    left: int = 1 << 30,
    allow: Callable[[int], None] = lambda outputs: None,
) -> ServedRecords:
    """A host's side, from the guest's `start` on: what it looks up in; left: how many queries it still answers today;
    allow: receives the number of outputs before anything leaves, and raises if it does not agree.

    Raises ModelError for another model, DataError and ConfigError for a list that is too long, ProtocolError.
    """
    check_start(session, start, own.splits.model_id, start.models, start.cut)
    walk = Walk(own.splits.trees, own.depth, start.models, start.cut)
    check_form(session, walk)
    allow(walk.outputs)
    keys, bits, width = agree(session), bits_of(len(own.ids)), width_of(len(own.splits))
    check_length(len(own.ids), session.me)
    check_list(len(own.splits), bits, session.me)
    secret = session.seed("epoch lists", start.epoch)
    scalar = secret.child("scalar").scalar()
    tags, rows = placed(own.ids, scalar, secret.child("places"))  # 2
    pads, seed = secret.child("pad"), secret.child("answers").secret
    session.arbiter.send(ListStart(bits, seed))
    send_tags(session.guest, tags)
    session.guest.send(PadSeed(pads.secret))
    words = np.empty((1 << bits, width), np.uint64)
    for part in parts(1 << bits, width):
        here = records_of(own.binned, own.splits, own.depth, rows[part.rows]) ^ pads_of_block(pads, part, width)
        pace([session.arbiter], part)
        session.arbiter.send(PaddedRecords(here.tobytes()), part)  # 3
        words[part.rows] = here
    dealer = None
    if session.me == session.roles.hosts[0]:
        dealer = Dealer(partial(deal, session, keys, walk))  # 4
    ready(session, left)  # 5
    records = DpfRecords(words.ravel(), bits)
    return ServedRecords(
        name=start.epoch, bits=bits, seed=seed, scalar=scalar, records=records, width=width, dealer=dealer
    )


def arbiter(session: Session, start: EpochStart, part: ArbiterTrees) -> ArbiterTreeEpoch:
    """The arbiter's side: the lists of all hosts.  Raises ModelError, ConfigError, ProtocolError."""
    check_start(session, start, part.model_id, part.num_class, part.score_bits)
    walk = walk_of(part)
    check_walk(walk.trees, walk.depth, session.me)
    keys, lists = agree(session), list[ServedRecords]()
    for number, channel in enumerate(session.hosts, 1):
        begun, splits = receive_list_start(channel), part.shape.splits(number)  # 2
        check_list(splits, begun.bits, channel.peer)
        records = DpfRecords(_receive(channel, begun.bits, width_of(splits)), begun.bits)  # 3
        width = width_of(splits)
        lists.append(ServedRecords(name=start.epoch, bits=begun.bits, seed=begun.seed, records=records, width=width))
    stock = Stock(partial(of_arbiter, session, keys, walk))  # 4
    ready(session)  # 5
    return ArbiterTreeEpoch(walk, lists, stock)


def walk_of(part: GuestTrees | ArbiterTrees) -> Walk:
    """How large a walk through the model is."""
    outputs, bits = (
        (part.params.num_class, part.params.score_bits)
        if isinstance(part, GuestTrees)
        else (part.num_class, part.score_bits)
    )
    return Walk(len(part.shape), part.shape.depth, outputs, bits)


def check_form(session: Session, walk: Walk) -> None:
    """At a host.  Raises RemoteProtocolError for outputs or a grid that its trees cannot have, ConfigError for too many
    trees."""
    if (
        not 1 <= walk.outputs <= MOST_OUTPUTS
        or walk.trees % walk.outputs
        or not 0 <= walk.score_bits <= MOST_SCORE_BITS
    ):
        raise RemoteProtocolError(
            f"{session.roles.guest} starts an epoch of an impossible form", party=session.roles.guest
        )
    check_walk(walk.trees, walk.depth, session.me)


def _receive(channel: Channel, bits: int, width: int) -> Words:
    """A host's list (places * width,)."""
    found = np.empty((1 << bits, width), np.uint64)
    for part in parts(1 << bits, width):
        words = channel.recv(PaddedRecords, part).words
        check_lengths(channel.peer, 8 * width * len(part), words, what="bytes of records")
        found[part.rows] = np.frombuffer(words, "<u8").reshape(len(part), width)
        taken(channel, part)
    return found.ravel()
