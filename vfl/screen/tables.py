"""Lines, facts and tables in the terminal, as every command shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from vfl.screen.console import Console


def say(console: Console, text: str) -> None:
    """One line, wrapped at words."""
    console.print(text, highlight=False, soft_wrap=False)


def bullets(console: Console, sentences: Iterable[str]) -> None:
    """A list whose long lines are continued under their first word."""
    listed = Table(box=None, show_header=False, padding=(0, 0, 0, 1))
    for sentence in sentences:
        listed.add_row("-", escape(sentence))
    console.print(listed, highlight=False)


def print_cautions(console: Console, sentences: Iterable[str]) -> None:
    """A line each, also in a log."""
    for sentence in sentences:
        console.print(f"[yellow]caution[/]: {escape(sentence)}", highlight=False, soft_wrap=not console.is_terminal)


def grid(*columns: str, numbers: int = 0) -> Table:
    """A table whose last `numbers` columns are numbers."""
    table = Table(box=SIMPLE_HEAD, show_edge=False)
    for i, column in enumerate(columns):
        right = i >= len(columns) - numbers
        table.add_column(column, justify="right" if right else "left", no_wrap=right, overflow="fold")
    return table


def facts(console: Console, told: Mapping[str, str]) -> None:
    """A fact a line, its name in bold; the texts may hold markup."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, text in told.items():
        table.add_row(f"[bold]{name}[/]", text)
    console.print(table, highlight=False)
