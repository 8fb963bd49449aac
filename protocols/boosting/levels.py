"""What is done at a level without a channel: whose columns count, which rows go left at the guest's own splits,
bitmaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Bins, Candidates
from protocols.boosting.packing import Ints
from protocols.boosting.params import Params
from protocols.boosting.split import Choice
from protocols.boosting.tree import GUEST, Bits, Split, own_split
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError

T = TypeVar("T", bound=np.generic)


def own_columns(p: Params, number: int, columns: Sequence[int], party: int) -> list[int]:
    """The columns that each party (0 the guest, then the hosts) may use in a round; columns: how many each has."""
    start = sum(columns[:party])
    chosen = p.columns(number, sum(columns))
    return np.flatnonzero(chosen[start : start + columns[party]]).tolist()


def own_lefts(
    binned: Bins, candidates: Candidates, choices: Sequence[Choice | None], rows: Sequence[NDArray[np.integer[Any]]]
) -> list[Bits | None]:
    """For the nodes that the guest's own split won, which of their rows go left."""
    lefts: list[Bits | None] = []
    for choice, here in zip(choices, rows, strict=True):
        if choice is None or choice.party != GUEST:
            lefts.append(None)
        else:
            _, feature, cut, missing_left, _ = own_split(candidates, choice)
            lefts.append(binned.goes_left(here, feature, cut, missing_left))
    return lefts


def splits_of(
    candidates: Candidates, choices: Sequence[Choice | None], handle: Callable[[int, int], int]
) -> list[Split | None]:
    """What the guest writes into its tree; handle(party, node): the name under which a host knows the split that it
    won."""
    splits: list[Split | None] = []
    for node, choice in enumerate(choices):
        if choice is None:
            splits.append(None)
        elif choice.party == GUEST:
            splits.append(own_split(candidates, choice))
        else:
            splits.append((choice.party, handle(choice.party, node), -1, False, choice.gain))
    return splits


def won(choices: Sequence[Choice | None], party: int) -> list[tuple[int, Choice]]:
    """The nodes that a split of `party` won, in order."""
    return [(node, choice) for node, choice in enumerate(choices) if choice is not None and choice.party == party]


def segments(values: NDArray[T], sizes: Sequence[int] | Ints) -> list[NDArray[T]]:
    """`values` in consecutive parts of these sizes."""
    edges = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    return [values[a:b] for a, b in pairwise(edges)]


def pack_bits(parts: Sequence[Bits] | Sequence[bool]) -> bytes:
    """A bitmap of all parts one after the other."""
    flat = (
        np.concatenate([np.atleast_1d(np.asarray(part, dtype=np.bool_)) for part in parts])
        if len(parts)
        else np.zeros(0, dtype=np.bool_)
    )
    return np.packbits(flat).tobytes()


def unpack_bits(data: bytes, length: int, sender: str) -> Bits:
    """Raises RemoteProtocolError unless the bitmap has `length` bits."""
    check_lengths(sender, (length + 7) // 8, data, what="bytes of a bitmap")
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=length).astype(np.bool_)


def check_ints(sender: str, values: NDArray[np.signedinteger], low: int, high: int, what: str) -> Ints:
    """As int64; raises RemoteProtocolError unless low <= value < high for all."""
    if len(values) and not (values.min() >= low and values.max() < high):
        raise RemoteProtocolError(f"{sender} sent {what} out of range", party=sender)
    return values.astype(np.int64)
