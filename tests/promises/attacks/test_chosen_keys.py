"""The holder of a key chooses primes for which it can take logarithms, and an accomplice passes ciphertexts on to it.

Let p - 1 and q - 1 be products of small primes, without a common factor, which no proof of a modulus excludes.  What was
multiplied by a secret x comes back with the logarithm x R + a H + e_1 L_1 + ... + e_52 L_52: a is the exponent of h, the e
are those that cover small subgroups, and the holder knows R, H and L.  Where a is only half as long as n, it finds by
lattice reduction, once for its key, a u such that all u L_k and u H a are small modulo the group's order.  It chooses R
such that u R is large, and reads x from one ciphertext.  An a that is longer than n hides x (docs/adr/0051).
"""  # noqa: E501

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import pytest

from protocols._native import PlainVec, PrivateKey
from protocols.cipher import CipherVec, DecryptionKey, Paillier
from tests.promises.attacks.test_planted_randomness import marked, seed

ROWS, STEPS = 24, 1 << 11  # STEPS: how finely a result is read
SLOTS, WIDTH = 2, 16  # of a pack
X = np.random.default_rng(5).integers(-50, 1000, size=(ROWS, 1))
Finish = Callable[[CipherVec], CipherVec]


class Side:
    """Logarithms modulo one prime, whose p - 1 has the given small factors."""

    def __init__(self, p: int, orders: Sequence[int]) -> None:
        self.p, self.orders, self.tables = p, orders, list[dict[int, int]]()
        for order in orders:
            unit = next(g for g in (pow(x, (p - 1) // order, p) for x in range(2, 1000)) if g != 1)
            powers, value = dict[int, int](), 1
            for e in range(order):
                powers[value], value = e, value * unit % p
            self.tables.append(powers)

    def log(self, c: int) -> list[int]:
        """Of c^((p - 1) / order), for each order."""
        return self._log(pow(c, (self.p - 1) // math.prod(self.orders), self.p), 0, len(self.orders))

    def _log(self, c: int, first: int, last: int) -> list[int]:
        if last - first == 1:
            return [self.tables[first][c]]
        middle = (first + last) // 2
        low, high = math.prod(self.orders[first:middle]), math.prod(self.orders[middle:last])
        return self._log(pow(c, high, self.p), first, middle) + self._log(pow(c, low, self.p), middle, last)

    def with_log(self, due: Sequence[int]) -> int:
        """A number with these logarithms."""
        unit, order = next(x for x in range(2, 10_000) if all(self.log(x))), math.prod(self.orders)
        exponent = sum(
            v * pow(e, -1, o) * (order // o) * pow(order // o, -1, o)
            for v, e, o in zip(due, self.log(unit), self.orders, strict=True)
        )
        return pow(unit, exponent % order, self.p)


class Holder:
    """u: what the lattice gave for this key."""

    def __init__(self, cofactors: tuple[int, int], orders: tuple[list[int], list[int]], u: int) -> None:
        p, q = (2 * math.prod(part) * cofactor + 1 for part, cofactor in zip(orders, cofactors, strict=True))
        self.p, self.q, self.n, self.u = p, q, p * q, u
        self.sides, self.orders = (Side(p, orders[0]), Side(q, orders[1])), orders[0] + orders[1]
        self.modulus = math.prod(self.orders)
        self.weights = [self.modulus // o * pow(self.modulus // o, -1, o) for o in self.orders]

    @cached_property
    def key(self) -> DecryptionKey:
        size = self.n.bit_length() // 16
        data = b"".join(x.to_bytes(size, "little") for x in (self.p, self.q))
        return DecryptionKey(PrivateKey.from_bytes(data), "arbiter")

    def tag(self) -> int:
        """r such that each r^n adds a step to what is read."""
        step = self.modulus // STEPS * pow(self.u * self.n, -1, self.modulus)
        due, first = [step % o for o in self.orders], len(self.sides[0].orders)
        a, b = self.sides[0].with_log(due[:first]), self.sides[1].with_log(due[first:])
        return a + self.p * ((b - a) * pow(self.p, -1, self.q) % self.q)

    def read(self, c: int) -> int:
        logs = [*self.sides[0].log(c), *self.sides[1].log(c)]
        part = self.u * sum(v * w for v, w in zip(logs, self.weights, strict=True)) % self.modulus
        found = (part * STEPS * 2 + self.modulus) // (2 * self.modulus)
        return found - STEPS if found > 3 * STEPS // 4 else found

    def rows_read(self, finish: Finish, each: int = 1) -> float:
        """The part of every `each` rows that the holder reads from what `finish` makes of their products."""
        back = finish(marked(self.key, self.tag(), 7).matmul(X))
        found = np.array([self.read(c) for c in back.raw.residues()])
        return float(np.mean(found == X[::each, 0]))


U = (  # reduced for this key
    "3eec1c1bf7e3e65bda69a881689d911a66e36bd317a079c6721aa0dc3686a5804c79a2279d62c02a1bdb4603a836cd90607b"
    "29c3c271781b733f8f107bf363c5901bfd3959d0bdd608845a71e228dd6aa3eadaaa0082a51b7b2683227ef4ad3ffe661d74"
    "806e0f8180018ee7df8a1de9f70ffca29b4348e214bbb30a8f8e092c7273ac0a63c1702471bb1a2d025610cd2d491b20f8c4"
    "af06712d3c9f1367afb5929694120bc3b5e3b62578087328872e267abf368c48ad34076d59dbaf4cd41f6b6f4441053a047d"
    "f6571939c086ee63398b91a07ea3609186b57bc6b84a0cb6477651f4ef2ebf9d940dee5cdb49a3d81862328965be5c4"
)


def primes_between(first: int, last: int) -> list[int]:
    return [x for x in range(first, last + 1) if all(x % d for d in range(2, math.isqrt(x) + 1))]


@pytest.fixture(scope="module")
def holder() -> Holder:
    orders = primes_between(1031, 1709), primes_between(1721, 2399)
    return Holder((24303860067, 4057870223), orders, int(U, 16))


def covered(vector: CipherVec) -> CipherVec:
    return vector.rerandomise(seed("host"))


def briefly(vector: CipherVec) -> CipherVec:
    """As before, towards a party that is not the holder."""
    bits = vector.key.exponent_bits(to_holder=False)
    return CipherVec(vector.key, vector.raw.rerandomise(seed("host").into(vector.digest()), bits))


def test_the_key_is_accepted(holder: Holder) -> None:
    """No common factor, two primes: what the attack needs is not excluded."""
    key = Paillier(holder.n.bit_length()).accept(holder.n, holder.key.prove(), "arbiter")
    assert key.fingerprint == holder.key.public.fingerprint


def test_a_receiver_and_the_holder_together_read_no_exponent(holder: Holder) -> None:
    assert holder.rows_read(covered) < 0.2
    assert holder.rows_read(briefly) > 0.7  # the positive control: nearly all


def test_a_host_and_the_holder_together_read_no_exponent_of_a_pack(holder: Holder) -> None:
    """The guest's products plus a host's fresh numbers, packed: the host knows its own factors, and divides by them."""
    of_host = holder.key.encrypt(PlainVec.zeros(ROWS), seed("host"))
    known = CipherVec(of_host.key, of_host.raw.pack(WIDTH, SLOTS))

    def relied(vector: CipherVec) -> CipherVec:
        """As before: the host's factors in place of one with a long exponent (here of one bit)."""
        packs = (vector + of_host).pack(WIDTH, SLOTS)
        return CipherVec(packs.key, packs.raw.rerandomise(seed("guest").into(packs.digest()), 1)) - known

    def own(vector: CipherVec) -> CipherVec:
        return (vector + of_host).pack(WIDTH, SLOTS).rerandomise(seed("guest")) - known

    assert holder.rows_read(own, SLOTS) < 0.25
    assert holder.rows_read(relied, SLOTS) > 0.7  # the positive control
