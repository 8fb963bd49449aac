"""A call or an answer outside of driver and worker: sealed values, and ciphertexts with them.

    sealed = salt (32 bytes) | AES-256-GCM(key of the salt, values) | tag (16 bytes)

Nonces: there is none to keep count of.  Each message has a key of its own, HMAC-SHA-256 of the party's secret over a
salt of 32 bytes from the operating system, and the nonce is constant.  So nothing repeats when a driver or a worker
starts again, or when an engine runs a call twice; two salts meet with a probability of 2^-128 after 2^64 messages.
What the tag binds: direction, run, worker, operation, for an answer the call's salt, and every ciphertext that goes
with it.  The block that a call is about stands in its values.  So no engine, store or spill file can change or swap
them; a call that it repeats stores the same under the same name.

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
SECRET = 32  # bytes
SALT = 32
TAG = 16
NONCE = bytes(12)
ARRAY = 1  # msgpack's type of an array
VERSION = b"vfl worker 1"  # of the table of operations and of what their values mean

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

    def call(self, worker: int, operation: str, values: Sequence[Value], ciphers: Sequence[bytes]) -> bytes:
        """The sealed values of a call; their first 32 bytes are its salt, which `answer` needs."""
        return self._seal((b"call", worker, operation, b""), values, ciphers)

    def open_call(self, worker: int, operation: str, sealed: bytes, ciphers: Sequence[bytes]) -> list[Any]:
        """Its values, at the worker; raises Unsealed."""
        return self._open((b"call", worker, operation, b""), sealed, ciphers)

    def answer(
        self, worker: int, operation: str, called: bytes, values: Sequence[Value], ciphers: Sequence[bytes]
    ) -> bytes:
        """The sealed values of the answer to the call whose sealed values are `called`."""
        return self._seal((b"answer", worker, operation, called[:SALT]), values, ciphers)

    def open_answer(
        self, worker: int, operation: str, called: bytes, sealed: bytes, ciphers: Sequence[bytes]
    ) -> list[Any]:
        """Its values, at the driver; raises Unsealed."""
        return self._open((b"answer", worker, operation, called[:SALT]), sealed, ciphers)

    def _seal(self, where: tuple[bytes, int, str, bytes], values: Sequence[Value], ciphers: Sequence[bytes]) -> bytes:
        if not all(type(value) in (int, bytes, str, np.ndarray) for value in values):
            raise TypeError(ONLY)
        own = salt()
        cipher = Cipher(algorithms.AES256(self._key(own)), modes.GCM(NONCE)).encryptor()
        for part in self._bound(where, ciphers):
            cipher.authenticate_additional_data(part)
        hidden = cipher.update(msgspec.msgpack.encode(list(values), enc_hook=_packed)) + cipher.finalize()
        return b"".join((own, hidden, cipher.tag))

    def _open(self, where: tuple[bytes, int, str, bytes], sealed: bytes, ciphers: Sequence[bytes]) -> list[Any]:
        if len(sealed) < SALT + TAG:
            raise Unsealed
        mode = modes.GCM(NONCE, sealed[-TAG:])
        cipher = Cipher(algorithms.AES256(self._key(sealed[:SALT])), mode).decryptor()
        for part in self._bound(where, ciphers):
            cipher.authenticate_additional_data(part)
        try:
            packed = cipher.update(memoryview(sealed)[SALT:-TAG]) + cipher.finalize()
        except InvalidTag:
            raise Unsealed from None
        values: list[Any] = msgspec.msgpack.decode(packed, type=list, ext_hook=_unpacked)
        return values

    def _key(self, own: bytes) -> bytes:
        return hmac.digest(self._secret, VERSION + own, "sha256")

    def _bound(self, where: tuple[bytes, int, str, bytes], ciphers: Sequence[bytes]) -> Iterable[bytes]:
        direction, worker, operation, called = where
        for part in (direction, self._run, worker.to_bytes(4, "big"), operation.encode(), called, *ciphers):
            yield len(part).to_bytes(8, "big")
            yield part


def _packed(value: Any) -> msgspec.msgpack.Ext:
    if not isinstance(value, np.ndarray) or value.dtype != np.int64:
        raise TypeError(ONLY)
    shape = msgspec.msgpack.encode(list(value.shape))
    return msgspec.msgpack.Ext(ARRAY, bytes([len(shape)]) + shape + np.ascontiguousarray(value).tobytes())


def _unpacked(code: int, data: memoryview) -> NDArray[np.int64]:
    start = 1 + data[0]
    shape = msgspec.msgpack.decode(data[1:start], type=list[int])
    return np.frombuffer(data[start:], dtype="<i8").reshape(shape)
