"""Reads a party's table from files or a database.  A new kind of file is a class and its place in `FILES`, at the end.

No message holds a cell of the table, the text of a query or an address, which may hold a password.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data.form import Form
from vfl.data.places import Part, parts_of, place_of
from vfl.data.readers.database import read_database
from vfl.data.readers.delimited import CsvFile, TsvFile
from vfl.data.readers.kinds import Ask, TableFile
from vfl.data.readers.packed import OPENERS
from vfl.data.readers.parquet import FeatherFile, ParquetFile
from vfl.data.stored import Stored, StoredFrame


def read_source(
    source: str | Path,
    query: str | None = None,
    *,
    keys: Sequence[str] = (),
    only: Sequence[str] | None = None,
    texts: Sequence[str] = (),
    missing: Sequence[str] = (),
    form: Form = Form(),  # noqa: B008
) -> pd.DataFrame:
    """The table behind `source`: a file, the files of a folder, both also at an address that fsspec reads, or an
    SQLAlchemy address with `query`.

    A column of a CSV file is one of numbers if all its cells are numbers or missing, else the texts as they are
    written; keys, only, texts, missing: see `Ask`; form: how the file is written.
    Raises DataError: the file or database cannot be read, unknown suffix, a database's driver is not installed;
    ConfigError: a library of an extra is not.
    """
    if place_of(str(source)) == "database":
        return read_database(str(source), query)
    if query is not None:
        raise DataError("a file takes no query", remedy="Remove query, or give a database address as source")
    with parts_of(source) as parts:
        return _kind(parts, form).read(parts, Ask(keys, only, texts, missing, form))


def read_stored(
    source: str | Path,
    query: str | None = None,
    *,
    rows: NDArray[np.bool_] | None = None,
    form: Form = Form(),  # noqa: B008
) -> Stored:
    """The table behind `source` as it is stored: cells of a file of texts as they are written, those of an Arrow file
    in their types; rows: those of a large file that are wanted, so that the others are not held.

    Raises as `read_source`, and DataError if the file has other rows by now.
    """
    if place_of(str(source)) == "database":
        return StoredFrame(read_source(source, query))
    with parts_of(source) as parts:
        return _kind(parts, form).stored(parts, rows, form)


def suffix_of(name: str, form: Form) -> str:
    """The suffix that decides how a file is read, without that of its packing; "" where none is known."""
    return _split(f".{form.format}" if form.format else name)[0]


def known_formats() -> list[str]:
    """What `Form.format` can be."""
    plain = [suffix.removeprefix(".") for suffix in FILES]
    return [*plain, *(f"{one}{packing}" for one in plain if FILES[f".{one}"].is_text for packing in OPENERS)]


def _split(name: str) -> tuple[str, str]:
    """The suffixes of a file's format and of its packing."""
    name = name.lower()
    packing = next((suffix for suffix in OPENERS if name.endswith(suffix)), "")
    plain = name.removesuffix(packing)
    return next((suffix for suffix in FILES if plain.endswith(suffix)), ""), packing


def _kind(parts: Sequence[Part], form: Form) -> TableFile:
    """How all files of a table are read.  Raises DataError where that is not known, or not one way."""
    kinds = [FILES.get(suffix_of(part.name, form)) for part in parts]
    for part, kind in zip(parts, kinds, strict=True):
        if kind is None:
            raise DataError(
                f"{part.label}: is neither {' nor '.join(FILES)}",
                remedy='If it is one of them, say which in the party file: data.format = "csv"; else convert it',
            )
        if kind is not kinds[0]:
            raise DataError(
                f"{part.label}: is of another format than {parts[0].name}, and the files of a folder are one table",
                remedy="Keep them in folders of their own",
            )
        if not kind.is_text and (packing := _split(part.name)[1]):
            raise DataError(f"{part.label}: is packed as {packing}", remedy="Unpack it: such files are packed inside")
    found = kinds[0]
    assert found is not None
    return found


FILES: dict[str, TableFile] = {
    suffix: kind for kind in (CsvFile(), TsvFile(), ParquetFile(), FeatherFile()) for suffix in kind.suffixes
}
