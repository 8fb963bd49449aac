"""Several iterations in one plaintext: how numbers of K iterations, of k rows each, are laid into slots and cut out of
shares.  Nothing here touches a channel.

A feature is cut into digits (digits.py), each of which meets numbers of its own.  A ciphertext of predictors holds, for k rows, the numbers of K iterations: row i, iteration t at bit (i K + t) width.  One of gradients or
residuals holds K numbers of one column or row, or those of a group of the K iterations, whose slots are wider.  A slot is read modulo 2^bits
and is OVERLAP bits wider:

    | row 1, t = 1 | row 1, t = 0 | row 0, t = 1 | row 0, t = 0 |      width = bits + OVERLAP

What a slot holds beyond its width spills over into the next: |v| 2^-width of it, in units of the next one's last place.
It is left there.  So only the modulus of a sum has to fit, not the sum.

Shares of a packed integer are cut by everybody alone (cuts.py).
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.cipher import HEAD_ROOM
from protocols.cuts import cut
from protocols.errors import ConfigError
from protocols.glm.digits import EXACT, Digits
from protocols.glm.plan import SIGMA
from protocols.kept import Keep, KeptVec, Sliced
from protocols.parts import Part, parts

OVERLAP = 7  # bits of a slot above its modulus
SPILL = (
    32  # bits by which the highest slot may exceed its width: sums of |x|, and of |p|, are below 2^(OVERLAP + SPILL)
)
LIFT = 40  # bits of a gradient's modulus above the gradient, so that its shares add up as integers
WRAP = 60  # the masks of hosts and guest together exceed a plaintext with probability 2^-WRAP
OPENING = 15  # what a ciphertext of predictors costs, where one of residuals costs 1
ENCRYPTED = 12  # and a step's weights of one digit, for each row that shares a ciphertext; as of 12 columns
MULTIPLIED = 0.4  # and a row's products with the numbers of a chunk
MOST_PADS = 1 << 26  # iterations of a chunk times rows, if its gradients are in several groups


@dataclass(frozen=True)
class Slots:
    """The layout of one chunk.  z_bits, g_bits: log2 of the moduli of predictors, in units of the digits, and
    gradients."""

    passes: int  # iterations of the chunk
    rows: int  # that share a ciphertext of predictors
    z_bits: int
    g_bits: int
    groups: int = 1  # of iterations: each has its own ciphertext of gradients, or of residuals
    digits: Digits = EXACT
    step_rows: int = 0  # the most rows of a step; 0: many

    @classmethod
    def of_all(
        cls,
        plain_bits: int,
        z_bits: int,
        gradient_bits: int,
        passes: int,
        digits: Digits = EXACT,
        most: int = 0,
        step_rows: int = 0,
    ) -> list[Slots]:
        """The layouts of the chunks of `passes` iterations with gradients below 2^gradient_bits: all as long as the
        first but the last.  most: iterations of a chunk whose gradients do not fit in one plaintext; 0: they do.
        Raises ConfigError where not one iteration fits."""
        g_bits = gradient_bits + 1 + LIFT
        whole = plain_bits + HEAD_ROOM - SIGMA - SPILL  # below n by SIGMA bits, what spills over included
        predictors, gradients = (whole - WRAP) // (z_bits + OVERLAP), whole // (g_bits + OVERLAP)
        if predictors < 1 or gradients < 1:
            raise ConfigError(
                "the key is too small to prepare iterations of this job",
                remedy='Use a larger key_bits, or preparation = "none"',
                expected=SIGMA + SPILL - HEAD_ROOM + max(WRAP + z_bits + OVERLAP, g_bits + OVERLAP),
                found=plain_bits,
            )

        def cost(length: int) -> float:
            if not length:
                return 0.0
            return _opened(shared(length), digits, step_rows) - (-length // gradients) + MULTIPLIED

        def shared(length: int) -> int:
            return _cheapest(predictors // length, digits, step_rows)

        length = min(
            range(1, min(passes, predictors, max(gradients, most)) + 1),
            key=lambda k: (passes // k * cost(k) + cost(passes % k), k),
        )
        lengths = [length] * (passes // length) + [passes % length] * (passes % length > 0)
        return [cls(k, shared(k), z_bits, g_bits, -(-k // gradients), digits, step_rows) for k in lengths]

    def of_predictors(self, passes: int) -> Slots:
        """The layout of this number of evaluations, of which predictors alone are prepared, under the same key."""
        fit = max(1, self.rows * self.passes // passes)
        return replace(self, passes=passes, rows=_cheapest(fit, self.digits, self.step_rows))

    @property
    def group_sizes(self) -> list[int]:
        """How many iterations each group has."""
        k, count = self.passes, self.groups
        return [k * (g + 1) // count - k * g // count for g in range(count)]

    @property
    def u_bits(self) -> int:
        """log2 of the modulus of what hides a weight."""
        return self.g_bits - self.digits.dropped

    @property
    def z_width(self) -> int:
        return self.z_bits + OVERLAP

    @property
    def g_width(self) -> int:
        return self.g_bits + OVERLAP

    @property
    def mask_bits(self) -> int:
        """Of a mask that hides a ciphertext of predictors and leaves the plaintext room for other masks."""
        return self.rows * self.passes * self.z_width + SPILL + SIGMA

    def packs(self, rows: int) -> int:
        """Ciphertexts of predictors of this number of rows."""
        return -(-rows // self.rows)

    def rows_of(self, part: Part, rows: int) -> slice:
        """The rows, of this number, that a block of packs holds."""
        return slice(part.first * self.rows, min(part.last * self.rows, rows))

    def laid(self, x: Sliced[np.int64], rows: slice) -> Laid:
        """These rows of x (n, d) -> (packs, rows count d): the digits of k rows side by side, for bases of each
        place."""
        return Laid(self, x, rows.start, rows.stop)

    def bases(self, numbers: Sequence[PlainVec]) -> PlainVec:
        """(rows count d,) what `laid` rows are multiplied with: a digit's numbers of all iterations, each (count d,),
        at the place of each row."""
        one = PlainVec.join([v.residue(self.z_bits) for v in numbers]).stack(self.z_width, len(numbers))
        return PlainVec.join([one.shift_left(i * self.passes * self.z_width) for i in range(self.rows)])

    def columns(self, numbers: Sequence[PlainVec]) -> PlainVec:
        """(groups m,) one integer out of the numbers of a group of iterations, each (m,) below 2^(g_bits - 1); group
        after group."""
        found, first = list[PlainVec](), 0
        for size in self.group_sizes:
            found.append(PlainVec.join(numbers[first : first + size]).stack(self.g_width, size))
            first += size
        return PlainVec.join(found)

    def cut_columns(self, share: PlainVec) -> list[PlainVec]:
        """The numbers of each iteration, (m,) modulo 2^g_bits, in a share (groups m,) of a sum of `columns`."""
        found, m = list[PlainVec](), len(share) // self.groups
        for g, size in enumerate(self.group_sizes):
            one = share.slice(g * m, (g + 1) * m)
            found += [cut(one, t * self.g_width, self.g_bits) for t in range(size)]
        return found

    def cut_rows(self, share: PlainVec, rows: int) -> list[PlainVec]:
        """The numbers of each iteration, (rows,) modulo 2^z_bits, in a share (packs,) of products of `laid` rows with
        `bases`."""
        packs = self.packs(rows)
        row = np.arange(rows, dtype=np.int64)
        order = row % self.rows * packs + row // self.rows
        return [
            PlainVec.join(
                [cut(share, (i * self.passes + t) * self.z_width, self.z_bits) for i in range(self.rows)]
            ).take(order)
            for t in range(self.passes)
        ]

    def kept_rows(self, share: PlainVec, rows: int, keep: Keep) -> list[KeptVec]:
        """As `cut_rows`, kept: a block of rows is cut at a time."""
        found = [KeptVec([], []) for _ in range(self.passes)]
        for part in parts(rows):
            first, last = part.first // self.rows, self.packs(part.last)
            start = part.first - first * self.rows
            packed = share.slice(first, last)
            cuts = self.cut_rows(packed, part.last - first * self.rows)
            for one, numbers in zip(found, cuts, strict=True):
                one.add(numbers.slice(start, start + len(part)), keep)
        return found


def _opened(rows: int, digits: Digits, step_rows: int) -> float:
    """What ciphertexts of predictors cost per row, where `rows` share one, with the weights that they are made
    with."""
    return OPENING / rows + (ENCRYPTED * digits.count * rows / step_rows if step_rows else 0.0)


def _cheapest(fit: int, digits: Digits, step_rows: int) -> int:
    """How many rows share a ciphertext, of at most `fit`: each has encrypted weights of its own, which few rows of a
    step do not pay for."""
    return min(range(1, fit + 1), key=lambda rows: (_opened(rows, digits, step_rows), rows))


@dataclass(frozen=True, eq=False, repr=False)
class Laid:
    """Rows first to last of x as `Slots.laid` says, which are read and cut into digits when they are asked for."""

    slots: Slots
    x: Sliced[np.int64]
    first: int
    last: int

    def __len__(self) -> int:
        return self.slots.packs(self.last - self.first)

    def __getitem__(self, packs: slice, /) -> NDArray[np.int64]:
        begin, end, _ = packs.indices(len(self))
        k, start = self.slots.rows, self.first + begin * self.slots.rows
        length = min(self.first + end * k, self.last) - start
        found = [self.slots.digits.of_rows(self.x[start + p.first : start + p.last]) for p in parts(length)]
        missing = np.zeros(((end - begin) * k - length, found[0].shape[1]), dtype=np.int64)
        return np.concatenate([*found, missing]).reshape(end - begin, k * found[0].shape[1])
