"""Scores of aligned rows: the guest learns each row's joint linear predictor, up to a small error that is always the
same, and nobody a weight.

Weights that their owner does not know are shared with the arbiter, w_P = a_P + b_P modulo 2^64 (shares.py).  X_P holds
integers, so that everything is exact:
modulo 2^64 the parts below add up to sum of X_P w_P + e_P, whatever the shares, the masks, and the other rows are.

     host P                                        guest (a data party too)                            arbiter (sk; holds every shared b_P)
 0             <---------------------------------  ScoringStart: model's name, number of rows  ------->
 1   each data party whose weights are shared: both shares move on (shares.py)
               <-------------------------------------------------------------------------------------  ShiftedWeights [[2^(w k) b_P]] for each slot k
 2   packs of s rows at once, block by block: [[sum over k of 2^(w k) X_P b_P of row k, + M_P]], M_P uniform modulo n, re-randomised
               MaskedProducts  --------------------------------------------------------------------->  opens a uniform number
     both cut at the slots' borders: M_P gives m_P, what was opened X_P b_P + m_P, modulo 2^64, but with probability 2^-80
 3   (two or more hosts: pair_masks.py)
     X_P a_P - m_P + e_P + masks that cancel in the hosts' sum
               Scores  ------------------------->  adds all up modulo 2^64   <-----------------------  ArbiterScores: sum of X_P b_P + m_P
 4             <---------------------------------  ScoresAdded  ------------------------------------->

e_P is the host's own error, uniform in half a step of 2^-score_bits to both sides: a pseudo-random function of the
model, the row's id and the host's own values of the row, under a key that only this host has.  So a row's score is a
function of model and row alone: scored again, alone or in any batch, it has the same bits, and whoever changes the
guest's part of a row meets the same e_P.  docs/protocols/glm.md says why that is all that anybody can learn of the row.
Adversary: honest but curious (a guest that replaces the relayed keys could unmask a single host: docs/threat-model.md).
An arbiter that encrypts other numbers than its shares opens uniform ones too, and spoils scores.

Who learns what: the guest, for each row, the sum of all parties' predictors and the hosts' errors; where its own
weights were revealed it knows its own part of it.
The arbiter how many rows are scored.  Hosts nothing.  Nobody learns a weight.  Where all weights were revealed the
arbiter has no part in it.
Cost: with shared weights about 4 d_P products modulo n^2 per row and party, one re-randomisation and one opening per s
rows; else no encryption.
Error: half a step of 2^-score_bits per host.
"""  # noqa: E501

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.channel import Channel, broadcast
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.codec import Int64s, check_lengths
from protocols.errors import DataError, ModelError, RemoteProtocolError
from protocols.glm import pair_masks, shares
from protocols.glm.block import Matrix
from protocols.glm.plan import FEATURE, SIGMA, WEIGHT
from protocols.glm.shares import Moved, WeightShares, Words
from protocols.message import BLINDED, PUBLIC, REVEALED, SEALED, Message
from protocols.parts import Parts, parts
from protocols.recovery.checkpoint import Arrays
from protocols.row_blocks import pace, taken
from protocols.session import Session

UNIT = FEATURE + WEIGHT  # fractional bits of a predictor
LIMIT_LOG2 = 7  # standardised columns are clipped to 128 or less
VALUE = FEATURE + LIMIT_LOG2  # |x| <= 2^VALUE
MAX_SCORE = 2.0**20
MAX_ROWS = 1 << 40
PACK, BASE = 900, 100  # products that a pack costs, and a slot of one weight: they decide how many slots are used


class ModelName(Message, disclosure=PUBLIC, learns="the random name of the model that scores", most_bytes=64):
    model_id: bytes  # (16,)


class ScoringStart(
    Message,
    disclosure=PUBLIC,
    learns="the random name of the model that scores, and how many rows are scored",
    most_bytes=64,
):
    model_id: bytes  # (16,)
    rows: int


class ShiftedWeights(
    Message, disclosure=SEALED, learns="nothing: the arbiter's shares of the receiver's own weights, encrypted"
):
    share: CipherVec  # (models * slots * width,)


