"""Workers read the ids of a large table, each a range of its rows, from the source that they see themselves.

The ids stay there (protocols/alignment/away.py): this process reads what files say of themselves, and passes on what
workers say of repeats and of their shares of a digest.  What a worker cannot read, or what is wrong with a table, this
process finds out by reading the key columns as it would without workers: its errors name rows and columns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.alignment.away import IdsAway, Range, There
from protocols.errors import VFLError
from protocols.ids import Ids
from protocols.randomness import salt
from protocols.workers.calls import Answer, Changed, State
from protocols.workers.cluster import Cluster
from vfl.data.arrow import frame_of, gathered
from vfl.data.extras import needed
from vfl.data.keys import KeyLists, canonical_ids
from vfl.data.places import parts_of
from vfl.data.readers.parquet import ParquetFile, is_parquet
from vfl.data.shapes import Profile, Shapes

RUN = b"reading"  # in place of a run's name: nothing of a run has begun
ROWS = 1 << 17  # that a worker decodes at a time
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """What a worker reads: of each file and row group some rows, and what the job says of its key columns."""

    pieces: Sequence[tuple[str, int, int, int]]  # path, row group, first and last row in it
    party: str
    keys: KeyLists
    normalise: Mapping[str, str]


class Kept:
    """Rows of a table of which some are left out.  Indexing maps positions among them to positions in the table."""

    def __init__(self, rows: int, dropped: Rows) -> None:
        """dropped: ascending."""
        self.rows, self.dropped = rows, dropped
        self._before = dropped - np.arange(len(dropped))

    def __len__(self) -> int:
        return self.rows - len(self.dropped)

    def __getitem__(self, positions: Rows) -> Rows:
        return positions + np.searchsorted(self._before, positions, side="right") if len(self.dropped) else positions


class Away(NamedTuple):
    """A table whose ids are at workers: those under each key, and which of its rows they belong to."""

    ids: tuple[IdsAway, ...]
    kept: Kept


def read_ids(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """An operation of workers: reads ids and keeps them under a name.  values: the name, what is asked, the types of
    the key columns, rows that are left out, and the digest of what was read before, if it was.

    The answer is (1, shapes, digest), or (0,) where the driver has to read.  Raises Changed."""
    name, asked, schema, dropped, due = values
    profile, told = Profile(), b""
    try:
        ids = _read(Asked(**json.loads(asked)), schema, profile)
        if len(dropped):
            kept = np.delete(np.arange(len(ids[0])), dropped)
            ids = tuple(own.take(kept) for own in ids)
        if np.logical_or.reduce([own.present for own in ids]).all():
            told = hashlib.sha256(b"".join(own.digest() for own in ids)).digest()
    except Exception:  # pyarrow raises many types; whatever it is, the driver says it better
        told = b""
    if due not in (b"", told):
        raise Changed
    if not told:
        return Answer((0,))
    state.put(name, ids)
    return Answer((1, json.dumps({column: own.told() for column, own in profile.items()}), told))


def _read(asked: Asked, schema: bytes, profile: Profile) -> tuple[Ids, ...]:
    many, rows, lists = len(asked.keys) > 1, 0, [list[Ids]() for _ in asked.keys]
    for frame in _frames(asked, schema):
        shapes = Profile()
        for own, key in zip(lists, asked.keys, strict=True):
            own.append(canonical_ids(frame, asked.party, key, asked.normalise, nulls=many, profile=shapes))
        for column, found in shapes.items():
            profile.setdefault(column, Shapes()).merge(found.told(), rows)
        rows += len(frame)
    return tuple(map(_joined, lists))


def _frames(asked: Asked, schema: bytes) -> Iterator[pd.DataFrame]:
    """The key columns, some rows at a time."""
    fields = needed("pyarrow.ipc", "reading").read_schema(needed("pyarrow", "reading").py_buffer(schema))
    for path, group, first, last in asked.pieces:
        file = needed("pyarrow.parquet", "reading").ParquetFile(path)
        whole = file.read_row_group(group, columns=fields.names, use_threads=False).select(fields.names).cast(fields)
        for start in range(first, last, ROWS):
            table = whole.slice(start, min(ROWS, last - start))

            def column(at: int, table: Any = table) -> pd.Series:
                return gathered(fields.field(at).type, table.column(at).chunks, len(table))

            yield frame_of(fields, column)


def _joined(parts: Sequence[Ids]) -> Ids:
    starts = accumulate((len(own.data) for own in parts), initial=0)
    ends = [own.ends(slice(None))[1:] + start for own, start in zip(parts, starts, strict=False)]
    return Ids(b"".join(own.data for own in parts), np.concatenate([np.zeros(1, np.int64), *ends]))


def ids_at_workers(
    cluster: Cluster,
    source: str,
    party: str,
    keys: KeyLists,
    normalise: Mapping[str, str],
    duplicates: str,
    profile: Profile,
) -> Away | None:
    """The ids under each key of all rows, at the workers; None where this process must read itself.  profile: gets
    their shapes."""
    names = list(dict.fromkeys(column for key in keys for column in key))
    try:
        pieces, schema = _layout(source, names)
    except VFLError:
        return None
    asked = [json.dumps(asdict(Asked(own, party, keys, normalise))) for own in _shared(pieces, cluster.count)]
    rows = [sum(last - first for *_, first, last in own) for own in _shared(pieces, cluster.count)]
    if not pieces:
        return None
    dropped, whole = np.zeros(0, np.int64), sum(rows)
    there, digests = _held(cluster, asked, schema, rows, dropped, profile)
    for key in range(len(keys)):
        if there is None:
            return None
        again = there.repeats(key, salt())
        if len(again) and duplicates == "error":
            return None
        if len(again):
            dropped = np.sort(np.concatenate([dropped, Kept(whole, dropped)[again]]))
            there, digests = _held(cluster, asked, schema, rows, dropped, Profile())
    if there is None:
        return None
    ranges = tuple(_ranges(asked, schema, rows, dropped, digests))
    return Away(tuple(IdsAway(ranges, k, there.digest(k)) for k in range(len(keys))), Kept(whole, dropped))


def _ranges(
    asked: Sequence[str], schema: bytes, rows: Sequence[int], dropped: Rows, digests: Sequence[bytes]
) -> Iterator[Range]:
    """What each worker reads, of the rows that are kept; digests: of what each has read, if it has."""
    first = 0
    for worker, (start, stop) in enumerate(pairwise(accumulate(rows, initial=0))):
        own = dropped[(dropped >= start) & (dropped < stop)] - start
        last = first + stop - start - len(own)
        yield Range(worker, first, last, "read_ids", (asked[worker], schema, own, digests[worker]))
        first = last


def _held(
    cluster: Cluster, asked: Sequence[str], schema: bytes, rows: Sequence[int], dropped: Rows, profile: Profile
) -> tuple[There | None, list[bytes]]:
    """The ids at workers, nothing where one could not read them; and a digest of each worker's."""
    ranges = list(_ranges(asked, schema, rows, dropped, [b""] * len(asked)))
    held, answers = cluster.hold([one.step() for one in ranges])
    if not all(answer.values[0] for answer in answers):
        return None, []
    for start, answer in zip(accumulate(rows, initial=0), answers, strict=False):
        for name, shapes in json.loads(str(answer.values[1])).items():
            profile.setdefault(name, Shapes()).merge(shapes, start)
    return There(cluster, ranges, held), [answer.values[2] for answer in answers]


