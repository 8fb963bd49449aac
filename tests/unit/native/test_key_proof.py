"""The proof of a public key against an independent verifier, and forgers who know the primes of a modulus that is not well formed."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable

import pytest

from protocols._native import InvalidBytes, PrivateKey, PublicKey

ROOTS, SQUARE_ROOTS, APART_ROOTS = 8, 128, 41
WHOLE = (ROOTS, SQUARE_ROOTS, APART_ROOTS)


def hashed(label: bytes, n: int, index: int) -> int:
    data = n.to_bytes((n.bit_length() + 7) // 8, "big")
    blocks = (
        hashlib.sha256(len(label).to_bytes(4, "big") + label + len(data).to_bytes(4, "big") + data + index.to_bytes(4, "big") + b.to_bytes(4, "big")).digest()
        for b in range((len(data) + 16 + 31) // 32)
    )
    return int.from_bytes(b"".join(blocks), "big") % n


def jacobi(a: int, n: int) -> int:
    a, sign = a % n, 1
    while a:
        while a % 2 == 0:
            a //= 2
            sign = -sign if n % 8 in (3, 5) else sign
        a, n = n, a
        sign = -sign if a % 4 == n % 4 == 3 else sign
        a %= n
    return sign if n == 1 else 0


def nth_challenge(n: int, i: int) -> int:
    return hashed(b"vfl paillier key proof v1", n, i)


def square_challenge(n: int, i: int) -> int:
    numbers = (hashed(b"vfl paillier two primes v1", n, i << 8 | attempt) for attempt in range(256))
    return next(x for x in numbers if jacobi(x, n) == 1)


def apart_challenge(n: int, i: int) -> int:
    return hashed(b"vfl paillier primes apart v1", n, i)


def odd_part(n: int) -> int:
    return (n - 1) // ((n - 1) & -(n - 1))


def holds(n: int, proof: bytes) -> tuple[int, int, int]:
    """How many roots of each statement are right: the independent verifier."""
    size = n.bit_length() // 8
    roots = [int.from_bytes(proof[i : i + size], "little") for i in range(0, len(proof), size)]
    nth = sum(pow(r, n, n) == nth_challenge(n, i) for i, r in enumerate(roots[:ROOTS]))
    square = sum(r * r % n in (x := square_challenge(n, i), n - x) for i, r in enumerate(roots[ROOTS:-APART_ROOTS]))
    apart = sum(pow(r, odd_part(n), n) == apart_challenge(n, i) for i, r in enumerate(roots[-APART_ROOTS:]))
    return nth, square, apart


def forged(n: int, primes: list[int]) -> bytes:
    """The best that a holder who knows all primes can show: every root that there is, and 1 where there is none."""
    size, phi = n.bit_length() // 8, math.prod(p - 1 for p in primes)
    roots = [pow(nth_challenge(n, i), pow(n, -1, phi), n) for i in range(ROOTS)]
    for i in range(SQUARE_ROOTS):
        x = square_challenge(n, i)
        found = next((y for y in (x, n - x) if all(pow(y, (p - 1) // 2, p) == 1 for p in primes)), None)
        roots.append(1 if found is None else joined([root_modulo(found % p, p) for p in primes], primes))
    for i in range(APART_ROOTS):
        x, odd = apart_challenge(n, i), odd_part(n)
        of_each = [pow(x, pow(odd, -1, free), p) for p in primes if (free := without(p - 1, odd))]
        root = joined(of_each, primes)
        roots.append(root if pow(root, odd, n) == x else 1)
    return b"".join(r.to_bytes(size, "little") for r in roots)


def without(number: int, other: int) -> int:
    """The number without the primes that it shares with the other."""
    while (common := math.gcd(number, other)) > 1:
        number //= common
    return number


def root_modulo(x: int, p: int) -> int:
    """A square root of the square x modulo p (Tonelli and Shanks)."""
    if p % 4 == 3:
        return pow(x, (p + 1) // 4, p)
    odd, twos = p - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    z = pow(next(z for z in range(2, p) if pow(z, (p - 1) // 2, p) == p - 1), odd, p)
    r, t = pow(x, (odd + 1) // 2, p), pow(x, odd, p)
    while t != 1:
        least = next(i for i in range(twos) if pow(t, 1 << i, p) == 1)
        b = pow(z, 1 << (twos - least - 1), p)
        r, z, t, twos = r * b % p, b * b % p, t * b * b % p, least
    return r


def joined(residues: list[int], primes: list[int]) -> int:
    n = math.prod(primes)
    return sum(r * (n // p) * pow(n // p, -1, p) for r, p in zip(residues, primes, strict=True)) % n


def is_prime(m: int) -> bool:
    return m > 3 and m % 2 == 1 and all(pow(a, m - 1, m) == 1 for a in (2, 3, 5, 7, 11, 13, 17))


def prime(rng: random.Random, bits: int, fits: Callable[[int], bool]) -> int:
    while True:
        p = rng.getrandbits(bits) | 3 << (bits - 2) | 1
        if fits(p) and is_prime(p):
            return p


@pytest.mark.parametrize("bits", [256, 512, 1024])
def test_an_independent_verifier_agrees(bits: int) -> None:
    key = PrivateKey.generate(bits, b"s" * 32)
    proof, n = key.prove(), key.public_key.n
    assert len(proof) == sum(WHOLE) * bits // 8
    assert holds(n, proof) == WHOLE
    assert key.public_key.verify(proof)
    assert PrivateKey.from_bytes(key.to_bytes()).prove() == proof  # a run that resumes sends the same


def test_the_forger_is_able_to_prove_what_is_true() -> None:
    """The control: with the primes of a sound key it passes, so that its failures below are the modulus's."""
    key = PrivateKey.generate(256, b"s" * 32)
    half = len(key.to_bytes()) // 2
    primes = [int.from_bytes(part, "little") for part in (key.to_bytes()[:half], key.to_bytes()[half:])]
    assert key.public_key.verify(forged(key.public_key.n, primes))


