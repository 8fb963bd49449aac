"""What guest and host of a binning by the label (by_label.py) receive of each other: checks, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.binning.merging import BinningRule, Ints, MergedBins
from protocols.cipher import DecryptionKey, EncryptionKey
from protocols.codec import check_lengths
from protocols.cuts import cut_packed
from protocols.errors import RemoteProtocolError

if TYPE_CHECKING:
    from protocols.binning.by_label import FineBins, FineCounts, MergedCounts

MAX_BINS, MAX_COLUMNS = 258, 1 << 16


class Counted(NamedTuple):
    """Rows and events of a column by fine bin; possible: whether its host's sums can be those of the labels."""

    rows: Ints
    events: Ints
    possible: bool = True


def opened_columns(
    peer: str, counts: FineCounts, key: DecryptionKey, y: Ints, rule: BinningRule, *, stops: bool
) -> list[Counted]:
    """Step 2 at the guest: the host's columns, checked against the labels.

    stops: whether it refuses sums of events that cannot be.  A host that deviates can make this depend on labels of its
    choice: where it may learn nothing of them, such a column counts as one that says nothing of the label."""
    d, n = len(counts.bins), len(y)
    check_lengths(peer, d, counts.apart, counts.ordered, what="columns")
    good = d <= MAX_COLUMNS and all(0 < b <= MAX_BINS for b in counts.bins.tolist())
    if (
        not good
        or set(counts.ordered.tolist()) - {0, 1}
        or any(not 0 <= a <= min(2, b) for a, b in zip(counts.apart.tolist(), counts.bins.tolist(), strict=True))
    ):
        raise impossible(peer, "numbers of bins")
    total = int(counts.bins.astype(np.int64).sum())
    check_lengths(peer, total, counts.rows, what="bins")
    width, slots = layout(key.public, n)
    check_lengths(peer, -(-total // slots), counts.events, what="packed sums")
    ends = np.cumsum(counts.bins.astype(np.int64))[:-1]
    rows_of = np.split(counts.rows.astype(np.int64), ends)
    if any(rows.sum() != n or (rows < min(rule.min_bin_rows, n)).any() for rows in rows_of):
        raise impossible(peer, "numbers of rows in its bins")
    events = cut_packed(key.open_whole(counts.events), width, slots, total).to_i64() if total else np.zeros(0, np.int64)
    found = [_counted(rows, hits, int(y.sum())) for rows, hits in zip(rows_of, np.split(events, ends), strict=True)]
    if stops and not all(column.possible for column in found):
        raise impossible(peer, "sums of events")
    return found


def _counted(rows: Ints, hits: Ints, total: int) -> Counted:
    """The events of a column; where they cannot be, as many in each bin as of all rows."""
    if (hits >= 0).all() and (hits <= rows).all() and hits.sum() == total:
        return Counted(rows, hits)
    return Counted(rows, np.diff(np.cumsum(rows) * total // rows.sum(), prepend=0), False)


def numbers_told(fine: NDArray[np.int32]) -> int:
    """Step 3: how many numbers computed from labels hosts learn, for columns with these numbers of fine bins.  Which of
    these become one is chosen by the label too, so that the events of final bins say more than their number; but all of
    it is computed from the events of the fine bins, whose sum is the same for every column.
    """
    return int((fine.astype(np.int64) - 1).sum())


def merged_columns(
    peer: str, answer: MergedCounts, fine: FineBins, rows: Sequence[Ints], *, noisy: bool = False
) -> list[MergedBins]:
    """Step 3 at a host: its own columns, checked against its own rows; noisy: then their events do not add up alike."""
    check_lengths(peer, sum(fine.width), answer.group, what="bins")
    groups = np.split(answer.group.astype(np.int64), np.cumsum(fine.width)[:-1])
    if any(g.max() >= len(g) or not np.array_equal(np.unique(g), np.arange(g.max() + 1)) for g in groups):
        raise impossible(peer, "final bins")
    sums = [np.bincount(g, weights=r).astype(np.int64) for g, r in zip(groups, rows, strict=True)]
    check_lengths(peer, sum(map(len, sums)), answer.events, what="final bins")
    events = np.split(answer.events.astype(np.int64), np.cumsum([len(s) for s in sums])[:-1])
    if any((e < 0).any() or (e > s).any() for e, s in zip(events, sums, strict=True)) or (
        len({int(e.sum()) for e in events}) > 1 and not noisy
    ):
        raise impossible(peer, "sums of events")
    return [MergedBins(g, s, e) for g, s, e in zip(groups, sums, events, strict=True)]


def layout(key: EncryptionKey, rows: int) -> tuple[int, int]:
    """Bits of a slot, which a sum over `rows` labels cannot leave, and slots of a plaintext."""
    width = rows.bit_length() + 1
    return width, key.plain_bits // width


def impossible(peer: str, what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"{peer} sent impossible {what}", remedy=f"Check which software {peer} runs", party=peer)
