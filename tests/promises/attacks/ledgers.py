"""Ledgers of honest parties on disks, for runs of several attempts in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protocols.channel import Tap
from vfl.ledger import LedgerTap, LedgerWriter, continued


class Ledgers:
    """Of the parties but `liar`, in a folder; each attempt continues them."""

    def __init__(self, folder: Path, liar: str) -> None:
        self._folder, self._liar, self._open = folder, liar, dict[str, LedgerWriter]()

    def tap(self, me: str, *_: Any) -> Tap:
        if me == self._liar:
            return Tap()
        path, said = self._folder / me, {"job": "j", "job_digest": bytes(32), "party": me, "sign": None}
        if me not in self._open:
            self._open[me] = continued(path, **said) if path.exists() else LedgerWriter(path, **said)  # type: ignore[arg-type]
        return LedgerTap(self._open[me])

    def close(self) -> None:
        for writer in self._open.values():
            writer.close()
        self._open.clear()
