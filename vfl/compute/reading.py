"""Workers read the ids of a large table, each a range of its rows, from the source that they see themselves.

The ids stay there (protocols/alignment/away.py): this process reads what files say of themselves, and passes on what
workers say of repeats and of their shares of a digest.  What a worker cannot read, or what is wrong with a table, this
process finds out by reading the key columns as it would without workers: its errors name rows and columns.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.alignment.away import IdsAway, Range, There
from protocols.errors import ConfigError, VFLError
from protocols.ids import Ids
from protocols.randomness import salt
from protocols.workers.calls import Answer, Changed, State
from protocols.workers.cluster import Cluster
from vfl.data.arrow import frame_of, gathered
from vfl.data.extras import needed
from vfl.data.keys import KeyLists, canonical_ids
from vfl.data.places import parts_of
from vfl.data.readers.database import Windows, exact
from vfl.data.readers.parquet import ParquetFile, is_parquet
from vfl.data.shapes import Profile, Shapes
from vfl.job import Party

RUN = b"reading"  # in place of a run's name: nothing of a run has begun
ROWS = 1 << 17  # that a worker decodes at a time
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """What a worker reads, and what the job says of its key columns."""

    party: str
    keys: KeyLists
    normalise: Mapping[str, str]
    pieces: Sequence[tuple[str, int, int, int]] = ()  # of files: path, row group, first and last row in it
    window: Sequence[Any] = ()  # of a database: file with its address, query, column, first value, value after the last

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for key in self.keys for column in key))


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
    the key columns in files, rows that are left out, and the digest of what was read before, if it was.

    The answer is (1, rows, shapes, kinds of values by column, digest), (1,) if that is known, or (0,) where the driver
    has to read.  Raises Changed."""
    name, asked, schema, dropped, due = values
    if (
        due and (source := _named(asked, schema, dropped, due)) in state.lasting
    ):  # this process has read it before the run began
        state.put(name, state.lasting[source])
        return Answer((1,))
    profile, kinds, digest, rows = Profile(), defaultdict[str, set[str]](set), b"", 0
    try:
        ids = _read(Asked(**json.loads(asked)), schema, profile, kinds)
        rows = len(ids[0])
        if len(dropped):
            kept = np.delete(np.arange(rows), dropped)
            ids = tuple(own.take(kept) for own in ids)
        if np.logical_or.reduce([own.present for own in ids]).all():
            digest = hashlib.sha256(b"".join(own.digest() for own in ids)).digest()
    except Exception:  # pyarrow and drivers raise many types; whatever it is, the driver says it better
        digest = b""
    if due not in (b"", digest):
        raise Changed
    if not digest:
        return Answer((0,))
    state.put(name, ids)
    state.lasting.clear()  # of what was read last alone
    state.lasting[_named(asked, schema, dropped, digest)] = ids
    shapes = {column: own.told() for column, own in profile.items()}
    return Answer((1, rows, json.dumps(shapes), json.dumps({c: sorted(own) for c, own in kinds.items()}), digest))


def _named(asked: str, schema: bytes, dropped: Rows, digest: bytes) -> bytes:
    """What names ids that were read."""
    return hashlib.sha256(b"".join((asked.encode(), schema, dropped.tobytes(), digest))).digest()


def _read(asked: Asked, schema: bytes, profile: Profile, kinds: dict[str, set[str]]) -> tuple[Ids, ...]:
    many, rows, lists = len(asked.keys) > 1, 0, [list[Ids]() for _ in asked.keys]
    for frame in _of_database(asked, kinds) if asked.window else _of_files(asked, schema):
        shapes = Profile()
        for own, key in zip(lists, asked.keys, strict=True):
            own.append(canonical_ids(frame, asked.party, key, asked.normalise, nulls=many, profile=shapes))
        for column, found in shapes.items():
            profile.setdefault(column, Shapes()).merge(found.told(), rows)
        rows += len(frame)
    return tuple(map(_joined, lists))


def _of_files(asked: Asked, schema: bytes) -> Iterator[pd.DataFrame]:
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


def _of_database(asked: Asked, kinds: dict[str, set[str]]) -> Iterator[pd.DataFrame]:
    """The same; kinds: gets what kinds of values each column has."""
    file, query, column, low, high = asked.window
    windows = Windows(address_in(Path(file)), query, column, tuple(asked.columns))
    for block in windows.between(low, high, asked.columns):
        for name in asked.columns:
            kinds[name].add(pd.api.types.infer_dtype(block[name], skipna=True))
        yield pd.DataFrame({name: exact(block[name].to_numpy()) for name in asked.columns})


def address_in(file: Path) -> str:
    """The address in a file.  Raises ConfigError."""
    remedy = "It holds the address of the database alone, and stands at the same path on every machine"
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"compute.database: {file} cannot be read", remedy=remedy) from None
    if "://" not in text or "\n" in text:
        raise ConfigError(f"compute.database: {file} does not hold an address", remedy=remedy)
    return text


