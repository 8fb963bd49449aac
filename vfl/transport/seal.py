"""Authentication codes that bind a message to its connection, its direction and its number.

    key of a direction = HMAC(session, certificates and nonces of sender and receiver)        code = HMAC(key, number, message), 128 bits

TLS proves as much of each byte on its way.  The code proves it for whole messages, whatever carried them: one that was
captured in another run or connection, or is repeated, left out, swapped, cut or changed, ends the connection with an
error that names the peer.  The nonces cross inside TLS, in the hellos, and are new for each connection.
"""  # noqa: E501

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

MARK = 16


@dataclass(frozen=True)
class End:
    """One end of a connection: its certificate (DER) and the nonce of its hello."""

    certificate: bytes
    nonce: bytes


def direction(session: bytes, sender: End, receiver: End) -> Seal:
    """The seal of what `sender` says to `receiver`: both make the same."""
    parts = (sender.certificate, sender.nonce, receiver.certificate, receiver.nonce)
    return Seal(
        hmac.digest(session, b"vfl direction" + b"".join(hashlib.sha256(part).digest() for part in parts), "sha256")
    )


class Seal:
    """Makes or checks the codes of one direction's messages, in order; a message may come in pieces."""

    def __init__(self, key: bytes) -> None:
        self._key, self._number = key, 0
        self._state = self._fresh()

    def add(self, piece: bytes | bytearray | memoryview) -> None:
        """The next piece of the message."""
        self._state.update(piece)

    def mark(self) -> bytes:
        """The code of the message that ends here; the next piece begins another."""
        made = self._state.digest()[:MARK]
        self._number += 1
        self._state = self._fresh()
        return made

    def fits(self, mark: bytes) -> bool:
        """Whether `mark` is the one of the message that ends here."""
        return hmac.compare_digest(self.mark(), mark)

    def _fresh(self) -> hmac.HMAC:
        return hmac.new(self._key, self._number.to_bytes(8, "big"), hashlib.sha256)

    def __repr__(self) -> str:
        return f"<Seal of message {self._number}>"
