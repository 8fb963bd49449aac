"""CSV and TSV files: a header, and cells that are texts until `text_columns` finds what they hold."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, ClassVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data.cells import as_read, unguarded
from vfl.data.form import BOMS, SEPARATORS, UTF8, Form, codec
from vfl.data.header import twice
from vfl.data.literals import has_comma
from vfl.data.places import Part
from vfl.data.readers.kinds import Ask, TableFile, changed, check_same
from vfl.data.readers.packed import DAMAGED, OPENERS, packing_of, unpacked
from vfl.data.readers.short_rows import Scan, scanned
from vfl.data.stored import Stored, StoredFrame
from vfl.data.text_columns import read_texts
from vfl.data.texts import say_rows

STEP = 1 << 13  # rows that are read at a time: texts take several times the memory of what they become
LONGEST = 1 << 16  # signs of a last line that is looked at
LONG = "has more cells than the header, or a quote that does not end"
REPAIR = "Repair the file; if a title stands above the header, remove it"
OTHERS = {b"PAR1": "parquet", b"ARROW1": "feather"}

NO_TABLES = {
    "JSON": re.compile(r"[\[{]\s*($|[\[{\"])"),
    "a page (HTML or XML)": re.compile(r"<(!doctype|html|\?xml|!--)", re.IGNORECASE),
    "a pointer of Git LFS": re.compile(r"version https://git-lfs"),
}  # by their first line
NAMES_SEPARATOR = re.compile(r'"?sep=.?"?', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')
_POINT = re.compile(r"\s*[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)


class CsvFile(TableFile):
    """Columns that are separated by commas."""

    suffixes = (".csv",)
    is_text = True
    separator: ClassVar[str] = ","

    def read(self, parts: Sequence[Part], ask: Ask) -> pd.DataFrame:
        """As `TableFile.read`."""
        table = _Table.of(parts, ask.form, self.separator)
        only = table.spelt(ask.only) if ask.only is not None and set(ask.only) <= set(table.names) else None
        commas = _Commas((*ask.keys, *ask.texts)) if ask.form.decimal == "," else None

        def pieces(columns: Sequence[str] | None) -> Iterator[pd.DataFrame]:
            found = table.pieces(only if columns is None else columns)
            return found if commas is None else commas.read(found)

        frame = read_texts(
            pieces, keys=ask.keys, texts=ask.texts, missing=ask.missing, rows=table.lines, points=commas is None
        )
        if commas is not None:
            commas.check(frame, parts[0])
        return frame

    def stored(self, parts: Sequence[Part], rows: NDArray[np.bool_] | None, form: Form) -> Stored:
        """As `TableFile.stored`; cells as they are written."""
        kept, seen = list[pd.DataFrame](), 0
        for piece in _Table.of(parts, form, self.separator).pieces(None):
            if rows is None:
                kept.append(piece)
                continue
            kept.append(piece[rows[seen : seen + len(piece)]] if seen + len(piece) <= len(rows) else changed(parts))
            seen += len(piece)
        if rows is not None and seen != len(rows):
            changed(parts)
        return StoredFrame(as_read(pd.concat(kept, ignore_index=True)), is_text=True)


class TsvFile(CsvFile):
    """Columns that are separated by tabs."""

    suffixes = (".tsv",)
    separator = "\t"


@dataclass(frozen=True)
class _Table:
    """The files of one table and its header, as it is spelt in the first of them."""

    files: tuple[_File, ...]
    header: tuple[str, ...]

    @classmethod
    def of(cls, parts: Sequence[Part], form: Form, separator: str) -> _Table:
        """Raises DataError unless all files have the same columns, and each of them once."""
        files = tuple(_File(part, form, form.separator or separator) for part in parts)
        headers = [file.header() for file in files]
        for file, header in zip(files, headers, strict=True):
            check_same(file.part, header, files[0].part, headers[0])
        return cls(files, tuple(headers[0]))

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [unguarded(name) for name in self.header]

    @property
    def lines(self) -> int:
        """At least as many as there are rows, and more where texts hold line ends."""
        return sum(file.lines(len(self.header)) for file in self.files)

    def spelt(self, names: Sequence[str]) -> list[str]:
        """These columns as the header spells them."""
        by_name = {unguarded(name): name for name in self.header}
        return [by_name[name] for name in names]

    def pieces(self, columns: Sequence[str] | None) -> Iterator[pd.DataFrame]:
        """The rows of all files, some at a time: cells as they are written, none of them a missing value."""
        for k, file in enumerate(self.files):
            for piece in file.pieces(columns):
                yield piece if k == 0 or columns is not None else piece[list(self.header)]


@dataclass(frozen=True)
class _File:
    """One file."""

    part: Part
    form: Form
    separator: str

    def bad(self, what: str, remedy: str) -> DataError:
        return DataError(f"{self.part.label}: {what}", remedy=remedy)

    @property
    def packing(self) -> str:
        """How it is packed, as its name, or `format`, says."""
        name = f".{self.form.format}" if self.form.format else self.part.name.lower()
        return next((suffix for suffix in OPENERS if name.endswith(suffix)), "")

    @contextmanager
    def text(self) -> Iterator[IO[str]]:
        """Its text; what is wrong with it becomes a DataError, which quotes none of it."""
        with self._named(), self.raw() as raw, self._decoded(raw) as text:
            yield text

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What goes wrong in it is the file's fault."""
        try:
            yield
        except UnicodeDecodeError:
            raise self._undecoded() from None
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            line = re.search(r"line (\d+)", str(error))
            where = f"row {int(line[1]) - 1} (line {line[1]})" if line else "a line"
            raise self.bad(f"{where} {LONG}", REPAIR) from None
        except csv.Error:
            raise self.bad("has no readable header", "Check the file") from None
        except (*DAMAGED, ValueError):
            kind = f"{self.packing} file" if self.packing else "CSV file"
            raise self.bad(f"is not a readable {kind}", "Repair the file") from None

    @contextmanager
    def raw(self) -> Iterator[IO[bytes]]:
        """Its bytes, unpacked."""
        with self.part.open() as packed, unpacked(packed, self.packing, self.part.label) as raw:
            yield raw

    def _decoded(self, raw: IO[bytes]) -> IO[str]:
        buffered = raw if hasattr(raw, "peek") else io.BufferedReader(cast("Any", raw))
        self._check_head(cast("Any", buffered).peek(8)[:8])
        encoding = "utf-8-sig" if codec(self.form.encoding) == UTF8 else self.form.encoding
        return io.TextIOWrapper(buffered, encoding, newline="")

    def _check_head(self, head: bytes) -> None:
        """Raises DataError where the first bytes tell of something else than text in the encoding."""
        if packing := packing_of(head):
            remedy = f'Add {packing} to its name, or say it: data.format = "csv{packing}"'
            raise self.bad(f"is packed as {packing} files are", remedy)
        if other := next((kind for magic, kind in OTHERS.items() if head.startswith(magic)), None):
            raise self.bad(f"is a .{other} file", f'Name it so, or say it: data.format = "{other}"')
        marked = next((name for bom, name in BOMS if head.startswith(bom)), None)
        own = codec(self.form.encoding)
        if marked is not None and own not in (marked, f"{marked}-sig"):
            raise self.bad(f"is {marked.upper()} text", f'Say it: data.encoding = "{marked}"')
        if marked is None and own in ("utf-16", "utf-32"):
            remedy = f'Say which it is: data.encoding = "{own}-le" or "{own}-be"'
            raise self.bad("has no byte order mark", remedy)

    def _undecoded(self) -> DataError:
        name = codec(self.form.encoding) or self.form.encoding
        where = self._line() if codecs.lookup(name).name in (UTF8, "ascii") else None
        return self.bad(
            f"is not {name.upper()} text{'' if where is None else f' in line {where}'}",
            'Save the file as UTF-8, or say how it is written: data.encoding = "cp1252" in Western Europe, "gbk" in '
            "China, or another one that Python knows"
            if name == UTF8
            else 'Correct data.encoding; most files are "utf-8"',
        )

    def _line(self) -> int | None:
        """The first line that is no text of the encoding."""
        with self._named(), self.raw() as raw:
            for number, line in enumerate(raw, 1):
                try:
                    line.decode(self.form.encoding)
                except UnicodeDecodeError:
                    return number
        return None

    def lines(self, width: int) -> int:
        """The lines of the file; width: the cells of its header.  Raises DataError where it is cut off, or a row has
        too few cells."""
        with self.text() as text:
            found = scanned(text, self.separator, width)
        if self._is_cut(found, width):
            raise self.bad("ends in the middle of a row", "It is cut off: copy or export it again")
        if found.short is not None:
            row, line = found.short
            raise self.bad(
                f"row {row} (line {line}) has fewer cells than the header",
                "Repair the row, or export the table again: an empty cell at the end of a row has a separator too",
            )
        if found.long is not None:
            row, line = found.long
            raise self.bad(f"row {row} (line {line}) {LONG}", REPAIR)
        return found.lines

    def _is_cut(self, found: Scan, width: int) -> bool:
        """Whether the last line has no end, and fewer cells than the header."""
        last = found.last
        if found.lines < 2 or not last.strip() or last[-1] in "\r\n" or last.count('"') % 2 or len(last) > LONGEST:
            return False  # of one line, ended, within quotes, which pandas finds, or too long for csv
        return len(next(csv.reader([last], delimiter=self.separator))) < width

    def header(self) -> list[str]:
        """The names of its columns as they are spelt."""
        with self.text() as text:
            first = next((line for line in text if line.strip()), "")
        self._check_first(first.strip())
        own, other = self._separators(first)
        if other is not None:
            raise self.bad(
                f"its header separates columns by {_named(other)}, not by {_named(own)}",
                f"Say it: data.separator = {_toml(other)}",
            )
        with self.text() as text:
            rows = (row for row in csv.reader(text, delimiter=self.separator) if row)
            header, second = next(rows, []), next(rows, [])
        if not header:
            raise self.bad("is empty", "Check the source")
        if len(header) == 1 < len(second):
            what = f"its first line has one cell, and the next one {len(second)}"
            raise self.bad(what, "If it is a title, remove the lines above the header")
        self._check_names(header)
        return header

    def _check_first(self, line: str) -> None:
        """Raises DataError for the first line of what is no CSV file, whose words would be taken for a header."""
        for kind, found in NO_TABLES.items():
            if found.match(line):
                raise self.bad(f"is {kind}, not a table", "Export the table as CSV or Parquet, and check the download")
        if NAMES_SEPARATOR.fullmatch(line):
            raise self.bad(
                "its first line names the separator, as Excel writes it", "Remove this line, and set data.separator"
            )

    def _separators(self, line: str) -> tuple[str, str | None]:
        """The file's separator, and the one that its header shows, if that is another."""
        plain = _QUOTED.sub("", line)
        counts = {one: plain.count(one) for one in SEPARATORS if one != self.separator}
        other = max(counts, key=lambda one: counts[one])
        return self.separator, other if counts[other] > plain.count(self.separator) else None

    def _check_names(self, header: Sequence[str]) -> None:
        spelt = {unguarded(name): name for name in header}
        named = [name for name in header if name.strip()]
        if several := sorted({unguarded(n) for n in named if named.count(n) > 1 or spelt[unguarded(n)] != n}):
            raise self.bad(twice(header, several), "Rename them")

    def pieces(self, columns: Sequence[str] | None) -> Iterator[pd.DataFrame]:
        """Its rows, some at a time."""
        with self.text() as text, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            reader: Any = pd.read_csv(
                text,
                sep=self.separator,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                na_filter=False,
                usecols=None if columns is None else list(columns),
                chunksize=STEP,
            )
            with reader:
                yield from cast("Iterator[pd.DataFrame]", reader)


