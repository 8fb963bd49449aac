"""Frames: what crosses inside TLS.  One byte of kind, four of length (big-endian), then that many bytes; never more
than 1 MiB in all.

    HELLO    who I am and which session I mean (see `hello`)         WELCOME  I accept yours
    REFUSE   I do not: one of a closed list of reasons               BEAT     I am alive
    PART     a piece of a message      LAST  its last piece and code (see `seal`)
    ROOM     I have read this number of further bytes (8 bytes, big-endian; see `window`)
    ABORT    I stop: the cause, that is a code, who stopped first, whom it names, and a declared name (see `Cause`)
    BYE      I have sent everything    BYE_ACK  I have it, everything up to your BYE included

HELLO, WELCOME and REFUSE keep their form in every later version, so that two versions can recognise each other.
"""

from __future__ import annotations

import enum
import re
import struct
from collections.abc import Iterator

from protocols.errors import Cause
from vfl.transport.identity import PARTY_NAME
from vfl.transport.seal import MARK, Seal

HEADER = struct.Struct(">BI")
ROOM = struct.Struct(">Q")
MAX_FRAME = 1 << 20
MAX_PAYLOAD = MAX_FRAME - HEADER.size
MAX_PIECE = MAX_PAYLOAD - MARK  # of a message, in one frame
MAX_MESSAGE_BYTES = 1 << 31  # equals protocols.codec.MAX_MESSAGE_BYTES; a test compares them
_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_ABOUT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


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
    ROOM = 10


_LIMITS = {
    Kind.HELLO: 1024,
    Kind.REFUSE: 32,
    Kind.PART: MAX_PAYLOAD,
    Kind.LAST: MAX_PAYLOAD,
    Kind.ABORT: 192,
    Kind.ROOM: ROOM.size,
}


class BadFrameError(Exception):
    """The peer's bytes break the format; the text says how, and never holds a byte of theirs."""


def header(kind: Kind, length: int = 0) -> bytes:
    """The header of a frame with `length` bytes to follow."""
    return HEADER.pack(kind, length)


def wire_size(message_bytes: int) -> int:
    """How many bytes a message takes as frames."""
    return message_bytes + HEADER.size * max(1, -(-message_bytes // MAX_PIECE)) + MARK


def cut(message: bytes, seal: Seal) -> Iterator[tuple[bytes | memoryview, ...]]:
    """The frames of `message`, each in parts to be written one after the other; nothing is copied."""
    view = memoryview(message)
    for start in range(0, max(1, len(view)), MAX_PIECE):
        piece = view[start : start + MAX_PIECE]
        seal.add(piece)
        if start + MAX_PIECE < len(view):
            yield header(Kind.PART, len(piece)), piece
        else:
            yield header(Kind.LAST, len(piece) + MARK), piece, seal.mark()


class Assembler:
    """Puts the pieces of one direction's messages together, and checks their authentication codes."""

    def __init__(self, seal: Seal) -> None:
        self._seal, self._message = seal, bytearray()
        self.begun = False  # a message has begun and not ended

    def add(self, kind: Kind, payload: bytearray) -> bytes | None:
        """The message that this piece completes, if it does; raises BadFrameError."""
        if len(self._message) + len(payload) > MAX_MESSAGE_BYTES + MARK:
            raise BadFrameError("a message larger than it may be")
        self.begun = kind is Kind.PART
        if self.begun:
            self._seal.add(payload)
            self._message += payload
            return None
        if len(payload) < MARK:
            raise BadFrameError("a message without its authentication code")
        mark = bytes(payload[-MARK:])
        del payload[-MARK:]
        self._seal.add(payload)
        if not self._seal.fits(mark):
            raise BadFrameError("a message that does not belong to this connection and place")
        self._message += payload
        message, self._message = bytes(self._message), bytearray()
        return message


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
    if known is Kind.ROOM and length != ROOM.size:
        raise BadFrameError("a ROOM frame of another length")
    return known, length


def abort_payload(cause: Cause) -> bytes:
    """The payload of ABORT; what may not cross is left out."""
    code = cause.code if _CODE.fullmatch(cause.code) else "error"
    names = [name if PARTY_NAME.fullmatch(name) else "" for name in (cause.party, cause.blames or "")]
    about = cause.about if cause.about is not None and _ABOUT.fullmatch(cause.about) else ""
    return " ".join((code, *names, about)).encode()


def read_abort(payload: bytearray) -> Cause:
    """The cause in an ABORT frame; raises BadFrameError."""
    fields = payload.decode("ascii", "replace").split(" ")
    if len(fields) != 4:
        raise BadFrameError("an ABORT that is no cause")
    code, party, blames, about = fields
    names = _CODE.fullmatch(code) and PARTY_NAME.fullmatch(party) and (not blames or PARTY_NAME.fullmatch(blames))
    if not names or (about and not _ABOUT.fullmatch(about)):
        raise BadFrameError("an ABORT that is no cause")
    return Cause(code, party, blames or None, about or None)
