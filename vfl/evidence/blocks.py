"""What the pages of a pack consist of."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

Row = tuple[str, ...]
Facts = tuple[tuple[str, str], ...]
Link = tuple[str, str]  # the file in the pack, and what it holds
Chart = tuple[str, str, Markup]  # its title, how to read it, and the drawing


@dataclass(frozen=True)
class Grid:
    """A table.  numbers: how many of its last columns are numbers; bars: a strip for each row, drawn from its numbers,
    and reading: how to read these."""

    caption: str
    head: Row
    rows: tuple[Row, ...]
    numbers: int = 0
    bars: tuple[Markup, ...] = ()
    reading: str = ""


@dataclass(frozen=True)
class Entry:
    """A field of evidence.toml: its dotted key, what it holds in words, and its text, "" where nobody filled it in."""

    key: str
    words: str
    text: str


@dataclass(frozen=True)
class Block:
    """One section of a page.  lead: its first sentence; points: a list of sentences."""

    id: str
    title: str
    lead: str = ""
    facts: Facts = ()
    points: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    charts: tuple[Chart, ...] = ()
    entries: tuple[Entry, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Tile:
    """One large number.  change: compared with the simpler alternative."""

    name: str
    big: str
    was: str
    change: str
    verdict: str
    says: str


@dataclass(frozen=True)
class Page:
    """A page of the pack.  sub: the line below the title."""

    file: str
    title: str
    sub: str
    lead: str
    blocks: tuple[Block, ...]
    tiles: tuple[Tile, ...] = ()
    note: str = ""
