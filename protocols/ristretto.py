"""Vectors of ristretto255 points (RFC 9496), multiplied by one secret scalar at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols import _native
from protocols.errors import InvalidPoint

POINT_BYTES = 32


class PointVec:
    """(length,) points; `points * scalar` multiplies each.  Points that only travel are never decoded twice."""

    def __init__(self, raw: _native.PointVec | None, encoded: bytes | None = None) -> None:
        """One of the two, or both of the same points; raw: decoded."""
        self._raw, self._encoded = raw, encoded

    @classmethod
    def of_own(cls, encoded: bytes) -> PointVec:
        """Points that this party's own worker has encoded: they are decoded where somebody computes with them."""
        return cls(None, encoded)

    @classmethod
    def hash_to_group(cls, items: list[bytes], domain: bytes) -> PointVec:
        """One point an item, RFC 9380 suite ristretto255_XMD:SHA-512_R255MAP_RO_; nobody knows a relation between two
        of them."""
        return cls(_native.PointVec.hash_to_group(items, domain))

    @classmethod
    def receive(cls, data: bytes, sender: str) -> PointVec:
        """Points from a peer's bytes; raises InvalidPoint at an encoding that is not canonical, off the group or the
        identity."""
        try:
            return cls(_native.PointVec.from_bytes(data), data)
        except _native.InvalidBytes:
            raise InvalidPoint(
                f"{sender} sent a point that is not a valid ristretto255 element",
                remedy=f"Nothing that depends on it was sent. Check which software {sender} runs",
                party=sender,
            ) from None

    @property
    def raw(self) -> _native.PointVec:
        """Decoded."""
        if self._raw is None:
            assert self._encoded is not None
            self._raw = _native.PointVec.from_bytes(self._encoded)
        return self._raw

    def __mul__(self, scalar: bytes) -> PointVec:
        return PointVec(self.raw.mul(scalar))

    def __len__(self) -> int:
        return len(self._encoded) // POINT_BYTES if self._encoded is not None else len(self.raw)

    def __repr__(self) -> str:
        return f"<PointVec of {len(self)}>"

    def to_bytes(self) -> bytes:
        if self._encoded is None:
            self._encoded = self.raw.to_bytes()
        return self._encoded

    def take(self, rows: NDArray[np.int64]) -> PointVec:
        return PointVec(self.raw.take(rows))

    def tag_bytes(self) -> bytes:
        """16 bytes per point: equal points have equal tags; other pairs have equal tags with probability 2^-128."""
        return self.raw.tags()
