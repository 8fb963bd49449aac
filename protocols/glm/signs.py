"""The sign of an encrypted number, for the holder of the key, which learns hardly anything of its size: it opens the
number times a factor of random length.

The logarithm of the factor is uniform over L bits, above 700 with a key of 2048, so that the numbers opened for two
sizes whose ratio is 2^t differ with probability t / L.  Factor and noise together have more bits than the key, so that
they explain whatever is opened by any number.  What a holder of the key that encrypts other numbers than it should
still learns is in docs/threat-model.md.
"""

from __future__ import annotations

import hashlib
import itertools

from protocols._native import PlainVec
from protocols.cipher import CipherVec
from protocols.errors import ConfigError, LocalProtocolError
from protocols.glm.plan import SIGMA
from protocols.randomness import Seed
from protocols.session import Session

LEAST_RANGE = 64  # bits between the shortest and the longest factor: fewer would hide a size badly
MARGIN = 32  # factor and noise together have more bits than the key by one part in this number
OPENINGS = 4  # of the signs of one evaluation: the first, and repetitions after a party stopped


def blinded(session: Session, total: CipherVec, bits: int, what: str) -> CipherVec:
    """[[r V + s]] (1,) of [[V]], |V| < 2^bits: 0 <= s < r, and the logarithm of r uniform from half of the key on
    to the end of its room.

    A short r would leave room above r V, in which an arbiter that deviates could place weights: then it reads them.
    And where r and s have fewer bits together than the key, lattice reduction finds them, and so V among its guesses.
    what: names the draw.
    """
    key_bits = total.key.raw.bits
    longest, shortest = total.key.plain_bits - bits - 2, key_bits // 2 + key_bits // MARGIN
    if longest - shortest < LEAST_RANGE:
        raise ConfigError(
            "the key is too small to hide a number of which only the sign is opened",
            remedy="Use a larger key_bits, or leave out what ends training early",
            expected=LEAST_RANGE,
            found=longest - shortest,
        )
    seed = session.seed(f"{what} factor", total.digest())
    length = shortest + seed.child("length").integers(1, 64 + SIGMA).to_ints()[0] % (longest - shortest)
    factor = log_uniform(seed.child("factor"), length)
    noise = seed.child("noise").integers(1, length + SIGMA + 1).to_ints()[0] % factor
    return total.mul_plain(PlainVec.from_ints([factor])).add_plain(PlainVec.from_ints([noise]))


def log_uniform(seed: Seed, length: int) -> int:
    """A number in [2^length, 2^(length + 1)) whose logarithm is uniform: x is taken with probability 2^length / x."""
    for attempt in itertools.count():
        one = seed.child(f"{attempt}")
        found = (1 << length) + one.child("number").integers(1, length + 1).to_ints()[0] % (1 << length)
        if one.child("taken").integers(1, length + SIGMA + 1).to_ints()[0] % found < 1 << length:
            return found
    raise AssertionError  # never: each attempt is taken with a probability of at least a half


def spend(session: Session, name: bytes) -> None:
    """Stores on this party's disk that signs of the evaluation of this name are opened; call it before they are sent.

    Each opening answers another question of an arbiter that deviates, and it can ask for one by dropping its
    connection.  Raises LocalProtocolError when they were opened OPENINGS times, in this process or before."""
    for opening in range(OPENINGS):
        if session.course.spend(hashlib.sha256(b"vfl signs|%d|" % opening + name).digest()):
            return
    raise LocalProtocolError(
        f"the signs of one evaluation were opened {OPENINGS} times and training did not get past it; nothing was sent",
        remedy="Find out which party stopped each time, and why; then start all parties again with --fresh",
    )
