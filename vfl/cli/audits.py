"""How `vfl audit` shows what it found."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from vfl.attacks.audit import Audit
from vfl.cli.ledgers import WIDE
from vfl.cli.results import Audit as AuditShown
from vfl.cli.results import AuditAttack, AuditCheck
from vfl.screen.console import Console
from vfl.screen.tables import grid, say


def audited(found: Audit, page: Path) -> AuditShown:
    """What an audit found."""
    return AuditShown(
        page=str(page),
        holds=found.holds,
        checks=[AuditCheck(check=c["check"], found=c["found"], holds=c["holds"]) for c in found.checks],
        attacks=[
            AuditAttack(
                number=one.attack.number,
                name=one.attack.name,
                result=one.product.mean,
                low=one.product.low,
                high=one.product.high,
                repetitions=one.product.seeds,
                asked=one.asked,
                bound=one.attack.bound,
                control=one.control.mean,
                textbook=one.textbook.mean,
                verdict=one.verdict,
                holds=one.holds,
            )
            for one in found.tried
        ],
        untried=dict(found.untried),
    )


def print_audit(told: AuditShown, page: Path, console: Console) -> None:
    """In the terminal."""
    if not console.is_terminal:
        console = Console(width=max(console.width, WIDE))
    for check in told.checks:
        say(
            console,
            f"{'[green]holds[/]' if check.holds else '[red]FAILS[/]'}: {escape(check.check)}: {escape(check.found)}",
        )
    table = grid("attack", "times", "here", "bound", "control", "textbook", "", numbers=5)
    for one in told.attacks:
        shown = (f"{value:z.3f}" for value in (one.result, one.bound, one.control, one.textbook))
        verdict = "holds" if one.holds else f"[red]{escape(one.verdict)}[/]"
        table.add_row(f"{one.number} {one.name}", str(one.repetitions), *shown, verdict)
    console.print(table, highlight=False)
    if cut := [str(one.number) for one in told.attacks if one.repetitions < one.asked]:
        say(console, f"time was up: made less often than asked, so with wider intervals: {', '.join(cut)}")
    for name, why in told.untried.items():
        say(console, f"not tried: {escape(name)}: {escape(why)}")
    say(console, f"page: {escape(str(page))}")