class _Commas:
    """Numbers with a decimal comma, in all columns but those whose cells stay as they are written."""

    def __init__(self, written: Sequence[str]) -> None:
        self._written, self._points, self._seen = written, dict[str, list[int]](), 0

    def read(self, pieces: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """The pieces with a point for each decimal comma."""
        seen = 0
        for piece in pieces:
            columns = {}
            for name in piece.columns:
                cells = piece[name].tolist()
                if unguarded(name) not in self._written:
                    rows = [seen + row for row, cell in enumerate(cells, 1) if _POINT.fullmatch(cell)]
                    self._points.setdefault(unguarded(name), []).extend(rows)
                    cells = [cell.replace(",", ".") if has_comma(cell) else cell for cell in cells]
                columns[name] = pd.Series(cells, dtype=object)
            yield pd.DataFrame(columns, columns=piece.columns)
            seen += len(piece)

    def check(self, frame: pd.DataFrame, part: Part) -> None:
        """Raises DataError for a column of numbers some of which have a point: 1.500 may be 1500."""
        for name, rows in self._points.items():
            if rows and pd.api.types.is_numeric_dtype(frame[name].dtype):
                raise DataError(
                    f"{part.label}: column '{name}' has numbers with a point in {say_rows(sorted(set(rows)))}, and "
                    f"data.decimal is a comma",
                    remedy="Write all numbers with a decimal comma and no thousands separator, or remove data.decimal",
                )


def _named(separator: str) -> str:
    return {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}.get(separator, repr(separator))


def _toml(separator: str) -> str:
    return '"\\t"' if separator == "\t" else f'"{separator}"'
