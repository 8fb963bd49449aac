"""A call or an answer outside of driver and worker: values, and vectors of ciphertexts or points, all sealed.

    part 0     salt (32 bytes) | tag (16 bytes) | AES-256-GCM(key of the salt, values)
    part k     vector k, encrypted by the same AES-256-GCM where it stopped: one tag for all

Vectors are sealed because most are never sent as they are: who compares a worker's partial sum with the rows that went
to it reads which rows were summed, without any key, and the holder of their key reads the sum before its mask.
Nonces: there is none to keep count of.  Each message has a key of its own, HMAC-SHA-256 of the party's secret over a
salt of 32 bytes from the operating system, and the nonce is constant.  So nothing repeats when a driver or a worker
starts again, or when an engine runs a call twice; two salts meet with a probability of 2^-128 after 2^64 messages.
What the tag binds: direction, run, worker, operation, for an answer the call's salt, and the length of every part.  The
block that a call is about stands in its values.  So no engine, store or spill file can read, change or swap them; a
call that it repeats stores the same under the same name.

What the values are: integers of 64 bits, bytes, texts, int64 arrays of any shape (msgpack, nothing that can run code).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from protocols.randomness import salt

Value = int | bytes | str | NDArray[np.int64]
Sealed = tuple[bytes, ...]  # values, then vectors
Where = tuple[bytes, int, str, bytes]  # direction, worker, operation, salt of the call that is answered
SECRET = 32  # bytes
SALT = 32
TAG = 16
NONCE = bytes(12)
ARRAY = 1  # msgpack's type of an array
VERSION = b"vfl worker 3"  # of the table of operations and of what their values mean

ONLY = "a worker takes integers, bytes, texts and arrays of int64 only"


class Unsealed(Exception):
    """Bytes that nobody sealed with this secret, for this run, worker, operation and call."""


class Seal:
    """Seals and opens what goes between a party's driver and its workers in one run; secret: the party's 32 bytes."""

    def __init__(self, secret: bytes, run: bytes) -> None:
        if len(secret) != SECRET:
            raise ValueError("a secret for workers has 32 bytes")
        self._secret, self._run = secret, run

    def __repr__(self) -> str:
        return "<Seal>"

    def __reduce__(self) -> Any:
        raise TypeError("a seal is not pickled: each worker reads the secret from its own file")

    def call(self, worker: int, operation: str, values: Sequence[Value], ciphers: Sequence[bytes]) -> Sealed:
        """A call's parts; the first 32 bytes are its salt, which `answer` needs."""
        return self._seal((b"call", worker, operation, b""), values, ciphers)

    def open_call(self, worker: int, operation: str, parts: Sequence[bytes]) -> tuple[list[Any], list[bytes]]:
        """Its values and ciphertexts, at the worker; raises Unsealed."""
        return self._open((b"call", worker, operation, b""), parts)

    def answer(
        self, worker: int, operation: str, called: Sequence[bytes], values: Sequence[Value], ciphers: Sequence[bytes]
    ) -> Sealed:
        """The parts of the answer to the call whose parts are `called`."""
        return self._seal((b"answer", worker, operation, called[0][:SALT]), values, ciphers)

    def open_answer(
        self, worker: int, operation: str, called: Sequence[bytes], parts: Sequence[bytes]
    ) -> tuple[list[Any], list[bytes]]:
        """Its values and ciphertexts, at the driver; raises Unsealed."""
        return self._open((b"answer", worker, operation, called[0][:SALT]), parts)

    def _seal(self, where: Where, values: Sequence[Value], ciphers: Sequence[bytes]) -> Sealed:
        if not all(type(value) in (int, bytes, str, np.ndarray) for value in values):
            raise TypeError(ONLY)
        own, clear = salt(), (msgspec.msgpack.encode(list(values), enc_hook=_packed), *ciphers)
        cipher = Cipher(algorithms.AES256(self._key(own)), modes.GCM(NONCE)).encryptor()
        cipher.authenticate_additional_data(self._bound(where, map(len, clear)))
        packed, *vectors = map(cipher.update, clear)
        cipher.finalize()
        return b"".join((own, cipher.tag, packed)), *vectors

    def _open(self, where: Where, parts: Sequence[bytes]) -> tuple[list[Any], list[bytes]]:
        if not parts or len(parts[0]) < SALT + TAG:
            raise Unsealed
        own, tag, packed = parts[0][:SALT], parts[0][SALT : SALT + TAG], memoryview(parts[0])[SALT + TAG :]
        hidden: list[bytes | memoryview] = [packed, *parts[1:]]
        cipher = Cipher(algorithms.AES256(self._key(own)), modes.GCM(NONCE, tag)).decryptor()
        cipher.authenticate_additional_data(self._bound(where, map(len, hidden)))
        shown, *ciphers = map(cipher.update, hidden)
        try:
            cipher.finalize()
        except InvalidTag:
            raise Unsealed from None
        values: list[Any] = msgspec.msgpack.decode(shown, type=list, ext_hook=_unpacked)
        return values, ciphers

    def _key(self, own: bytes) -> bytes:
        return hmac.digest(self._secret, VERSION + own, "sha256")

    def _bound(self, where: Where, lengths: Iterable[int]) -> bytes:
        direction, worker, operation, called = where
        texts = b"".join(len(t).to_bytes(8, "big") + t for t in (direction, self._run, operation.encode(), called))
        return texts + b"".join(number.to_bytes(8, "big") for number in (worker, *lengths))


def _packed(value: Any) -> msgspec.msgpack.Ext:
    if not isinstance(value, np.ndarray) or value.dtype != np.int64:
        raise TypeError(ONLY)
    shape = msgspec.msgpack.encode(list(value.shape))
    return msgspec.msgpack.Ext(ARRAY, bytes([len(shape)]) + shape + np.ascontiguousarray(value).tobytes())


def _unpacked(code: int, data: memoryview) -> NDArray[np.int64]:
    start = 1 + data[0]
    shape = msgspec.msgpack.decode(data[1:start], type=list[int])
    return np.frombuffer(data[start:], dtype="<i8").reshape(shape)
