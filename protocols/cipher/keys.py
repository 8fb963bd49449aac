"""Keys, the keys that a party accepts, and the three schemes.

The only module that constructs raw keys.  A public key from a peer is accepted only with the proof that its modulus is
well formed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from protocols import _native
from protocols._native import PlainVec
from protocols.cipher import identity, reference
from protocols.cipher.raw import RawPrivateKey, RawPublicKey
from protocols.cipher.vector import CipherVec, Factor
from protocols.errors import InvalidKey, PlaintextOverflow
from protocols.randomness import Seed

HOLDER_MARGIN = 128  # bits of exponent beyond |n| towards the holder of the key
UNIFORM = 128  # bits by which a number exceeds n before it is reduced: it is uniform modulo n up to 2^-UNIFORM
HEAD_ROOM = 40  # bits of the plaintext space that stay unused


def _digest(plain: PlainVec) -> bytes:
    return hashlib.sha256(plain.to_bytes()).digest()


@dataclass(frozen=True)
class EncryptionKey:
    """A public key and the name of the party that holds its private part."""

    raw: RawPublicKey
    holder: str

    @property
    def fingerprint(self) -> bytes:
        return self.raw.fingerprint

    @property
    def plain_bits(self) -> int:
        """A plaintext may have this many bits, sign aside: the key's less the head-room."""
        return self.raw.bits - HEAD_ROOM - 1

    def exponent_bits(self, *, to_holder: bool) -> int:
        """Length of a factor's exponent: |n|/2, or |n| + 128 towards the holder, which knows its own and could subtract
        them, and of all that was computed."""
        return self.raw.bits + HOLDER_MARGIN if to_holder else self.raw.bits // 2

    def uniform(self, seed: Seed, length: int) -> PlainVec:
        """(length,) masks, uniform over all plaintexts, in [-n/2, n/2): they hide a plaintext of any size exactly."""
        n = self.raw.n if self.raw.n > 1 else 1 << self.raw.bits  # the identity cipher has no modulus
        wide = seed.integers(length, self.raw.bits + UNIFORM).to_ints()
        return PlainVec.from_ints([(v + n // 2) % n - n // 2 for v in wide])

    def encrypt(self, plain: PlainVec, seed: Seed) -> CipherVec:
        """Fresh encryptions of signed integers, shape (length,)."""
        bits = self.exponent_bits(to_holder=False)
        return CipherVec(self, self.raw.encrypt(plain, seed.into(_digest(plain)), bits), {Factor(seed.maker, bits)})


class DecryptionKey:
    """The private key, in the hands of `public.holder` alone."""

    def __init__(self, raw: RawPrivateKey, holder: str) -> None:
        self._raw = raw
        self.public = EncryptionKey(raw.public_key, holder)

    def __repr__(self) -> str:
        return f"<DecryptionKey of {self.public.holder}>"

    def prove(self) -> bytes:
        """Proof for the other parties that n has exactly two primes, both 3 modulo 4, gcd(n, phi(n)) = 1 and
        gcd(p - 1, q - 1) = 2: 177 numbers modulo n."""
        return self._raw.prove()

    def encrypt(self, plain: PlainVec, seed: Seed) -> CipherVec:
        """As `public.encrypt`, faster."""
        bits = self.public.exponent_bits(to_holder=False)
        return CipherVec(
            self.public, self._raw.encrypt(plain, seed.into(_digest(plain)), bits), {Factor(seed.maker, bits)}
        )

    def open(self, ciphers: CipherVec, max_bits: int) -> PlainVec:
        """The plaintexts, each proven to have at most `max_bits` bits: what head-room promised when the job was
        planned.  Raises PlaintextOverflow."""
        try:
            plain = self._raw.decrypt(ciphers.raw)
        except _native.Overflow:
            raise beyond_head_room() from None
        if plain.max_bits() > max_bits:
            raise beyond_head_room()
        return plain

    def open_whole(self, ciphers: CipherVec) -> PlainVec:
        """The plaintexts in (-n/2, n/2), of whatever size: those under a mask of `EncryptionKey.uniform`."""
        return self._raw.decrypt(ciphers.raw, whole=True)

    def open_packed(self, ciphers: CipherVec, width: int, slots: int, length: int, max_bits: int) -> PlainVec:
        """The `length` values that `CipherVec.pack(width, slots)` put into `ciphers`, each proven to have at most
        `max_bits` bits.  Raises PlaintextOverflow."""
        try:
            values = self.open(ciphers, self.public.plain_bits).unpack(width, slots, length)
        except _native.Overflow:
            raise beyond_head_room() from None
        if values.max_bits() > max_bits:
            raise beyond_head_room()
        return values


def beyond_head_room() -> PlaintextOverflow:
    return PlaintextOverflow(
        "an opened value lies outside the range that the job was planned for",
        remedy="Standardise the columns and remove extreme values, or lower C",
    )


class Keyring:
    """The public keys that this party accepts in this run, by fingerprint."""

    def __init__(self) -> None:
        self._keys: dict[bytes, EncryptionKey] = {}

    def get(self, fingerprint: bytes) -> EncryptionKey | None:
        return self._keys.get(fingerprint)

    def of(self, holder: str) -> EncryptionKey | None:
        """The latest accepted key of this holder."""
        return next((key for key in reversed(self._keys.values()) if key.holder == holder), None)

    def add(self, key: EncryptionKey) -> EncryptionKey:
        self._keys[key.fingerprint] = key
        return key

    def remove(self, key: EncryptionKey) -> None:
        """From now on nothing under this key is accepted."""
        self._keys.pop(key.fingerprint, None)


def backend() -> str:
    """The core's arithmetic on this machine: "ifma", "avx2" or "serial"."""
    return _native.backend()


class Scheme(Protocol):
    """How keys are made and checked; `bits` is the size of the modulus."""

    @property
    def bits(self) -> int: ...
    def generate(self, holder: str, seed: Seed) -> DecryptionKey: ...
    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey: ...


@dataclass(frozen=True)
class Paillier:
    """Paillier with DJN randomness in the Rust core; `bits` of n (config allows 2048 and more; smaller for tests
    only)."""

    bits: int

    def generate(self, holder: str, seed: Seed) -> DecryptionKey:
        return DecryptionKey(_native.PrivateKey.generate(self.bits, seed.secret), holder)

    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
        """A peer's public key; raises InvalidKey unless it has the agreed size and is a proven Paillier modulus."""
        try:
            raw = _native.PublicKey(n)
            good = raw.bits == self.bits and raw.verify(proof)
        except _native.InvalidBytes:
            good = False
        if not good:
            raise InvalidKey(
                f"{holder} sent a public key that is not a well-formed {self.bits}-bit Paillier modulus",
                remedy=f"Nothing was encrypted under it. Check which software {holder} runs",
                party=holder,
            )
        return EncryptionKey(raw, holder)


@dataclass(frozen=True)
class PhePaillier:
    """python-paillier: the independent reference.  Slow; for small tables."""

    bits: int

    def generate(self, holder: str, seed: Seed) -> DecryptionKey:
        return DecryptionKey(reference.PrivateKey(_native.PrivateKey.generate(self.bits, seed.secret)), holder)

    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
        Paillier(self.bits).accept(n, proof, holder)
        return EncryptionKey(reference.PublicKey(n), holder)


@dataclass(frozen=True)
class Identity:
    """Encrypts nothing: for tests, and for measuring what encryption costs.  Local federations only; no job file can
    name it."""

    bits: int = 2048

    def generate(self, holder: str, seed: Seed) -> DecryptionKey:
        return DecryptionKey(identity.PrivateKey(self.bits, holder), holder)

    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
        return EncryptionKey(identity.PublicKey(self.bits, holder), holder)
