"""A sender that deviates tags ciphertexts by their randomness, and looks for the tag in what comes back.

A ciphertext is (1 + m n) r^n modulo n^2.  What was multiplied by a secret x has the randomness r^x, and a factor h^a
hides r^x only up to what h = -x^2 leaves alone: the Jacobi symbol, and subgroups that h misses.  The symbol needs no
key; for another subgroup the holder of the key searches for primes (docs/adr/0048).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

import numpy as np
import pytest

from protocols._native import PlainVec, PrivateKey
from protocols.cipher import CipherVec, DecryptionKey, keys
from protocols.cipher.vector import Factor
from protocols.randomness import Seed, run_seed
from tests.unit.native.test_key_proof import jacobi

BITS, ROWS, ORDER = 256, 240, 3
Finish = Callable[[CipherVec], CipherVec]
X = np.random.default_rng(5).integers(-50, 1000, size=(ROWS, 1))


def seed(maker: str) -> Seed:
    return Seed(maker, run_seed())


def primes(key: PrivateKey) -> tuple[int, int]:
    data = key.to_bytes()
    p, q = (int.from_bytes(part, "little") for part in (data[: len(data) // 2], data[len(data) // 2 :]))
    return p, q


def covered(vector: CipherVec) -> CipherVec:
    return vector.rerandomise(seed("host"))


def uncovered(vector: CipherVec) -> CipherVec:
    """As before: times an encryption of zero, the exponent of h long enough for the holder of the key."""
    bits = vector.key.exponent_bits(to_holder=True)
    zeros = vector.key.raw.encrypt(PlainVec.zeros(len(vector)), seed("host").into(vector.digest()), bits)
    return CipherVec(vector.key, vector.raw + zeros, {Factor("host", bits)})


def marked(key: DecryptionKey, r: int, value: int) -> CipherVec:
    n = key.public.raw.n
    data = ((1 + value * n) * pow(r, n, n * n) % (n * n)).to_bytes(key.public.raw.bits // 4, "little")
    ring = keys.Keyring()
    ring.add(key.public)
    return CipherVec.receive(key.public.fingerprint + data, ring, "arbiter")


def columns(vector: CipherVec) -> CipherVec:
    return vector.matmul(X)


def products(vector: CipherVec) -> CipherVec:
    """One by one."""
    found = [vector.mul_plain(PlainVec.from_ints([x])) for x in X[:, 0].tolist()]
    return functools.reduce(CipherVec.concat, found)


@pytest.fixture(scope="module")
def sound() -> DecryptionKey:
    return DecryptionKey(PrivateKey.generate(BITS, bytes(32)), "arbiter")


@pytest.fixture(scope="module")
def chosen() -> tuple[DecryptionKey, int]:
    """A key whose h is a cube modulo p, 3 | p - 1, and p."""
    for attempt in range(400):
        key = PrivateKey.generate(BITS, attempt.to_bytes(32, "little"))
        zeros = key.public_key.encrypt(PlainVec.zeros(14), bytes(32), BITS)
        for p in primes(key):
            if p % ORDER == 1 and all(pow(c, p // ORDER, p) == 1 for c in zeros.residues()):
                return DecryptionKey(key, "arbiter"), p
    raise AssertionError("no such key was found")


def signs_read(key: DecryptionKey, compute: Finish, finish: Finish) -> float:
    """The part of the rows whose parity the symbol tells."""
    n, draw = key.public.raw.n, random.Random(1)
    r = next(r for r in iter(lambda: draw.randrange(2, n), 0) if jacobi(r, n) == -1)
    back = finish(compute(marked(key, r, 7)))
    assert key.open_whole(back).to_ints() == [7 * int(x) for x in X[:, 0]]
    symbols = np.array([jacobi(c, n) for c in back.raw.residues()])
    return float(np.mean((symbols == -1) == (X[:, 0] % 2 == 1)))


def thirds_read(key: DecryptionKey, p: int, finish: Finish) -> float:
    """The part of the rows whose remainder modulo 3 the holder of the key reads."""
    n, draw = key.public.raw.n, random.Random(2)
    r = next(r for r in iter(lambda: draw.randrange(2, p), 0) if pow(r, p // ORDER, p) != 1)
    r += p * ((1 - r) * pow(p, -1, n // p) % (n // p))  # 1 modulo the other prime
    unit = pow(r, n * (p // ORDER), p)
    powers = {pow(unit, e, p): e for e in range(ORDER)}
    back = finish(columns(marked(key, r, 7)))
    found = np.array([powers[pow(c, p // ORDER, p)] for c in back.raw.residues()])
    return float(np.mean(found == X[:, 0] % ORDER))


@pytest.mark.parametrize("compute", [columns, products])
def test_the_symbol_of_a_sent_ciphertext_tells_no_parity(sound: DecryptionKey, compute: Finish) -> None:
    assert 0.35 < signs_read(sound, compute, covered) < 0.65
    assert signs_read(sound, compute, uncovered) == 1.0  # the positive control


def test_a_subgroup_that_h_misses_tells_no_remainder(chosen: tuple[DecryptionKey, int]) -> None:
    key, p = chosen
    assert 0.2 < thirds_read(key, p, covered) < 0.47
    assert thirds_read(key, p, uncovered) == 1.0  # the positive control