class MaskedProducts(
    Message,
    disclosure=BLINDED,
    learns="for each pack of rows scored and each model a number that is uniform modulo n",
    in_blocks=True,
):
    packed: CipherVec  # (models * ceil(rows of the block / slots),)


class Scores(
    Message,
    disclosure=REVEALED,
    permit="scores-to-guest",
    learns=(
        "for each row the sender's part of the score, with the sender's error. With several hosts only the sum tells "
        "something; with shared weights it does so only together with what the arbiter sends. With a single host "
        "that knows its weights, it is that host's own linear predictor"
    ),
    in_blocks=True,
):
    masked: Int64s  # (rows * models,) mod 2^64


class ArbiterScores(
    Message,
    disclosure=REVEALED,
    permit="scores-to-guest",
    learns=(
        "for each row, together with what the hosts send, the joint linear predictor with the hosts' errors, but no "
        "party's own part of it"
    ),
    in_blocks=True,
):
    masked: Int64s  # (rows * models,) mod 2^64


class ScoresAdded(Message, disclosure=PUBLIC, learns="that the rows are scored"):
    done: bool


@dataclass(frozen=True, eq=False)
class Own:
    """A data party's own part of the scores.  x (rows, width): its columns in units of 2^-FEATURE, whose weights are
    the first `width` of each model's shares; error (rows, models): a host's, in units of 2^-UNIT;
    arbiter: whether any party's weights are shared with it."""

    model_id: bytes
    x: Matrix
    shares: WeightShares
    arbiter: bool
    error: NDArray[np.int64] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Rows and models."""
        return len(self.x), self.shares.latest.shape[0]


@dataclass(frozen=True)
class Slots:
    """How products are packed: bits of a slot, and how many slots.

    A product is 80 bits shorter than its slot.  So what is cut at the slots' borders from a number that is uniform
    modulo n, and from its sum with products, differs by these products, except with probability 2^-80.
    """

    width: int
    count: int

    @classmethod
    def of(cls, key: EncryptionKey, rows: int, width: int, value: int = VALUE) -> Slots:
        """For a party's number of rows and of weights: the same at both holders of the shares.  value: bits of what the
        weights are multiplied by, sign aside."""
        slot = 64 + value + width.bit_length() + SIGMA + 1
        useful = math.isqrt(max(1, rows * PACK // (BASE * width)))
        return cls(slot, max(1, min(key.plain_bits // slot, useful, rows)))

    def words(self, packed: PlainVec, rows: int) -> Words:
        """(rows,) what stands in each slot of packs, modulo 2^64."""
        each = [shares.words_of(packed.shift_right(k * self.width)) for k in range(self.count)]
        return np.asarray(np.stack(each, axis=1).ravel()[:rows])

    def blocks(self, rows: int, models: int) -> Parts:
        """The blocks in which products travel: of several models, shorter ones than of one."""
        return parts(rows, 1 if models <= self.count else -(-65 * models // self.count))


def guest(session: Session, own: Own) -> tuple[NDArray[np.float64], Moved | None]:
    """Joint predictors (rows, models), and the guest's share of its weights from now on, where these are shared.
    Learns: these predictors.

    Raises DataError beyond 2^20, ProtocolError.
    """

    def score() -> tuple[NDArray[np.float64], Moved | None]:
        others = [*session.hosts, *([session.arbiter] if own.arbiter else [])]
        broadcast(others, ScoringStart(own.model_id, own.size[0]))  # 0
        if not own.size[0]:
            return np.zeros(own.size), None
        pair_masks.relay(session)
        total, moved = part(session, own)  # 1, 2
        for channel in session.hosts:
            total = total + received(channel, Scores, own.size)  # 3
        if own.arbiter:
            total = total + received(session.arbiter, ArbiterScores, own.size)
        found = total.view(np.int64) / 2.0**UNIT
        if not np.all(np.abs(found) < MAX_SCORE):
            raise DataError("a score is beyond 2^20", remedy="Check the columns for extreme values", party=session.me)
        broadcast(others, ScoresAdded(True))  # 4
        return found, moved

    return session.once(
        score, lambda done: {"scores": done[0], **saved(done[1])}, lambda kept: (kept["scores"], loaded(kept))
    )


def host(session: Session, own: Own) -> Moved | None:
    """A host's side.  Raises ModelError if the guest scores another model."""

    def score() -> Moved | None:
        start = session.guest.recv(ScoringStart)  # 0
        check_model(session, start, own.model_id)
        check_lengths(session.roles.guest, start.rows, own.x)
        if not start.rows:
            return None
        masks = pair_masks.agree(session, "score")
        words, moved = part(session, own)  # 1, 2
        if own.error is not None:
            words = words + own.error.view(np.uint64)
        send_words(session, Scores, words.ravel() + masks.words(words.size))  # 3
        session.guest.recv(ScoresAdded)  # 4
        return moved

    return session.once(score, saved, loaded)