def _joined(parts: Sequence[Ids]) -> Ids:
    starts = accumulate((len(own.data) for own in parts), initial=0)
    ends = [own.ends(slice(None))[1:] + start for own, start in zip(parts, starts, strict=False)]
    return Ids(b"".join(own.data for own in parts), np.concatenate([np.zeros(1, np.int64), *ends]))


def ids_at_workers(
    cluster: Cluster, party: Party, keys: KeyLists, normalise: Mapping[str, str], duplicates: str, profile: Profile
) -> Away | None:
    """The ids under each of this table's own keys of all rows, at the workers; None where this process must read
    itself.  profile: gets their shapes.  Raises ConfigError where compute.database holds no address."""
    address = address_in(party.compute.database) if party.compute.database is not None else None
    try:
        asked, schema = _asked(party, Asked(party.name, keys, normalise), address, cluster.count)
    except VFLError:
        return None
    found = _held(cluster, asked, schema, None, np.zeros(0, np.int64))
    if not asked or found is None:
        return None
    rows, dropped = found.rows, np.zeros(0, np.int64)
    for start, shapes in zip(accumulate(rows, initial=0), found.shapes, strict=False):
        for name, own in shapes.items():
            profile.setdefault(name, Shapes()).merge(own, start)
    for key in range(len(keys)):
        again = found.there.repeats(key, salt())
        if len(again) and (duplicates == "error" or asked[0].window):  # of equal rows of a database none is the first
            return None
        if len(again):
            dropped = np.sort(np.concatenate([dropped, Kept(sum(rows), dropped)[again]]))
            found = _held(cluster, asked, schema, rows, dropped)
            if found is None:
                return None
    ranges = tuple(_ranges(asked, schema, rows, dropped, found.digests))
    ids = (IdsAway(ranges, key, found.there.digest(key)) for key in range(len(keys)))
    return Away(tuple(ids), Kept(sum(rows), dropped))


class Found(NamedTuple):
    """What workers have read: how many rows each, their shapes by column, and a digest of each worker's ids."""

    there: There
    rows: list[int]
    shapes: list[dict[str, Any]]
    digests: list[bytes]


def _held(
    cluster: Cluster, asked: Sequence[Asked], schema: bytes, rows: Sequence[int] | None, dropped: Rows
) -> Found | None:
    """Has workers read; None where one could not, or where a column has values of several kinds.  rows: how many each
    has, if that is known."""
    blind = list(_ranges(asked, schema, rows or [0] * len(asked), dropped, [b""] * len(asked)))
    held, answers = cluster.hold([one.step() for one in blind])
    if not all(answer.values[0] for answer in answers):
        return None
    told = [(int(n), json.loads(shapes), json.loads(kinds), digest) for _, n, shapes, kinds, digest in _values(answers)]
    kinds = defaultdict[str, set[str]](set)
    for _, _, own, _ in told:
        for column, found in own.items():
            kinds[column].update(found)
    if any(len(found - {"empty"}) > 1 for found in kinds.values()):
        return None
    counted = [n for n, *_ in told]
    there = There(cluster, list(_ranges(asked, schema, counted, dropped, [b""] * len(asked))), held)
    return Found(there, counted, [shapes for _, shapes, _, _ in told], [digest for *_, digest in told])


def _values(answers: Sequence[Answer]) -> list[tuple[Any, ...]]:
    return [answer.values for answer in answers]


def _ranges(
    asked: Sequence[Asked], schema: bytes, rows: Sequence[int], dropped: Rows, digests: Sequence[bytes]
) -> Iterator[Range]:
    """What each worker reads, of the rows that are kept; digests: of what each has read, if it has."""
    first = 0
    for worker, (start, stop) in enumerate(pairwise(accumulate(rows, initial=0))):
        own = dropped[(dropped >= start) & (dropped < stop)] - start
        last = first + stop - start - len(own)
        values = (json.dumps(asdict(asked[worker])), schema, own, digests[worker])
        yield Range(worker, first, last, "read_ids", values)
        first = last


def _asked(party: Party, like: Asked, address: str | None, workers: int) -> tuple[list[Asked], bytes]:
    """What each worker reads, and the types of the key columns in files; nothing where workers cannot read the
    source.  address: of a database."""
    data, compute = party.data, party.compute
    assert data is not None
    if address is not None and data.query is not None and compute.split_by is not None:
        own = Windows(address, data.query, compute.split_by, tuple(like.columns))
        edges = [None, *own.edges(workers)[1], None]
        window = (str(compute.database), data.query, compute.split_by)
        asked = [replace(like, window=(*window, low, high)) for low, high in pairwise(edges)]
        return asked, b""
    if not is_parquet(data.source):
        return [], b""
    pieces, schema = _layout(data.source, like.columns)
    return [replace(like, pieces=own) for own in _shared(pieces, workers)] if pieces else [], schema


Pieces = list[tuple[str, int, int, int]]


def _layout(source: str, names: Sequence[str]) -> tuple[Pieces, bytes]:
    """All row groups, and the types of the key columns; nothing where a column is not there."""
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
