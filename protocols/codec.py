"""Messages to bytes and back: msgpack with a closed schema for each kind.

On the wire a message is the msgpack array [kind, field, field, ...]; each field is an int, a bool, a str, a float or
bytes, as its declared type says.  Behind the fields of one of several blocks stand its number and how many follow
(protocols/row_blocks.py).
The receiver names the kind that it expects: nothing in the bytes chooses what is decoded, nothing can run code, and a
message that differs in kind, number or type of fields is a RemoteProtocolError.  Ciphertexts decode only under a key
that the receiver already knows; points and ciphertexts are validated.

Hostile bytes cost little memory: the number of elements and the kind are read from the first bytes alone, and the size
is compared with the kind's limit (`most_bytes`), before anything is decoded.  What is decoded then is one value for
each declared field, never a list whose length the sender chooses.

    type                     bytes
    int, bool, str, float    msgpack's own
    bytes                    as they are
    Int32s, Int64s           4 or 8 bytes per element, little-endian
    PlainVec, DpfKeys        see `_native`
    PointVec                 32 bytes a point, canonical
    CipherVec                fingerprint of the key (32 bytes), then the ciphertexts at fixed width
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import GenericAlias
from typing import Annotated, Any, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols import parts
from protocols._native import DpfKeys, InvalidBytes, PlainVec
from protocols.cipher import CipherVec, Keyring
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.message import Message
from protocols.parts import WHOLE, Part, Place
from protocols.ristretto import PointVec

M = TypeVar("M", bound=Message)
Int32s = Annotated[NDArray[np.int32], "<i4"]
Int64s = Annotated[NDArray[np.int64], "<i8"]
_ARRAYS: dict[object, str] = {Int32s: "<i4", Int64s: "<i8"}
MAX_MESSAGE_BYTES = 1 << 31  # of a kind whose fields are as long as a table
TEXT_BYTES = (
    1 << 20
)  # of a text field, where the kind declares no limit: a text takes up to four times as much memory as bytes
NUMBER_BYTES = 9  # of a number at most, on the wire
HEAD_BYTES = 5 + 2 + 40  # the array's header, the text's header and the longest kind
_NATIVE = (PlainVec, DpfKeys)
_PRIMITIVES = (int, bool, str, float, bytes)


def encode(message: Message, to: Sequence[str], me: str, part: Part | None = None) -> bytes:
    """The bytes of `message` for the receivers `to`; part: which block of a vector it is.  A ciphertext without a
    factor that is fresh to each of them raises UnfreshCiphertext; its factors are spent."""
    wire: list[object] = [message.kind]
    for name, kind in message.schema():
        wire.append(_encode_field(getattr(message, name), kind, to, f"{message.kind}.{name}"))
    if part is not None:
        if not message.in_blocks:
            raise LocalProtocolError(f"{message.kind} is not declared to travel in blocks", party=me)
        wire += part.place if part.count > 1 else ()
    data = msgspec.msgpack.encode(wire)
    if len(data) > most_bytes(type(message)):
        raise LocalProtocolError(
            f"{message.kind} is larger than a message may be", remedy="Train on fewer rows at a time", party=me
        )
    return data


def most_bytes(kind: type[Message]) -> int:
    """The longest message of `kind`: what it declares, or what its fields can take; a field of bytes or a vector may be
    as long as any message, or in a block as its rows can be."""
    if kind.most_bytes is not None:
        return HEAD_BYTES + kind.most_bytes
    sizes = {int: NUMBER_BYTES, float: NUMBER_BYTES, bool: 1, str: TEXT_BYTES}
    longest = parts.ROWS * parts.BYTES if kind.in_blocks else MAX_MESSAGE_BYTES
    place = 2 * NUMBER_BYTES * kind.in_blocks
    return min(MAX_MESSAGE_BYTES, HEAD_BYTES + place + sum(sizes.get(field, longest) for _, field in kind.schema()))


def _encode_field(value: Any, kind: Any, to: Sequence[str], where: str) -> object:
    if kind is CipherVec and isinstance(value, CipherVec):
        return value.key.fingerprint + value.release(to, where)
    if kind is PointVec and isinstance(value, PointVec):
        return value.to_bytes()
    if kind in _NATIVE and isinstance(value, kind):
        return value.to_bytes()
    if kind in _ARRAYS and isinstance(value, np.ndarray) and value.dtype == np.dtype(_ARRAYS[kind]) and value.ndim == 1:
        return value.tobytes()
    if kind in _PRIMITIVES and type(value) is kind:
        return value
    raise LocalProtocolError(f"{where} does not have its declared type")


def decode(data: bytes, kind: type[M], sender: str, keys: Keyring) -> M:
    """The message of type `kind` in `data`, wherever it stands, validated; raises RemoteProtocolError, InvalidPoint,
    InvalidCiphertext, KeyMismatch."""
    return decode_block(data, kind, sender, keys)[0]


def decode_block(data: bytes, kind: type[M], sender: str, keys: Keyring) -> tuple[M, Place]:
    """The same, and where the message stands in its vector."""
    schema = kind.schema()
    count, found = _head(data, sender)
    if found != kind.kind:
        raise RemoteProtocolError(
            f"{sender} sent another message than the protocol prescribes", party=sender, expected=kind.kind, found=found
        )
    places = count - 1 - len(schema)
    if places not in ((0, len(WHOLE)) if kind.in_blocks else (0,)):
        raise _malformed(sender, kind.kind)
    if len(data) > most_bytes(kind):
        raise RemoteProtocolError(
            f"{sender} sent a larger {kind.kind} than there can be",
            party=sender,
            expected=most_bytes(kind),
            found=len(data),
        )
    shape: Any = GenericAlias(
        tuple, (str, *(t if t in _PRIMITIVES else memoryview for _, t in schema), *[int] * places)
    )
    try:
        wire = msgspec.msgpack.decode(data, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _malformed(sender, kind.kind) from None
    values = [
        CipherVec.receive(data, keys, sender, *_span(data, v))
        if t is CipherVec
        else _decode_field(v, t, sender, kind.kind)
        for v, (_, t) in zip(wire[1 : 1 + len(schema)], schema, strict=True)
    ]
    place = Place(*wire[1 + len(schema) :])
    if places and (min(place) < 0 or place == WHOLE):
        raise _malformed(sender, kind.kind)
    return kind(*values), place


def peek(data: bytes, sender: str) -> str:
    """The kind that the bytes claim, shown only if it is a plain name; reads the first bytes alone."""
    return _head(data, sender)[1]


def _head(data: bytes, sender: str) -> tuple[int, str]:
    """How many elements the array at the start of `data` announces, and the text that is the first of them."""
    first, count, at = data[:1], 0, 1
    if b"\x90" <= first <= b"\x9f":
        count = first[0] & 0x0F
    elif first in (b"\xdc", b"\xdd"):
        at = 3 if first == b"\xdc" else 5
        count = int.from_bytes(data[1:at], "big")
    length, first = 0, data[at : at + 1]
    if b"\xa0" <= first <= b"\xbf":
        length, at = first[0] & 0x1F, at + 1
    elif first in (b"\xd9", b"\xda", b"\xdb"):
        size = {0xD9: 1, 0xDA: 2, 0xDB: 4}[first[0]]
        length, at = int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size
    if not count or not length or len(data) < at + length:
        raise _malformed(sender, "a message")
    if length > 40:
        return count, "something else"
    try:
        name = data[at : at + length].decode()
    except UnicodeDecodeError:
        raise _malformed(sender, "a message") from None
    return count, name if name.isidentifier() and name.isascii() else "something else"


def _span(data: bytes, field: memoryview) -> tuple[int, int]:
    """Where a field stands in the message: the longest ones are read there, without a copy."""
    if not field:
        return 0, 0
    start, first = (np.frombuffer(part, np.uint8).__array_interface__["data"][0] for part in (field, data))
    return start - first, start - first + len(field)


def _decode_field(value: Any, kind: Any, sender: str, message: str) -> object:
    if kind in _PRIMITIVES:
        return value
    if kind is PointVec:
        return PointVec.receive(bytes(value), sender)
    if kind in _NATIVE:
        try:
            return kind.from_bytes(bytes(value))
        except InvalidBytes:
            raise _malformed(sender, message) from None
    if kind in _ARRAYS:
        dtype = np.dtype(_ARRAYS[kind])
        if len(value) % dtype.itemsize:
            raise _malformed(sender, message)
        return np.frombuffer(value, dtype=dtype)
    raise LocalProtocolError(f"{message} has a field of a type that the codec does not know")


def _malformed(sender: str, message: str) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"{sender} sent bytes that are not a well-formed {message}",
        remedy=f"Check that {sender} runs the same version of this engine",
        party=sender,
    )


def check_lengths(sender: str, expected: int, *vectors: Any, what: Callable[[], str] | str = "rows") -> None:
    """Raises RemoteProtocolError unless every vector has `expected` elements."""
    for vector in vectors:
        if len(vector) != expected:
            name = what if isinstance(what, str) else what()
            raise RemoteProtocolError(
                f"{sender} sent a vector of another length ({name})",
                party=sender,
                expected=expected,
                found=len(cast(Any, vector)),
            )
