"""Shares of final weights modulo 2^64: how two holders keep, name and refresh them.

A party P keeps a_P, the arbiter b_P, and w_P = a_P + b_P modulo 2^64, in units of 2^-WEIGHT.  Each share alone is
uniform.  Every scoring moves both by a random number that only the two know, so that a copy of one share, stolen
earlier, does not fit a later copy of the other:

     data party P                                     arbiter
 1   HeldShares: names, r  ------------------------>  takes the newest of these that it holds too
                           <------------------------  ChosenShare: its name
 2   a' = a + r, named by a hash of r                 b' = b - r, under the same name

Who learns what: nobody anything.
Adversary: honest but curious.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.errors import ModelError, RemoteProtocolError
from protocols.glm.plan import WEIGHT
from protocols.message import BLINDED, PUBLIC, Message
from protocols.session import Session

Words = NDArray[np.uint64]  # numbers modulo 2^64
NAME = 16  # bytes of a share's name
MOST_NAMES = 64  # runs that share a model may leave several; more than that is no model part


class HeldShares(
    Message,
    disclosure=BLINDED,
    learns="how often the sender's shares were refreshed, and the random number by which both shares are now refreshed",
    most_bytes=2 * NAME * MOST_NAMES,
):
    names: bytes  # NAME bytes each, the newest last
    move: bytes  # (32,)


class ChosenShare(
    Message, disclosure=PUBLIC, learns="with which of the shares that it named both parties continue", most_bytes=64
):
    name: bytes  # (NAME,)


@dataclass(frozen=True, eq=False)
class WeightShares:
    """One holder's shares of one party's final weights, each under a name, the newest last.  Without names: the weights
    themselves, which their owner knows.

    values (names, models, width) modulo 2^64, in units of 2^-WEIGHT; without names (1, models, width).
    """

    names: tuple[bytes, ...]
    values: Words = field(repr=False)

    @classmethod
    def first(cls, words: Words, model_id: bytes) -> WeightShares:
        """Of a training that is over; words (models, width)."""
        return cls((hashlib.sha256(b"vfl first share|" + model_id).digest()[:NAME],), words[np.newaxis])

    @classmethod
    def known(cls, weights: NDArray[np.int64]) -> WeightShares:
        """The weights themselves (models, width), in units of 2^-WEIGHT."""
        return cls((), weights.view(np.uint64)[np.newaxis])

    @property
    def whole(self) -> bool:
        """Whether the holder knows the weights."""
        return not self.names

    @property
    def latest(self) -> Words:
        """(models, width)."""
        return np.asarray(self.values[-1])

    def of(self, name: bytes) -> Words:
        """(models, width) of the share with this name, which is one of `names`."""
        return np.asarray(self.values[self.names.index(name)])

    def weights(self) -> NDArray[np.float64]:
        """(models, width) the weights, of one who knows them."""
        assert self.whole
        return np.asarray(self.latest.view(np.int64) / 2.0**WEIGHT)


@dataclass(frozen=True, eq=False)
class Moved:
    """The share of this scoring, (models, width), and its name."""

    name: bytes
    words: Words = field(repr=False)

    @property
    def alone(self) -> WeightShares:
        """What a holder keeps once the other one has it too."""
        return WeightShares((self.name,), self.words[np.newaxis])


def words_of(values: PlainVec) -> Words:
    """Integers of any size (n,) modulo 2^64."""
    low = values - values.shift_right(64).shift_left(64)
    return (low - PlainVec.from_ints([1 << 63] * len(low))).to_i64().view(np.uint64) + np.uint64(1 << 63)


def integers_of(words: Words) -> PlainVec:
    """Words (n,) as integers in [-2^63, 2^63)."""
    return PlainVec.from_i64(np.ascontiguousarray(words).view(np.int64))


def move(session: Session, shares: WeightShares) -> Moved:
    """Data party's side: its share for this scoring."""
    seed = session.seed("weight share move").secret
    session.arbiter.send(HeldShares(b"".join(shares.names), seed))  # 1
    name = session.arbiter.recv(ChosenShare).name
    if name not in shares.names:
        raise RemoteProtocolError(
            f"{session.roles.arbiter} chose a share of the weights that was not offered", party=session.roles.arbiter
        )
    return Moved(named(seed), shares.of(name) + moving(seed, shares.latest.shape))  # 2


def follow(session: Session, party: str, shares: WeightShares) -> Moved:
    """The arbiter's side, for one party.  Raises ModelError where the two hold no shares that fit each other."""
    held = session.channels[party].recv(HeldShares)  # 1
    if len(held.move) != 32 or len(held.names) % NAME or not 0 < len(held.names) <= NAME * MOST_NAMES:
        raise RemoteProtocolError(f"{party} named impossible shares of its weights", party=party)
    offered = [held.names[i : i + NAME] for i in range(0, len(held.names), NAME)]
    name = next((one for one in reversed(offered) if one in shares.names), None)
    if name is None:
        raise ModelError(
            f"{party} and {session.me} hold shares of this model's weights that do not fit each other",
            remedy=f"One of the two model folders is an old copy: put the newest one back at {party} and at "
            f"{session.me}, or train again",
            party=party,
        )
    session.channels[party].send(ChosenShare(name))
    return Moved(named(held.move), shares.of(name) - moving(held.move, shares.latest.shape))  # 2


def named(seed: bytes) -> bytes:
    return hashlib.sha256(b"vfl share name|" + seed).digest()[:NAME]


def moving(seed: bytes, shape: tuple[int, ...]) -> Words:
    """The number by which both shares move, uniform modulo 2^64."""
    expanded = PlainVec.random(hmac.digest(seed, b"vfl share move", "sha256"), int(np.prod(shape)), 64)
    return expanded.to_i64().view(np.uint64).reshape(shape)
