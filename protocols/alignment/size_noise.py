"""Noise on the size of an intersection: rows that are in neither table, of which a hidden number is common (argument:
docs/protocols/noise.md).

     each party P of the two, before the lists are blinded
 1   e_P from the discrete Gaussian, cut to -s..s
 2   adds to its ids: all 2 s names of the other party's pool; s + e_P names of its own pool; and s - e_P random ones
 3   the size that is opened holds s + e_P for each party; all take 2 s off

Both lists are longer by 4 s, whatever was drawn.  Nobody can say which tags are of added rows, as of any row that is
not its own.  So each party learns the size with the other's noise, and knows its own.
Adversary: honest but curious.  A party that leaves out the names of the other's pool counts without the other's noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from protocols.alignment.away import IdsAway
from protocols.alignment.outcome import Alignment
from protocols.errors import ConfigError
from protocols.ids import Ids
from protocols.noise import discrete_gaussian
from protocols.one_noise import reveal_once
from protocols.randomness import Seed
from protocols.session import Session

TAIL = 12  # standard deviations, beyond which noise is cut: with a probability below 2^-100
MARK = b"\xff"  # no canonical id begins with it: ids are UTF-8


@dataclass(frozen=True)
class SizeNoise:
    """multiplier: the standard deviation; another id in place of one changes the size by at most 1."""

    multiplier: Fraction

    @property
    def sigma(self) -> int:
        """The standard deviation, rounded up."""
        return max(1, math.ceil(self.multiplier))

    @property
    def half(self) -> int:
        """s: the largest noise."""
        return TAIL * self.sigma

    @property
    def added_rows(self) -> int:
        """By how many rows each list is longer."""
        return 4 * self.half

    def drawn(self, seed: Seed) -> int:
        """e_P."""
        (found,) = discrete_gaussian(seed, 1, self.sigma).tolist()
        return int(min(max(found, -self.half), self.half))


def padded(session: Session, ids: tuple[Ids | IdsAway, ...], noise: SizeNoise) -> tuple[Ids]:
    """Steps 1 and 2: this party's ids with the added ones.  Raises ConfigError where the size of such lists has no
    noise."""
    own = ids[0]
    if len(session.roles.hosts) != 1 or len(ids) != 1 or not isinstance(own, Ids):
        raise ConfigError(
            "the size of an intersection carries noise between two parties, with one key",
            remedy="Align with one host and one key, without workers that read the ids, or leave out the noise",
        )
    (other,) = [party for party in session.roles.data_parties if party != session.me]
    seed = session.seed("noise on the size", own.digest())
    shared = noise.half + noise.drawn(seed.child("noise"))
    reveal_once(session, "the size of an intersection", shared.to_bytes(8, "big"))
    words = seed.child("rows of its own").words(3 * (2 * noise.half - shared)).tobytes()
    own_rows = [MARK + words[at : at + 24] for at in range(0, len(words), 24)]
    return (Ids.joined([own, pool(other, 2 * noise.half), pool(session.me, shared), own_rows]),)


def pool(party: str, count: int) -> list[bytes]:
    """The first names of a party's pool."""
    return [MARK + f"size noise|{party}|{k}".encode() for k in range(count)]


def settled(found: Alignment, noise: SizeNoise) -> Alignment:
    """Step 3, without the added rows; a size that noise has made impossible is the nearest possible one."""
    sizes = {party: rows - noise.added_rows for party, rows in found.sizes.items()}
    (size,) = found.by_key
    return replace(found, sizes=sizes, by_key=(min(max(size - 2 * noise.half, 0), *sizes.values()),))
