"""What every model part says of itself on disk, and how the rest of it is read: closed, and nothing believed before it
was checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from vfl.data.schema import Schema

Tensors = dict[str, NDArray[Any]]
Class = str | int | float | bool


class Part(Protocol):
    """A data party's part of a model, of any kind."""

    @property
    def party(self) -> str: ...
    @property
    def model_id(self) -> bytes: ...
    @property
    def own_name(self) -> bytes:
        """Under which a host counts what the model opens."""

    @property
    def classes(self) -> tuple[Any, ...] | None: ...
    @property
    def is_guests(self) -> bool: ...
    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the model has, as this part numbers them."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a table to be scored must have."""

    @property
    def schema(self) -> Schema:
        """The type of each of them."""

    @property
    def categories(self) -> Mapping[str, Collection[str]]:
        """Of each of them that holds categories, those that training saw, as far as the part knows them."""


class ArbiterPart(Protocol):
    """What an arbiter keeps of a model, of any kind."""

    STORED: ClassVar[str]  # its own kind on disk

    @property
    def party(self) -> str: ...
    @property
    def model_id(self) -> bytes: ...
    @property
    def kind(self) -> str:
        """Of the model."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def classes(self) -> None: ...


class CorruptPartError(ValueError):
    """What was read is no part: it does not fit itself.  Says nothing of its content."""


class Head(msgspec.Struct, frozen=True):
    """The keys of manifest.json that a part of any kind has."""

    format: int
    kind: str
    party: str
    model_id: str
    job_digest: str
    columns: list[str]
    classes: list[Class] | None
    schema: Schema | None = None  # of a data party's part; absent in parts of earlier releases

    @property
    def name(self) -> bytes:
        """The model's name, which all its parts share."""
        try:
            name = bytes.fromhex(self.model_id)
        except ValueError:
            raise CorruptPartError from None
        check(len(name) == 16, len(set(self.columns)) == len(self.columns))
        return name

    @property
    def values(self) -> tuple[Any, ...] | None:
        """The label's values at the guest."""
        return None if self.classes is None else tuple(self.classes)


@dataclass(frozen=True)
class Body:
    """What a kind adds: further keys of the manifest, and named arrays."""

    rest: dict[str, Any]
    tensors: Tensors


def check(*good: Any) -> None:
    """Raises CorruptPartError unless all are true."""
    if not all(bool(np.all(g)) for g in good):
        raise CorruptPartError


def tensors_of(
    found: Mapping[str, NDArray[Any]], wanted: Mapping[str, tuple[type[Any], Sequence[int | None]]]
) -> Tensors:
    """Exactly the wanted arrays, each of its type and shape (None: of any length); floats are finite.  Raises
    CorruptPartError."""
    check(set(found) == set(wanted))
    for name, (kind, shape) in wanted.items():
        array = found[name]
        check(array.dtype == np.dtype(kind), array.ndim == len(shape))
        check(all(size is None or size == have for size, have in zip(shape, array.shape, strict=True)))
        check(kind is not np.float64 or np.isfinite(array).all())
    return dict(found)
