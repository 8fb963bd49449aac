"""The ledger of a publication: a line per message while an epoch is published, one signed line per hour for queries."""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
from collections.abc import Iterator

from protocols.boosting.exact_cut import CutOpening
from protocols.boosting.rounding import DealtRounding, MaskedKey, MaskedNumbers, OpenedScores
from protocols.errors import ConfigError
from protocols.message import Message
from protocols.online.asking import BlindedAsk, QueryKeys, RaisedAsk
from protocols.online.dealing import DealtWalks
from protocols.online.products import MaskedColumns, PreparedProducts
from protocols.online.query import Answer
from protocols.online.tree_query import RecordShares
from protocols.online.tree_walk import WalkBits, WalkMembership, WalkValues
from vfl.ledger import LedgerTap, LedgerWriter
from vfl.run.budget.queries import Queries, hour_of, utc_now

log = logging.getLogger("vfl.node")
COUNTED = (PreparedProducts, BlindedAsk, RaisedAsk, QueryKeys, MaskedColumns, Answer)
WALKED = (
    *(RecordShares, WalkBits, WalkMembership, WalkValues, DealtWalks),
    *(DealtRounding, MaskedNumbers, MaskedKey, CutOpening, OpenedScores),
)
EVERY = 20.0  # seconds between two readings of the clock


class EpochTap(LedgerTap):
    """Leaves out the messages of queries, and what is dealt for queries to come."""

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        if kind not in COUNTED + WALKED:
            super().sent(peer, kind, data)

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        if kind not in COUNTED + WALKED:
            super().received(peer, kind, data)


class Hours:
    """Writes the line of each hour that is over, of an earlier process too, and at the end that of the last one."""

    def __init__(self, writer: LedgerWriter, queries: Queries) -> None:
        self._writer, self._queries, self._stop = writer, queries, threading.Event()

    def write(self, now: datetime.datetime) -> None:
        """Those before the hour of `now`.  Raises ConfigError."""
        for hour, counts in self._queries.unwritten(hour_of(now)).items():
            self._writer.queries(hour, counts)
            self._writer.sync()
            self._queries.wrote(hour, counts)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Inside, every hour gets its line."""
        thread = threading.Thread(target=self._run, name="vfl online, ledger", daemon=True)
        self.write(utc_now())
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self.write(utc_now() + datetime.timedelta(hours=1))

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            try:
                self.write(utc_now())
            except ConfigError as error:  # the queries stay counted, and the line is written later
                log.error("%s", error)
