"""The terminal, as every command uses it."""

from __future__ import annotations

import os
import sys
from typing import Any

import rich.console


class Console(rich.console.Console):
    """Rich's console without emoji; a reader that goes away, such as `head`, ends the command quietly."""

    def __init__(self, **options: Any) -> None:
        super().__init__(emoji=False, **options)

    def on_broken_pipe(self) -> None:
        """Nothing more is written, also not at the end of the process."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BrokenPipeError
