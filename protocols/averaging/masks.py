"""The masks of one turn, the boxes in which members pass shares to each other, and what they sign; pure, no channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from protocols.averaging.shamir import SHARE
from protocols.errors import RemoteProtocolError
from protocols.glm.pair_masks import derived, pair_seed
from protocols.randomness import Seed

Words = NDArray[Any]  # (length,) numbers modulo 2^word_bits, unsigned
BOX = 2 * SHARE + 16  # bytes: two shares and the tag of AES-GCM
_DTYPES = {32: "<u4", 64: "<u8"}


def words_of(data: bytes, word_bits: int) -> Words:
    """Numbers from their bytes."""
    return np.frombuffer(data, _DTYPES[word_bits])


def zeros(length: int, word_bits: int) -> Words:
    """(length,) numbers that are 0."""
    return np.zeros(length, _DTYPES[word_bits])


def expanded(seed: Seed, length: int, word_bits: int) -> Words:
    """(length,) uniform numbers from a seed."""
    return seed.words(-(-length * word_bits // 64)).view(_DTYPES[word_bits])[:length]


def self_mask(seed: Seed, length: int, word_bits: int) -> Words:
    """What a member adds to its numbers, and the aggregator subtracts again if the member survives."""
    return expanded(seed, length, word_bits)


def pair_mask(
    secret: X25519PrivateKey, keys: Mapping[str, bytes], me: str, others: Iterable[str], turn: int, shape: Words
) -> Words:
    """What `me` adds to its numbers so that it cancels in the sum with `others`, by the mask keys of all; as many
    numbers as `shape` has."""
    total = np.zeros_like(shape)
    for other in sorted(others):
        seed = pair_seed(secret, dict(keys), me, other, f"averaging turn {turn}")
        mask = expanded(seed, len(shape), 8 * shape.itemsize)
        total = total + mask if me < other else total - mask
    return total


class Boxes:
    """A member's boxes with each other member: AES-GCM, one key per turn and direction."""

    def __init__(self, me: str, secret: X25519PrivateKey, publics: Mapping[str, bytes], context: bytes) -> None:
        self._me, self._context = me, context
        self._shared: dict[str, bytes] = {}
        for other, public in publics.items():
            if other != me:
                self._shared[other] = _exchanged(secret, public, other)

    def _key(self, turn: int, sender: str, receiver: str) -> AESGCM:
        shared = self._shared[receiver if sender == self._me else sender]
        return AESGCM(derived(shared, self._context + f"averaging box|{turn}|{sender}|{receiver}".encode()))

    def seal(self, turn: int, receiver: str, shares: tuple[int, int]) -> bytes:
        """A box for another member.  Its key serves once, so that its nonce need not differ."""
        content = b"".join(share.to_bytes(SHARE, "big") for share in shares)
        return self._key(turn, self._me, receiver).encrypt(bytes(12), content, None)

    def open(self, turn: int, sender: str, box: bytes, relay: str) -> tuple[int, int]:
        """The shares in another member's box.  Raises RemoteProtocolError."""
        try:
            content = self._key(turn, sender, self._me).decrypt(bytes(12), box, None)
        except InvalidTag:
            raise RemoteProtocolError(
                f"{relay} relayed shares of {sender} that are not what {sender} sent", party=relay
            ) from None
        return int.from_bytes(content[:SHARE], "big"), int.from_bytes(content[SHARE:], "big")

    def __repr__(self) -> str:
        return "<Boxes: contents not shown>"


def _exchanged(secret: X25519PrivateKey, public: bytes, other: str) -> bytes:
    try:
        return secret.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise RemoteProtocolError(f"the key relayed for {other} is not valid", party=other) from None


def signed(what: str, setup: bytes, turn: int, content: bytes) -> bytes:
    """The bytes that a member signs: of this run, this turn and this step only."""
    return f"vfl averaging {what} v1|".encode() + setup + turn.to_bytes(8, "big") + content
