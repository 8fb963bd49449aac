"""How a training of open trees begins, and how a tree's gradients travel.

 step    guest (labels, sk)                                      host P (features)
  0      makes n   PublicKeyOffer                 ------------>  checks n
                                                  <------------  SplitColumns: how many columns it has
                   TreesStart: the model's name   ------------>
         where a model is continued
                   Continues: how much is kept    ------------>
 at the beginning of each round but the first, with early stopping
         NextTree: whether there is one           ------------>
 each round
  1      RowGradients [[g|h]], block by block     ------------>  (row_blocks.py)

Rounds of the guest alone have no messages, and in all others the guest waits for every host: so no party ends a step
that another has not begun (protocols/recovery/checkpoint.py).

Who learns what: numbers of columns; hosts also when the loss on the held-out rows stops improving.  Gradients stay
encrypted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protocols._native import Overflow
from protocols.binning.quantile import Bins
from protocols.boosting.by_class import ByClass
from protocols.boosting.ensemble import HostSplits, Rounds, may_end
from protocols.boosting.levels import check_ints
from protocols.boosting.packing import Ints, Packing, Quantised
from protocols.boosting.params import Params
from protocols.channel import Channel, broadcast
from protocols.cipher import CipherVec, DecryptionKey, key_offer
from protocols.codec import Int32s, check_lengths
from protocols.errors import ModelError, PlaintextOverflow, RemoteProtocolError
from protocols.marked import Marked
from protocols.message import PUBLIC, REVEALED, SEALED, Message
from protocols.parts import parts
from protocols.row_blocks import pace, taken
from protocols.session import Session

MAX_COLUMNS = 1 << 16


class SplitColumns(Message, disclosure=PUBLIC, learns="how many columns the sender has"):
    count: int


class TreesStart(
    Message, disclosure=PUBLIC, learns="how many columns each data party has, and a random name of the model"
):
    columns: Int32s  # of the guest, then of the hosts
    model_id: bytes  # (16,)


class Continues(
    Message,
    disclosure=REVEALED,
    permit="partition-to-hosts",
    learns=(
        "the random name of the model that is continued, and how many of its rounds and of the receiver's splits are "
        "kept (those after the best round are dropped)"
    ),
):
    before: bytes  # (16,)
    rounds: int
    splits: int


class RowGradients(
    Message, disclosure=SEALED, learns="nothing: first and second derivatives of rows, encrypted", in_blocks=True
):
    gh: CipherVec  # (rows,)


class NextTree(
    Message,
    disclosure=REVEALED,
    permit="partition-to-hosts",
    learns="whether the loss on the held-out rows still improves",
):
    more: bool


def start_guest(session: Session, binned: Bins, model_id: bytes, rounds: Rounds) -> tuple[DecryptionKey, list[int]]:
    """Step 0 at the guest: the key, and how many columns each party has."""
    key = session.scheme.generate(session.me, session.seed("key"))
    key_offer.offer(session, key, session.roles.hosts)
    columns = [binned.columns]
    for channel in session.hosts:
        (count,) = check_ints(
            channel.peer, np.array([channel.recv(SplitColumns).count]), 0, MAX_COLUMNS, "a number of columns"
        )
        columns.append(int(count))
    broadcast(session.hosts, TreesStart(np.array(columns, dtype=np.int32), model_id))
    for party, channel in enumerate(session.hosts if rounds.before else [], 1):
        channel.send(Continues(rounds.before, rounds.numbers.start, rounds.won(party)))
    return key, columns


def start_host(session: Session, binned: Bins, before: HostSplits | None) -> tuple[list[int], HostSplits, int]:
    """Step 0 at a host: accepts the key; returns how many columns each party has, its part of the model so far, and the
    number of the first new round."""
    guest = session.roles.guest
    key_offer.accept(session, guest)
    session.guest.send(SplitColumns(binned.columns))
    start = session.guest.recv(TreesStart)
    columns = check_ints(guest, start.columns, 0, MAX_COLUMNS, "numbers of columns").tolist()
    check_lengths(guest, len(session.roles.data_parties), columns, what="numbers of columns")
    check_lengths(guest, 16, start.model_id, what="bytes of the model's name")
    if columns[party_of(session)] != binned.columns:
        raise RemoteProtocolError(f"{guest} announced another number of columns than this party has", party=guest)
    if before is None:
        return columns, HostSplits(start.model_id), 0
    goes_on = session.guest.recv(Continues)
    if goes_on.before != before.model_id:
        raise ModelError(
            f"{guest} continues another model than this party's part belongs to",
            remedy="Give every party the model of the same run",
            party=session.me,
        )
    if goes_on.rounds < 0 or not 0 <= goes_on.splits <= len(before):
        raise RemoteProtocolError(f"{guest} keeps more of the model than exists", party=guest)
    return columns, before.continued(start.model_id, goes_on.splits), goes_on.rounds


def party_of(session: Session) -> int:
    """A host's number: 1 for the first in the job's order."""
    return 1 + session.roles.hosts.index(session.me)


def send_gradients(
    session: Session, key: DecryptionKey, packing: Packing, sampled: Marked, together: Sequence[Quantised]
) -> None:
    """Step 1 at the guest, of classes that share ciphertexts: a block is on its way while the next is encrypted."""
    every = [(ByClass(sampled, [q.g]), ByClass(sampled, [q.h])) for q in together]
    for part in parts(len(sampled)):
        block = packing.side_by_side([packing.rows_plain(g[part.rows], h[part.rows]) for g, h in every])
        pace(session.hosts, part)
        broadcast(session.hosts, RowGradients(key.encrypt(block, session.seed("gradients", block.to_bytes()))), part)


def stops_after(session: Session, p: Params, rounds: Rounds, number: int) -> bool:
    """At the end of a round, at the guest: whether training stops early.  Hosts hear it where they would begin their
    next round."""
    stops = may_end(p, number) and rounds.stops()
    if stops and p.guest_only_trees < p.n_estimators:
        broadcast(session.hosts, NextTree(False))
    return stops


def receive_gradients(session: Session, rows: int) -> list[CipherVec]:
    """Step 1 at a host: the blocks."""
    blocks = []
    for part in parts(rows):
        blocks.append(session.guest.recv(RowGradients, part).gh)
        check_lengths(session.roles.guest, len(part), blocks[-1])
        taken(session.guest, part)
    return blocks


def seal_sums(session: Session, packing: Packing, place: int, sums: CipherVec) -> CipherVec:
    """A host's sums, raw, as they may leave once they are re-randomised: packed, with all classes of their ciphertexts
    masked but the one at `place`."""
    packed = sums.pack(packing.group_width, packing.groups)
    if packing.classes > 1:
        value = packed.digest()
        packed = packed.add_plain(
            packing.masks(place, session.seed("masks below", value), session.seed("masks above", value), len(sums))
        )
    return packed


def open_sums(
    channel: Channel, key: DecryptionKey, packing: Packing, place: int, sums: CipherVec, length: int
) -> tuple[Ints, Ints]:
    """G and H (length * nodes,) of a class, out of a host's packed sums.

    Slots hold the sum of all rows, so only a host that did not add up the rows can make them spill: PlaintextOverflow
    names it.
    """
    try:
        opened = key.open_packed(sums, packing.group_width, packing.groups, length, packing.group_width - 1)
        return packing.split(packing.slots(place, opened))
    except (PlaintextOverflow, Overflow):
        raise PlaintextOverflow(
            f"{channel.peer} sent sums that cannot come from this job's rows",
            remedy=f"Ask {channel.peer} to check its installation, then start all parties again",
            party=channel.peer,
        ) from None


def longest_list(p: Params, columns: int) -> int:
    """How many candidates a party with this number of columns can have: each cut or category, with missing values on
    either side, and known against missing."""
    return columns * (2 * p.max_bin + 1)
