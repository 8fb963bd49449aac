"""A place where bytes are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocols.errors import VFLError

SENDER = "telecom"


@dataclass(frozen=True)
class Target:
    """`feed` takes any bytes and raises nothing but `typed`; `seeds` are bytes that it accepts."""

    name: str
    feed: Callable[[bytes], object]
    seeds: Sequence[bytes]
    typed: tuple[type[Exception], ...] = (VFLError,)

    def __repr__(self) -> str:
        return self.name
