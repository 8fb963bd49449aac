"""Products of the guest's columns and the arbiter's share of the guest's weights, for queries that come later.

Where the guest's weights stay shared, a query needs x b_G + m: the guest alone knows x, the arbiter alone b_G.  All of
it that takes encryption is done before, for random numbers in the place of x.

Source: products from prepared products of random numbers (Beaver, CRYPTO 1991); one factor of all products is b_G.
Adversary: of the guest as in epoch.py; an arbiter that deviates opens uniform numbers whatever it encrypts.

     guest: r uniform modulo 2^64, M uniform modulo n      arbiter: sk, b_G
 1   per epoch            <------------------------------  ShiftedWeights [[2^(w k) b_G]] for each slot k  (scoring.py)
 2   ahead, packs of s rows
     [[sum over k of 2^(w k) r_k b_G, + M]], re-randomised
     PreparedProducts  --------------------------------->  opens uniform numbers modulo n
     both cut at the slots' borders: M gives m, what was opened r b_G + m, modulo 2^64, but with probability 2^-80
 3   per query, each row once
     MaskedColumns x - r  ------------------------------>  (x - r) b_G + (r b_G + m) = x b_G + m, modulo 2^64

Who learns what: the arbiter how many rows are prepared, and uniform numbers.  The guest nothing.
Cost: per row prepared 64-bit powers of a pack's bases, one opening per s rows and model; per query 8 bytes per column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.codec import Int64s, check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm import scoring
from protocols.glm.scoring import Slots
from protocols.glm.shares import Words
from protocols.message import BLINDED, Message
from protocols.online.asking import MOST_AT_ONCE
from protocols.session import Session

WORD = 63  # bits of a random number in the place of a value, sign aside
PACKS = 8  # that travel together: as many ciphertexts as the core's arithmetic works on at once
MOST_PREPARED = 2048  # rows of one model that wait for queries


class PreparedProducts(
    Message,
    disclosure=BLINDED,
    learns="for each pack of queries to come, a number that is uniform modulo n",
    most_bytes=PACKS * 1024 * 1024 + 64,
):
    packed: CipherVec  # (models * PACKS,)


class MaskedColumns(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each id asked, uniform numbers in the place of the sender's columns",
    most_bytes=1 << 24,
):
    numbers: Int64s  # (n * width,) modulo 2^64


@dataclass(eq=False, repr=False)
class Prepared:
    """What one side keeps of rows that no query has used, in the order in which they were prepared.

    rows: at the guest r and m (n, width + models), at the arbiter r b_G + m (n, models); models, width: of b_G.
    """

    slots: Slots
    models: int
    width: int
    rows: Words | None = None

    @classmethod
    def of(cls, key: EncryptionKey, shape: tuple[int, ...]) -> Prepared:
        """None yet; shape: models and width."""
        models, width = shape
        return cls(slots_of(key, width), models, width)

    def __len__(self) -> int:
        return 0 if self.rows is None else len(self.rows)

    @property
    def piece(self) -> int:
        """How many rows are prepared at a time."""
        return PACKS * self.slots.count

    @property
    def short(self) -> bool:
        """Whether another piece is welcome."""
        return len(self) <= max(MOST_AT_ONCE, MOST_PREPARED // self.models)

    def add(self, rows: Words) -> None:
        """Rows that were prepared."""
        self.rows = rows if self.rows is None else np.concatenate([self.rows, rows])

    def take(self, count: int) -> Words:
        """The next rows, which nobody gets again; at least this number are there."""
        assert self.rows is not None
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken


def slots_of(key: EncryptionKey, width: int) -> Slots:
    """How rows are packed: the same at both sides."""
    return Slots.of(key, MOST_PREPARED, width, WORD)


def prepare(session: Session, prepared: Prepared, theirs: CipherVec) -> None:
    """Step 2 at the guest, for one piece; theirs: what ShiftedWeights brought."""
    words = session.seed("prepared columns").words(prepared.piece * prepared.width)
    columns = words.reshape(prepared.piece, prepared.width)
    packed, masks = scoring.products(session, theirs, columns.view(np.int64), prepared.models, prepared.slots)
    session.arbiter.send(PreparedProducts(packed))
    prepared.add(np.concatenate([columns, masks], axis=1))


def opened(session: Session, prepared: Prepared, key: DecryptionKey, message: PreparedProducts) -> None:
    """Step 2 at the arbiter.  Raises RemoteProtocolError, also for more than it keeps."""
    guest, slots, models = session.roles.guest, prepared.slots, prepared.models
    if not prepared.short:
        raise RemoteProtocolError(f"{guest} prepares more queries than may wait", party=guest)
    check_lengths(guest, models * PACKS, message.packed, what="packed products")
    words = slots.words(key.open_whole(message.packed), models * prepared.piece)
    prepared.add(np.ascontiguousarray(words.reshape(models, prepared.piece).T))


def masked(session: Session, prepared: Prepared, x: NDArray[np.int64]) -> Words:
    """Step 3 at the guest, for queries with own columns x (n, width), where n rows are prepared: sends the columns, and
    returns m (n, models)."""
    rows = prepared.take(len(x))
    columns = x.view(np.uint64) - rows[:, : prepared.width]
    session.arbiter.send(MaskedColumns(columns.view(np.int64).ravel()))
    return rows[:, prepared.width :]


def multiplied(session: Session, prepared: Prepared, words: Words, count: int) -> Words:
    """Step 3 at the arbiter: (count, models) x b_G + m; words: b_G.  Raises RemoteProtocolError, also for queries that
    nobody prepared."""
    guest = session.roles.guest
    numbers = session.guest.recv(MaskedColumns).numbers
    check_lengths(guest, count * prepared.width, numbers, what="masked columns")
    if len(prepared) < count:
        raise RemoteProtocolError(f"{guest} asks more than it has prepared", party=guest)
    return scoring.times(numbers.reshape(count, prepared.width), words) + prepared.take(count)
