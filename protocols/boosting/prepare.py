"""What Paillier does for sealed trees, before they are trained: sums over bins of one-time pads, which need no label
and no tree.

 the arbiter holds the key                                          owner P: the guest, and every host
 1   for each row, tree and level: a pad r, uniform modulo the block
     EncryptedPads [[sum of r 2^offset]], fresh       ------------>  adds up by column and bin: [[R_b]] left of each candidate b, all levels and nodes at once
                                                                     M_b uniform modulo n; candidates shuffled
 2   opens X_b = R_b + M_b: uniform                   <------------  MaskedPadSums [[R_b + M_b]], re-randomised
 each level, from xi = (the rows' shares less r), which the guest sends to all owners in plain (sealed.py)
 3                                                                   adds up by column and bin: sum of xi, plain integers
     (X_b's window + t_b) without its guard           <------------  t_b = 2^GUARD sum of xi - M_b's window + beta, beta uniform below 2^GUARD - 1
     = the sums of g and h left of b at all nodes of the level

Who learns what: owners nothing, pads are encrypted and xi is uniform; the arbiter, out of step 3, the sums (message
MaskedSums of sealed.py), and out of step 2 nothing, whatever it encrypted in step 1; beta hides the carry into the
window up to 2^-60.  R_b is 120 bits shorter than n: X_b and M_b differ by it as integers but with probability 2^-120.  The factor of re-randomisation is as long as the holder of the key needs: it knows those of its own
ciphertexts, and would read which rows lie in a bin.
Cost of the trees that share a plaintext: an encryption by the holder for each row; owners about rows * columns products
or fewer; a factor and an opening for each candidate.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.binning.quantile import Bins, Candidates
from protocols.boosting import blocks
from protocols.boosting.blocks import GUARD, Block, Layout
from protocols.boosting.rings import join
from protocols.boosting.sums import Lefts
from protocols.channel import broadcast
from protocols.cipher import CipherVec, DecryptionKey
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.marked import Marked
from protocols.message import BLINDED, SEALED, Message
from protocols.parts import Part, parts
from protocols.randomness import Seed
from protocols.row_blocks import arriving, pace, taken
from protocols.session import Session

Ints = NDArray[np.int64]
MOST_CANDIDATES = 1 << 22


class EncryptedPads(
    Message, disclosure=SEALED, learns="nothing: for each row random numbers, encrypted", in_blocks=True
):
    pads: CipherVec  # (rows of a block,)


class MaskedPadSums(
    Message,
    disclosure=BLINDED,
    learns="how many ways to split the sender has, and for each a number that is uniform modulo n",
    in_blocks=True,
):
    sums: CipherVec  # (candidates,)


@dataclass
class Prepared:
    """The arbiter's side of trees that share plaintexts: the seed of the pads, and what it opened, by owner and
    plane; signs: by owner, of each candidate, with monotone constraints."""

    layout: Layout
    rows: int
    seed: Seed
    opened: list[list[PlainVec]] = field(default_factory=list)
    signs: list[Ints] = field(default_factory=list)

    def pads(self, tree: int, level: int, first: int, last: int) -> PlainVec:
        """r of rows `first` to `last`, in [0, 2^bits); tree: its number among those that share plaintexts."""
        block, found = self.layout.blocks[tree][level], list[PlainVec]()
        for part in parts(self.rows):
            start, stop = max(first, part.first), min(last, part.last)
            if start < stop:
                drawn = part_pads(self.seed, block, tree, level, part)
                found.append(drawn.slice(start - part.first, stop - part.first))
        return join(found)

    def candidates(self, owner: int) -> int:
        return len(self.opened[owner][0])

    def sums(self, owner: int, tree: int, level: int, answer: PlainVec) -> PlainVec:
        """(candidates,) step 3: blocks of sums, centred."""
        block = self.layout.blocks[tree][level]
        return block.unguarded(block.window(self.opened[owner][block.plane]) + answer)


def arbiter(session: Session, key: DecryptionKey, layout: Layout, rows: int) -> Prepared:
    """Steps 1 and 2 for the next `layout.trees` trees over `rows` rows.  Raises ProtocolError."""
    owners = [session.channels[p] for p in session.roles.data_parties]
    prepared = Prepared(layout, rows, session.seed("pads"))
    for part in parts(rows):
        pace(owners, part)
        for plane in range(layout.planes):
            plain = PlainVec.zeros(len(part))
            for tree, levels in enumerate(layout.blocks):
                for level, block in enumerate(levels):
                    if block.plane == plane:
                        pads = part_pads(prepared.seed, block, tree, level, part)
                        plain = plain + pads.shift_left(block.offset + block.guard)
            pads_sealed = key.encrypt(plain, session.seed("encrypted pads", plain.to_bytes()))
            broadcast(owners, EncryptedPads(pads_sealed), part)  # 1
    for channel in owners:
        opened = list[PlainVec]()
        for _ in range(layout.planes):
            found = list[PlainVec]()
            for part, message in arriving(channel, MaskedPadSums, lambda one: len(one.sums), MOST_CANDIDATES):
                found.append(key.open_whole(message.sums))  # 2
                taken(channel, part)
            opened.append(join(found))
            if len(opened[-1]) != len(opened[0]):
                raise RemoteProtocolError(
                    f"{channel.peer} has an impossible number of ways to split", party=channel.peer
                )
        prepared.opened.append(opened)
    return prepared


@dataclass(frozen=True)
class Owned:
    """An owner's side of the same: its candidates in an order that the arbiter does not know, and their masks, by
    plane."""

    layout: Layout
    rows: Marked
    lefts: Lefts | None
    order: Ints
    masks: list[PlainVec]

    def cells(self, xi: PlainVec, first: int, last: int) -> PlainVec:
        """xi of rows `first` to `last`, added up by column and bin."""
        return PlainVec.zeros(0) if self.lefts is None else self.lefts.cells(xi, self.rows[first:last])

    def answer(self, session: Session, tree: int, level: int, cells: PlainVec) -> PlainVec:
        """(candidates,) t, from the cells of all rows."""
        if self.lefts is None:
            return PlainVec.zeros(0)
        block = self.layout.blocks[tree][level]
        sums = self.lefts.of(cells).take(self.order)
        answer = sums.shift_left(block.guard) - block.window(self.masks[block.plane])
        if block.guard:
            answer = answer + guards(session.seed("guards", answer.to_bytes()), len(self.order))
        return answer.residue(block.guard + block.bits)


def owner(session: Session, binned: Bins, candidates: Candidates, layout: Layout, rows: Marked) -> Owned:
    """An owner's steps 1 and 2; rows: those that the trees are trained on."""
    arbiter_name = session.roles.arbiter
    lefts = Lefts(binned, candidates) if len(candidates) else None
    cells: list[CipherVec | None] = [None] * layout.planes
    empty: list[CipherVec] = []
    for part in parts(len(rows)):
        for plane in range(layout.planes):
            pads = session.arbiter.recv(EncryptedPads, part).pads
            check_lengths(arbiter_name, len(part), pads)
            if lefts is None:
                empty.append(pads.take(np.zeros(0, dtype=np.int64)))
                continue
            more, so_far = lefts.cells(pads, rows[part.rows]), cells[plane]
            cells[plane] = more if so_far is None else so_far + more
        taken(session.arbiter, part)
    order = session.seed("order").permutation(len(candidates))
    masks = []
    for plane, found in enumerate(cells):
        sums = empty[plane] if lefts is None or found is None else lefts.of(found).take(order)
        masks.append(send_masked(session, sums))
    return Owned(layout, rows, lefts, order, masks)


def send_masked(session: Session, sums: CipherVec) -> PlainVec:
    """Step 2 at an owner, block after block: returns the masks."""
    masks = list[PlainVec]()
    for part in parts(len(sums)):
        here = sums.take(np.arange(part.first, part.last))
        masks.append(here.key.uniform(session.seed("pad masks", here.digest()), len(part)))
        masked = here.add_plain(masks[-1])
        fresh = masked.rerandomise(session.seed("masked pads", masked.digest()))
        pace([session.arbiter], part)
        session.arbiter.send(MaskedPadSums(fresh), part)
    return join(masks)


def guards(seed: Seed, count: int) -> PlainVec:
    """(count,) uniform in [0, 2^GUARD - 1), but for a bias of 2^-GUARD towards 0."""
    words = seed.words(count) >> np.uint64(64 - GUARD)
    return PlainVec.from_i64(np.where(words == (1 << GUARD) - 1, 0, words).astype(np.int64))


def part_pads(seed: Seed, block: Block, tree: int, level: int, part: Part) -> PlainVec:
    return blocks.pads(seed.child(f"{tree} {level} {part.first}"), block, len(part))
