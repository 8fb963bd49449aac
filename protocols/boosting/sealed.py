"""Vertical gradient-boosted trees in which no row's gradient, margin, node or direction is known to anybody:
`membership="sealed"`.

Source: the setting is Cheng et al., SecureBoost (arXiv 1901.08755).  There the guest learns which rows go left at every
split: directions alone order every column of the hosts (docs/protocols/boosting.md).  Here margins, gradients and
membership are shares of guest and arbiter.
Adversary: honest but curious, one party alone.

 step    guest (labels)                        arbiter (key, leaf values)                   owner P: the guest, and every host (columns)
  0      SplitColumns, SealedStart, TreeRowOrder, PublicKeyOffer, PairKey, TargetScale: sizes, one secret order of rows, the keys
 each group of trees that share plaintexts
  1      prepare.py: one-time pads r, encrypted; their sums over bins, masked              -->  opened by the arbiter: blind
         constraints.py, with monotone constraints                          <--------------     SignsToArbiter: of each candidate
 each round; its trees, one a class, grow together
  2      gradients.py: shares of g and h of each row, rounded at random
  3      RootSums  ------------------------->  sums over all rows
 each level: at the root, and then at the left child of each node of the level above
  4                       <------------------  LevelShares: own shares less r
         xi = own shares + these: uniform
         Blocks xi  ------------------------------------------------------------------->    adds up xi by bin
  5                                                <------------------------------------    MaskedSums t
                                               sums left of every candidate that it cannot name; of right children the
                                               parents' less these; gains; the best of each node
  6                       <------------------  Owners: whose split a node has, and of the guest's own which
                                               Wins: which of its splits won, at which seat -------->
  7      product.py: shares of the left children; the right ones are the parents less these; seats are drawn again
 after the last level
  8      leaves.py: the leaf values, from the winners' sums, go into the margins
  9      held_out.py, with early stopping

Who learns what.  Guest: which party owns a split, so the trees' shapes; its own splits.  Host: how many of its splits
won at each level and which, at nodes that it cannot name; the first host how many the guest's did.  Arbiter: for every
candidate of every party, which it cannot name, at every node the sums of g and h: base rate, rows and events of each
bin of unnamed columns, node sizes, the shape of the trees, leaf values; with monotone constraints the sign of each.  Of candidates with the
same gain it draws one.
Which candidates are the same in different trees can be recognised by their sums; at small nodes a bin holds one row,
whose g and h are the same in every column, so that it can put together records of rows: never whose, and never of which
columns.
Arbiter and host together: every row's label and nodes.  Arbiter and guest together: the directions of all rows.  Guest
and first host together: of several hosts the margins and nodes of all rows.  Nobody alone learns where a row goes.  An
arbiter that deviates and adds a number to a row's share sees it in the sums of the bins that hold this row.
Cost a tree: an encryption for each row and group; owners one histogram for each group; a factor and an opening for each
candidate and group; in plain about 31 numbers for each row at depth 5.
Error: none: the trees equal those of twin.py that is given the same rounded gradients, and the shares of margins add up
to the model's, bit for bit.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.binning.quantile import Bins
from protocols.boosting import constraints, held_out, prepare
from protocols.boosting.blocks import Layout
from protocols.boosting.constraints import SignsToArbiter
from protocols.boosting.keys import PairKeys
from protocols.boosting.levels import check_ints, own_columns, unpack_bits
from protocols.boosting.opening import MAX_COLUMNS
from protocols.boosting.params import Params
from protocols.boosting.prepare import Owned
from protocols.boosting.product import Level
from protocols.boosting.rings import Words
from protocols.boosting.scale import Scale, scale_of
from protocols.codec import Int32s, check_lengths
from protocols.errors import DataError, RemoteProtocolError
from protocols.kept import Keep, KeptRows
from protocols.marked import Marked
from protocols.message import BLINDED, PUBLIC, REVEALED, Message
from protocols.parts import Part, parts
from protocols.randomness import Seed
from protocols.session import Session
from protocols.shuffle import Shuffle

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)
MOST_ROWS = 1 << 32


class SealedStart(
    Message,
    disclosure=PUBLIC,
    learns=(
        "how many columns each data party has, how many rows there are, which of them are held out for early "
        "stopping, and the model's name"
    ),
):
    columns: Int32s  # of the guest, then of the hosts
    rows: int
    held_out: bytes  # bitmap, in the secret order of rows
    model_id: bytes  # (16,)


class TreeRowOrder(Message, disclosure=BLINDED, learns="nothing: the seed of a random order of rows"):
    seed: bytes  # (32,)


class LevelShares(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row a uniform number, the sender's share minus a pad",
    in_blocks=True,
):
    shares: PlainVec  # (classes * training rows,)


class Blocks(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row a uniform number, all shares minus a pad",
    in_blocks=True,
):
    xi: PlainVec  # (classes * training rows,)


class RootSums(
    Message,
    disclosure=REVEALED,
    permit="bin-sums-to-arbiter",
    learns="the sums of g and h over all rows that a tree is trained on",
):
    sums: PlainVec  # (classes,)


class MaskedSums(
    Message,
    disclosure=REVEALED,
    permit="bin-sums-to-arbiter",
    learns="at every node, the sums of g and h left of each of the sender's candidates, which it cannot name",
    in_blocks=True,
):
    sums: PlainVec  # (classes * candidates,)


class Owners(
    Message,
    disclosure=REVEALED,
    permit="wins-to-owners",
    learns="which party owns the split of each node of a level, if there is one, and which of its own splits won",
):
    owners: Int32s  # (classes * nodes,)
    positions: Int32s  # (classes * nodes,) in the receiver's list; -1 where another's split won


class Wins(
    Message,
    disclosure=REVEALED,
    permit="wins-to-owners",
    learns=(
        "which of its own splits won at a level of a tree, but not at which node; many wins together tell about "
        "labels (the guest counts them: rows_per_label_number); the first host also learns at how many nodes a split "
        "of the guest won"
    ),
):
    positions: Int32s  # (classes * nodes,) in the receiver's list; -1 where none of its splits won
    helps: int


@dataclass(frozen=True)
class Start:
    """What all parties know when training begins: how many columns each has, the numbers of the rounds by step, the
    rows held out, layout and scale."""

    p: Params
    columns: list[int]
    held_out: Bits
    layout: Layout
    scale: Scale
    keys: PairKeys
    first: int  # joint rounds before this training

    @property
    def steps(self) -> list[range]:
        """The joint rounds; those whose trees share plaintexts are one step."""
        together = max(1, self.layout.trees // self.p.num_class)
        if self.p.colsample_bytree < 1:
            together = 1  # columns differ by round
        numbers = range(self.first, self.p.n_estimators)
        return [numbers[k : k + together] for k in range(0, len(numbers), together)]

    def groups(self, step: range) -> list[Layout]:
        """Pads are prepared for each group of trees of a step: the layouts of the groups."""
        trees, most = len(step) * self.p.num_class, self.layout.trees
        return [replace(self.layout, together=min(most, trees - first)) for first in range(0, trees, most)]

    def place(self, step: range, number: int, k: int) -> tuple[int, int]:
        """Of class k's tree in a round: which group of the step, and its number there."""
        return divmod((number - step.start) * self.p.num_class + k, self.layout.trees)

    @cached_property
    def rows(self) -> Marked:
        """The rows that trees are trained on.  Which of them a round leaves out the guest alone knows: the arbiter
        would tell from sums over rows that it can name who lies in a bin."""
        return Marked(~self.held_out)

    def joint(self, number: int, k: int) -> int:
        """The number of class k's tree among the joint ones."""
        return (number - self.p.guest_only_trees) * self.p.num_class + k


