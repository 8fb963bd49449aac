"""Monotone constraints, under xgboost's name and meaning: whoever chooses splits learns the sign of every candidate,
in the order in which its sums come.

     owner of columns                                                 sealed trees: arbiter; open trees: guest
     for each candidate the sign of its column's constraint, +1, -1 or 0
 1   SignsToArbiter, once for each group of trees   -------------->   of unnamed candidates, shuffled as their sums are
     SignsToGuest, with each level's list           -------------->

The receiver refuses a candidate whose children's weights contradict its sign, and bounds the weights below (split.py).
Names of columns, and which columns are constrained, stay with their owner.

Who learns what: the receiver for every candidate whether its column is constrained, and in which direction.  It
recognises candidates by their sums anyway, so it learns how many columns are constrained, and which of the unnamed
marginals belong to them.  Without constraints in the job no message is sent.
Cost: a byte for each candidate, and in open trees for each candidate and node.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Candidates
from protocols.boosting.levels import check_ints
from protocols.channel import Channel
from protocols.codec import check_lengths
from protocols.message import REVEALED, Message
from protocols.parts import parts
from protocols.row_blocks import pace, taken

Ints = NDArray[np.int64]


class SignsToArbiter(
    Message,
    disclosure=REVEALED,
    permit="constraint-signs-to-arbiter",
    learns="for each candidate of the sender, which it cannot name, whether its column is constrained, and in which "
    "direction",
    in_blocks=True,
):
    signs: bytes  # (candidates,) of one byte


class SignsToGuest(
    Message,
    disclosure=REVEALED,
    permit="constraint-signs-to-guest",
    learns="for each candidate of the sender, which it cannot name, whether its column is constrained, and in which "
    "direction",
    in_blocks=True,
):
    signs: bytes  # (nodes * length,) of one byte


def tell(channel: Channel, kind: type[SignsToArbiter | SignsToGuest], signs: Ints) -> None:
    """Step 1 at an owner."""
    for part in parts(len(signs)):
        pace([channel], part)
        channel.send(kind(signs[part.rows].astype(np.int8).tobytes()), part)


def receive(channel: Channel, kind: type[SignsToArbiter | SignsToGuest], length: int) -> Ints:
    """Step 1 where splits are chosen: (length,).  Raises RemoteProtocolError."""
    found = list[Ints]()
    for part in parts(length):
        data = channel.recv(kind, part).signs
        check_lengths(channel.peer, len(part), data, what="signs")
        found.append(check_ints(channel.peer, np.frombuffer(data, dtype=np.int8), -1, 2, "signs"))
        taken(channel, part)
    return np.concatenate(found)


def listed(candidates: Candidates, lists: Ints) -> Ints:
    """(nodes * length,) signs of what stands in an owner's lists, 0 where nothing does."""
    return np.append(candidates.sign, 0)[lists.ravel()]