@pytest.mark.parametrize(("residues", "most"), [((1, 1), 0.65), ((3, 3, 1), 0.65), ((1, 1, 1), 0.4), ((3, 3, 3, 3), 0.4)])
def test_other_moduli_pass_the_first_statement_and_not_the_second(residues: tuple[int, ...], most: float) -> None:
    rng = random.Random(3)
    bits = {2: 256, 3: 176, 4: 128}[len(residues)]
    while True:
        primes = [prime(rng, bits, lambda p, r=r: p % 4 == r) for r in residues]  # type: ignore[misc]
        n = math.prod(primes)
        if n.bit_length() % 8 == 0 and math.gcd(n, math.prod(p - 1 for p in primes)) == 1:
            break
    proof = forged(n, primes)
    nth, square, _ = holds(n, proof)
    assert nth == ROOTS  # what an earlier release took for a proof
    assert square / SQUARE_ROOTS < most
    assert not PublicKey(n).verify(proof)


@pytest.mark.parametrize("common", [3, 1009, 3 * 5 * 7 * 11 * 13 * 17 * 19 * 23 * 29])
def test_primes_with_a_common_factor_pass_all_but_the_last_statement(common: int) -> None:
    """Powers of h miss a group of this order, and the holder would read exponents modulo it."""
    rng = random.Random(5)
    while True:
        primes = list[int]()
        while len(primes) < 2:
            p = 2 * common * ((rng.getrandbits(254) | 3 << 254) // (2 * common) | 1) + 1
            primes += [p] if p >> 254 == 3 and p % 4 == 3 and is_prime(p) else []
        n = math.prod(primes)
        if n.bit_length() == 512 and math.gcd(n, math.prod(p - 1 for p in primes)) == 1:
            break
    proof = forged(n, primes)
    nth, square, apart = holds(n, proof)
    assert (nth, square) == WHOLE[:2]  # what an earlier version took for a proof
    assert apart <= APART_ROOTS / 3
    assert not PublicKey(n).verify(proof)


def small_primes(rng: random.Random, bits: int) -> tuple[int, list[int]]:
    """A modulus of `bits` bits of 17-bit primes that passes all that is checked of n alone."""
    while True:
        primes: list[int] = []
        while math.prod(primes).bit_length() < bits:
            p = prime(rng, 17, lambda p: all((p - 1) % x and (x - 1) % p and p != x for x in primes))  # noqa: B023
            primes.append(p)
        n = math.prod(primes)
        if n.bit_length() == bits and n % 4 == 1:
            return n, primes


def test_a_modulus_of_124_primes_of_17_bits_is_refused() -> None:
    n, primes = small_primes(random.Random(1), 2048)
    assert 120 <= len(primes) <= 126
    PublicKey(n)  # nothing that can be told from n alone is wrong
    proof = forged(n, primes)
    assert holds(n, proof)[:2] == (ROOTS, 0)
    assert not PublicKey(n).verify(proof)
    assert not PublicKey(n).verify(proof[: ROOTS * 256])


def test_every_root_counts() -> None:
    key = PrivateKey.generate(256, b"s" * 32)
    proof, size = key.prove(), 32
    for i in range(sum(WHOLE)):
        for wrong in (1, 2):
            assert not key.public_key.verify(proof[: i * size] + wrong.to_bytes(size, "little") + proof[(i + 1) * size :])
    swapped = proof[: -2 * size] + proof[-size:] + proof[-2 * size : -size]
    assert not key.public_key.verify(swapped)
    with pytest.raises(InvalidBytes):
        PublicKey(key.public_key.n + 2)


def test_the_shown_roots_are_any_of_the_four() -> None:
    """Neither a root's Jacobi symbol nor the sign that it squares to is the same every time: nothing of the primes shows."""
    symbols: dict[tuple[int, bool], int] = {}
    for seed in range(6):
        key = PrivateKey.generate(256, bytes([seed]) * 32)
        n, proof = key.public_key.n, key.prove()
        for i in range(SQUARE_ROOTS):
            root = int.from_bytes(proof[(ROOTS + i) * 32 :][:32], "little")
            seen = jacobi(root, n), root * root % n == square_challenge(n, i)
            symbols[seen] = symbols.get(seen, 0) + 1
    assert len(symbols) == 4
    assert all(130 < count < 260 for count in symbols.values())  # 192 expected, sd 12
