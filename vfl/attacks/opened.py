"""What a party opens of the ciphertexts that reached it, with the key that it made in the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey, Scheme
from protocols.randomness import Seed
from vfl.attacks.received import FINGERPRINT, Floats, fields, parts_of
from vfl.taps.transcript import Entry


@dataclass(frozen=True)
class KeysKept:
    """A scheme that keeps the keys which it makes, by the name of their holder."""

    scheme: Scheme
    kept: dict[str, list[DecryptionKey]] = field(default_factory=dict, repr=False)

    @property
    def bits(self) -> int:
        return self.scheme.bits

    def generate(self, holder: str, seed: Seed) -> DecryptionKey:
        made = self.scheme.generate(holder, seed)
        self.kept.setdefault(holder, []).append(made)
        return made

    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
        return self.scheme.accept(n, proof, holder)


def opened(entry: Entry, party: str, kept: Mapping[str, Sequence[DecryptionKey]]) -> Iterator[Floats]:
    """Every field of a message to `party` that is encrypted under a key of its own, as `received.vectors`."""
    for _, of, value in fields(entry):
        for key in kept.get(party, ()) if of is CipherVec else ():
            if value[:FINGERPRINT] == key.public.fingerprint and len(value) > FINGERPRINT:
                raw = key.public.raw.ciphers_from_bytes(value[FINGERPRINT:])
                yield from parts_of(key.open_whole(CipherVec(key.public, raw)).to_ints())
