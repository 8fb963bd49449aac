"""Every error of the engine, one tree.

    VFLError
    + ConfigError            this job or party file is wrong; nothing was sent
    + DataError              this party's table is wrong (schema, duplicate ids, missing column, non-finite values)
    + TransportError         bytes did not move
      + ListenFailed         this party's own port cannot be opened
      + PeerUnreachable      nobody answers at the peer's address
      + PeerTimeout          the peer is silent past the deadline
      + PeerClosed           the connection to the peer broke
      + HandshakeFailed      the peer is not who, or does not run what, this party agreed to
    + ProtocolError          bytes moved and break the protocol
      + LocalProtocolError   our bug
      + RemoteProtocolError  the peer's message is not the one that the protocol prescribes
    + PeerAborted            the peer stopped, and says with which code
    + CryptoError
      + KeyMismatch          a ciphertext under another key than the job's
      + InvalidKey           a public key that is no well-formed Paillier modulus
      + PlaintextOverflow    an opened value outside the proven head-room
      + UnfreshCiphertext    a ciphertext without a factor that is fresh to its receiver cannot leave
      + InvalidPoint         bytes that are no valid ristretto255 point
      + InvalidCiphertext    bytes that are no valid ciphertext
    + DisclosureRefused      policy forbids this message to this peer
    + ModelError             parts that do not belong together, unknown format

An error names the party, the step and the remedy; it never carries a value, an id or a plaintext.  A peer receives only
its `code`.
"""

from __future__ import annotations


class VFLError(Exception):
    """Base of all errors.  `what` happened and the `remedy`; `party` is who is concerned, `step` where in the
    protocol."""

    code = "error"
    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        remedy: str = "",
        party: str | None = None,
        step: str | None = None,
        expected: object = None,
        found: object = None,
    ) -> None:
        self.what, self.remedy, self.party, self.step = what, remedy, party, step
        self.expected, self.found = expected, found
        super().__init__(what)

    def __str__(self) -> str:
        text = self.what
        parts = [
            f"{word} {value}"
            for word, value in (("expected", self.expected), ("found", self.found))
            if value is not None
        ]
        if parts:
            text += f" ({', '.join(parts)})"
        if self.step:
            text += f" [step: {self.step}]"
        return f"{text}. {self.remedy}" if self.remedy else text


class ConfigError(VFLError):
    code, exit_code = "config", 2


class DataError(VFLError):
    code, exit_code = "data", 3


class TransportError(VFLError):
    code, exit_code = "transport", 4


class ListenFailed(TransportError):
    code = "listen-failed"


class PeerUnreachable(TransportError):
    code = "peer-unreachable"


class PeerTimeout(TransportError):
    code = "peer-timeout"


class PeerClosed(TransportError):
    code = "peer-closed"


class HandshakeFailed(TransportError):
    code = "handshake-failed"


class ProtocolError(VFLError):
    code, exit_code = "protocol", 5


class LocalProtocolError(ProtocolError):
    code = "local-protocol"


class RemoteProtocolError(ProtocolError):
    code = "remote-protocol"


# what a peer did, by the code that it sent
REASONS = {
    "config": "found a fault in its own files",
    "data": "found a fault in its own table",
    "listen-failed": "could not open its port",
    "peer-unreachable": "could not reach a party",
    "peer-timeout": "heard nothing from a party",
    "peer-closed": "lost its connection to a party",
    "handshake-failed": "refused a party that is not who it should be",
    "remote-protocol": "received a message that breaks the protocol",
    "disclosure-refused": "refused to send what it does not allow",
    "model": "found a fault in its model part",
    "stopped": "was stopped by Ctrl-C or a signal",
    "interrupted": "was interrupted",
    "internal": "stopped with a fault of the program",
    "local-protocol": "stopped with a fault of the program",
}


class PeerAborted(VFLError):
    """The peer `party` stopped with `peer_code`; `blames` is the party that it names as the cause, if any."""

    code, exit_code = "peer-aborted", 4

    def __init__(self, party: str, peer_code: str, blames: str | None = None) -> None:
        cause = f", because of {blames}" if blames and blames != party else ""
        super().__init__(
            f"{party} {REASONS.get(peer_code, 'stopped')} ('{peer_code}'){cause}",
            remedy=f"Ask {blames or party} for the message shown there, repair the cause and start all parties again",
            party=blames or party,
        )
        self.peer_code, self.blames = peer_code, blames


class CryptoError(VFLError):
    code, exit_code = "crypto", 5


class KeyMismatch(CryptoError):
    code = "key-mismatch"


class InvalidKey(CryptoError):
    code = "invalid-key"


class PlaintextOverflow(CryptoError):
    code = "plaintext-overflow"


class UnfreshCiphertext(CryptoError):
    code = "unfresh-ciphertext"


class InvalidPoint(CryptoError):
    code = "invalid-point"


class InvalidCiphertext(CryptoError):
    code = "invalid-ciphertext"


class DisclosureRefused(VFLError):
    code, exit_code = "disclosure-refused", 6


class ModelError(VFLError):
    code, exit_code = "model", 7
