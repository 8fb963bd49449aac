"""The server name in a TLS ClientHello, read before any handshake: where a knock stands (see `hello`).

`vfl node` reads it to find out which of its processes a caller wants, and passes the connection on unread.  It decodes
the first record alone, and nothing that follows from it is trusted: the process does the handshake.

Source: RFC 8446, 4.1.2 and 5.1 (ClientHello, records); RFC 6066, 3 (server_name, and the alert for an unknown one).
"""

from __future__ import annotations

import re

MOST = 8192  # bytes of a ClientHello; ours has 400 to 1,900
UNRECOGNIZED = bytes.fromhex("15030300020270")  # a record with the fatal alert unrecognized_name
_HEADER = 5
_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0
_KNOCK = re.compile(rb"k[0-9a-f]{32}\.k[0-9a-f]{32}")


class NoKnockError(ValueError):
    """These bytes do not begin a ClientHello with a knock, whatever follows them."""


def knock_in(data: bytes) -> str | None:
    """The knock in the ClientHello that `data` begins with; None while it is not all there.  Raises NoKnockError."""
    if len(data) < _HEADER:
        if data and data[0] != _HANDSHAKE:
            raise NoKnockError
        return None
    size = int.from_bytes(data[3:5])
    if data[0] != _HANDSHAKE or data[1] != 3 or not 4 <= size <= MOST:
        raise NoKnockError
    if len(data) < _HEADER + size:
        return None
    record = _Bytes(data[_HEADER : _HEADER + size])
    if record.number(1) != _CLIENT_HELLO:
        raise NoKnockError
    body = record.vector(3)
    body.take(2 + 32)  # version and random
    for width in (1, 2, 1):  # session, ciphers, compression
        body.vector(width)
    return _name(body.vector(2))


def _name(extensions: _Bytes) -> str:
    while extensions.left:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME:
            names = content.vector(2)
            if names.number(1) != _HOST_NAME:
                raise NoKnockError
            name = names.vector(2).rest()
            if not _KNOCK.fullmatch(name):
                raise NoKnockError
            return name.decode("ascii")
    raise NoKnockError


class _Bytes:
    """Takes bytes from the front; raises NoKnockError where there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise NoKnockError
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width))

    def vector(self, width: int) -> _Bytes:
        """What follows a length of `width` bytes."""
        return _Bytes(self.take(self.number(width)))

    def rest(self) -> bytes:
        return self.take(self.left)
