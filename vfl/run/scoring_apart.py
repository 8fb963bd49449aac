"""Reads the new table of a prediction, and checks it, in a process of its own, as `vfl.run.reading_apart` that of a
training: the command gets in blocks the rows, and the key columns as they came, and holds neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from protocols.kept import Keep
from protocols.parts import parts
from vfl.data.kept_frame import KeptFrame, packed, type_of
from vfl.data.kept_ids import Every
from vfl.data.table import ColumnsOf
from vfl.job import Job, Party
from vfl.models.content import Part
from vfl.models.new_rows import NewRows, new_rows
from vfl.models.registry import kind_of
from vfl.run.new_table import NewTable, new_data, own_part, table_and_ids
from vfl.run.reading_apart import Header, answer, frame_from, received_table, told, told_by


class NewHeader(msgspec.Struct, frozen=True):
    """All of a new table but its rows, and what is said of it; taking_part: SHA-256 of the rows that take part, as
    `Table.digest`; left_out: a bit for each row, nothing where all take part; keys: of each key column as it came the
    type, in their order; the others: as of `NewRows`."""

    table: Header
    taking_part: bytes
    left_out: bytes
    keys: dict[str, str]
    missing: dict[str, int]
    unseen: dict[str, int]
    beyond: dict[str, int]
    moved: list[str]


def new_table_apart(job: Job, party: Party, part: Part, folder: Path, data: str | None) -> NewTable | None:
    """The new table, kept in the run directory; None where this process has to read.  part: this party's, in `folder`;
    data: as of `new_data`.  Raises ConfigError where nothing can be kept."""
    of_source = party.model_copy(update={"data": new_data(party, data)})

    def received(stream: IO[bytes], keep: Keep) -> NewTable:
        header = msgspec.json.decode(frame_from(stream), type=NewHeader)
        table = received_table(stream, header.table, of_source, keep)
        every = parts(len(table))
        blocks = {name: [keep(frame_from(stream)) for _ in every] for name in header.keys}
        rows = Every(len(table)) if not header.left_out else np.flatnonzero(_bits(header.left_out, len(table)) == 0)
        taking_part = table
        if not isinstance(rows, Every):
            rows = rows.astype(np.int32)
            taking_part = table.take(rows)
            taking_part.once("digest", lambda: header.taking_part)
        about = (header.missing, header.unseen, header.beyond, tuple(header.moved))
        new = NewRows(party.name, taking_part, rows, ColumnsOf(table), table.index, *about)
        return NewTable(new, KeptFrame(len(table), header.keys, blocks), header.table.cautions)

    return told_by("vfl.run.scoring_apart", job, party, {"model": str(folder), "data": data}, received)


def _bits(data: bytes, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.unpackbits(np.frombuffer(data, np.uint8), count=count)


def _frames(asked: dict[str, Any], job: Job, party: Party) -> Iterator[bytes]:
    source = new_data(party, asked["data"])
    assert source is not None
    part = own_part(job, party, Path(asked["model"]))
    table, ids, of_ids = table_and_ids(job, party, source, part)
    new = new_rows(table, kind_of(job.model), part)
    header, rows = told(table, of_ids, {}, None)
    left_out = np.ones(len(table), np.uint8)
    left_out[new.rows[:]] = 0
    keys = {str(name): type_of(ids[name]) for name in ids.columns}
    about = (dict(new.missing), dict(new.unseen), dict(new.beyond), list(new.moved))
    packed_bits = np.packbits(left_out).tobytes() if left_out.any() else b""
    yield msgspec.json.encode(NewHeader(header, new.table.digest(), packed_bits, keys, *about))
    yield from rows
    for name in ids.columns:
        yield from packed(ids[name])


if __name__ == "__main__":
    answer(_frames)
