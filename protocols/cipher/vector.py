"""A vector of ciphertexts that knows whether it may leave, and to whom.

The rule: a ciphertext may be sent to R when its randomness holds an independent uniform factor that R does not know and that R has received in
no other ciphertext; to the holder of the key the factor's exponent must be |n| + 128 bits long, because it knows its own.

- A fresh operand plus anything that is not bare and does not share its factor is fresh, and spent; so is a fresh one
plus a plaintext, negated or re-ordered.
- A sum over elements, a choice of them, a product with integers, a matrix product, a packing: bare until re-randomised.
No other factor will do, even of this party: a peer may have sent ciphertexts outside of the powers of h, which a fresh
encryption that is added does not hide (its Jacobi symbol is 1), but `rerandomise` does.  Its factor fits the holder of
the key, whoever receives it, because a receiver can pass on what it receives.
- Sending spends; one message broadcast to several receivers spends once.
- A received vector holds a factor of its sender, which can never go back there.
"""  # noqa: E501

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from protocols import parts
from protocols._native import InvalidBytes, PlainVec
from protocols.cipher.raw import InPieces, RawCipherVec
from protocols.errors import InvalidCiphertext, KeyMismatch, UnfreshCiphertext
from protocols.kept import Sliced
from protocols.randomness import Seed

if TYPE_CHECKING:
    from protocols.cipher.keys import EncryptionKey, Keyring

_serial = itertools.count()


def digest(raw: RawCipherVec) -> bytes:
    """SHA-256 of the hashes of every LEAF ciphertexts: what is drawn for them is bound to it."""
    return hashlib.sha256(raw.hashes(parts.LEAF)).digest()


@dataclass(frozen=True)
class Factor:
    """One uniform factor in the randomness of every element of a vector: who made it and how long its exponents are."""

    maker: str
    exponent_bits: int
    serial: int = field(default_factory=lambda: next(_serial))


