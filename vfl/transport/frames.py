"""Frames: what crosses inside TLS.  One byte of kind, four of length (big-endian), then that many bytes; never more than 1 MiB in all.

    HELLO    who I am and which session I mean (see `hello`)         WELCOME  I accept yours
    REFUSE   I do not: one of a closed list of reasons               BEAT     I am alive
    PART     a piece of a message      LAST  its last piece          ABORT    I stop: a code, and the party that is the cause
    BYE      I have sent everything    BYE_ACK  I have it, everything up to your BYE included

HELLO, WELCOME and REFUSE keep their form in every later version, so that two versions can tell each other apart.
"""

from __future__ import annotations

import enum
import re
import struct
from collections.abc import Iterator

from vfl.identity import PARTY_NAME

HEADER = struct.Struct(">BI")
MAX_FRAME = 1 << 20
MAX_PAYLOAD = MAX_FRAME - HEADER.size
MAX_MESSAGE_BYTES = 1 << 31  # equals protocols.codec.MAX_MESSAGE_BYTES; a test compares them
_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class Kind(enum.IntEnum):
    """What a frame is."""

    HELLO = 1
    WELCOME = 2
    REFUSE = 3
    PART = 4
    LAST = 5
    BEAT = 6
    ABORT = 7
    BYE = 8
    BYE_ACK = 9


_LIMITS = {Kind.HELLO: 1024, Kind.REFUSE: 32, Kind.PART: MAX_PAYLOAD, Kind.LAST: MAX_PAYLOAD, Kind.ABORT: 128}


class BadFrameError(Exception):
    """The peer's bytes break the format; the text says how, and never holds a byte of theirs."""


def header(kind: Kind, length: int = 0) -> bytes:
    """The header of a frame with `length` bytes to follow."""
    return HEADER.pack(kind, length)


def wire_size(message_bytes: int) -> int:
    """How many bytes a message takes as frames."""
    return message_bytes + HEADER.size * max(1, -(-message_bytes // MAX_PAYLOAD))


def cut(message: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The frames of `message`, each as header and payload; nothing is copied."""
    view = memoryview(message)
    for start in range(0, max(1, len(view)), MAX_PAYLOAD):
        piece = view[start : start + MAX_PAYLOAD]
        last = start + MAX_PAYLOAD >= len(view)
        yield header(Kind.LAST if last else Kind.PART, len(piece)), piece


class FrameReader:
    """Cuts a stream into frames.  Refuses by the header alone: memory is taken only for bytes that have arrived."""

    def __init__(self) -> None:
        self._header, self._payload = bytearray(), bytearray()
        self._kind, self._missing = Kind.BEAT, 0

    def feed(self, data: memoryview) -> Iterator[tuple[Kind, bytearray]]:
        """The frames that `data` completes; raises BadFrameError."""
        while data:
            if len(self._header) < HEADER.size:
                take = HEADER.size - len(self._header)
                self._header += data[:take]
                data = data[take:]
                if len(self._header) < HEADER.size:
                    return
                self._kind, self._missing = _checked(*HEADER.unpack(self._header))
            piece = data[: self._missing]
            self._payload += piece
            self._missing -= len(piece)
            data = data[len(piece) :]
            if not self._missing:
                payload, self._payload = self._payload, bytearray()
                self._header.clear()
                yield self._kind, payload


def _checked(kind: int, length: int) -> tuple[Kind, int]:
    try:
        known = Kind(kind)
    except ValueError:
        raise BadFrameError("a frame of an unknown kind") from None
    if length > _LIMITS.get(known, 0):
        raise BadFrameError(f"a {known.name} frame larger than it may be")
    if known is Kind.PART and not length:
        raise BadFrameError("an empty piece of a message")
    return known, length


def abort_payload(code: str, blames: str | None) -> bytes:
    """The payload of ABORT; a code or a name that may not cross is left out."""
    code = code if _CODE.fullmatch(code) else "error"
    blames = blames if blames is not None and PARTY_NAME.fullmatch(blames) else ""
    return f"{code} {blames}".encode()


def read_abort(payload: bytearray) -> tuple[str, str | None]:
    """(code, blamed party) of an ABORT frame; raises BadFrameError."""
    code, _, blames = payload.decode("ascii", "replace").partition(" ")
    if not _CODE.fullmatch(code) or (blames and not PARTY_NAME.fullmatch(blames)):
        raise BadFrameError("an ABORT that is no code and party name")
    return code, blames or None
