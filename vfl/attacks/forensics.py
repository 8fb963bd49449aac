"""Attack 12: what ciphertexts show without any key.

A Paillier ciphertext is c = (1 + m n) r^n mod n^2.  Without a factor r it is 1 modulo n; with one that was used before,
or that follows from others (r of a sum is the product of its terms'), c mod n repeats or is a product.  Whoever sees
that knows which plaintexts are equal, or which sum of which rows was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from protocols.cipher import CipherVec
from vfl.attacks.attack import Attack
from vfl.attacks.received import ciphertexts, fields
from vfl.attacks.scene import SHORT, Scene
from vfl.taps.transcript import Entry

PAIRS = 300  # of the ciphertexts that a receiver saw, so many are multiplied with each other
Residues = Sequence[tuple[int, int]]  # (n, c mod n)


class Forensics(Attack):
    number = 12
    name = "Ciphertext forensics"
    who = "each party, on everything encrypted that reached it"
    needs = "ciphertexts alone"
    setting = "none: a ciphertext without fresh randomness cannot be sent"
    sentence = "Do the encrypted numbers betray which of them belong together, or what is in them?"
    measure = "ciphertexts without randomness, with repeated randomness, or with that of two others' product"
    chance = 0.0
    bound = 0.0
    reason = "an accident has a probability below 2^-400 for each pair, with short keys too"
    succeeds = 100.0
    sizes = (100.0, 10.0, 1.0)
    found = 1.0
    size_of = "the number of ciphertexts that are sent on without a factor of their own"
    textbook_is = "a sum of two ciphertexts sent on as it is, for each of 100 rows (as python-paillier returns sums)"
    random = False

    def unfit(self, scene: Scene) -> str:
        return "" if any(n > 1 for n in scene.keys.values()) else "the run was made without encryption"

    def product(self, scene: Scene, seed: int) -> float:
        return float(sum(marks(residues(scene.entries(party), scene.keys)) for party in scene.seen))

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        fresh, rng = self._fresh(seed), np.random.default_rng([seed, 12])
        n = fresh[0][0]
        found = list(fresh)
        for k in range(int(size)):  # a third of each fault
            first, second = rng.choice(PAIRS // 2, 2, replace=False)
            by_product = first_of(fresh, first) * first_of(fresh, second) % n
            found.append((n, (1, first_of(fresh, first), by_product)[k % 3]))
        return float(marks(found, rng))

    def textbook(self, scene: Scene, seed: int) -> float:
        fresh, rng = self._fresh(seed), np.random.default_rng([seed, 13])
        n, found = fresh[0][0], list(fresh)
        for _ in range(100):
            first, second = rng.choice(PAIRS // 2, 2, replace=False)
            found.append((n, first_of(fresh, first) * first_of(fresh, second) % n))
        return float(marks(found, rng))

    @staticmethod
    def _fresh(seed: int) -> Residues:
        """Residues of honest ciphertexts, uniform modulo n."""
        from protocols.randomness import Seed

        n = SHORT.generate("audit", Seed("audit", seed.to_bytes(32, "big"))).public.raw.n
        rng = np.random.default_rng([seed, 14])
        return [(n, int.from_bytes(rng.bytes(n.bit_length() // 8 + 8), "little") % n) for _ in range(PAIRS // 2)]


def first_of(fresh: Residues, at: int) -> int:
    return fresh[at][1]


def residues(entries: Sequence[Entry], keys: Mapping[bytes, int]) -> list[tuple[int, int]]:
    """Of every ciphertext that one party received, in order."""
    found = list[tuple[int, int]]()
    for entry in entries:
        for _, of, value in fields(entry):
            if of is CipherVec:
                n, each = ciphertexts(value, keys)
                found += [(n, c % n) for c in each]
    return found


def marks(seen: Residues, rng: np.random.Generator | None = None) -> int:
    """How many of them show something."""
    total, known = 0, set[tuple[int, int]]()
    for n, residue in seen:
        total += residue == 1 or (n, residue) in known
        known.add((n, residue))
    distinct = [one for one in dict.fromkeys(seen) if one[1] != 1]
    rng = np.random.default_rng(0) if rng is None else rng
    if len(distinct) > PAIRS:
        distinct = [distinct[k] for k in np.sort(rng.choice(len(distinct), PAIRS, replace=False))]
    products = {(n, a * b % n) for k, (n, a) in enumerate(distinct) for m, b in distinct[:k] if m == n}
    return total + sum(one in products for one in known)