def arbiter(
    session: Session, key: DecryptionKey, model_id: bytes, held: Mapping[str, WeightShares]
) -> dict[str, Moved]:
    """The arbiter's side, where it holds shares of any party's weights.  Learns: how many rows are scored.

    Raises ModelError (another model, or shares that do not fit), ProtocolError.
    """

    def score() -> dict[str, Moved]:
        start = session.guest.recv(ScoringStart)  # 0
        check_model(session, start, model_id)
        if not 0 <= start.rows < MAX_ROWS:
            raise RemoteProtocolError(
                f"{session.roles.guest} scores an impossible number of rows", party=session.roles.guest
            )
        if not start.rows:
            return {}
        moved = {party: serve(session, key, party, shares, start.rows) for party, shares in held.items()}  # 1
        each = (opened(session.channels[party], key, one.words.shape, start.rows) for party, one in moved.items())
        send_words(session, ArbiterScores, reduce(np.add, each).ravel())  # 2, 3
        session.guest.recv(ScoresAdded)  # 4
        return moved

    return session.once(
        score,
        lambda done: {f"{party} {name}": array for party, one in done.items() for name, array in saved(one).items()},
        lambda kept: {p: Moved(kept[f"{p} name"].tobytes(), kept[f"{p} share"]) for p in held if f"{p} name" in kept},
    )


def part(session: Session, own: Own) -> tuple[Words, Moved | None]:
    """Steps 1 and 2 at a data party: (rows, models) its share of its part of the scores; without a share at the arbiter
    all of it."""
    if own.shares.whole:
        return times(own.x, own.shares.latest), None
    rows, models = own.size
    key = session.keys.of(session.roles.arbiter)
    assert key is not None
    moved = shares.move(session, own.shares)  # 1
    slots, width = Slots.of(key, rows, own.x.shape[1]), own.x.shape[1]
    theirs = session.arbiter.recv(ShiftedWeights).share
    check_lengths(session.roles.arbiter, models * slots.count * width, theirs, what="weights")
    if not all(np.all(np.abs(own.x[block.rows]) <= 1 << VALUE) for block in parts(rows)):
        raise DataError(
            f"a standardised value is beyond {1 << LIMIT_LOG2}",
            remedy="Check the columns for extreme values",
            party=session.me,
        )
    masked = list[Words]()
    for block in slots.blocks(rows, models):
        x = own.x[block.rows]
        packed, masks = products(session, theirs, x, models, slots)  # 2
        pace([session.arbiter], block)
        session.arbiter.send(MaskedProducts(packed), block)
        masked.append(times(x, moved.words[:, :width]) - masks)
    return np.concatenate(masked), moved


