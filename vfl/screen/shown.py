"""What a command shows of something, by itself: facts, tables, sentences; in the terminal and with `--json`."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from rich.markup import escape

from vfl.screen.console import Console
from vfl.screen.tables import facts, grid, say

Cell: TypeAlias = str | int | float | None


class Heading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """format: of its numbers in the terminal, as of Python's `format`; "" for a column of texts."""

    name: str
    format: str = ""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns of texts stand before those of numbers."""

    columns: list[Heading]
    rows: list[list[Cell]]
    title: str = ""


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """facts by name; intro before the tables, notes behind them."""

    facts: dict[str, str] = {}
    intro: list[str] = []
    tables: list[Table] = []
    notes: list[str] = []
    cautions: list[str] = []


def show(shown: Shown, console: Console) -> None:
    """In the terminal."""
    if shown.facts:
        facts(console, {name: escape(text) for name, text in shown.facts.items()})
    for sentence in shown.intro:
        say(console, f"{escape(sentence)}\n")
    for table in shown.tables:
        console.print(escape(f"\n{table.title}") if table.title else "", highlight=False)
        lines = grid(*(c.name for c in table.columns), numbers=sum(bool(c.format) for c in table.columns))
        for row in table.rows:
            lines.add_row(*(_text(cell, c.format) for cell, c in zip(row, table.columns, strict=True)))
        console.print(lines, highlight=False)
    if shown.notes:
        console.print()
    for sentence in shown.notes:
        say(console, escape(sentence))
    for caution in shown.cautions:
        say(console, f"[yellow]caution[/]: {escape(caution)}")


def _text(cell: Cell, spec: str) -> str:
    if cell is None:
        return ""
    return format(cell, spec) if spec and not isinstance(cell, str) else escape(str(cell))
