"""The only module that makes secret randomness.

A run has one 256-bit seed per party.  Every draw is HMAC-SHA-256 of that seed over (digest of this party's own input,
number of the draw, label, hash of the messages consumed so far on every channel, hash of the value about to be masked):
a party that is killed and starts again with the same seed recomputes the same bytes, and the same mask can never meet a
different value, whatever a peer replays.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray

from protocols._native import PlainVec, random_scalar

WORDS = 8  # of 64 bits in a block of ChaCha20


@dataclass(frozen=True)
class Seed:
    """32 secret bytes that expand to one tensor of randomness, and who made them."""

    maker: str
    secret: bytes = field(repr=False)

    def integers(self, length: int, bits: int) -> PlainVec:
        """(length,) uniform in [-2^(bits-1), 2^(bits-1))."""
        return PlainVec.random(self.secret, length, bits)

    def permutation(self, length: int) -> NDArray[np.int64]:
        """A uniform permutation: the order of `length` 64-bit keys (stable where two are equal, which has probability
        below length^2 / 2^65)."""
        return np.argsort(self.sort_keys(0, length), kind="stable").astype(np.int64)

    def sort_keys(self, first: int, last: int) -> NDArray[np.uint64]:
        """Keys first to last of those that `permutation` sorts by; first: a multiple of 8."""
        return self._stream(b"\xff" * 11 + b"\xfe", first, last)

    def child(self, label: str) -> Seed:
        """Another seed, which whoever has this one can derive."""
        return Seed(self.maker, hmac.digest(self.secret, label.encode(), "sha256"))

    def into(self, digest: bytes) -> bytes:
        """The 32 bytes that expand to the factors of one vector, by the digest of what they go into: two vectors never
        have the same factors, whoever computes them and whatever is computed again."""
        return hmac.digest(self.secret, b"\xff" + digest, "sha256")  # no label begins with this byte

    def scalar(self) -> bytes:
        """A uniform non-zero scalar of ristretto255."""
        return random_scalar(self.secret)

    def words(self, length: int) -> NDArray[np.uint64]:
        """(length,) uniform 64-bit words: one ChaCha20 stream, under a nonce that `integers` never uses."""
        return self.words_between(0, length)

    def words_between(self, first: int, last: int) -> NDArray[np.uint64]:
        """Words first to last of those of `words`."""
        start = first - first % 8
        return self._stream(b"\xff" * 12, start, last)[first - start :]

    def short(self, length: int, bits: int) -> PlainVec:
        """(length,) uniform in [-2^(bits-1), 2^(bits-1)): as `integers` of at most 64 bits, many times faster."""
        return PlainVec.from_i64(self.words(length).view(np.int64) >> (64 - bits))

    def short_between(self, first: int, last: int, bits: int) -> PlainVec:
        """Elements first to last of `short`."""
        start = first - first % WORDS
        words = self._stream(b"\xff" * 12, start, last)[first - start :]
        return PlainVec.from_i64(words.view(np.int64) >> (64 - bits))

    def ring(self, length: int) -> PlainVec:
        """(length,) uniform modulo 2^128, as signed integers: as `integers` of 128 bits, many times faster."""
        header = (2).to_bytes(4, "little") + length.to_bytes(8, "little")
        return PlainVec.from_bytes(header + self.words(2 * length).tobytes()) if length else PlainVec.zeros(0)

    def _stream(self, nonce: bytes, first: int, last: int) -> NDArray[np.uint64]:
        """Words first to last of the ChaCha20 stream under a nonce; first: the first word of one of its blocks."""
        block, rest = divmod(first, WORDS)
        if rest:
            raise ValueError("a stream is entered at a whole block")
        stream = Cipher(algorithms.ChaCha20(self.secret, block.to_bytes(4, "little") + nonce), mode=None).encryptor()
        return np.frombuffer(stream.update(bytes(8 * (last - first))), dtype=np.uint64)


def run_seed() -> bytes:
    """A fresh 256-bit seed from the operating system."""
    return secrets.token_bytes(32)


def salt() -> bytes:
    """32 bytes from the operating system, not secret, that no message has had before."""
    return secrets.token_bytes(32)


class Randomness:
    """Every draw of one party in one run."""

    def __init__(self, maker: str, seed: bytes, input_digest: bytes) -> None:
        if len(seed) != 32:
            raise ValueError("a run seed has 32 bytes")
        self._maker, self._seed, self._input_digest = maker, seed, input_digest
        self.draws = 0  # so far

    def draw(self, label: str, transcript: bytes, value: bytes) -> Seed:
        """The next seed, for `label`, after the messages hashed in `transcript`, to mask `value`."""
        self.draws += 1
        parts = (
            self._input_digest,
            self.draws.to_bytes(8, "big"),
            label.encode(),
            transcript,
            hashlib.sha256(value).digest(),
        )
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return Seed(self._maker, hmac.digest(self._seed, framed, "sha256"))

    def __repr__(self) -> str:
        return f"<Randomness of {self._maker}>"
