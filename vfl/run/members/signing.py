"""How members know each other in an averaging: by the keys of the certificates that they have pinned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from protocols.averaging.setup import Identities
from vfl.transport.identity import Identity, load_certificate

HALF = 32  # bytes of each of a signature's two numbers: in this form all have one length
_ECDSA = ec.ECDSA(hashes.SHA256())


class Signing:
    """A party's identity, as a member signs with it."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def sign(self, data: bytes, /) -> bytes:
        """(64,) a signature."""
        return b"".join(number.to_bytes(HALF, "big") for number in decode_dss_signature(self._identity.sign(data)))

    def __repr__(self) -> str:
        return "<Signing: contents not shown>"


@dataclass(frozen=True)
class Pinned(Identities):
    """Members by the keys of their certificates, of which one may have several while it renews them."""

    owners: Mapping[str, tuple[ec.EllipticCurvePublicKey, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, job: bytes, certificates: Mapping[str, Sequence[bytes]]) -> Pinned:
        """certificates: by member, in PEM form; job: what is signed in this run alone."""
        found = dict[str, tuple[ec.EllipticCurvePublicKey, ...]]()
        for name, pems in certificates.items():
            keys = (load_certificate(pem, f"The certificate of {name}").public_key() for pem in pems)
            found[name] = tuple(key for key in keys if isinstance(key, ec.EllipticCurvePublicKey))
        return cls(job, {}, found)

    def holds(self, name: str, signature: bytes, said: bytes) -> bool:
        written = encode_dss_signature(*(int.from_bytes(signature[at : at + HALF], "big") for at in (0, HALF)))
        return any(_holds(key, written, said) for key in self.owners[name])


def _holds(key: ec.EllipticCurvePublicKey, written: bytes, said: bytes) -> bool:
    try:
        key.verify(written, said, _ECDSA)
    except InvalidSignature:
        return False
    return True
