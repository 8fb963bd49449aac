"""The numbers in what a party received, read from the bytes alone: no key, no session, no code of the protocols that
made them.

Every field that can stand for rows is taken for columns with an entry per row, every field as long as a party's
weights for a statement about the rows.  What a message is meant to be does not matter.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

import protocols
from protocols._native import PlainVec
from protocols.cipher import CipherVec
from protocols.cipher.key_offer import PublicKeyOffer
from protocols.codec import Int32s, Int64s
from protocols.message import Message, registry
from vfl.taps.transcript import Entry

Floats = NDArray[np.float64]
WORDS, WORD = 4, 2.0**64  # of the bytes that stand for a row, so many numbers of 64 bits are tried
FINGERPRINT, DOUBLE = 32, 1000


@cache
def kinds() -> dict[str, type[Message]]:
    """Every declared message, by its kind."""
    for module in pkgutil.walk_packages(protocols.__path__, "protocols."):
        if module.name != "protocols._native":
            importlib.import_module(module.name)
    return registry()


def kind_of(entry: Entry) -> type[Message] | None:
    return kinds().get(entry.message)


def fields(entry: Entry) -> Iterator[tuple[str, Any, Any]]:
    """Name, declared type and raw value of each field; nothing of a kind that is not declared."""
    kind = kind_of(entry)
    if kind is not None and entry.data:
        values = msgspec.msgpack.decode(entry.data)
        yield from ((name, of, value) for (name, of), value in zip(kind.schema(), values[1:], strict=False))


def moduli(entries: Sequence[Entry]) -> dict[bytes, int]:
    """Of the public keys that were offered, by fingerprint."""
    found = dict[bytes, int]()
    for entry in entries:
        if entry.message == PublicKeyOffer.kind and entry.data:
            n = next(value for name, _, value in fields(entry) if name == "n")
            found[hashlib.sha256(n).digest()] = int.from_bytes(n, "big")
    return found


def ciphertexts(value: bytes, keys: Mapping[bytes, int]) -> tuple[int, list[int]]:
    """The modulus n and the ciphertexts of one field; 0 and none where the key is unknown."""
    n = keys.get(value[:FINGERPRINT], 0)
    if n <= 1:
        return 0, []
    width = 2 * ((n.bit_length() + 7) // 8)
    body = value[FINGERPRINT:]
    return n, [int.from_bytes(body[k : k + width], "little") for k in range(0, len(body), width)]


def vectors(entry: Entry, keys: Mapping[bytes, int]) -> Iterator[Floats]:
    """Every field as vectors of numbers, large ones reduced to their leading and their last bits."""
    for _, of, value in fields(entry):
        if of is PlainVec:
            yield from parts_of(PlainVec.from_bytes(value).to_ints())
        elif of is CipherVec:
            n, each = ciphertexts(value, keys)
            if each:
                yield np.array([c % n / n for c in each])
                yield np.array([(c % (1 << 64)) / WORD for c in each])
        elif of in (Int32s, Int64s):
            yield np.frombuffer(value, "<i4" if of is Int32s else "<i8").astype(np.float64)


def parts_of(whole: Sequence[int]) -> Iterator[Floats]:
    """Numbers as floats, and the last bits of large ones."""
    over = max(0, max((abs(v).bit_length() for v in whole), default=0) - DOUBLE)  # of what no float holds
    yield np.array([float(v >> over) for v in whole])
    if any(abs(v) >= 1 << 63 for v in whole):
        yield np.array([(v % (1 << 64)) / WORD for v in whole])


def texts(entry: Entry) -> Iterator[bytes]:
    """Fields of bytes: bitmaps, keys and packed numbers."""
    for _, of, value in fields(entry):
        if isinstance(value, bytes) and of not in (PlainVec, CipherVec, Int32s, Int64s):
            yield value


def per_row(entries: Sequence[Entry], keys: Mapping[bytes, int], rows: int, most: int = 3000) -> Floats:
    """(lines, rows) everything received that can stand for the rows; at most `most` lines, evenly drawn."""
    found = list[Floats]()
    for entry in entries:
        for vector in vectors(entry, keys):
            if len(vector) and len(vector) % rows == 0 and len(vector) // rows <= 64:
                found += [*vector.reshape(rows, -1).T, *vector.reshape(-1, rows)]
        for text in texts(entry):
            found += _of_bytes(text, rows)
    kept = [line for line in found if line.max() > line.min()]
    if len(kept) > most:
        kept = [kept[k] for k in np.linspace(0, len(kept) - 1, most).astype(int)]
    return np.array(kept) if kept else np.zeros((0, rows))


def _of_bytes(text: bytes, rows: int) -> list[Floats]:
    """A bitmap of the rows, or the same number of bytes for each: words of it."""
    if len(text) == -(-rows // 8):
        return [np.unpackbits(np.frombuffer(text, np.uint8), bitorder="little")[:rows].astype(np.float64)]
    each, rest = divmod(len(text), rows)
    if rest or not each:
        return []
    raw = np.frombuffer(text, np.uint8).reshape(rows, each)
    if each < 8:
        return [raw.astype(np.float64) @ 256.0 ** np.arange(each), raw[:, 0].astype(np.float64)]
    words = [raw[:, k : k + 8].copy().view(np.uint64)[:, 0] / WORD for k in range(0, min(each // 8, WORDS) * 8, 8)]
    return [*words, raw[:, 0].astype(np.float64)]


def statements(entries: Sequence[Entry], keys: Mapping[bytes, int], weights: int) -> list[Floats]:
    """Every vector as long as the party's weights, in the order in which they came."""
    return [vector for entry in entries for vector in vectors(entry, keys) if len(vector) == weights]
