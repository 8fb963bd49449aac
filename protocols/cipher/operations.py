"""What a worker does with ciphertexts: each operation on a vector of the Rust core, on one worker's portion of it.

An operation that stores a result takes its name first.  Every answer begins with the products modulo n^2 that it took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from protocols._native import CipherVec, PlainVec, PrivateKey, PublicKey
from protocols.workers.calls import Answer, Changed, Operation, State

PUBLIC, PRIVATE = 0, 1


class Keys:
    """A public key at a worker, and the private one where the party holds it."""

    def __init__(self, kind: int, data: bytes) -> None:
        self.private = PrivateKey.from_bytes(data) if kind == PRIVATE else None
        self.public = self.private.public_key if self.private else PublicKey(int.from_bytes(data, "big"))


class Portion:
    """A worker's portion of a vector, and the hashes of its ciphertexts once they were asked for."""

    def __init__(self, keys: Keys, vector: CipherVec) -> None:
        self.keys, self.vector = keys, vector
        self._hashes: tuple[int, bytes] | None = None

    def hashes(self, each: int) -> bytes:
        if self._hashes is None or self._hashes[0] != each:
            self._hashes = each, self.vector.hashes(each)
        return self._hashes[1]


def key(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    name, kind, data = values
    state.put(name, Keys(kind, data))
    return Answer((0,))


def receive(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Validates each ciphertext; raises InvalidBytes."""
    return _stored(state, values[0], state.get(values[1]), lambda keys: keys.public.ciphers_from_bytes(ciphers[0]))


def encrypt(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    name, at, plain, seed, bits, first = values
    numbers = PlainVec.from_bytes(plain)

    def made(keys: Keys) -> CipherVec:
        maker = keys.private or keys.public
        return maker.encrypt(numbers, seed, bits, first)

    return _stored(state, name, state.get(at), made)


def rerandomise(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Raises Changed where the ciphertexts are not those to which the seed is bound: of another vector under the same
    factors everybody could tell the difference of the plaintexts."""
    name, at, seed, bits, each, due, first = values
    portion: Portion = state.get(at)
    before = portion.keys.public.products
    if portion.hashes(each) != due:
        raise Changed
    return _stored(state, name, portion.keys, lambda _: portion.vector.rerandomise(seed, bits, first), before)


def combine(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Sum or difference of two vectors."""
    name, one, other, sign = values
    a, b = state.get(one), state.get(other)
    return _stored(state, name, a.keys, lambda _: a.vector + b.vector if sign > 0 else a.vector - b.vector)


def negate(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    portion: Portion = state.get(values[1])
    return _stored(state, values[0], portion.keys, lambda _: -portion.vector)


def add_plain(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    name, at, plain = values
    portion: Portion = state.get(at)
    return _stored(state, name, portion.keys, lambda _: portion.vector.add_plain(PlainVec.from_bytes(plain)))


def mul_plain(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    name, at, plain = values
    portion: Portion = state.get(at)
    return _stored(state, name, portion.keys, lambda _: portion.vector.mul_plain(PlainVec.from_bytes(plain)))


def matmul(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """A placed matrix, in one or more pieces, times the vector that stands in the call."""
    name, at, *placed = values
    pieces = [state.get(one) for one in placed]
    rows = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    return _stored(state, name, state.get(at), lambda keys: keys.public.ciphers_from_bytes(ciphers[0]).matmul(rows))


def t_matmul(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """This portion's share of the product of a placed matrix, transposed, and the vector."""
    portion, matrix = (state.get(name) for name in values)
    return _returned(portion.keys, lambda: portion.vector.t_matmul(matrix))


def histogram(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    portion, bins, count = state.get(values[0]), state.get(values[1]), values[2]
    return _returned(portion.keys, lambda: portion.vector.histogram(bins, count))


def total(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    portion: Portion = state.get(values[0])
    return _returned(portion.keys, portion.vector.sum)


def pack(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    name, at, width, slots = values
    portion: Portion = state.get(at)
    return _stored(state, name, portion.keys, lambda _: portion.vector.pack(width, slots))


def join(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """One vector of slices: (name, first, last) of what is stored here, or (b"", -, -) of the next ciphertexts of the
    call."""
    name, at, *slices = values
    sent = iter(ciphers)

    def made(keys: Keys) -> CipherVec:
        vector = None
        for source, first, last in zip(slices[::3], slices[1::3], slices[2::3], strict=True):
            own = keys.public.ciphers_from_bytes(next(sent)) if not source else _slice(state.get(source), first, last)
            vector = own if vector is None else vector.concat(own)
        assert vector is not None
        return vector

    return _stored(state, name, state.get(at), made)


def select(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Rows of a portion."""
    name, at, source, rows = values
    return _stored(state, name, state.get(at), lambda _: state.get(source).vector.take(rows))


def export(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    at, first, last = values
    portion: Portion = state.get(at)
    return _returned(portion.keys, lambda: _slice(portion, first, last))


def hashes(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    portion: Portion = state.get(values[0])
    before = portion.keys.public.products
    found = portion.hashes(values[1])
    return Answer((portion.keys.public.products - before, found))


def decrypt(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Raises Overflow beyond the head-room, unless `whole`."""
    portion, whole = state.get(values[0]), values[1]
    before = portion.keys.public.products
    plain = portion.keys.private.decrypt(portion.vector, bool(whole))
    return Answer((portion.keys.public.products - before, plain.to_bytes()))


def _slice(portion: Portion, first: int, last: int) -> CipherVec:
    whole = (first, last) == (0, len(portion.vector))
    return portion.vector if whole else portion.vector.take(np.arange(first, last))


def _stored(
    state: State, name: bytes, keys: Keys, made: Callable[[Keys], CipherVec], before: int | None = None
) -> Answer:
    before = keys.public.products if before is None else before
    state.put(name, Portion(keys, made(keys)))
    return Answer((keys.public.products - before,))


def _returned(keys: Keys, made: Callable[[], CipherVec]) -> Answer:
    before = keys.public.products
    found = made().to_bytes()
    return Answer((keys.public.products - before,), (found,))


CIPHER_OPERATIONS: dict[str, Operation] = {
    f.__name__: f
    for f in (
        *(key, receive, encrypt, rerandomise, combine, negate, add_plain, mul_plain, matmul, t_matmul),
        *(histogram, total, pack, join, select, export, hashes, decrypt),
    )
}
