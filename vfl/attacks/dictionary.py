"""Attack 1: a dictionary on join keys.

Who can enumerate all ids (phone numbers, national ids) searches what the alignment sent for each of them, in every form
that does without a secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from protocols.alignment.lists import domain
from protocols.ristretto import PointVec
from vfl.attacks.alignments import Aligning
from vfl.attacks.attack import Attack
from vfl.attacks.received import kind_of, texts
from vfl.attacks.scene import Run, Scene
from vfl.taps.transcript import Entry

DOMAINS = (b"vfl", b"vfl psi", b"vfl psi v1")
HASHES = ("md5", "sha1", "sha256", "sha512")
CHUNKS = (16, 20, 32, 64)  # bytes of a tag, a digest or a point
LEAST = 6  # bytes of an id that is searched for as it is: a shorter text occurs by chance


class Dictionary(Attack):
    number = 1
    name = "Ids by dictionary"
    who = "every partner in the alignment, and an arbiter that relays lists"
    needs = "the alignment's messages, and a list of all possible ids"
    setting = (
        "none: each list is blinded by a secret that never leaves. Whoever puts guessed ids into its own list learns "
        "which of them are common, as the job permits: policy.runs_per_partner_per_month limits how often, and no "
        "attack measures it"
    )
    sentence = "Could a partner recognise our customers in what it received, by trying all phone numbers?"
    measure = "the part of another party's ids that are recognised in what was received"
    chance = 0.0
    bound = 0.0
    reason = (
        "a point under a secret exponent, and a tag of 128 bits, match a guess with a probability of 2^-100 or less"
    )
    succeeds = 0.99
    sizes = (1.0, 0.1, 0.01)
    found = 0.01
    size_of = "the part of the other party's points that are sent without the secret exponent"
    textbook_is = "lists of SHA-256 hashes of ids"
    random = False
    on = (Scene, Aligning)

    def product(self, scene: Run, seed: int) -> float:
        return max(
            recognised(list(scene.ids[victim]), pieces(scene.entries(attacker)))
            for attacker in scene.seen
            for victim in scene.ids
            if victim != attacker
        )

    def planted(self, scene: Run, seed: int, size: float) -> float:
        ids, rng = list(scene.ids[scene.hosts[0]]), np.random.default_rng([seed, 1])
        open_ones = PointVec.hash_to_group(ids[: max(1, round(size * len(ids)))], domain(0)).to_bytes()
        blinded = rng.bytes(32 * (len(ids) - len(open_ones) // 32))
        return recognised(ids, split(open_ones + blinded))

    def textbook(self, scene: Run, seed: int) -> float:
        ids = list(scene.ids[scene.hosts[0]])
        return recognised(ids, split(b"".join(hashlib.sha256(name).digest() for name in ids)))


def forms(ids: list[bytes]) -> list[set[bytes]]:
    """Of each id, every form that it has without a secret."""
    found = [{name} if len(name) >= LEAST else set[bytes]() for name in ids]
    for hashed in HASHES:
        for one, name in zip(found, ids, strict=True):
            digest = hashlib.new(hashed, name, usedforsecurity=False).digest()
            one |= {digest, digest[:16]}
    for point in (domain(0), domain(1), *DOMAINS):
        data = PointVec.hash_to_group(ids, point).to_bytes()
        for k, one in enumerate(found):
            one |= {data[32 * k : 32 * k + 32], data[32 * k : 32 * k + 16]}
    return found


def split(text: bytes) -> set[bytes]:
    """A field in pieces of every size."""
    return {text[k : k + size] for size in CHUNKS for k in range(0, len(text), size)}


def pieces(entries: Iterable[Entry]) -> set[bytes]:
    """Of all fields of the alignment's messages."""
    found = set[bytes]()
    for entry in entries:
        kind = kind_of(entry)
        if kind is not None and ".alignment" in kind.__module__:
            for text in texts(entry):
                found |= split(text)
    return found


def recognised(ids: list[bytes], seen: set[bytes]) -> float:
    return float(np.mean([bool(one & seen) for one in forms(ids)])) if ids else 0.0
