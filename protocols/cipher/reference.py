"""python-paillier (`phe`) behind the interface of the Rust core: the same job, the same result, by somebody else's
code.

One exponentiation per element everywhere, as in a textbook: for small tables, to check the core and to compare its
speed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import phe
from numpy.typing import NDArray

from protocols import _native
from protocols._native import InvalidBytes, PlainVec


def _units(n: int, seed: bytes, length: int, first: int) -> list[int]:
    """`length` elements of Z_n*, uniform up to 2^-128, from number `first` on."""
    draws = PlainVec.random(seed, first + length, n.bit_length() + 129).to_ints()[first:]
    return [d % n if math.gcd(d, n) == 1 else 1 + (d % 2) for d in draws]


@dataclass(frozen=True)
class CipherVec:
    key: PublicKey
    values: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.values)

    def to_bytes(self) -> bytes:
        return b"".join(c.to_bytes(self.key.width, "little") for c in self.values)

    def hashes(self, each: int) -> bytes:
        parts = (CipherVec(self.key, self.values[i : i + each]) for i in range(0, len(self), each))
        return b"".join(hashlib.sha256(part.to_bytes()).digest() for part in parts)

    def residues(self) -> list[int]:
        return [c % self.key.n for c in self.values]

    def __add__(self, other: CipherVec) -> CipherVec:
        return self._map(a * b for a, b in zip(self.values, other.values, strict=True))

    def __sub__(self, other: CipherVec) -> CipherVec:
        return self + -other

    def __neg__(self) -> CipherVec:
        return self._map(pow(c, -1, self.key.modulus) for c in self.values)

    def add_plain(self, plain: PlainVec) -> CipherVec:
        return self._map(c * (1 + m * self.key.n) for c, m in zip(self.values, plain.to_ints(), strict=True))

    def mul_plain(self, plain: PlainVec) -> CipherVec:
        factors = plain.to_ints()
        factors = factors * len(self) if len(factors) == 1 else factors
        return self._map(pow(c, m, self.key.modulus) for c, m in zip(self.values, factors, strict=True))

    def sum(self) -> CipherVec:
        return self.t_matmul(np.ones((len(self), 1), dtype=np.int64))

    def take(self, rows: NDArray[np.int64]) -> CipherVec:
        return self._map(self.values[i] for i in rows)

    def concat(self, other: CipherVec) -> CipherVec:
        return CipherVec(self.key, self.values + other.values)

    def matmul(self, matrix: NDArray[np.int64]) -> CipherVec:
        return self._map(self._combine(row.tolist()) for row in matrix)

    def t_matmul(self, matrix: NDArray[np.int64]) -> CipherVec:
        return self.matmul(matrix.T)

    def histogram(self, bins: NDArray[np.int64], n_bins: int) -> CipherVec:
        cells = [1] * (bins.shape[1] * n_bins)
        for value, row in zip(self.values, bins.tolist(), strict=True):
            for feature, b in enumerate(row):
                if b >= 0:
                    cell = feature * n_bins + b
                    cells[cell] = cells[cell] * value % self.key.modulus
        return CipherVec(self.key, tuple(cells))

    def pack(self, width: int, slots: int) -> CipherVec:
        groups = range(0, len(self), slots)
        shifts = [1 << (width * j) for j in range(slots)]
        return self._map(
            CipherVec(self.key, self.values[i : i + slots])._combine(shifts[: len(self) - i]) for i in groups
        )

    def rerandomise(self, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        units = _units(self.key.n, seed, len(self), first)
        return self._map(c * pow(r, self.key.n, self.key.modulus) for c, r in zip(self.values, units, strict=True))

    def _combine(self, exponents: list[int]) -> int:
        total = 1
        for c, e in zip(self.values, exponents, strict=True):
            total = total * pow(c, e, self.key.modulus) % self.key.modulus
        return total

    def _map(self, values: Iterable[int]) -> CipherVec:
        return CipherVec(self.key, tuple(v % self.key.modulus for v in values))


@dataclass(frozen=True)
class PublicKey:
    n: int
    products: int = 0

    @cached_property
    def checked(self) -> _native.PublicKey:
        return _native.PublicKey(self.n)

    @property
    def bits(self) -> int:
        return self.n.bit_length()

    @property
    def modulus(self) -> int:
        return self.n * self.n

    @property
    def width(self) -> int:
        return 2 * self.bits // 8

    @property
    def fingerprint(self) -> bytes:
        return self.checked.fingerprint

    def verify(self, proof: bytes) -> bool:
        return self.checked.verify(proof)

    def encrypt(self, plain: PlainVec, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        key = phe.PaillierPublicKey(self.n)
        units = _units(self.n, seed, len(plain), first)
        return CipherVec(
            self, tuple(key.raw_encrypt(m % self.n, r_value=r) for m, r in zip(plain.to_ints(), units, strict=True))
        )

    def ciphers_from_bytes(self, data: bytes, start: int = 0, stop: int | None = None) -> CipherVec:
        data = data[start:stop]
        if len(data) % self.width:
            raise InvalidBytes("not a whole number of ciphertexts")
        values = tuple(int.from_bytes(data[i : i + self.width], "little") for i in range(0, len(data), self.width))
        if not all(0 < c < self.modulus and math.gcd(c, self.n) == 1 for c in values):
            raise InvalidBytes("not a ciphertext")
        return CipherVec(self, values)


class PrivateKey:
    """phe's private key from the primes of one of ours (key generation and its proof stay in the core)."""

    def __init__(self, native: _native.PrivateKey) -> None:
        self._native = native
        self.public_key = PublicKey(native.public_key.n)
        half = len(native.to_bytes()) // 2
        p, q = (int.from_bytes(part, "little") for part in (native.to_bytes()[:half], native.to_bytes()[half:]))
        self._key = phe.PaillierPrivateKey(phe.PaillierPublicKey(p * q), p, q)

    def prove(self) -> bytes:
        return self._native.prove()

    def encrypt(self, plain: PlainVec, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        return self.public_key.encrypt(plain, seed, exponent_bits, first)

    def decrypt(self, ciphers: CipherVec, whole: bool = False) -> PlainVec:
        n = self.public_key.n
        opened = (self._key.raw_decrypt(c) for c in ciphers.values)
        return PlainVec.from_ints([m - n if m > n // 2 else m for m in opened])