def products(
    session: Session, theirs: CipherVec, x: NDArray[np.int64], models: int, slots: Slots
) -> tuple[CipherVec, Words]:
    """[[X b + m]], s rows per ciphertext, model by model; and m modulo 2^64 (rows, models)."""
    rows, width = x.shape
    packs = -(-rows // slots.count)
    filled = np.zeros((packs * slots.count, width), np.int64)
    filled[:rows] = x
    filled = filled.reshape(packs, slots.count * width)
    found, masks = list[CipherVec](), list[Words]()
    for model in range(models):
        bases = theirs.take(np.arange(slots.count * width) + model * slots.count * width)
        product = bases.matmul(filled)
        mask = product.key.uniform(session.seed("score mask", product.digest()), packs)
        found.append(product.add_plain(mask))
        masks.append(slots.words(mask, rows))
    packed = found[0]
    for more in found[1:]:
        packed = packed.concat(more)
    return packed.rerandomise(session.seed("masked products", packed.digest())), np.stack(masks, axis=1)


def serve(
    session: Session, key: DecryptionKey, party: str, held: WeightShares, rows: int, width: int | None = None
) -> Moved:
    """Step 1 at the arbiter: moves its share of one party's weights and hands it over, encrypted once for every slot;
    width: how many of the weights in each model are those of columns."""
    moved = shares.follow(session, party, held)
    words = moved.words[:, : width or moved.words.shape[1]]
    hand_over(session, key, party, words, Slots.of(key.public, rows, words.shape[1]))
    return moved


def hand_over(session: Session, key: DecryptionKey, party: str, words: Words, slots: Slots) -> None:
    """The arbiter's share (models, width) of a party's weights, to this party, encrypted once for every slot."""
    plain = PlainVec.zeros(0)
    for one in words:
        own = shares.integers_of(one)
        for k in range(slots.count):
            plain = plain.concat(own.shift_left(k * slots.width))
    session.channels[party].send(ShiftedWeights(key.encrypt(plain, session.seed("shifted weights", plain.to_bytes()))))


def opened(channel: Channel, key: DecryptionKey, shape: tuple[int, ...], rows: int) -> Words:
    """Step 2 at the arbiter: one party's masked products (rows, models) modulo 2^64."""
    models, width = shape
    slots, found = Slots.of(key.public, rows, width), list[Words]()
    for block in slots.blocks(rows, models):
        packed, packs = channel.recv(MaskedProducts, block).packed, -(-len(block) // slots.count)
        check_lengths(channel.peer, models * packs, packed, what="packed products")
        each = [packed.take(np.arange(packs) + model * packs) for model in range(models)]
        found.append(np.stack([slots.words(key.open_whole(one), len(block)) for one in each], axis=1))
        taken(channel, block)
    return np.concatenate(found)


def times(x: Matrix, words: Words) -> Words:
    """x (rows, width) times words (models, width), modulo 2^64: (rows, models)."""
    blocks = (x[part.rows].view(np.uint64) for part in parts(len(x)))
    found = [np.stack([(own * one).sum(axis=1, dtype=np.uint64) for one in words], axis=1) for own in blocks]
    return np.concatenate(found)


def received(channel: Channel, kind: type[Scores] | type[ArbiterScores], size: tuple[int, int]) -> Words:
    found = list[Words]()
    for block in parts(size[0] * size[1]):
        masked = channel.recv(kind, block).masked
        check_lengths(channel.peer, len(block), masked)
        found.append(masked.view(np.uint64))
        taken(channel, block)
    return np.concatenate(found).reshape(size)


def send_words(session: Session, kind: type[Scores] | type[ArbiterScores], words: Words) -> None:
    """Step 3: numbers modulo 2^64, to the guest."""
    for block in parts(len(words)):
        pace([session.guest], block)
        session.guest.send(kind(words[block.rows].view(np.int64)), block)


def check_model(session: Session, start: ScoringStart, model_id: bytes) -> None:
    if start.model_id != model_id:
        raise ModelError(
            f"{session.roles.guest} scores with another model than this party's part belongs to",
            remedy="Give every party the model folder of the same run",
            party=session.me,
        )


def saved(moved: Moved | None) -> Arrays:
    """As a checkpoint stores it."""
    return {} if moved is None else {"name": np.frombuffer(moved.name, np.uint8), "share": moved.words}


def loaded(kept: Arrays) -> Moved | None:
    return Moved(kept["name"].tobytes(), kept["share"]) if "name" in kept else None
