"""Additively homomorphic encryption behind one small interface, and the rule about what may leave.

`CipherVec` wraps a vector of one of three schemes (Paillier in the Rust core; python-paillier as the independent
reference; the identity cipher, which encrypts nothing, for tests and for measuring what encryption costs) and remembers
its fresh factors.
"""

from protocols.cipher.keys import (
    HEAD_ROOM,
    DecryptionKey,
    EncryptionKey,
    Identity,
    Keyring,
    Paillier,
    PhePaillier,
    Scheme,
    backend,
)
from protocols.cipher.vector import CipherVec, Factor

__all__ = [
    "HEAD_ROOM",
    "CipherVec",
    "DecryptionKey",
    "EncryptionKey",
    "Factor",
    "Identity",
    "Keyring",
    "Paillier",
    "PhePaillier",
    "Scheme",
    "backend",
]
