"""The ledger of a run: one line for every message that left or came, chained and signed, never a content.  See
docs/file-formats.md.

Each line is a JSON object that holds the SHA-256 of the line before, so that no line can be changed, removed or moved;
the last line holds the totals and the party's signature, so that none can be cut off or rewritten by somebody
else.  A line is on its way to the disk before its message is to the wire.

A run that resumes after an interruption continues its ledger (vfl/ledger/continuing.py).  What it sends or receives
again must be what stands there under the same number, and is not written twice.  What is drawn again in each attempt
(protocols/recovery/checkpoint.py) need not be: a line says so, and messages continue from the numbers before it.
Messages of online queries have no line each: one signed line per hour counts the queries.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from protocols.channel import Count, Tap
from protocols.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from protocols.message import Message
from vfl.ledger.account import account

FORMAT = 2
START = "0" * 64
Line = dict[str, Any]


def encode(line: Line) -> bytes:
    return json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def signed_part(line: Line) -> bytes:
    """What the signature covers: the whole last line but the signature itself, and through `previous` every line
    before."""
    return b"vfl ledger 2\n" + encode({k: v for k, v in line.items() if k != "signature"})


def add_to(totals: dict[tuple[str, str, str], Line], line: Line) -> None:
    empty = {"message": line["message"], "class": line["class"], "to": line["to"], "count": 0, "bytes": 0}
    row = totals.setdefault((line["message"], line["class"], line["to"]), empty | {"learns": line["learns"]})
    row["count"] += 1
    row["bytes"] += line["bytes"]


def _utc_now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Approval:
    """Who let this party's node start a job, when (ISO 8601), and how: by "command", "http" or "party file"."""

    by: str
    at: str
    how: str


@dataclass
class Written:
    """What a ledger holds already: its last line's hash, its sums, and the hash of each message by direction, peer and
    number; repeats: see `continued`."""

    repeats: int = 0
    previous: str = START
    messages: int = 0
    bytes: int = 0
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    totals: dict[tuple[str, str, str], Line] = field(default_factory=dict)
    hashes: dict[tuple[str, str, int], str] = field(default_factory=dict)

    def forget(self, peer: str, sent: int, received: int) -> bool:
        """Messages after these may be others; whether there were any."""
        most = {"to": sent, "from": received}
        later = [key for key in self.hashes if key[1] == peer and key[2] > most[key[0]]]
        for key in later:
            del self.hashes[key]
        return bool(later)

    def add(self, line: Line) -> None:
        """One line of the ledger more, its `previous` included."""
        self.previous = hashlib.sha256(encode(line)).hexdigest()
        if line["type"] == "message":
            pair = line["to"], line["message"]
            self.messages, self.bytes, self.counts[pair] = (
                self.messages + 1,
                self.bytes + line["bytes"],
                self.counts.get(pair, 0) + 1,
            )
            add_to(self.totals, line)