def layout_of(p: Params, rows: int, key_bits: int, weighted: bool) -> Layout:
    """Raises ConfigError where a level of a tree does not fit into a plaintext, whatever the labels."""
    scale = scale_of(p, rows, weighted)
    return Layout(rows, p.max_depth, scale.slots, key_bits)


def shuffled_order(seed: Seed, rows: int, keep: Keep) -> KeptRows[np.int64]:
    """`seed.permutation(rows)`, drawn and kept block by block."""
    shuffle = Shuffle(seed, rows)
    return KeptRows(keep, (shuffle.between(part.first, part.last) for part in parts(rows)))


def in_order(values: NDArray[T], order: KeptRows[np.int64], keep: Keep) -> KeptRows[T]:
    """Of each row a number, the rows in this order, kept block by block."""
    return KeptRows(keep, (values[rows] for rows in order.blocks()))


def more_margin(
    session: Session, margin: KeptRows[np.uint64], more: Iterable[tuple[Part, Words]]
) -> KeptRows[np.uint64]:
    """A holder's shares of the margins after another tree, kept block by block."""
    return KeptRows(session.keep, (margin[part.rows] + step for part, step in more))


def walked(session: Session, walk: Callable[[], Words]) -> Words:
    """At the holders of shares: margins of the model that is continued; kept, so that a run that resumes does not walk
    again."""
    return session.once(walk, lambda found: {"margin": found}, lambda saved: saved["margin"].astype(np.uint64))


