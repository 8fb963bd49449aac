"""Lists of an epoch: tags in order, numbers modulo 2^w, and the pads that hide them; pure, no channel."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols import tags as tagging
from protocols._native import DpfKeys, DpfTables
from protocols.errors import DataError, ModelError
from protocols.glm.plan import FEATURE, WEIGHT
from protocols.glm.shares import Words, words_of
from protocols.randomness import Seed
from protocols.ristretto import PointVec
from protocols.tags import TAG_BYTES, Tags

DOMAIN = b"vfl online v1"
UNIT = FEATURE + WEIGHT  # fractional bits of a predictor
SCORE = 21  # bits of a predictor before the point, with its sign: scoring.MAX_SCORE
MOST_BITS = 20  # of a list's length: that of the core's look-ups
CHUNK = 1 << 14  # ids that are hashed at a time
ORDER = 2**252 + 27742317777372353535851937790883648493  # of ristretto255
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Form:
    """What a number of the lists is.  models: how many a row has; cut: bits below which all are 0, and left out."""

    models: int
    cut: int

    @property
    def bits(self) -> int:
        """w: the bits of a score."""
        return SCORE + UNIT - self.cut

    def into(self, words: Words) -> Words:
        """Predictors modulo 2^64, in units of 2^-UNIT, as numbers of the lists."""
        if self.cut and (words & np.uint64((1 << self.cut) - 1)).any():
            raise ModelError("a part of a score is no whole number", remedy="This is a fault of the program; report it")
        return self.cut_off(words >> np.uint64(self.cut))

    def cut_off(self, words: Words) -> Words:
        """Modulo 2^w."""
        return words & np.uint64((1 << self.bits) - 1)

    def predictors(self, words: Words) -> NDArray[np.float64]:
        """Numbers of the lists as predictors."""
        shift = np.uint64(64 - self.bits)
        signed = (words << shift).view(np.int64) >> np.int64(shift)
        return np.asarray((signed << np.int64(self.cut)) / 2.0**UNIT)


def bits_of(rows: int) -> int:
    """The length of a padded list, as a power of two."""
    return max(1, (rows - 1).bit_length())


def check_length(rows: int, party: str) -> None:
    """Raises DataError for a list that no epoch can hold."""
    if not 1 <= rows <= 2**MOST_BITS:
        raise DataError(
            f"a list of {rows:,} customers cannot be published",
            expected=f"1 to {2**MOST_BITS:,}",
            remedy="Publish the customers of one region or product at a time, each under a model of its own",
            party=party,
        )


def points_of(ids: Iterable[bytes], scalar: bytes) -> PointVec:
    """H(id)^scalar."""
    return PointVec.hash_to_group(list(ids), DOMAIN) * scalar


def inverse(scalar: bytes) -> bytes:
    """Of a scalar of ristretto255."""
    return pow(int.from_bytes(scalar, "little"), -1, ORDER).to_bytes(32, "little")


def placed(ids: Sequence[bytes], scalar: bytes, seed: Seed) -> tuple[bytes, Rows]:
    """The sorted tags of a padded list, and the row that stands at each place.

    Tags that belong to no id fill the list up, and a random row stands at their places: nobody can tell them from
    others.
    """
    size = 1 << bits_of(len(ids))
    own = b"".join(
        points_of((ids[row] for row in range(at, min(at + CHUNK, len(ids)))), scalar).tag_bytes()
        for at in range(0, len(ids), CHUNK)
    )
    filled = seed.child("tags").words(2 * (size - len(ids))).tobytes()
    tags = tagging.read(own + filled)
    order = tagging.order(tags)
    if not tagging.ascending(tags[order]):
        raise DataError("an id stands twice in the list to be published", remedy="Remove repeated ids")
    others = (seed.child("rows").words(size - len(ids)) % np.uint64(len(ids))).astype(np.int64)
    return tags[order].tobytes(), np.concatenate([np.arange(len(ids)), others])[order]


def place_of(tags: Tags, tag: bytes) -> int | None:
    """Where a tag stands in a sorted list."""
    first, second = tagging.read(tag)[0]
    at = int(np.searchsorted(tags[:, 0], first))
    while at < len(tags) and tags[at, 0] == first:
        if tags[at, 1] == second:
            return at
        at += 1
    return None


def tags_from(data: bytes, bits: int) -> Tags | None:
    """The sorted tags in a partner's bytes; None unless they are."""
    if len(data) != TAG_BYTES << bits:
        return None
    tags = tagging.read(data)
    return np.asfortranarray(tags) if tagging.ascending(tags) else None  # `place_of` searches the first column


def pad(secret: bytes, size: int, form: Form) -> Words:
    """(size, models) numbers that hide a list."""
    return form.cut_off(Seed("", secret).words(size * form.models)).reshape(size, form.models)


def answer_mask(secret: bytes, number: int, rows: int, form: Form) -> Words:
    """(rows, models) what one server adds to its answers number `number`, and the other subtracts."""
    seed = Seed("", hmac.digest(secret, b"vfl online answer|" + number.to_bytes(8, "big"), "sha256"))
    return form.cut_off(seed.words(rows * form.models)).reshape(rows, form.models)


def row_masks(seeds: Iterable[tuple[Seed, int]], ids: Sequence[bytes], models: int) -> Words:
    """(n, models) numbers of each id whose sum over all hosts is 0 modulo 2^64."""
    total = np.zeros((len(ids), models), np.uint64)
    for seed, sign in seeds:
        words = np.empty((len(ids), models), np.uint64)
        for row in range(len(ids)):
            stream = hmac.digest(seed.secret, ids[row], "sha512")
            for at in range(64, 8 * models, 64):
                stream += hmac.digest(seed.secret, at.to_bytes(4, "big") + ids[row], "sha512")
            words[row] = np.frombuffer(stream[: 8 * models], "<u8")
        total = total + words if sign > 0 else total - words
    return total


def laid_out(table: Words) -> DpfTables:
    """A list (size, models), once for all look-ups of its epoch: that takes longer than a look-up."""
    return DpfTables(np.ascontiguousarray(table.T).view(np.int64))


def looked_up(keys: DpfKeys, tables: DpfTables, form: Form) -> Words:
    """(queries, models) this server's shares of the places in a list, modulo 2^w."""
    found = tables.look_up(keys, np.zeros(len(keys), np.int64))
    return form.cut_off(np.stack([words_of(one) for one in found], axis=1))
