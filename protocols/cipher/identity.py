"""The identity cipher: a "ciphertext" is its plaintext.  The same integers travel the same way, with no secrecy and no
cost."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec


@dataclass(frozen=True)
class CipherVec:
    plain: PlainVec

    def __len__(self) -> int:
        return len(self.plain)

    def to_bytes(self) -> bytes:
        return self.plain.to_bytes()

    def hashes(self, each: int) -> bytes:
        parts = (self.plain.slice(i, min(i + each, len(self))) for i in range(0, len(self), each))
        return b"".join(hashlib.sha256(part.to_bytes()).digest() for part in parts)

    def residues(self) -> list[int]:
        return [1] * len(self)

    def __add__(self, other: CipherVec) -> CipherVec:
        return CipherVec(self.plain + other.plain)

    def __sub__(self, other: CipherVec) -> CipherVec:
        return CipherVec(self.plain - other.plain)

    def __neg__(self) -> CipherVec:
        return CipherVec(-self.plain)

    def add_plain(self, plain: PlainVec) -> CipherVec:
        return CipherVec(self.plain + plain)

    def mul_plain(self, plain: PlainVec) -> CipherVec:
        factors = plain.to_ints()
        factors = factors * len(self) if len(factors) == 1 else factors
        return CipherVec(PlainVec.from_ints([c * m for c, m in zip(self.plain.to_ints(), factors, strict=True)]))

    def sum(self) -> CipherVec:
        return CipherVec(self.plain.sum())

    def take(self, rows: NDArray[np.int64]) -> CipherVec:
        return CipherVec(self.plain.take(rows))

    def concat(self, other: CipherVec) -> CipherVec:
        return CipherVec(self.plain.concat(other.plain))

    def matmul(self, matrix: NDArray[np.int64]) -> CipherVec:
        return CipherVec(self.plain.matmul(matrix))

    def t_matmul(self, matrix: NDArray[np.int64]) -> CipherVec:
        return CipherVec(self.plain.t_matmul(matrix))

    def histogram(self, bins: NDArray[np.int64], n_bins: int) -> CipherVec:
        sums = PlainVec.zeros(0)
        for column in bins.T:
            order = np.argsort(column, kind="stable")
            edges = np.searchsorted(column[order], np.arange(n_bins + 1))
            for first, last in itertools.pairwise(edges.tolist()):
                sums = sums.concat(self.plain.take(order[first:last]).sum())
        return CipherVec(sums)

    def pack(self, width: int, slots: int) -> CipherVec:
        return CipherVec(self.plain.pack(width, slots))

    def rerandomise(self, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        return self


@dataclass(frozen=True)
class PublicKey:
    """holder: two parties' keys are two."""

    bits: int
    holder: str
    n: int = 1
    products: int = 0

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha256(f"identity {self.bits} of {self.holder}".encode()).digest()

    def verify(self, proof: bytes) -> bool:
        return not proof

    def encrypt(self, plain: PlainVec, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        return CipherVec(plain)

    def ciphers_from_bytes(self, data: bytes, start: int = 0, stop: int | None = None) -> CipherVec:
        return CipherVec(PlainVec.from_bytes(data[start:stop]))


@dataclass(frozen=True)
class PrivateKey:
    bits: int
    holder: str

    @property
    def public_key(self) -> PublicKey:
        return PublicKey(self.bits, self.holder)

    def prove(self) -> bytes:
        return b""

    def encrypt(self, plain: PlainVec, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        return CipherVec(plain)

    def decrypt(self, ciphers: CipherVec, whole: bool = False) -> PlainVec:
        return ciphers.plain
