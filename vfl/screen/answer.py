"""The one way in which a command answers: in words, or with --json as one JSON object."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from vfl.screen.arguments import say

if TYPE_CHECKING:
    from vfl.screen.result import Result

AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object, by docs/commands.schema.json.")
]


def answer(result: Result, as_json: bool, show: Callable[[], object]) -> None:
    """Prints the result; show: prints it in words."""
    if as_json:
        import msgspec  # on use: `vfl --help` loads none of it

        say(msgspec.json.encode(result).decode())
    else:
        show()