def other_scale(party: str) -> DataError:
    return DataError(
        "the labels' spread is of another order of magnitude than that of the rows that the model was trained on",
        remedy="Train a new model",
        party=party,
    )


def first_of(p: Params, joint: int) -> int:
    """The number of the first round of this training in which hosts take part."""
    return p.guest_only_trees + joint // p.num_class


def prepared_by(session: Session, start: Start, step: range, binned: Bins, party: int) -> list[Owned]:
    """Step 1 at an owner."""
    candidates = binned.candidates(own_columns(start.p, step[0], start.columns, party))
    owned = [prepare.owner(session, binned, candidates, group, start.rows) for group in start.groups(step)]
    for one in owned if start.p.monotone_constraints else ():
        constraints.tell(session.arbiter, SignsToArbiter, candidates.sign[one.order])
    return owned


def candidate(sender: str, owned: Owned, position: int) -> int:
    """What stands at a position of an owner's list; raises RemoteProtocolError where nothing does."""
    if not 0 <= position < len(owned.order):
        raise RemoteProtocolError(f"{sender} named an empty position", party=sender)
    return int(owned.order[position])


def level_of(start: Start, number: int, level: int) -> Level:
    sampled = start.rows if level + 1 < start.p.max_depth else None
    return Level(f"round {number} level {level}", len(start.held_out), sampled, start.p.num_class << level)


def seats(session: Session, keys: PairKeys, other: str, p: Params, number: int, level: int) -> Ints | None:
    """(classes, 2^level): which child sits where, drawn by guest and arbiter; None below the last level, whose order
    nobody sees."""
    if level == p.max_depth:
        return None
    return np.array(
        [keys.with_(other, f"seats {number} {k} {level}").permutation(1 << level) for k in range(p.num_class)]
    )


def kept_trees(session: Session, start: Start, trees: int) -> int:
    """At a data party after early stopping: how many joint trees the model keeps."""
    if not start.steps:
        return trees
    rounds = session.arbiter.recv(held_out.RoundsKept).rounds
    kept = (rounds - start.p.guest_only_trees) * start.p.num_class
    if not 0 <= kept <= trees:
        raise RemoteProtocolError(
            f"{session.roles.arbiter} keeps an impossible number of rounds", party=session.roles.arbiter
        )
    return kept


def receive_start(session: Session, rows: int | None, held: Bits | None) -> tuple[list[int], SealedStart]:
    """At hosts, which know the rows, and at the arbiter, which does not."""
    guest_name, told = session.roles.guest, session.guest.recv(SealedStart)
    columns = check_ints(guest_name, told.columns, 0, MAX_COLUMNS, "numbers of columns").tolist()
    check_lengths(guest_name, len(session.roles.data_parties), columns, what="numbers of columns")
    check_lengths(guest_name, 16, told.model_id, what="bytes of the model's name")
    if not 0 < told.rows <= MOST_ROWS or rows not in (None, told.rows):
        raise RemoteProtocolError(f"{guest_name} announced an impossible number of rows", party=guest_name)
    found = unpack_bits(told.held_out, told.rows, guest_name)
    if found.all() or (held is not None and not np.array_equal(found, held)):
        raise RemoteProtocolError(f"{guest_name} holds out other rows than agreed", party=guest_name)
    return columns, told