Pieces = list[tuple[str, int, int, int]]


def _layout(source: str, names: Sequence[str]) -> tuple[Pieces, bytes]:
    """All row groups, and the types of the key columns; none where workers cannot read the source."""
    if not is_parquet(source):
        return [], b""
    with parts_of(source) as parts:
        schema, groups = ParquetFile().layout(parts)
        if not set(names) <= set(schema.names):
            return [], b""
        fields = needed("pyarrow", "reading").schema([schema.field(name) for name in names])
        pieces = [
            (str(Path(str(part.path)).resolve()), group, 0, count)
            for part, counts in zip(parts, groups, strict=True)
            for group, count in enumerate(counts)
            if count
        ]
    return pieces, fields.serialize().to_pybytes()


def _shared(pieces: Pieces, workers: int) -> list[Pieces]:
    """As many rows to each worker, in their order."""
    total = sum(last - first for *_, first, last in pieces)
    edges = [k * total // workers for k in range(workers + 1)]
    found, start = [Pieces() for _ in range(workers)], 0
    for path, group, first, last in pieces:
        for own, (low, high) in zip(found, pairwise(edges), strict=True):
            a, b = max(first, low - start + first), min(last, high - start + first)
            if a < b:
                own.append((path, group, a, b))
        start += last - first
    return found
