"""A message: a frozen, typed record that is declared once, with what its receiver learns.

    class BlindedIds(Message, disclosure=BLINDED, learns="how many ids the sender has"):
        points: PointVec

`most_bytes=` limits the fields of a message whose length does not follow from their types and is not the table's (see
`protocols.codec.most_bytes`).  `in_blocks=True` says that the message is one block of a vector with a number for each
row (see `protocols.row_blocks`).
A REVEALED message also names the permission (`permit=`) that the job and every party's policy must list before it may
leave.
`registry()` lists every declared kind: the leakage table of the docs is generated from it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, dataclass_transform, get_type_hints


class Disclosure(enum.IntEnum):
    """What a receiver can make of a message, from nothing to something."""

    PUBLIC = 0  # derivable from the agreed job: sizes, schema, public keys
    SEALED = 1  # encrypted under a key that the receiver does not hold, with fresh randomness
    BLINDED = 2  # uniform (statistically) to the receiver unless it holds the sender's blinding secret
    REVEALED = 3  # the receiver learns something about the sender's data: `learns` says exactly what


PUBLIC, SEALED, BLINDED, REVEALED = Disclosure

_KINDS: dict[str, type[Message]] = {}


@dataclass_transform(frozen_default=True)
class Message:
    """Base of every message; subclasses declare fields by annotation (see `protocols.codec` for the types)."""

    kind: ClassVar[str]
    disclosure: ClassVar[Disclosure]
    learns: ClassVar[str]
    permit: ClassVar[str | None]
    most_bytes: ClassVar[int | None]  # of all fields on the wire; None: what their types can take
    in_blocks: ClassVar[bool]

    def __init_subclass__(
        cls,
        *,
        disclosure: Disclosure,
        learns: str,
        permit: str | None = None,
        most_bytes: int | None = None,
        in_blocks: bool = False,
    ) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, repr=False, eq=False)(cls)
        if (disclosure is REVEALED) != (permit is not None):
            raise TypeError(f"{cls.__name__}: a REVEALED message, and no other, names the permission that it needs")
        cls.kind, cls.disclosure, cls.learns, cls.permit, cls.most_bytes = (
            cls.__name__,
            disclosure,
            learns,
            permit,
            most_bytes,
        )
        cls.in_blocks = in_blocks
        if cls.kind in _KINDS and _KINDS[cls.kind].__module__ != cls.__module__:
            raise TypeError(f"two messages are called {cls.kind}")
        _KINDS[cls.kind] = cls

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: contents not shown>"

    @classmethod
    @cache
    def schema(cls) -> tuple[tuple[str, Any], ...]:
        """(field name, annotated type) in declaration order."""
        hints = get_type_hints(cls, include_extras=True)
        return tuple((f.name, hints[f.name]) for f in fields(cls))  # type: ignore[arg-type]


def registry() -> dict[str, type[Message]]:
    """Every declared message kind, by name."""
    return dict(_KINDS)
