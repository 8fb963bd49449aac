"""What a transcript must satisfy, as functions that return their findings (an empty list is good)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import kstest

from protocols.cipher import DecryptionKey, EncryptionKey, Keyring
from protocols.glm.plan import Plan
from protocols.glm.training import MaskedGradient, cut_gradients
from protocols.message import Disclosure, Message
from tests.harness import Sent


def undeclared(transcript: Iterable[Sent], declared: Iterable[type[Message]]) -> list[str]:
    """Message kinds that the leakage table does not list."""
    known = set(declared)
    return [s.kind.kind for s in transcript if s.kind not in known]


def unrandomised(transcript: Iterable[Sent], keys: Keyring) -> list[str]:
    """Ciphertexts without randomness: c = 1 + m n, so that c mod n = 1."""
    return [
        f"{s.kind.kind} to {s.receiver}"
        for s in transcript
        for v in s.vectors(keys)
        for r in v.raw.residues()
        if r == 1
    ]


def repeated(transcript: Iterable[Sent], keys: Keyring) -> list[str]:
    """Randomness that one receiver saw twice: equal c mod n."""
    seen: dict[str, set[int]] = defaultdict(set)
    found = []
    for s in transcript:
        for v in s.vectors(keys):
            for residue in v.raw.residues():
                if residue in seen[s.receiver]:
                    found.append(f"{s.kind.kind} to {s.receiver}")
                seen[s.receiver].add(residue)
    return found


def opened(
    transcript: Iterable[Sent], key: DecryptionKey, keys: Keyring, plan: Plan, widths: dict[str, int]
) -> list[list[int]]:
    """The arbiter's shares of gradients: one list for each masked gradient, by sender and pass."""
    lists = []
    for s in sorted(transcript, key=lambda s: s.sender):
        if s.kind is MaskedGradient:
            (packed,) = s.vectors(keys)
            lists.append(cut_gradients(plan, key.open_whole(packed), widths[s.sender]).to_ints())
    return lists


def packs(transcript: Iterable[Sent], key: DecryptionKey, keys: Keyring, kind: type[Message]) -> list[int]:
    """All numbers that the arbiter opened of one kind of message."""
    vectors = (v for s in transcript if s.kind is kind for v in s.vectors(keys))
    return [number for v in vectors for number in key.open_whole(v).to_ints()]


def not_uniform(values: Sequence[int], bits: int) -> list[str]:
    """Whether opened numbers are anything else than uniform over the masks' range."""
    scaled = np.array([v / 2.0**bits + 0.5 for v in values])
    p = kstest(scaled, "uniform").pvalue
    found = [f"opened values are not uniform (p = {p:.1e})"] if p < 1e-6 else []
    if min(abs(v) for v in values) < 2 ** (bits - 40):
        found.append("an opened value is far smaller than its mask")
    return found


def not_uniform_modulo(values: Sequence[int], key: EncryptionKey) -> list[str]:
    """The same of numbers in (-n/2, n/2)."""
    return not_uniform([(v << 200) // key.raw.n for v in values], 200)


def in_clear(transcript: Iterable[Sent], allowed: set[str]) -> list[str]:
    """REVEALED messages beyond those that the job prescribes."""
    return [s.kind.kind for s in transcript if s.kind.disclosure is Disclosure.REVEALED and s.kind.kind not in allowed]
