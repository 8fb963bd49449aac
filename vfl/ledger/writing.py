"""The ledger of a run: one line for every message that left, chained and signed, never a content.  See
docs/file-formats.md.

Each line is a JSON object that holds the SHA-256 of the line before, so that no line can be changed, removed or moved;
the last line holds the totals and the party's signature, so that none can be cut off or written anew by somebody
else.  A line is on its way to the disk before its message is to the wire.
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
from pathlib import Path
from types import TracebackType
from typing import Any

from protocols.channel import Tap
from protocols.errors import ConfigError
from protocols.message import Message

FORMAT = 1
START = "0" * 64
Line = dict[str, Any]


def encode(line: Line) -> bytes:
    return json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def signed_part(line: Line) -> bytes:
    """What the signature covers: the whole last line but the signature itself, and through `previous` every line
    before."""
    return b"vfl ledger 1\n" + encode({k: v for k, v in line.items() if k != "signature"})


def add_to(totals: dict[tuple[str, str, str], Line], line: Line) -> None:
    empty = {"message": line["message"], "class": line["class"], "to": line["to"], "count": 0, "bytes": 0}
    row = totals.setdefault((line["message"], line["class"], line["to"]), empty | {"learns": line["learns"]})
    row["count"] += 1
    row["bytes"] += line["bytes"]


def _utc_now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LedgerWriter:
    """Appends a run's lines to a new file (mode 0600); without a path it keeps totals only.

    job, job_digest (32 bytes), party: what the first line says; sign: signs the last line
    (`vfl.identity.Identity.sign`).
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
    ) -> None:
        self.path, self._sign, self._now = path, sign, now
        self._lock, self._previous, self._file = threading.Lock(), START, -1
        self._closed, self.messages, self.bytes = False, 0, 0
        self._counts: dict[tuple[str, str], int] = {}
        self._totals: dict[tuple[str, str, str], Line] = {}
        if path is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            try:
                self._file = os.open(path, flags, 0o600)
            except OSError as error:
                why = "exists already" if isinstance(error, FileExistsError) else f"cannot be made ({error.strerror})"
                raise ConfigError(
                    f"the ledger {path} {why}",
                    remedy="Each run writes its own ledger; use a new folder that this account may write",
                ) from None
        start = {"type": "start", "format": FORMAT, "job": job, "job_digest": job_digest.hex(), "party": party}
        self._append(start | {"time": now()})

    def record(self, peer: str, kind: type[Message], data: bytes) -> None:
        """One outgoing message, `data` as it goes into the wire."""
        with self._lock:
            if self._closed:
                raise ConfigError(
                    "the ledger is closed, so nothing more may be sent",
                    remedy="This is a fault of the program; report it",
                )
            number = self.messages + 1
            count = self._counts.get((peer, kind.kind), 0) + 1
            line: Line = {
                "type": "message",
                "number": number,
                "time": self._now(),
                "to": peer,
                "message": kind.kind,
                "class": kind.disclosure.name,
                "permit": kind.permit,
                "learns": kind.learns,
                "count": count,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            self._append(line)
            self.messages, self.bytes, self._counts[peer, kind.kind] = number, self.bytes + len(data), count
            add_to(self._totals, line)

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
                    "bytes": self.bytes,
                }
                line["previous"] = self._previous
                signature = self._sign(signed_part(line)) if self._sign is not None else None
                line["signature"] = base64.b64encode(signature).decode() if signature is not None else None
                self._append(line)
                if self._file >= 0:
                    os.fsync(self._file)
            finally:
                if self._file >= 0:
                    os.close(self._file)
                    self._file = -1

    def summary(self) -> list[Line]:
        """See `summarise`."""
        with self._lock:
            return [dict(row) for row in self._totals.values()]

    def __enter__(self) -> LedgerWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close("done" if error is None else getattr(error, "code", "internal"))

    def _append(self, line: Line) -> None:
        line["previous"] = self._previous
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
                raise ConfigError(
                    f"the ledger {self.path} cannot be written ({error.strerror}), so nothing more is sent",
                    remedy="Make room on the disk and start all parties again",
                ) from None
        self._previous = hashlib.sha256(data).hexdigest()


class LedgerTap(Tap):
    """Writes every outgoing message of a channel into `writer`; put it last, so that refused messages are not
    recorded."""

    def __init__(self, writer: LedgerWriter) -> None:
        self.writer = writer

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.writer.record(peer, kind, data)
