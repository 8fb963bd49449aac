"""Every error of the engine, one tree.

    VFLError
    + ConfigError            this job or party file is wrong; nothing was sent
    + DataError              this party's table is wrong (schema, duplicate ids, missing column, non-finite values)
      + TooFewCommon         the data parties have too few ids in common
      + TooFewHeldOut        too few rows would decide when a training ends
    + TransportError         bytes did not move
      + ListenFailed         this party's own port cannot be opened
      + PeerUnreachable      nobody answers at the peer's address
        + PeerAbsent         the peer, which dials this party, did not call
      + PeerTimeout          the peer is silent past the deadline
      + PeerClosed           the connection to the peer broke
      + HandshakeFailed      the peer is not who, or does not run what, this party agreed to
      + TooFewMembers        fewer members than the threshold took part in an average
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
    + ComputeError           too little memory, or own workers that are absent, too few, too small or not its own

An error names the party, the step and the remedy; it never carries a value, an id or a plaintext.  A peer receives only
its `Cause`.
"""

from __future__ import annotations

from dataclasses import dataclass


class VFLError(Exception):
    """Base of all errors.  `what` happened and the `remedy`; `party` is who is concerned, `step` where in the
    protocol; `about` is one of the names that peers receive too (see `Cause`)."""

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
        about: str | None = None,
    ) -> None:
        self.what, self.remedy, self.party, self.step, self.about = what, remedy, party, step, about
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


class TooFewCommon(DataError):
    code = "too-few-common"


class TooFewHeldOut(DataError):
    code = "too-few-held-out"


class TransportError(VFLError):
    code, exit_code = "transport", 4


class ListenFailed(TransportError):
    code = "listen-failed"


class PeerUnreachable(TransportError):
    code = "peer-unreachable"


class PeerAbsent(PeerUnreachable):
    code = "peer-absent"


class PeerTimeout(TransportError):
    code = "peer-timeout"


class PeerClosed(TransportError):
    code = "peer-closed"


class HandshakeFailed(TransportError):
    code = "handshake-failed"


class TooFewMembers(TransportError):
    code = "too-few-members"


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
    "disclosure-refused": "refused to send what it does not allow",
    "model": "found a fault in its model part",
    "stopped": "was stopped by Ctrl-C or a signal",
    "ended": "had ended this run already",
    "interrupted": "was interrupted",
    "compute": "could not use its own workers",
    "internal": "stopped with a fault of the program",
    "local-protocol": "stopped with a fault of the program",
}
# what happened between a party {0} that stopped and the one {1} that it names
DIRECTED = {
    "peer-unreachable": "{0} did not reach {1}",
    "peer-absent": "{1} did not reach {0}",
    "remote-protocol": "{0} received from {1} a message that breaks the protocol",
}
# what both see alike: the message is the same, whichever of the two is heard first
MUTUAL = {
    "peer-timeout": "{0} and {1} lost their connection, which was silent",
    "peer-closed": "{0} and {1} lost their connection",
    "handshake-failed": "{0} and {1} did not connect",
}
JOINT = {
    "too-few-common": ("the data parties have too few ids in common", "a data party"),
    "too-few-held-out": (
        "validation_fraction of the common rows is too few rows to decide when training ends (early_stopping)",
        "a data party",
    ),
    "too-few-members": ("too few members took part in an average", "the aggregator"),
}


@dataclass(frozen=True)
class Cause:
    """Why a run ended, as parties tell each other.  Who only relays it changes nothing.

    code: of the error; party: who stopped first; blames: the other party that its error names; about: a policy key, a
    permission or a difference, by its declared name.
    """

    code: str
    party: str
    blames: str | None = None
    about: str | None = None


class PeerAborted(VFLError):
    """A party stopped, and says why.  `party` is who is concerned, other than this party `me`; differs: (what, remedy)
    where `cause.about` is a difference between two parties."""

    code, exit_code = "peer-aborted", 4

    def __init__(self, cause: Cause, *, me: str | None = None, differs: tuple[str, str] | None = None) -> None:
        pair = [cause.party, cause.blames] if cause.blames and cause.blames != cause.party else []
        what, ask = _said(cause, [p for p in pair if p])
        remedy = f"Ask {ask} for the message shown there, repair the cause and start all parties again"
        if differs is not None:
            what, remedy = f"{what}: {differs[0]}", differs[1]
        super().__init__(
            f"{what} ('{cause.code}')",
            remedy=remedy,
            party=cause.party if cause.blames in (None, me) else cause.blames,
            about=cause.about,
        )
        self.cause, self.peer_code = cause, cause.code


def _said(cause: Cause, pair: list[str]) -> tuple[str, str]:
    """(what happened, whom to ask)."""
    code, about = cause.code, cause.about
    if code in JOINT:
        return JOINT[code]
    if pair and code in MUTUAL:
        return MUTUAL[code].format(*sorted(pair)), " and ".join(sorted(pair))
    if pair and code in DIRECTED:
        return DIRECTED[code].format(*pair), pair[1] if code == PeerAbsent.code else pair[0]
    if code == DisclosureRefused.code and about:
        return f"{cause.party} refused: {about if '.' in about else f'no permission {about}'}", cause.party
    return f"{cause.party} {REASONS.get(code, 'stopped')}", cause.party


def cause_of(error: BaseException, me: str) -> Cause:
    """What the peers of `me` learn when it stops with `error`: the first cause, through whomever it was heard."""
    if isinstance(error, PeerAborted):
        return error.cause
    return Cause(error.code, me, error.party, error.about) if isinstance(error, VFLError) else Cause("internal", me)


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
    """`about` is the key of a policy or the permission that is in the way: never a value."""

    code, exit_code = "disclosure-refused", 6

    def __init__(self, what: str, *, about: str, remedy: str = "", party: str | None = None) -> None:
        super().__init__(what, remedy=remedy, party=party, about=about)


class ModelError(VFLError):
    code, exit_code = "model", 7


class ComputeError(VFLError):
    """This party's own cluster; `party` stays empty, since no other is concerned."""

    code, exit_code = "compute", 8
