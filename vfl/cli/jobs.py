"""What a job asks of its parties, and what it reveals, in the terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from vfl.job.shown import JobShow, Reveals
from vfl.screen.console import Console
from vfl.screen.tables import bullets, facts, say

TOGETHER = (
    "What parties could learn if, against the agreement, they put together what each of them saw (mixed: sums of "
    "columns with unknown factors, which a few known values undo):"
)


def print_disclosed(told: Reveals, console: Console) -> None:
    """One paragraph a permission."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    for one in told.permits:
        table.add_row("-", f"{escape(one.discloses)} [dim]({escape(one.permit)})[/]")
    for text in told.rounded:
        table.add_row("-", escape(text))
    for text in told.sizes:
        table.add_row("-", f"{escape(text)} [dim](no permission is needed)[/]")
    console.print(table, highlight=False)
    if told.together:
        console.print(TOGETHER, highlight=False)
        bullets(console, told.together)
    if told.unused:
        say(
            console,
            f"[yellow]caution[/]: the job allows {escape(', '.join(told.unused))}, which none of its messages "
            f"needs: remove it from the job at every party",
        )


def print_job(told: JobShow, console: Console) -> None:
    """In the terminal."""
    named = {"job": f"{told.job}, digest {told.job_digest}", **told.facts}
    facts(console, {name: escape(text) for name, text in named.items()})
    console.print("\n[bold]What is disclosed[/], if every party's policy allows it:")
    print_disclosed(told.disclosed, console)
    for caution in told.cautions:
        say(console, f"[yellow]caution[/]: {escape(caution)}")
