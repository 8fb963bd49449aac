"""Paillier whose long vectors live at a party's own workers: the same keys, ciphertexts and bytes as `Paillier`.

A vector of more than LEAF ciphertexts is cut into one portion for each worker, each of a whole number of leaves
(`portions`).  Each portion's draws begin in the seed's stream where the portion begins in the vector, and everything
else is exact arithmetic modulo n^2.  So neither the bytes nor the results depend on how many workers there are, and a
run that began on eight can resume on three, or on none.
What crosses between portions: partial sums (t_matmul, histogram, sum), edges (pack, concat, rows that were taken in
their order), and all of a vector whose order changes.  Shorter vectors, and sums, stay in this process.

A seed is bound to the digest of what its factors go into (`Seed.into`), and a portion is re-randomised only while the
worker holds what was hashed: a worker that is lost, and whose portion is computed again, either computes the same or is
refused.  The holder of a private key places it at its workers, sealed: they encrypt and decrypt with it.
"""

from __future__ import annotations

import itertools
import operator
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import cast

from protocols import _native, parts
from protocols._native import PlainVec
from protocols.cipher import operations
from protocols.cipher.keys import DecryptionKey, EncryptionKey, Paillier
from protocols.cipher.sharded_vector import CipherVec, Drawn, Portion, Values, assemble
from protocols.parts import Portions, portions
from protocols.randomness import Seed
from protocols.workers.calls import Answer
from protocols.workers.cluster import Cluster, Held, Step


class PublicKey:
    """As `RawPublicKey`; private: the private key, at the party that holds it."""

    def __init__(self, native: _native.PublicKey, cluster: Cluster, private: _native.PrivateKey | None = None) -> None:
        self.native, self.cluster = native, cluster
        self._private, self._at, self._lock = private, dict[int, Held](), threading.Lock()
        self._products, self._draws = 0, itertools.count()

    @property
    def n(self) -> int:
        return self.native.n

    @property
    def bits(self) -> int:
        return self.native.bits

    @property
    def fingerprint(self) -> bytes:
        return self.native.fingerprint

    @property
    def products(self) -> int:
        """Here and at the workers."""
        return self.native.products + self._products

    def verify(self, proof: bytes) -> bool:
        return self.native.verify(proof)

    def encrypt(self, plain: PlainVec, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        if len(plain) <= parts.LEAF:
            return CipherVec(self, (self._private or self.native).encrypt(plain, seed, exponent_bits, first))
        layout = portions(len(plain), self.cluster.count)
        values = [(self.at(w), plain.slice(a, b).to_bytes(), seed, exponent_bits) for w, a, b in layout]
        return self.draw("encrypt", layout, values, first)

    def ciphers_from_bytes(self, data: bytes, start: int = 0, stop: int | None = None) -> CipherVec:
        stop, size = len(data) if stop is None else stop, self.bits // 4
        length, rest = divmod(stop - start, size)
        if rest or length <= parts.LEAF:
            return CipherVec(self, self.native.ciphers_from_bytes(data, start, stop))
        layout = portions(length, self.cluster.count)
        steps = [Step(w, "receive", (self.at(w),), (data[start + a * size : start + b * size],)) for w, a, b in layout]
        return CipherVec(self, self.store(layout, steps))

    def at(self, worker: int) -> Held:
        """This key at a worker."""
        with self._lock:
            if worker not in self._at:
                kind, data = operations.PUBLIC, self.n.to_bytes(self.bits // 8, "big")
                if self._private is not None:
                    kind, data = operations.PRIVATE, self._private.to_bytes()
                ((self._at[worker],), _) = self.cluster.hold([Step(worker, "key", (kind, data))])
            return self._at[worker]

    def store(self, layout: Portions, steps: Sequence[Step]) -> list[Portion]:
        """What the steps store, one of them for each portion of the layout."""
        held, answers = self.cluster.hold(steps)
        self._count(answers)
        return [Portion(h, a, b) for h, (_, a, b) in zip(held, layout, strict=True)]

    def draw(self, operation: str, layout: Portions, values: Sequence[Values], first: int) -> CipherVec:
        """A vector whose portions are drawn, each from the stream on where it begins in the vector."""
        draw, starts = next(self._draws), [first + a for _, a, _ in layout]
        steps = [Step(w, operation, (*v, at)) for (w, _, _), v, at in zip(layout, values, starts, strict=True)]
        made = self.store(layout, steps)
        return assemble(self, [Drawn(portion, draw, at) for portion, at in zip(made, starts, strict=True)])

    def ask(self, steps: Sequence[Step]) -> list[Answer]:
        answers = self.cluster.ask(steps)
        self._count(answers)
        return answers

    def added(self, answers: Sequence[Answer]) -> CipherVec:
        """The sum of vectors of ciphertexts that workers returned."""
        vectors = [self.native.ciphers_from_bytes(answer.ciphers[0]) for answer in answers]
        return CipherVec(self, reduce(operator.add, vectors))

    def _count(self, answers: Sequence[Answer]) -> None:
        with self._lock:
            self._products += sum(answer.values[0] for answer in answers)


class PrivateKey:
    """As `RawPrivateKey`."""

    def __init__(self, native: _native.PrivateKey, cluster: Cluster) -> None:
        self._native = native
        self.public_key = PublicKey(native.public_key, cluster, native)

    def prove(self) -> bytes:
        return self._native.prove()

    def encrypt(self, plain: PlainVec, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        return self.public_key.encrypt(plain, seed, exponent_bits, first)

    def decrypt(self, ciphers: CipherVec, /, whole: bool = False) -> PlainVec:
        there = ciphers.there()
        if there.own is not None:
            return self._native.decrypt(there.own, whole)
        same = there.key is self.public_key
        moved = there if same else self.public_key.ciphers_from_bytes(there.to_bytes())
        answers = self.public_key.ask([Step(p.worker, "decrypt", (p.held, int(whole))) for p in moved.portions])
        return PlainVec.join([PlainVec.from_bytes(answer.values[1]) for answer in answers])


@dataclass(frozen=True)
class Sharded:
    """Paillier as `Paillier`, its long vectors at the workers of `cluster`."""

    bits: int
    cluster: Cluster

    def generate(self, holder: str, seed: Seed) -> DecryptionKey:
        native = _native.PrivateKey.generate(self.bits, seed.secret)
        return DecryptionKey(PrivateKey(native, self.cluster), holder)

    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
        """As `Paillier.accept`; raises InvalidKey."""
        native = cast(_native.PublicKey, Paillier(self.bits).accept(n, proof, holder).raw)
        return EncryptionKey(PublicKey(native, self.cluster), holder)
