"""`vfl run` by a host that deviates as in thief.py: python -m tests.promises.attacks.thieving_host ROWS COLUMNS
DIGITS ORDER JOB PARTY; ORDER: where the ids go, in the shared order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.promises.attacks import thief
from vfl.cli import main as cli
from vfl.data import Table

if __name__ == "__main__":
    rows, columns, digits, order, *words = sys.argv[1:]
    honest = Table.aligned

    def aligned(self: Table, found: Any) -> Table:
        rows = honest(self, found)
        Path(order).write_text("\n".join(map(str, rows.index)))
        return rows

    Table.aligned = aligned  # type: ignore[method-assign]
    sys.argv = ["vfl", "run", "--progress", "none", "--connect-timeout", "40", *words]
    with thief.deviating(int(rows), int(columns), int(digits), 10):
        cli.main()