class CipherVec:
    """(length,) ciphertexts under `key`; `+`, `-`, `* plain`, `matmul`, `t_matmul` are homomorphic.

    bare: this party's numbers were exponents or chose elements, and nothing has covered that since.
    """

    def __init__(
        self, key: EncryptionKey, raw: RawCipherVec, factors: Iterable[Factor] = (), bare: bool = False
    ) -> None:
        self.key, self.raw, self._factors, self._bare = key, raw, frozenset(factors), bare
        self._digest: bytes | None = None

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        return f"<CipherVec of {len(self)}, {'fresh' if self._factors else 'raw'}>"

    # -- homomorphic operations

    def __add__(self, other: CipherVec) -> CipherVec:
        self._same_key(other)
        return CipherVec(self.key, self.raw + other.raw, self._spend_with(other), self._bare or other._bare)

    def __sub__(self, other: CipherVec) -> CipherVec:
        self._same_key(other)
        return CipherVec(self.key, self.raw - other.raw, self._spend_with(other), self._bare or other._bare)

    def __neg__(self) -> CipherVec:
        return CipherVec(self.key, -self.raw, self._spend(), self._bare)

    def add_plain(self, plain: PlainVec) -> CipherVec:
        return CipherVec(self.key, self.raw.add_plain(plain), self._spend(), self._bare)

    def mul_plain(self, plain: PlainVec) -> CipherVec:
        return CipherVec(self.key, self.raw.mul_plain(plain), bare=True)

    def sum(self) -> CipherVec:
        return CipherVec(self.key, self.raw.sum(), bare=True)

    def take(self, rows: NDArray[np.int64]) -> CipherVec:
        distinct = len(np.unique(rows)) == len(rows)
        return CipherVec(self.key, self.raw.take(rows), self._spend() if distinct else (), bare=True)

    def matmul(self, matrix: NDArray[np.int64] | Sliced[np.int64]) -> CipherVec:
        """matrix @ self: (rows, d) x (d,) -> (rows,); what is no array is read a piece at a time where it can be."""
        if isinstance(matrix, np.ndarray):
            return CipherVec(self.key, self.raw.matmul(matrix), bare=True)
        if isinstance(self.raw, InPieces):
            return CipherVec(self.key, self.raw.matmul_in_pieces(matrix), bare=True)
        return CipherVec(self.key, self.raw.matmul(matrix[:]), bare=True)

    def t_matmul(self, matrix: NDArray[np.int64]) -> CipherVec:
        """matrix.T @ self: (rows, d) x (rows,) -> (d,)."""
        return CipherVec(self.key, self.raw.t_matmul(matrix), bare=True)

    def concat(self, other: CipherVec) -> CipherVec:
        """self, then other."""
        self._same_key(other)
        return CipherVec(self.key, self.raw.concat(other.raw), bare=True)

    def histogram(self, bins: NDArray[np.int64], n_bins: int) -> CipherVec:
        """bins (rows, features) in [0, n_bins); returns the sums of each feature's bins, (features * n_bins,),
        feature-major."""
        return CipherVec(self.key, self.raw.histogram(bins, n_bins), bare=True)

    def pack(self, width: int, slots: int) -> CipherVec:
        """`slots` signed values of `width` bits in one plaintext, by shift and add."""
        return CipherVec(self.key, self.raw.pack(width, slots), bare=True)

    def digest(self) -> bytes:
        """What a mask for them is bound to: SHA-256 of the hashes of every LEAF ciphertexts."""
        if self._digest is None:
            self._digest = digest(self.raw)
        return self._digest

    # -- what may leave

    def rerandomise(self, seed: Seed) -> CipherVec:
        """The same plaintexts with a factor that is fresh to everybody but the maker, and long enough for the holder of
        the key: whoever receives it may be the holder's accomplice."""
        bits = self.key.exponent_bits(to_holder=True)
        factors = {*self._spend(), Factor(seed.maker, bits)}
        return CipherVec(self.key, self.raw.rerandomise(seed.into(self.digest()), bits), factors)

    def release(self, receivers: Sequence[str], where: str) -> bytes:
        """The bytes to send to `receivers`; spends the factors.  Raises UnfreshCiphertext."""
        for receiver in receivers:
            need = self.key.exponent_bits(to_holder=receiver == self.key.holder)
            if self._bare or not any(f.maker != receiver and f.exponent_bits >= need for f in self._factors):
                raise UnfreshCiphertext(
                    f"{where} has no randomness that is fresh to {receiver}; it was not sent",
                    remedy="This is a bug of the engine: re-randomise before sending",
                    party=receiver,
                )
        self._spend()
        return self.raw.to_bytes()

    @staticmethod
    def receive(data: bytes, keys: Keyring, sender: str, start: int = 0, stop: int | None = None) -> CipherVec:
        """Ciphertexts from a peer's bytes, data[start:stop], each validated; raises KeyMismatch, InvalidCiphertext."""
        stop = len(data) if stop is None else stop
        body = min(start + 32, stop)
        key = keys.get(data[start:body])
        if key is None:
            raise KeyMismatch(
                f"{sender} sent ciphertexts under a key that is not the job's",
                remedy="Start all parties again together",
                party=sender,
            )
        try:
            raw = key.raw.ciphers_from_bytes(data, body, stop)
        except InvalidBytes:
            raise InvalidCiphertext(
                f"{sender} sent bytes that are not valid ciphertexts",
                remedy=f"Check which software {sender} runs",
                party=sender,
            ) from None
        return CipherVec(key, raw, {Factor(sender, key.exponent_bits(to_holder=False))})

    def _spend(self) -> frozenset[Factor]:
        factors, self._factors = self._factors, frozenset()
        return factors

    def _spend_with(self, other: CipherVec) -> frozenset[Factor]:
        if other is self:
            self._spend()
            return frozenset()
        return self._spend() ^ other._spend()  # a factor that both share is squared or cancelled: no longer uniform

    def _same_key(self, other: CipherVec) -> None:
        if self.key is not other.key and self.key.fingerprint != other.key.fingerprint:
            raise KeyMismatch("two vectors under different keys cannot be combined")
