"""Workers read the ids of a large Parquet table, each some row groups of it, from the files that they see themselves.

The driver reads what the files say of themselves, and receives canonical ids, never a row.  What a worker cannot read,
or what is wrong with a table, the driver finds out by reading the key columns as it would without workers: its errors
name rows and columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from protocols.alignment import Ids
from protocols.errors import VFLError
from protocols.workers.calls import Answer, Call, State
from protocols.workers.run import Caller
from vfl.data.arrow import frame_of, gathered
from vfl.data.extras import needed
from vfl.data.keys import KeyLists, canonical_ids
from vfl.data.places import parts_of, place_of
from vfl.data.readers.parquet import ParquetFile
from vfl.data.shapes import Profile, Shapes

RUN = b"reading"  # in place of a run's name: nothing of a run has begun
ROWS = 1 << 18  # of a call


@dataclass(frozen=True)
class Asked:
    """Row groups of one file, and what the job says of its key columns."""

    path: str
    first: int
    last: int
    party: str
    keys: KeyLists
    normalise: Mapping[str, str]


def read_ids(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """An operation of workers: (1, shapes, then bytes and ends of the ids under each key), or (0,) where the driver has
    to read."""
    asked, profile = Asked(**json.loads(values[0])), Profile()
    try:
        schema = needed("pyarrow.ipc", "reading").read_schema(needed("pyarrow", "reading").py_buffer(values[1]))
        file = needed("pyarrow.parquet", "reading").ParquetFile(asked.path)
        groups = list(range(asked.first, asked.last))
        table = file.read_row_groups(groups, columns=schema.names, use_threads=False).select(schema.names).cast(schema)
        frame = frame_of(schema, lambda at: gathered(schema.field(at).type, table.column(at).chunks, len(table)))
        many = len(asked.keys) > 1
        found = [canonical_ids(frame, asked.party, k, asked.normalise, nulls=many, profile=profile) for k in asked.keys]
    except Exception:  # pyarrow raises many types; whatever it is, the driver says it better
        return Answer((0,))
    shapes = json.dumps({name: own.told() for name, own in profile.items()})
    lists = (part for ids in found for part in (bytes(ids.data), ids.ends(slice(0, len(ids)))))
    return Answer((1, shapes, *lists))


def ids_at_workers(
    caller: Caller, source: str, party: str, keys: KeyLists, normalise: Mapping[str, str], profile: Profile
) -> tuple[Ids, ...] | None:
    """The ids under each key of all rows; None where this process must read itself.  profile: gets their shapes."""
    names = list(dict.fromkeys(column for key in keys for column in key))
    try:
        asked, schema = _asked(source, party, keys, normalise, names)
        answers = [one.values for one in _called(caller, asked, schema)]
    except VFLError:
        return None
    if not asked or not all(answer[0] for answer in answers):
        return None
    lists, rows = [list[tuple[bytes, Any]]() for _ in keys], 0
    for _, shapes, *parts in answers:
        for own, data, ends in zip(lists, parts[::2], parts[1::2], strict=True):
            own.append((data, ends))
        for name, told in json.loads(str(shapes)).items():
            profile.setdefault(name, Shapes()).merge(told, rows)
        rows += len(lists[0][-1][1]) - 1
    return tuple(map(_joined, lists))


def _asked(
    source: str, party: str, keys: KeyLists, normalise: Mapping[str, str], names: Sequence[str]
) -> tuple[list[Asked], bytes]:
    """The calls, and the types of the key columns; no call where workers cannot read the source."""
    if place_of(source) != "here":
        return [], b""
    with parts_of(source) as parts:
        if not all(part.path is not None and part.name.lower().endswith(".parquet") for part in parts):
            return [], b""
        schema, groups = ParquetFile().layout(parts)
        if not set(names) <= set(schema.names):
            return [], b""
        fields = needed("pyarrow", "reading").schema([schema.field(name) for name in names])
        asked = [
            Asked(str(Path(str(part.path)).resolve()), first, last, party, keys, normalise)
            for part, rows in zip(parts, groups, strict=True)
            for first, last in _pieces(rows)
        ]
    return asked, fields.serialize().to_pybytes()


def _pieces(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Row groups that are read together; rows: of each group."""
    ends, size = [0], 0
    for number, count in enumerate(rows, 1):
        size += count
        if size >= ROWS or number == len(rows):
            ends.append(number)
            size = 0
    return pairwise(ends)


def _called(caller: Caller, asked: Sequence[Asked], schema: bytes) -> Iterator[Answer]:
    """The answers in order, as many calls at a time as there are workers."""
    for start in range(0, len(asked), caller.count):
        group = asked[start : start + caller.count]
        calls = [Call(k, "read_ids", (json.dumps(asdict(one)), schema)) for k, one in enumerate(group)]
        yield from caller.call(calls)


def _joined(parts: Sequence[tuple[bytes, Any]]) -> Ids:
    starts = np.cumsum([0, *(len(data) for data, _ in parts)])
    ends = [own[1:] + start for (_, own), start in zip(parts, starts, strict=False)]
    return Ids(b"".join(data for data, _ in parts), np.concatenate([np.zeros(1, np.int64), *ends]))
