"""Rows of a file of texts that have fewer or more cells than its header.  pandas would fill the short ones up with
missing values, and cut the long ones where only some columns are read: the values of a row that lost a separator, or
has one too many, would be in the wrong columns."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

QUOTE = '"'
BLANK = " \r\n"  # a line of nothing else is no row


@dataclass
class Scan:
    """lines: of the file; last: the last of them; short: the row (the first data row is 1) and the line at which the
    first row with too few cells begins; long: the same with too many."""

    lines: int = 0
    last: str = ""
    short: tuple[int, int] | None = None
    long: tuple[int, int] | None = None

    def _found(self, row: int, line: int, cells: int, width: int) -> None:
        if cells < width and self.short is None:
            self.short = row, line
        if cells > width and self.long is None:
            self.long = row, line


def scanned(text: IO[str], separator: str, width: int) -> Scan:
    """Reads a file to its end.  width: the cells of its header, the first line that is not blank."""
    found, blank = Scan(), 0
    for line in text:
        found.lines, found.last = found.lines + 1, line
        if QUOTE in line:
            _quoted(found, line, text, separator, width, blank)
            break
        if (cells := line.count(separator) + 1) != width:
            if line.strip(BLANK):
                found._found(found.lines - blank - 1, found.lines, cells, width)
            else:
                blank += 1
    return found


def _quoted(found: Scan, first: str, text: IO[str], separator: str, width: int, blank: int) -> None:
    """The rest of a file from a line on that has a quote: a quoted cell can hold separators and line ends."""
    row, begins, ended = found.lines - blank - 2, found.lines, False

    def rest() -> Iterator[str]:
        nonlocal ended
        for line in text:
            found.lines, found.last = found.lines + 1, line
            yield line
        ended = True

    lines = itertools.chain([first], rest())
    with suppress(csv.Error):  # such as a cell beyond the limit of csv, which pandas reads
        for cells in csv.reader(lines, delimiter=separator):
            if ended:
                break  # within a quote that does not end, which pandas says
            if len(cells) > 1 or "".join(cells).strip(BLANK):
                row += 1
                found._found(row, begins, len(cells), width)
            begins = found.lines + 1
    for _ in lines:
        pass
