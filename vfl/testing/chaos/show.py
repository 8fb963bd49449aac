"""What `vfl chaos` shows."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from protocols.errors import ConfigError, LocalProtocolError
from vfl.schema.section import listed
from vfl.screen.console import Console
from vfl.screen.tables import grid, say
from vfl.testing.chaos.federation import REDRAWN
from vfl.testing.chaos.federation import RUNS as KILLED
from vfl.testing.chaos.kill import ERROR, REPEATS, SECONDS, Undisturbed
from vfl.testing.chaos.net import Tally, storm
from vfl.testing.chaos.runs import RUNS
from vfl.testing.chaos.workers import kills

SHOWN = 20  # findings that are listed


def print_storms(models: Sequence[str] | None, schedules: int, seed: int, console: Console) -> None:
    """`schedules` schedules of `seed` for each model (None: all), and what came of them.  Raises ConfigError, and
    LocalProtocolError if anything is wrong."""
    for model in models or ():
        if model not in RUNS:
            raise ConfigError(f"'{model}' is no run that can be broken", remedy=f"Use {listed(list(RUNS))}")
    tallies = [storm(model, schedules, seed) for model in models or RUNS]
    table = grid("run", "schedules", "attempts", "resumed", "faults", "errors", "wrong", numbers=6)
    for tally in tallies:
        counts = (
            tally.schedules,
            tally.attempts,
            tally.resumed,
            sum(tally.struck.values()),
            sum(tally.errors.values()),
            len(tally.wrong),
        )
        table.add_row(escape(tally.run), *(f"{count:,}" for count in counts))
    console.print(table, highlight=False)
    say(
        console,
        "\nresumed: attempts that resumed from a step that all had done; errors: all of them typed, one per "
        "party that failed",
    )
    say(console, f"seed {seed}; faults that met a message: {_sum(tallies)}")
    wrong = [f"{tally.run}, {what}" for tally in tallies for what in tally.wrong]
    _report(wrong, console)


def _report(wrong: Sequence[str], console: Console) -> None:
    for line in wrong[:SHOWN]:
        say(console, f"[red]wrong[/]: {escape(line)}")
    if wrong:
        raise LocalProtocolError(
            f"{len(wrong)} results differ from what they must be",
            remedy="Report the lines above; the same seed repeats them",
        )


def print_kills(model: str, every: int, instants: int, seed: int, jobs: int, console: Console) -> None:
    """Kills of real processes, party by party.  Raises ConfigError, and LocalProtocolError if anything is wrong."""
    if model not in KILLED:
        raise ConfigError(f"'{model}' is no run whose processes can be killed", remedy=f"Use {listed(list(KILLED))}")
    if not every and not instants:
        raise ConfigError("nothing is to be killed", remedy="Give --every-boundary, --every N or --instants N")
    wrong: list[str] = []
    for found in kills(model, every=every, instants=instants, seed=seed, jobs=jobs):
        if isinstance(found, Undisturbed):
            told = ", ".join(f"{name} {count}" for name, count in found.messages.items())
            say(
                console,
                f"{model}: the undisturbed run took {found.seconds:.1f} s; messages sent and received: {told}\n",
            )
            say(
                console,
                f"{'party':<10}{'kills':>8}{'resumed':>10}{'steps again':>14}{'longest restart':>18}{'wrong':>8}",
            )
        else:  # a line as soon as it is there: all of them can take an hour
            restart = f"{found.longest:.1f} s"
            say(
                console,
                f"{found.party:<10}{found.kills:>8,}{found.resumed:>10,}{found.repeats:>14}{restart:>18}{len(found.wrong):>8,}",
            )
            wrong += found.wrong
    same = "the results and the messages of the undisturbed run"
    if model in REDRAWN:
        same = f"the weights of the undisturbed run, to {ERROR:g} of the largest one"
    say(
        console,
        f"\nseed {seed}; every trial must end with {same}, and with ledgers that agree, "
        f"after {REPEATS} repeated step at most and within {SECONDS:.0f} s and the time of an undisturbed run",
    )
    _report(wrong, console)


def _sum(tallies: Sequence[Tally]) -> str:
    names = sorted({fault for tally in tallies for fault in tally.struck})
    return ", ".join(f"{name} {sum(tally.struck[name] for tally in tallies):,}" for name in names) or "none"
