"""What the parties ask of an alignment, and what each takes from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import codec
from protocols.alignment.lists import MemorySpool, Scratch
from protocols.errors import TooFewCommon
from protocols.ids import Ids
from protocols.recovery.checkpoint import Arrays
from protocols.tags import Tags, order


def most_common() -> int:
    """How many common rows there can be: their positions are one message, 4 bytes for each."""
    return (codec.MAX_MESSAGE_BYTES - codec.HEAD_BYTES - codec.NUMBER_BYTES) // 4


@dataclass(frozen=True)
class Request:
    """What all parties agreed to: the minimum intersection, or that only the size is opened; scratch: where this party
    keeps tags; or_none: whether an intersection without a row is accepted too: it tells nothing but that."""

    least: int
    size_only: bool = False
    scratch: Scratch = MemorySpool
    or_none: bool = False

    def check(self, size: int) -> None:
        """Raises DataError if the run must stop here."""
        if size >= self.least or (self.or_none and size == 0):
            return
        if self.or_none:
            known = "is" if size == 1 else "are"
            raise TooFewCommon(
                f"only {size} of the rows to be scored {known} known to all parties, and this job wants at least "
                f"{self.least}",
                remedy="Score more rows at once, or agree on a job with a smaller predict.min_rows; nothing but the "
                "size was learnt",
            )
        found = "no id is" if size <= 0 else f"only {size} ids are"
        raise TooFewCommon(
            f"{found} common to all parties, and this job wants at least {self.least}",
            remedy="Check that all parties use the same id column and normaliser; nothing but the size was learnt",
        )


@dataclass(frozen=True)
class Alignment:
    """What a data party takes from an alignment; where the size alone was asked for, `rows` and `keys` are empty."""

    rows: NDArray[np.int64]  # (common,)  its own common rows, in the shared order
    keys: NDArray[np.uint8]  # (common,)  which key matched each, from 0
    sizes: dict[str, int]  # how many ids each data party had
    by_key: tuple[int, ...]  # how many rows each key matched

    @property
    def common(self) -> int:
        """How many rows all data parties have in common."""
        return sum(self.by_key)

    def pick(self, keys: Sequence[Ids]) -> Ids:
        """The id that matched each common row; keys: the ids of the common rows under each key."""
        values = [b""] * len(self.keys)
        for number, ids in enumerate(keys):
            rows = np.flatnonzero(self.keys == number)
            for row, value in zip(rows.tolist(), ids.at(rows), strict=True):
                values[row] = value
        return Ids.of(values)

    def save(self) -> Arrays:
        """What an interrupted run resumes with: positions and counts, no id."""
        sizes: Arrays = {f"rows of {party}": np.array(count) for party, count in self.sizes.items()}
        keys = self.keys if len(self.by_key) > 1 else self.keys[:0]
        return {"rows": self.rows.astype(np.int32), "keys": keys, "by_key": np.array(self.by_key, np.int64), **sizes}

    @classmethod
    def load(cls, saved: Mapping[str, NDArray[Any]]) -> Alignment:
        """What `save` saved."""
        sizes = {
            name.removeprefix("rows of "): int(count) for name, count in saved.items() if name.startswith("rows of ")
        }
        rows = saved["rows"].astype(np.int64)
        keys = saved["keys"] if len(saved["by_key"]) > 1 else np.zeros(len(rows), np.uint8)
        return cls(rows, keys, sizes, tuple(saved["by_key"].tolist()))


@dataclass(frozen=True)
class Matches:
    """Pairs that one key matched: their tags, and where they stand in two lists."""

    tags: Tags
    left: NDArray[np.int64]
    right: NDArray[np.int64]

    def save(self) -> Arrays:
        """What an interrupted run resumes with."""
        return {"tags": self.tags, "left": self.left, "right": self.right}

    @classmethod
    def load(cls, saved: Mapping[str, NDArray[Any]]) -> Matches:
        """What `save` saved."""
        return cls(saved["tags"], saved["left"], saved["right"])


def in_shared_order(matches: Sequence[Matches]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """(left, right, key) of the matches of all keys, in the order of their tags."""
    ranked = order(np.concatenate([m.tags for m in matches]))
    keys = np.repeat(np.arange(len(matches), dtype=np.uint8), [len(m.left) for m in matches])
    return (
        np.concatenate([m.left for m in matches])[ranked],
        np.concatenate([m.right for m in matches])[ranked],
        keys[ranked],
    )
