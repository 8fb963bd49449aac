"""The sign of an encrypted number, for the holder of the key, which learns hardly anything else: it opens the number V
times a factor r of random length, with noise: r V + t N + s.

Honest.  The logarithm of r is uniform over SPREAD bits (fewer under short keys), so that the numbers opened for two
sizes whose ratio is 2^k differ with probability k / SPREAD.  r and s have more bits together than the key, so that they
explain whatever is opened by any number.
Deviating.  Where V is U / b modulo n, because the holder of the key has encrypted fractions x / b, it opens r U + s b,
and learns which divisors of b divide U.  A factor r with many divisors does not prevent it: what is constant in r can
be divided away in V.  So N is a sum of random multiples of all that the key's holder encrypted: each party's of its own
numbers.  They add random multiples of each x, and with a key of 2048 bits or more these are longer than b can be.
What remains.  The sign of a number that is chosen so, and its size as above.  Modulo a prime p that divides b, what is
opened is uniform, except where p divides N or t, which has a probability of about 2 / p.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from functools import reduce

from protocols._native import PlainVec
from protocols.cipher import CipherVec, EncryptionKey
from protocols.errors import ConfigError, LocalProtocolError
from protocols.glm.plan import SIGMA, WIDE
from protocols.randomness import Seed
from protocols.session import Session

LEAST_RANGE = 64  # bits between the shortest and the longest factor: fewer would hide a size badly
LEAST_MULTIPLE = 32  # bits of the multiples, under the keys of tests; with a key of 2048 there are more than b can have
SPREAD = 320  # the most bits between them: more would leave room for a longer b than the multiples hide
MARGIN = 32  # factor and noise together have more bits than the key by one part in this number
TERMS = WIDE + 2  # log2 of the most numbers of which multiples are added
OPENINGS = 4  # of the signs of one evaluation: the first, and repetitions after a party stopped


def lengths(key: EncryptionKey, bits: int) -> tuple[int, int]:
    """The shortest and the longest factor of numbers below 2^bits.

    A short one would leave room above r V, in which an arbiter that deviates could place weights: then it reads them.
    And where r and s have fewer bits together than the key, lattice reduction finds them, and V among guesses."""
    longest = key.plain_bits - bits - 2
    shortest = max(key.raw.bits // 2 + key.raw.bits // MARGIN, longest - SPREAD)
    if longest - shortest < LEAST_RANGE:
        raise too_small(LEAST_RANGE, longest - shortest)
    return shortest, longest


def multiple_bits(key: EncryptionKey, bits: int, shares: int) -> int:
    """The length of each of the two random numbers by which something below 2^shares is multiplied."""
    shortest, _ = lengths(key, bits)
    found = min((shortest - 2 - shares - TERMS) // 2, key.raw.bits - shortest + SIGMA)
    if found < LEAST_MULTIPLE:
        raise too_small(LEAST_MULTIPLE, found)
    return found


def multiples(session: Session, encrypted: Sequence[CipherVec], bits: int, what: str) -> CipherVec:
    """[[N]] (1,) at a party: the sum of random multiples, below 2^bits, of all that the key's holder encrypted for it.
    Not fresh.  what: names the draw."""
    whole = reduce(CipherVec.concat, encrypted)
    return whole.mul_plain(session.seed(f"{what} multiples", whole.digest()).integers(len(whole), bits)).sum()


def blinded(session: Session, total: CipherVec, noise: CipherVec, bits: int, multiple: int, what: str) -> CipherVec:
    """[[r V + t N + s]] (1,) of [[V]], |V| < 2^bits, and [[N]], where N is a sum of multiples below 2^multiple, and so
    is t: r V <= r V + t N + s < r V + r.

    The logarithm of r is uniform between its lengths.  what: names the draw."""
    shortest, longest = lengths(total.key, bits)
    seed = session.seed(f"{what} factor", total.digest())
    length = shortest + seed.child("length").integers(1, 64 + SIGMA).to_ints()[0] % (longest - shortest)
    factor = log_uniform(seed.child("factor"), length)
    half = factor // 2  # |t N| is below a quarter of it
    added = factor // 4 + seed.child("noise").integers(1, length + SIGMA).to_ints()[0] % half
    noise = noise.mul_plain(seed.child("multiple").integers(1, multiple))
    return (total.mul_plain(PlainVec.from_ints([factor])) + noise).add_plain(PlainVec.from_ints([added]))


def log_uniform(seed: Seed, length: int) -> int:
    """A number in [2^length, 2^(length + 1)) whose logarithm is uniform: x is taken with probability 2^length / x."""
    for attempt in itertools.count():
        one = seed.child(f"{attempt}")
        found = (1 << length) + one.child("number").integers(1, length + 1).to_ints()[0] % (1 << length)
        if one.child("taken").integers(1, length + SIGMA + 1).to_ints()[0] % found < 1 << length:
            return found
    raise AssertionError  # never: each attempt is taken with a probability of at least a half


def spend(session: Session, name: bytes) -> None:
    """Stores on this party's disk that signs of the evaluation of this name are opened; call it at the guest before
    they are sent, and at the arbiter before it opens them.

    Each opening answers another question of an arbiter or a guest that deviates, and it can ask for one by dropping its
    connection: so each counts what the other asks.  Raises LocalProtocolError when they were opened OPENINGS times, in
    this process or before."""
    for opening in range(OPENINGS):
        if session.course.spend(hashlib.sha256(b"vfl signs|%d|" % opening + name).digest()):
            return
    raise LocalProtocolError(
        f"the signs of one evaluation were opened {OPENINGS} times and training did not get past it; nothing was sent",
        remedy="Find out which party stopped each time, and why; then start all parties again with --fresh",
    )


def too_small(expected: int, found: int) -> ConfigError:
    return ConfigError(
        "the key is too small to hide a number of which only the sign is opened",
        remedy="Use a larger key_bits, or leave out what ends training early",
        expected=expected,
        found=found,
    )
