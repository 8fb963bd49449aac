"""What the commands of `vfl.cli` share: their arguments, their order and a line of output."""

from __future__ import annotations

import difflib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from protocols.errors import ConfigError
from vfl.screen.console import Console
from vfl.screen.sentences import listed
from vfl.storage.runs import resolved

JobFile = Annotated[
    Path, typer.Argument(metavar="JOB.toml", help="The job, the same file at every party.", show_default=False)
]
PartyFile = Annotated[Path, typer.Argument(metavar="PARTY.toml", help="This party's own file.", show_default=False)]
NewTable = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="The new table: a file, a folder or an address; without it, the source in the party file.",
        show_default=False,
    ),
]
ModelFolder = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="This party's model folder, RUN/model; the arbiter's too, unless it keeps none.",
        show_default=False,
        callback=lambda path: None if path is None else resolved(path),
    ),
]
ScoresFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Guest: the file for the scores, .csv, .parquet, .feather or .arrow; without it, RUN/scores.csv.",
        show_default=False,
    ),
]
RunFolder = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="The folder of a run; runs/latest stands for the latest one that is done.",
        show_default=False,
        callback=resolved,
    ),
]
ConnectTimeout = Annotated[
    float, typer.Option(metavar="SECONDS", min=0.1, help="How long to wait for the other parties.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Give up an interrupted run of this job, and begin a new one.")]
ModelKind = Annotated[str, typer.Option("--kind", metavar="KIND", help="Kind of model, as in docs/file-formats.md.")]
ProgressKind = Annotated[
    str,
    typer.Option(
        "--progress",
        metavar="KIND",
        help='"bar", "log" (lines with the time), "lines" (JSON, for programs) or "none"; "auto": bar on a terminal, '
        "else log.",
    ),
]


class Role(StrEnum):
    guest = "guest"
    host = "host"
    arbiter = "arbiter"
    member = "member"

    @classmethod
    def called(cls, name: str) -> Role:
        """The role of this name.  Raises ConfigError."""
        if name in [*cls]:
            return cls(name)
        close = difflib.get_close_matches(name, [*cls], n=1)
        raise ConfigError(
            f"--role {name} is no role",
            remedy=(f"Did you mean {close[0]}? " if close else "") + f"The roles are {listed([*cls], 'and')}",
        )


class InOrderOfUse(TyperGroup):
    """Lists the commands in the order in which one uses them."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = ["demo", "init", "trust", "renew", "job", "check", "align", "prepare", "run", "predict", "node", "monitor", "runs", "report", "ledger", "evidence", "model", "budget", "purge", "audit", "support", "bench", "chaos"]  # fmt: skip  # noqa: E501
        return sorted(super().list_commands(ctx), key=order.index)


def say(text: str, *, stderr: bool = False) -> None:
    """One unwrapped line on standard output, as it is."""
    Console(stderr=stderr).print(text, markup=False, highlight=False, soft_wrap=True)
