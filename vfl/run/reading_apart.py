"""Reads a table, and checks it, in a process of its own, which ends before the run begins.  The command gets the
rows in blocks and keeps them in its sealed file, so that it never holds the table.

     command (a driver of workers)                  reader: python -m vfl.run.reading_apart
     job and party, as JSON  ---------------------> reads and checks the table as the command would
                             <--------------------- Header, then the blocks of ids and of each column
Where the reader finds something wrong it ends without a word, and the command reads the table itself: its errors name
rows and columns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import IO, Any, TypeVar, cast

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.ids import Ids
from protocols.kept import Keep, Kept, KeptRows
from protocols.parts import parts
from vfl.data import Table
from vfl.data.kept_ids import Every, KeptIds
from vfl.data.kept_table import KeptColumn, KeptTable, Pieces
from vfl.data.schema import Schema
from vfl.data.shapes import Profile, Shapes
from vfl.job import Job, Party, job_from
from vfl.models.content import Part
from vfl.models.part_files import find_part, load_part
from vfl.run.budget import Spread
from vfl.run.own_table import own_table, spread_in
from vfl.schema.section import build
from vfl.storage.files import written
from vfl.storage.shelf import Shelf

LENGTH = 8  # bytes in front of what is sent
FEATURES, OTHERS = "features", ("label", "weight", "date")
T = TypeVar("T")
Class = str | int | float | bool


class Column(msgspec.Struct, frozen=True):
    """One column, whose blocks follow.  what: "features", or one of `OTHERS`; texts: what its codes stand for."""

    what: str
    name: str
    dtype: str
    texts: list[str] | None = None


class Header(msgspec.Struct, frozen=True):
    """All of a table but its rows, and what is said of it; keys: under how many of them it has ids."""

    rows: int
    keys: int
    classes: list[Class] | None
    repeated: int
    schema: Schema
    digest: bytes
    columns: list[Column]
    cautions: list[str]
    shapes: dict[str, Any]  # of its ids, by column
    spread: tuple[int, float] | None  # of a host's columns


def read_apart(job: Job, party: Party, profile: Profile) -> tuple[Table, list[str]] | None:
    """The table, kept in the run directory, and its cautions; None where this process has to read.  profile: gets the
    shapes of its ids.  Raises ConfigError where nothing can be kept."""

    def received(stream: IO[bytes], keep: Keep) -> tuple[Table, list[str]]:
        header = msgspec.json.decode(frame_from(stream), type=Header)
        table = received_table(stream, header, party, keep)
        if header.spread is not None:
            table.once("spread", partial(Spread, *header.spread))
        for name, shapes in header.shapes.items():
            profile.setdefault(name, Shapes()).merge(shapes, 0)
        return table, header.cautions

    return told_by("vfl.run.reading_apart", job, party, {}, received)


def told_by(
    module: str, job: Job, party: Party, more: dict[str, Any], received: Callable[[IO[bytes], Keep], T]
) -> T | None:
    """What a reader tells, whose program is the `main` of this module; None where it ends before its end.  more: what
    it is asked besides.  Raises ConfigError where nothing can be kept."""
    folder = party.run.directory
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        keep = Shelf(folder).keep
    asked = {"job": json.loads(job.canonical), "party": json.loads(party.model_dump_json(exclude_unset=True)), **more}
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        try:
            reader.stdin.write(json.dumps(asked).encode())
            reader.stdin.close()
            return received(reader.stdout, keep)
        except (EOFError, BrokenPipeError):
            return None


def received_table(stream: IO[bytes], header: Header, party: Party, keep: Keep) -> KeptTable:
    """The rows that follow a header.  Raises EOFError where the reader has ended before its end."""
    every, rows = parts(header.rows), Every(header.rows)
    starts = np.array([part.first for part in every])
    first, *more = [KeptIds(_kept_ids(stream, keep, len(every)), starts, rows) for _ in range(header.keys)]
    found = dict[str, dict[str, KeptColumn]]()
    for one in header.columns:
        blocks: Iterator[NDArray[Any]] = (np.frombuffer(frame_from(stream), one.dtype) for _ in every)
        texts = None if one.texts is None else np.array([*one.texts, None], object)
        found.setdefault(one.what, {})[one.name] = KeptColumn(one.name, KeptRows(keep, blocks), texts)
    label, weight, date = (next(iter(found.get(what, {}).values()), None) for what in OTHERS)
    pieces = Pieces(keep, first, None, found.get(FEATURES, {}), label, weight, date, tuple(more))
    assert party.data is not None
    classes = None if header.classes is None else tuple(header.classes)
    table = KeptTable.read(pieces, rows, party.name, classes, header.repeated, header.schema, party.data.settings())
    table.once("digest", lambda: header.digest)
    return table


def _kept_ids(stream: IO[bytes], keep: Keep, blocks: int) -> list[tuple[Kept, Kept]]:
    """Of each block where its ids end, and the ids."""
    return [(keep(frame_from(stream)), keep(frame_from(stream))) for _ in range(blocks)]


def frame_from(stream: IO[bytes]) -> bytes:
    head = stream.read(LENGTH)
    size = int.from_bytes(head, "big") if len(head) == LENGTH else -1
    data = stream.read(size) if size >= 0 else b""
    if len(data) != size:
        raise EOFError
    return data


def _frames(asked: dict[str, Any], job: Job, party: Party) -> Iterator[bytes]:
    """What the reader sends."""
    profile: Profile = {}
    table, cautions = own_table(job, party, _continued(job, party), profile)
    shapes = {name: own.told() for name, own in profile.items()}
    found = spread_in(job, table) if party.role == "host" else None
    spread = None if found is None else (found.most, found.first)
    header, rows = told(table, cautions, shapes, spread)
    yield msgspec.json.encode(header)
    yield from rows


def told(
    table: Table, cautions: list[str], shapes: dict[str, Any], spread: tuple[int, float] | None
) -> tuple[Header, Iterator[bytes]]:
    """The header of a table, and what follows it."""
    columns, values = list[Column](), list[NDArray[Any]]()
    for what, series in _series(table):
        codes, texts = series.to_numpy(), None
        if codes.dtype.kind == "O":
            codes, known = pd.factorize(codes)
            texts = list(known)
        columns.append(Column(what, str(series.name), codes.dtype.str, texts))
        values.append(codes)
    classes = None if table.classes is None else list(table.classes)
    header = Header(
        len(table),
        len(table.keys),
        classes,
        table.repeated,
        table.schema,
        table.digest(),
        columns,
        cautions,
        shapes,
        spread,
    )
    return header, _rows(table, values)


def _rows(table: Table, values: Sequence[NDArray[Any]]) -> Iterator[bytes]:
    for ids in table.keys:
        for part in parts(len(table)):
            own: Ids = ids.take(np.arange(part.first, part.last))
            yield own.ends(slice(None)).tobytes()
            yield own.data
    for array in values:
        for part in parts(len(table)):
            yield array[part.rows].tobytes()


def _continued(job: Job, party: Party) -> Part | None:
    """This party's part of the model that the job continues."""
    name = getattr(job.model, "continue_from", None)
    return None if name is None else cast("Part", load_part(find_part(party.run.directory, name))[0])


def _series(table: Table) -> Iterator[tuple[str, pd.Series]]:
    for name in table.columns:
        yield FEATURES, table.column(name)
    for what, found in zip(OTHERS, (table.label, table.weight, table.date), strict=True):
        if found is not None:
            yield what, found if isinstance(found, pd.Series) else pd.Series(found, name=what)


def answer(frames: Callable[[dict[str, Any], Job, Party], Iterator[bytes]]) -> None:
    """A reader's program: frames: what it sends, of what it is asked."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints
    asked = json.loads(sys.stdin.buffer.read())
    with out:
        for data in frames(asked, job_from(asked["job"]), build(Party, asked["party"], "party")):
            out.write(len(data).to_bytes(LENGTH, "big"))
            out.write(data)


if __name__ == "__main__":
    answer(_frames)
