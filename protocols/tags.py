"""16-byte tags of points as pairs of 64-bit words, (n, 2): sorting and matching them; pure, no channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TAG_BYTES = 16
Tags = NDArray[np.uint64]  # (n, 2)
Rows = NDArray[np.int64]
_BLOCK = 1 << 20  # tags looked up at a time
RUN = 8  # more honest tags than this never share a first word


def read(data: bytes | bytearray | memoryview) -> Tags:
    """Tags from their bytes."""
    return np.frombuffer(data, "<u8").reshape(-1, 2)


def order(tags: Tags) -> Rows:
    """Positions that sort `tags`."""
    found = np.argsort(tags[:, 0])
    first = tags[found, 0]
    if (first[1:] == first[:-1]).any():
        found = np.lexsort((tags[:, 1], tags[:, 0]))
    return found.astype(np.int64, copy=False)


def ascending(tags: Tags) -> bool:
    """Whether tags are sorted and distinct, and as spread as tags are."""
    first, second = tags[:, 0], tags[:, 1]
    same = first[1:] == first[:-1]
    if not same.any():
        return bool((first[1:] > first[:-1]).all())
    in_order = (first[1:] > first[:-1]) | (same & (second[1:] > second[:-1]))
    return bool(in_order.all()) and not (len(first) > RUN and (first[RUN:] == first[:-RUN]).any())


def match(in_order: Tags, tags: Tags) -> tuple[Rows, Rows]:
    """Positions in `in_order` (which is `ascending`) and in `tags` of the tags that are in both, in the order of the
    former."""
    at_sorted: list[Rows] = []
    at_tags: list[Rows] = []
    first = np.ascontiguousarray(in_order[:, 0])
    run = 1
    while len(first) > run and (first[run:] == first[:-run]).any():
        run += 1
    for start in range(0, len(tags) if len(first) else 0, _BLOCK):
        block = tags[start : start + _BLOCK]
        by_word = np.argsort(
            block[:, 0]
        )  # neighbours are looked up one after the other: several times faster in a large list
        block = block[by_word]
        lowest = np.searchsorted(first, block[:, 0])
        for place in (np.minimum(lowest + step, len(first) - 1) for step in range(run)):
            equal = np.flatnonzero((in_order[place] == block).all(axis=1))
            at_sorted.append(place[equal])
            at_tags.append(by_word[equal] + start)
    if not at_sorted:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    left, right = np.concatenate(at_sorted), np.concatenate(at_tags)
    pairs = (
        np.unique(np.stack([left, right], axis=1), axis=0)
        if run > 1
        else np.stack([left, right], axis=1)[np.argsort(left)]
    )
    return pairs[:, 0], pairs[:, 1]


def in_all(lists: Sequence[Tags]) -> Tags:
    """The tags that every list holds, sorted."""
    found = lists[0][order(lists[0])]
    for tags in lists[1:]:
        found = found[np.unique(match(found, tags)[0])]
    return found
