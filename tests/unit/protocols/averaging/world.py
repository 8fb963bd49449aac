"""A whole averaging without threads or clocks: a seed decides what is lost, late, repeated, and when the aggregator
dies."""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.averaging import setup as joining
from protocols.averaging.cohorts import Members, Terms
from protocols.averaging.masks import Words
from protocols.averaging.secure_sum import Member, RelayedShares, Sum
from protocols.averaging.secure_sum_aggregator import Aggregator
from protocols.averaging.setup import Identities, Keys, Setup
from protocols.cipher import Keyring
from protocols.codec import decode, encode
from protocols.errors import TooFewMembers
from protocols.message import Message
from protocols.randomness import Randomness, Seed
from protocols.recovery.checkpoint import Arrays

JOB, SUM_OF = hashlib.sha256(b"job").digest(), "trustee"
LENGTH = 5


def names(count: int) -> tuple[str, ...]:
    return tuple(f"m{k:02}" for k in range(count))


def drawing(name: str, seed: int = 0) -> Callable[[str], Seed]:
    """A member's randomness, always the same."""
    randomness = Randomness(name, hashlib.sha256(f"{name}|{seed}".encode()).digest(), b"")
    return lambda label: randomness.draw(label, b"", b"")


@cache
def joined(terms: Terms) -> tuple[Setup, Identities, dict[str, Keys]]:
    """The setup of these members, without channels."""
    secrets = {n: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(n.encode()).digest()) for n in terms.members}
    identities = Identities(JOB, {n: key.public_key().public_bytes_raw() for n, key in secrets.items()})
    begun = {n: joining.begin(drawing(n), key) for n, key in secrets.items()}
    said = [joining.joins(part, keys, JOB, n) for n, (part, keys) in begun.items()]
    relayed = b"".join(each.commitment + each.box + each.signature for each in said)
    parts = b"".join(part for part, _ in begun.values())
    setup = joining.agreed(relayed, parts, terms, identities, terms.members)
    return setup, identities, {n: keys for n, (_, keys) in begun.items()}


def numbers(name: str, turn: int, bits: int = 64) -> Words:
    """A member's numbers, which differ by turn."""
    rng = np.random.default_rng([int(name[1:]), turn])
    return rng.integers(0, 1 << 20, LENGTH).astype(f"<u{bits // 8}")


def total(survivors: Members, turn: int, bits: int = 64) -> Words:
    """The right sum."""
    return np.sum([numbers(n, turn, bits) for n in survivors], axis=0, dtype=f"<u{bits // 8}")


def member(name: str, terms: Terms, seed: int = 0) -> Member:
    setup, identities, keys = joined(terms)
    give = lambda turn: numbers(name, turn, terms.word_bits)  # noqa: E731
    return Member(name, SUM_OF, terms, setup, identities, keys[name], drawing(name, seed), give, lambda: LENGTH)


def moved(message: Message, sender: str, receiver: str) -> Message:
    """The message as its receiver decodes it."""
    return decode(encode(message, [receiver], sender), type(message), sender, Keyring())


@dataclass
class Faults:
    """How likely each fault is, per message or turn."""

    drop: float = 0.0  # the member is gone from this message on, until the turn is over
    late: float = 0.0  # arrives long after the step was closed
    repeated: float = 0.0
    killed: float = 0.0  # the aggregator, after a step


@dataclass
class World:
    """Members and an aggregator whose messages travel as `faults` and a seed say."""

    terms: Terms
    faults: Faults
    seed: int = 0
    told: list[tuple[str, Message]] = field(default_factory=list)  # what the aggregator received, late messages too
    gone: set[str] = field(default_factory=set)
    restarts: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.members = {n: member(n, self.terms, self.seed) for n in self.terms.members}
        self.kept: Arrays = {}
        self.side = self._started()
        self._clock, self._order = 0.0, itertools.count()
        self._mail: list[tuple[float, int, str, Message]] = []

    def _started(self) -> Aggregator:
        setup, identities, _ = joined(self.terms)
        return Aggregator(SUM_OF, self.terms, setup, identities, self.kept.update)

    def one_turn(self) -> Sum | None:
        """One turn: its sum; None if it ended in TooFewMembers, or with the aggregator's death."""
        self.gone.clear()
        following = self.side.begin(LENGTH)
        while self.side.total is None:
            self._deliver(following)
            if self.rng.random() < self.faults.killed:
                self.restarts += 1
                self.side = self._started()
                self.side.load(self.kept)
                return None
            try:
                following = self.side.close()
            except TooFewMembers:
                return None
        return self.tell()

    def tell(self) -> Sum:
        """All members hear the sum, twice at times."""
        total, opened = self.side.total, self.side.opened
        assert total is not None
        assert opened is not None
        for name, one in self.members.items():
            for copy in range(1 + (self.rng.random() < self.faults.repeated)):
                heard = one.opened(moved(opened, SUM_OF, name))
                assert (heard is None) == bool(copy)
        return total

    def _deliver(self, following: dict[str, Message]) -> None:
        """A step: all answers but late ones arrive in a drawn order; late ones of earlier steps and turns in
        between."""
        for name, message in following.items():
            if name in self.gone or self.rng.random() < self.faults.drop / 2:
                self.gone.add(name)
                continue
            copies = 1 + (self.rng.random() < self.faults.repeated)
            for _ in range(copies):
                answer = self.members[name].answer(moved(message, SUM_OF, name))
                if answer is not None:
                    self._post(name, answer)
        self._clock += 1
        while self._mail and self._mail[0][0] <= self._clock:
            _, _, sender, answer = heapq.heappop(self._mail)
            self.told.append((sender, answer))
            self.side.take(sender, moved(answer, sender, SUM_OF))

    def _post(self, sender: str, answer: Message) -> None:
        late = self.rng.random() < self.faults.late
        if self.rng.random() < self.faults.drop / 2:
            self.gone.add(sender)
            late = bool(self.rng.random() < 0.5)  # the connection broke before the message left, or after
            if not late:
                return
        for _ in range(1 + (self.rng.random() < self.faults.repeated)):
            due = self._clock + self.rng.random() + (1.0 + 8 * self.rng.random() if late else 0.0)
            heapq.heappush(self._mail, (due, next(self._order), sender, answer))


class Steps:
    """A turn step by step, in which a test changes what it likes."""

    def __init__(self, w: World) -> None:
        self.w, self.members, self.side = w, w.members, w.side
        self.following = self.side.begin(LENGTH)

    def answer(self, *silent: str) -> dict[str, Message]:
        """All members but these answer the step."""
        found = {}
        for name, message in self.following.items():
            if name not in silent:
                answer = self.members[name].answer(message)
                assert answer is not None
                self.side.take(name, answer)
                found[name] = answer
        return found

    def step(self, *silent: str) -> dict[str, Message]:
        """The step, and what follows it."""
        self.answer(*silent)
        self.following = self.side.close()
        return self.following

    def up_to(self, kind: type[Message], *silent: str) -> dict[str, Message]:
        """What is sent at this step; the silent ones drop out with their update."""
        while not isinstance(next(iter(self.following.values())), kind):
            self.step(*(silent if isinstance(next(iter(self.following.values())), RelayedShares) else ()))
        return self.following
