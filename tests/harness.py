"""What several tests need: toy ciphers, recorded transcripts, randomness that ignores its context."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest

from protocols import codec, parts
from protocols.channel import Tap
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey, Keyring, Paillier
from protocols.codec import decode
from protocols.glm.gram_layout import Layout
from protocols.message import Message
from protocols.randomness import Randomness, Seed

TOY = Paillier(512)  # the config layer refuses it
KNOWN = ("guest", "hosts")  # `reveal` of jobs whose tests look at weights

# For tests whose tables share only some of their rows: a prediction says how many have no score.
scores_some_rows = pytest.mark.filterwarnings(
    "ignore:.* rows have no score. not known to all parties:UserWarning",
    "ignore:score is of .* rows. the others have no score:UserWarning",
)


@dataclass
class Escrow:
    """A scheme that keeps the private key which it made, so that a test can open what the arbiter could open."""

    scheme: Paillier
    keys: list[DecryptionKey] = field(default_factory=list)

    @property
    def bits(self) -> int:
        return self.scheme.bits

    def generate(self, holder: str, seed: Seed) -> DecryptionKey:
        self.keys.append(self.scheme.generate(holder, seed))
        return self.keys[-1]

    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
        return self.scheme.accept(n, proof, holder)


@dataclass(frozen=True)
class Sent:
    sender: str
    receiver: str
    kind: type[Message]
    data: bytes

    def message(self, keys: Keyring) -> Message:
        return decode(self.data, self.kind, self.sender, keys)

    def vectors(self, keys: Keyring) -> list[CipherVec]:
        """The ciphertext vectors in the message."""
        message = self.message(keys)
        return [getattr(message, name) for name, kind in self.kind.schema() if kind is CipherVec]


class Recording(Tap):
    """Every message that one party sends, into a transcript that all parties share."""

    def __init__(self, sender: str, transcript: list[Sent]) -> None:
        self.sender, self.transcript = sender, transcript

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.transcript.append(Sent(self.sender, peer, kind, data))


class ContextFree(Randomness):
    """Seeds that depend on party, label and number of the draw only: two ciphers then meet the same masks."""

    def __init__(self, maker: str) -> None:
        super().__init__(maker, bytes(32), b"")
        self._count: dict[str, int] = {}

    def draw(self, label: str, transcript: bytes, value: bytes) -> Seed:
        self._count[label] = self._count.get(label, 0) + 1
        return Seed(self._maker, hashlib.sha256(f"{self._maker}|{label}|{self._count[label]}".encode()).digest())


def short_masks(monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    """Masks of a length in the place of those that are uniform modulo n: the same under every key, and a planted fault
    for attacks by its holder."""
    monkeypatch.setattr(EncryptionKey, "uniform", lambda self, seed, length: seed.integers(length, bits))


def small_blocks(monkeypatch: pytest.MonkeyPatch, rows: int = 64) -> None:
    """Blocks of this number of rows, and messages that are as much smaller: tables beyond every limit are small."""
    monkeypatch.setattr(codec, "MAX_MESSAGE_BYTES", codec.MAX_MESSAGE_BYTES * rows // parts.ROWS)
    monkeypatch.setattr(parts, "ROWS", rows)


def gram_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training that may take shares of Gram matrices takes them, however small it is."""
    monkeypatch.setattr(Layout, "pays", lambda self, plan: self.fits)
