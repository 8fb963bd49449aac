"""A vector of ciphertexts that lies in portions at a party's workers: the interface of `RawCipherVec` (sharded.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from protocols import _native, parts
from protocols._native import PlainVec
from protocols.errors import LocalProtocolError
from protocols.kept import Sliced
from protocols.parts import Portions, portions
from protocols.workers.cluster import Held, Step
from protocols.workers.seal import Value

if TYPE_CHECKING:
    from protocols.cipher.sharded import PublicKey

PIECE = 1 << 22  # bytes of a matrix that is made in pieces

Values = Sequence[Value | Held]


@dataclass(frozen=True)
class Portion:
    """Rows first to last of a vector, at one worker."""

    held: Held
    first: int
    last: int

    @property
    def worker(self) -> int:
        return self.held.worker


@dataclass(frozen=True)
class Drawn:
    """A portion whose factors are a portion of one draw: which draw, and the number of its first stream."""

    portion: Portion
    draw: int
    first: int


def assemble(key: PublicKey, drawn: Sequence[Drawn]) -> CipherVec:
    """One vector of the portions of one draw, which is as fresh as they are.  Raises LocalProtocolError where they are
    of two draws, or overlap in their streams, or one is missing: then it would be fresh in name only."""
    start, end = drawn[0].first, 0
    for one in drawn:
        if one.draw != drawn[0].draw or one.portion.first != end or one.first != start + end:
            raise LocalProtocolError("portions that are not of one draw cannot be joined to a vector that stays fresh")
        end = one.portion.last
    return CipherVec(key, [one.portion for one in drawn])


class CipherVec:
    """Either `own`, a vector in this process, or `portions` at workers.

    Rows that were taken in their order stay where they are: then portions are of other lengths than those of
    `parts.portions`, and what needs these (a draw, a hash, a second vector) moves rows.  Sums, and rows in another
    order, stay in this process until something dear is done with more than LEAF of them.
    """

    def __init__(self, key: PublicKey, held: _native.CipherVec | Sequence[Portion]) -> None:
        self.key = key
        self.own = held if isinstance(held, _native.CipherVec) else None
        self.portions: Sequence[Portion] = [] if isinstance(held, _native.CipherVec) else held
        self._hashes = dict[int, list[bytes]]()
        self._even: CipherVec | None = None

    def __len__(self) -> int:
        return len(self.own) if self.own is not None else self.portions[-1].last

    def to_bytes(self) -> bytes:
        return self.own.to_bytes() if self.own is not None else b"".join(self._bytes(0, len(self)))

    def here(self) -> _native.CipherVec:
        """The whole vector in this process."""
        return self.own if self.own is not None else self.key.native.ciphers_from_bytes(self.to_bytes())

    def residues(self) -> list[int]:
        return self.here().residues()

    def hashes(self, each: int) -> bytes:
        even = self if self.own is not None else self.even()
        return even.own.hashes(each) if even.own is not None else b"".join(even._hashed(each))

    def even(self) -> CipherVec:
        """The same vector where it belongs by its length."""
        layout = [(p.worker, p.first, p.last) for p in self.portions]
        if layout == (portions(len(self), self.key.cluster.count) if len(self) > parts.LEAF else []):
            return self
        if self._even is None:
            self._even = laid(self.key, [(self, 0, len(self))])
        return self._even

    def there(self) -> CipherVec:
        """This vector at workers, if it is long."""
        return self if self.own is None else self.even()

    # -- by element: each worker on its portion

    def __add__(self, other: CipherVec) -> CipherVec:
        if self.own is not None and other.own is not None:
            return CipherVec(self.key, self.own + other.own)
        return self._combined(other, 1)

    def __sub__(self, other: CipherVec) -> CipherVec:
        if self.own is not None and other.own is not None:
            return CipherVec(self.key, self.own - other.own)
        return self._combined(other, -1)

    def __neg__(self) -> CipherVec:
        if self.own is not None:
            return CipherVec(self.key, -self.own)
        return self._each("negate", [()] * len(self.portions))

    def add_plain(self, plain: PlainVec, /) -> CipherVec:
        if self.own is not None:
            return CipherVec(self.key, self.own.add_plain(plain))
        return self._each("add_plain", self._sliced(plain))

    def mul_plain(self, plain: PlainVec, /) -> CipherVec:
        there, one = self.there(), len(plain) == 1  # a factor for all
        if there.own is not None:
            return CipherVec(self.key, there.own.mul_plain(plain))
        return there._each("mul_plain", [(plain.to_bytes(),)] * len(there.portions) if one else there._sliced(plain))

    def rerandomise(self, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        even = self.even()
        if even.own is not None:
            return CipherVec(self.key, even.own.rerandomise(seed, exponent_bits, first))
        due = even._hashed(parts.LEAF)
        layout = [(p.worker, p.first, p.last) for p in even.portions]
        values = [(p.held, seed, exponent_bits, parts.LEAF, d) for p, d in zip(even.portions, due, strict=True)]
        return self.key.draw("rerandomise", layout, values, first)

    # -- products and sums: partial ones, which this process adds

    def matmul(self, matrix: NDArray[np.int64], /) -> CipherVec:
        if len(matrix) <= parts.LEAF:
            return CipherVec(self.key, self.here().matmul(matrix))
        _fits(matrix.shape[1], len(self))
        layout, bases, key = portions(len(matrix), self.key.cluster.count), self.to_bytes(), self.key
        steps = [Step(w, "matmul", (key.at(w), key.cluster.place(w, matrix[a:b])), (bases,)) for w, a, b in layout]
        return CipherVec(key, key.store(layout, steps))

    def matmul_in_pieces(self, matrix: Sliced[np.int64], /) -> CipherVec:
        """As `matmul`, of a matrix of which this process holds a piece at a time, and none afterwards."""
        if len(matrix) <= parts.LEAF:
            return CipherVec(self.key, self.here().matmul(matrix[:]))
        layout, bases, key = portions(len(matrix), self.key.cluster.count), self.to_bytes(), self.key
        placed = {w: list[Held]() for w, _, _ in layout}
        size = max(1, PIECE // (8 * len(self) * len(layout)))
        for at in range(0, max(b - a for _, a, b in layout), size):
            ends = [(w, a + at, min(a + at + size, b)) for w, a, b in layout if a + at < b]
            steps = [Step(w, "place", (partial(_piece, matrix, first, last),)) for w, first, last in ends]
            for held in key.cluster.hold(steps)[0]:
                placed[held.worker].append(held)
        steps = [Step(w, "matmul", (key.at(w), *placed[w]), (bases,)) for w, _, _ in layout]
        return CipherVec(key, key.store(layout, steps))

    def t_matmul(self, matrix: NDArray[np.int64], /) -> CipherVec:
        there = self.there()
        if there.own is not None:
            return CipherVec(self.key, there.own.t_matmul(matrix))
        return there._summed("t_matmul", matrix)

    def histogram(self, bins: NDArray[np.int64], n_bins: int) -> CipherVec:
        there = self.there()
        if there.own is not None:
            return CipherVec(self.key, there.own.histogram(bins, n_bins))
        return there._summed("histogram", bins, n_bins)

    def sum(self) -> CipherVec:
        if self.own is not None:
            return CipherVec(self.key, self.own.sum())
        return self.key.added(self.key.ask([Step(p.worker, "total", (p.held,)) for p in self.portions]))

    # -- what moves rows between workers

    def take(self, rows: NDArray[np.int64], /) -> CipherVec:
        if self.own is not None or not len(rows) or rows[0] < 0 or rows[-1] >= len(self) or (np.diff(rows) <= 0).any():
            return CipherVec(self.key, self.here().take(rows))
        ends = np.searchsorted(rows, [0, *(p.last for p in self.portions)]).tolist()
        there = [(p, a, b) for p, a, b in zip(self.portions, ends, ends[1:], strict=False) if a < b]
        steps = [Step(p.worker, "select", (self.key.at(p.worker), p.held, rows[a:b] - p.first)) for p, a, b in there]
        return CipherVec(self.key, self.key.store([(p.worker, a, b) for p, a, b in there], steps))

    def concat(self, other: CipherVec, /) -> CipherVec:
        if self.own is not None and other.own is not None:
            return CipherVec(self.key, self.own.concat(other.own))
        return laid(self.key, [(self, 0, len(self)), (other, 0, len(other))])

    def pack(self, width: int, slots: int) -> CipherVec:
        there = self.there()
        return (
            CipherVec(self.key, there.own.pack(width, slots)) if there.own is not None else there._packed(width, slots)
        )

    def _packed(self, width: int, slots: int) -> CipherVec:
        count = -(-len(self) // slots)
        if count > parts.LEAF:
            layout = portions(count, self.key.cluster.count)
        else:  # packs near where their rows are
            ends = [0, *(-(-p.last // slots) for p in self.portions)]
            layout = [(p.worker, a, b) for p, a, b in zip(self.portions, ends, ends[1:], strict=False) if a < b]
        rows = [(w, a * slots, min(b * slots, len(self))) for w, a, b in layout]
        moved = _moved(self.key, [(self, 0, len(self))], rows)
        steps = [Step(h.worker, "pack", (h, width, slots)) for h in moved]
        packed = CipherVec(self.key, self.key.store(layout, steps))
        return packed if count > parts.LEAF else CipherVec(self.key, packed.here())

    # -- helpers

    def _combined(self, other: CipherVec, sign: int) -> CipherVec:
        _fits(len(other), len(self))
        if [(p.worker, p.last) for p in self.portions] != [(p.worker, p.last) for p in other.portions]:
            one, two = self.even(), other.even()
            return one + two if sign > 0 else one - two
        return self._each("combine", [(p.held, sign) for p in other.portions])

    def _each(self, operation: str, values: Sequence[Values]) -> CipherVec:
        """One operation on each portion, with these values."""
        steps = [Step(p.worker, operation, (p.held, *v)) for p, v in zip(self.portions, values, strict=True)]
        return CipherVec(self.key, self.key.store([(p.worker, p.first, p.last) for p in self.portions], steps))

    def _sliced(self, plain: PlainVec) -> list[Values]:
        _fits(len(plain), len(self))
        return [(plain.slice(p.first, p.last).to_bytes(),) for p in self.portions]

    def _summed(self, operation: str, matrix: NDArray[np.int64], *values: int) -> CipherVec:
        _fits(len(matrix), len(self))
        place = self.key.cluster.place
        steps = [
            Step(p.worker, operation, (p.held, place(p.worker, matrix[p.first : p.last]), *values))
            for p in self.portions
        ]
        return self.key.added(self.key.ask(steps))

    def _hashed(self, each: int) -> list[bytes]:
        """The hashes of each portion."""
        if each not in self._hashes:
            if any(p.first % each for p in self.portions):
                raise ValueError("hashes are of a number of rows that divides LEAF")
            answers = self.key.ask([Step(p.worker, "hashes", (p.held, each)) for p in self.portions])
            self._hashes[each] = [answer.values[1] for answer in answers]
        return self._hashes[each]

    def _bytes(self, first: int, last: int) -> list[bytes]:
        """The bytes of ciphertexts first to last."""
        if self.own is not None:
            return [self.own.take(np.arange(first, last)).to_bytes()]
        steps = [
            Step(p.worker, "export", (p.held, max(first, p.first) - p.first, min(last, p.last) - p.first))
            for p in self.portions
            if first < p.last and p.first < last
        ]
        return [answer.ciphers[0] for answer in self.key.ask(steps)]


Slice = tuple[CipherVec, int, int]  # a vector, and its rows from first to last


def laid(key: PublicKey, slices: Sequence[Slice]) -> CipherVec:
    """One vector of slices, where it belongs by its length."""
    length = sum(last - first for _, first, last in slices)
    if length <= parts.LEAF:
        data = b"".join(portion for v, first, last in slices for portion in v._bytes(first, last))
        return CipherVec(key, key.native.ciphers_from_bytes(data))
    layout = portions(length, key.cluster.count)
    moved = _moved(key, slices, layout)
    return CipherVec(key, [Portion(h, a, b) for h, (_, a, b) in zip(moved, layout, strict=True)])


def _moved(key: PublicKey, slices: Sequence[Slice], layout: Portions) -> list[Held]:
    """Rows of the joined slices, at the workers of the layout: what a worker has stays there."""
    steps = list[Step]()
    for worker, first, last in layout:
        values, sent, start = list[Value | Held](), list[bytes](), 0
        for vector, a, b in slices:
            low, high = max(first - start, 0) + a, min(last - start, b - a) + a  # of this vector
            start += b - a
            for low_, high_, own in _pieces(vector, worker, low, high):
                if own is None:
                    sent.append(b"".join(vector._bytes(low_, high_)))
                values += (b"", 0, 0) if own is None else (own.held, low_ - own.first, high_ - own.first)
        steps.append(Step(worker, "join", (key.at(worker), *values), tuple(sent)))
    return [portion.held for portion in key.store(layout, steps)]


def _pieces(vector: CipherVec, worker: int, first: int, last: int) -> list[tuple[int, int, Portion | None]]:
    """Rows first to last in pieces: those that lie in a portion at this worker, with it, and those that do not."""
    if first >= last:
        return []
    inside = [p for p in vector.portions if p.worker == worker and first < p.last and p.first < last]
    pieces, at = list[tuple[int, int, Portion | None]](), first
    for portion in inside:
        low, high = max(first, portion.first), min(last, portion.last)
        pieces += [(at, low, None)] if at < low else []
        pieces.append((low, high, portion))
        at = high
    return pieces + ([(at, last, None)] if at < last else [])


def _fits(found: int, due: int) -> None:
    if found != due:
        raise ValueError("vectors of different lengths")


def _piece(matrix: Sliced[np.int64], first: int, last: int) -> NDArray[np.int64]:
    return matrix[first:last]