class LedgerWriter:
    """Appends a run's lines to a new file (mode 0600); without a path it keeps totals only.

    job, job_digest (32 bytes), party: what the first line says; sign: signs the last line
    (`vfl.transport.identity.Identity.sign`).
    Raises ConfigError: the file exists already or cannot be written (a full disk): then the message does not leave.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        job: str,
        job_digest: bytes,
        party: str,
        sign: Callable[[bytes], bytes] | None = None,
        now: Callable[[], str] = _utc_now,
        who: Callable[[], str] = account,
        written: Written | None = None,
        approved_by: str | None = None,
        run: bytes | None = None,
        approval: Approval | None = None,
    ) -> None:
        """written: what the file holds, if it is to be continued (`continued`); approved_by: who is responsible for
        the policy under which this party takes part; run: its name, the same at every party; approval: of the job,
        at a node."""
        self.path, self._sign, self._now = path, sign, now
        self._lock, self._file, self._closed = threading.Lock(), -1, False
        self._written = written or Written()
        if path is not None:
            flags = (
                os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | (0 if written else os.O_CREAT | os.O_EXCL)
            )
            try:
                self._file = os.open(path, flags, 0o600)
            except OSError as error:
                why = "exists already" if isinstance(error, FileExistsError) else f"cannot be made ({error.strerror})"
                raise ConfigError(
                    f"the ledger {path} {why}",
                    remedy="Each run writes its own ledger; use a new folder that this account may write",
                ) from None
        start = {"type": "start", "format": FORMAT, "job": job, "job_digest": job_digest.hex(), "party": party}
        start["run"] = None if run is None else run.hex()
        line = start if written is None else {"type": "resumed", "repeats": written.repeats}
        line |= {"time": now(), "started_by": who(), "approved_by": approved_by}
        self._append(line if approval is None else line | {"approval": asdict(approval)})

    @property
    def messages(self) -> int:
        """How many messages left."""
        return self._written.messages

    def record(self, peer: str, kind: type[Message], data: bytes, seq: int = 0) -> None:
        """One outgoing message, `data` as it goes into the wire; seq: its number on the way to `peer`, 0 if it has
        none.

        Raises LocalProtocolError if another one was sent under this number.
        """
        with self._lock:
            self._check_open()
            digest = hashlib.sha256(data).hexdigest()
            if known := self._written.hashes.get(("to", peer, seq)):
                if known != digest:
                    raise LocalProtocolError(
                        f"message {seq} to {peer} is not the one that was sent before the interruption",
                        remedy="Start all parties again with --fresh, and report this: table and program should "
                        "determine every message",
                        party=peer,
                    )
                return
            count = self._written.counts.get((peer, kind.kind), 0) + 1
            line: Line = {
                "type": "message",
                "number": self.messages + 1,
                "time": self._now(),
                "to": peer,
                "seq": seq,
                "message": kind.kind,
                "class": kind.disclosure.name,
                "permit": kind.permit,
                "learns": kind.learns,
                "count": count,
                "bytes": len(data),
                "sha256": digest,
            }
            self._append(line)

    def received(self, peer: str, kind: type[Message], data: bytes, seq: int = 0) -> None:
        """One incoming message.  Raises RemoteProtocolError if `peer` sent another one under this number before."""
        with self._lock:
            self._check_open()
            digest = hashlib.sha256(data).hexdigest()
            if known := self._written.hashes.get(("from", peer, seq)):
                if known != digest:
                    raise RemoteProtocolError(
                        f"{peer} sent another message {seq} than before the interruption",
                        remedy=f"Ask {peer} what changed there; if the run may not resume, start all parties "
                        f"again with --fresh",
                        party=peer,
                    )
                return
            line: Line = {"type": "received", "time": self._now(), "from": peer, "seq": seq, "message": kind.kind}
            self._append(line | {"bytes": len(data), "sha256": digest})

    def renewed(self, peer: str, count: Count) -> None:
        """What an earlier attempt sent to and received from `peer` after `count` need not be repeated."""
        with self._lock:
            self._check_open()
            if self._written.forget(peer, count.sent, count.received):
                line = {"type": "renewed", "time": self._now(), "peer": peer}
                self._append(line | {"sent": count.sent, "received": count.received})

    def queries(self, hour: str, counts: dict[str, int]) -> None:
        """How many online queries there were in an hour (UTC), by partner: one line, which bears a signature over the
        ledger up to there."""
        with self._lock:
            self._check_open()
            line: Line = {
                "type": "queries",
                "time": self._now(),
                "hour": hour,
                "partners": dict(sorted(counts.items())),
            }
            line["previous"] = self._written.previous
            signature = self._sign(signed_part(line)) if self._sign is not None else None
            line["signature"] = base64.b64encode(signature).decode() if signature is not None else None
            self._append(line)

    def sync(self) -> str:
        """Returns when every line is on the disk: the SHA-256 (hex) of the last of them."""
        head = self._written.previous
        if self._file >= 0:
            try:
                os.fsync(self._file)
            except OSError as error:
                raise self._unwritable(error) from None
        return head

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigError(
                "the ledger is closed, so nothing more may be sent",
                remedy="This is a fault of the program; report it",
            )

    def close(self, outcome: str = "done") -> None:
        """Writes the last line; outcome: "done", or the code of the error that ended the run.  A second call does
        nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                line: Line = {
                    "type": "end",
                    "time": self._now(),
                    "outcome": outcome,
                    "messages": self.messages,
                    "bytes": self._written.bytes,
                }
                line["previous"] = self._written.previous
                signature = self._sign(signed_part(line)) if self._sign is not None else None
                line["signature"] = base64.b64encode(signature).decode() if signature is not None else None
                self._append(line)
                self.sync()
            finally:
                if self._file >= 0:
                    os.close(self._file)
                    self._file = -1

    def summary(self) -> list[Line]:
        """See `summarise`."""
        with self._lock:
            return [dict(row) for row in self._written.totals.values()]

    def __enter__(self) -> LedgerWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close("done" if error is None else getattr(error, "code", "internal"))

    def _append(self, line: Line) -> None:
        line["previous"] = self._written.previous
        data = encode(line)
        if self._file >= 0:
            before = os.fstat(self._file).st_size
            rest = data + b"\n"
            try:
                while rest:
                    rest = rest[os.write(self._file, rest) :]
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, before)
                raise self._unwritable(error) from None
        self._written.add(line)

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"the ledger {self.path} cannot be written ({error.strerror}), so nothing more is sent",
            remedy="Make room on the disk and start all parties again",
        )


class LedgerTap(Tap):
    """Writes every message of a channel into `writer`; put it last, so that refused messages are not recorded."""

    def __init__(self, writer: LedgerWriter) -> None:
        self.writer = writer
        self._counts: dict[str, Count] = {}

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        count = self._counts.get(peer, Count())
        self.writer.record(peer, kind, data, count.sent + 1)
        self._counts[peer] = count._replace(sent=count.sent + 1)

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        count = self._counts.get(peer, Count())
        self.writer.received(peer, kind, data, count.received + 1)
        self._counts[peer] = count._replace(received=count.received + 1)

    def moved(self, peer: str, count: Count) -> None:
        self._counts[peer] = count

    def renewed(self, peer: str, count: Count) -> None:
        self.writer.renewed(peer, count)
