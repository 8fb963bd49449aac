"""An arbiter that deviates encrypts fractions: its shares of weights are x / b modulo n, with b a product of primes.
So the number whose sign it opens is U / b.  Times b, what it opens is r U modulo every prime of b: it sees which of
them divide U, and so which of its guesses of a weight are right, many at once.

Under random multiples of its fractions the number is uniform modulo b.  Neither of two other factors would prevent it:
multiples of lcm(1, ..., 300) fall to an arbiter that divides by lcm(1, ..., 300) first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocols import glm
from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec, DecryptionKey, Paillier
from protocols.glm import settling, signs
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import Penalty
from protocols.local import run_local
from protocols.randomness import Randomness, Seed, run_seed
from protocols.session import Roles, Session

BITS, SHARES, TESTS = 112, 140, 24
PRIMES = [p for p in range(150, 300) if all(p % q for q in range(2, 18))][:TESTS]
B = math.prod(PRIMES)
Blinded = Callable[..., CipherVec]


class Guest:
    """Stands in for its session."""

    me = "guest"

    def __init__(self) -> None:
        self._drawn = Randomness("guest", run_seed(), b"")

    def seed(self, label: str, value: bytes = b"") -> Seed:
        return self._drawn.draw(label, b"", value)


@pytest.fixture(autouse=True)
def short_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    """They leave the most room for b, so that each opening tells what any would."""
    of = signs.lengths
    monkeypatch.setattr(signs, "lengths", lambda key, bits: (of(key, bits)[0], of(key, bits)[0] + 64))


@pytest.fixture(scope="module")
def key() -> DecryptionKey:
    return Paillier(2048).generate("arbiter", Seed("arbiter", run_seed()))


def fraction(n: int, value: int, over: int) -> int:
    """value / over modulo n, in (-n/2, n/2)."""
    found = value * pow(over, -1, n) % n
    return found - n if found > n // 2 else found


def encrypted(key: DecryptionKey, *values: int) -> CipherVec:
    """Of any numbers modulo n: `encrypt` takes only those in the head-room."""
    halves = PlainVec.from_ints([v // 2 for v in values]), PlainVec.from_ints([v - v // 2 for v in values])
    first, second = (key.encrypt(half, Seed("arbiter", run_seed())) for half in halves)
    return first + second


def guessed(secret: int, right: list[bool]) -> int:
    """A number that is the secret modulo the primes of right guesses, and one more modulo the others."""
    rests = [(p, B // p) for p in PRIMES]
    return sum((secret + (not hit)) % p * m * pow(m, -1, p) for (p, m), hit in zip(rests, right, strict=True)) % B


def opened(key: DecryptionKey, secret: int, right: list[bool], blinded: Blinded, over: int) -> list[bool]:
    """One opening, in which the arbiter asks of every prime whether its guess of the guest's share is right modulo it:
    what it sees.  over: by how much it divides in addition."""
    n, guess = key.public.raw.n, guessed(secret, right)
    session: Any = Guest()
    theirs = encrypted(key, fraction(n, 1, B * over), 5)  # of two weights of the guest
    held = encrypted(key, fraction(n, -guess, B * over))
    total = theirs.mul_plain(PlainVec.from_ints([secret, 3])).sum() + held
    multiple = signs.multiple_bits(key.public, BITS, SHARES)
    noise = signs.multiples(session, [theirs], multiple, "settling")
    answer = blinded(session, total, noise, BITS, multiple, "settling")
    (found,) = key.open_whole(answer).to_ints()
    whole = fraction(n, found * B, 1)
    return [whole % p == 0 for p in PRIMES]


def without_multiples(session: Any, total: CipherVec, _: CipherVec, bits: int, multiple: int, what: str) -> CipherVec:
    """The planted fault: the factor and s alone."""
    nothing = total.key.encrypt(PlainVec.from_ints([0]), session.seed("nothing"))
    return signs.blinded(session, total, nothing, bits, multiple, what)


def with_divisors(session: Any, total: CipherVec, _: CipherVec, bits: int, multiple: int, what: str) -> CipherVec:
    """The factor a multiple of lcm(1, ..., 300)."""
    times = math.lcm(*range(1, 301))
    return without_multiples(session, total.mul_plain(PlainVec.from_ints([times])), _, bits + 433, multiple, what)


def confirmed(key: DecryptionKey, blinded: Blinded, over: int = 1) -> tuple[float, float]:
    """The parts of the right guesses, and of the wrong ones, that an opening seems to confirm, of eight openings."""
    rng, seen, right = np.random.default_rng(1), list[bool](), list[bool]()
    for _ in range(8):
        guesses = (rng.random(TESTS) < 0.5).tolist()
        seen += opened(key, int(rng.integers(1 << 40)), guesses, blinded, over)
        right += guesses
    hit, is_right = np.array(seen), np.array(right)
    return float(hit[is_right].mean()), float(hit[~is_right].mean())


def test_no_guess_is_confirmed(key: DecryptionKey) -> None:
    right, wrong = confirmed(key, signs.blinded)
    assert max(right, wrong) < 0.06  # each prime divides one number in about 200


def test_control_without_multiples_every_guess_is_decided(key: DecryptionKey) -> None:
    right, wrong = confirmed(key, without_multiples)
    assert right == 1.0
    assert wrong < 0.06


def test_control_a_factor_with_divisors_is_divided_away(key: DecryptionKey) -> None:
    assert min(confirmed(key, with_divisors)) == 1.0  # all seem right: it hides this question
    right, wrong = confirmed(key, with_divisors, math.lcm(*range(1, 301)))  # and not this one
    assert right == 1.0
    assert wrong < 0.06


class Guessing:
    """The arbiter's side of a verdict on the weights, which guesses the first weight of a party, rightly modulo every
    second prime; it knows the weight here, as who has guessed it."""

    def __init__(self, party: str) -> None:
        self.party, self.right = party, [k % 2 == 0 for k in range(TESTS)]
        self.hit, self.weight = list[bool](), 0

    def arbiter(self, session: Session, key: Any, plan: Any, progress: Any, step: Any, penalised: Any) -> None:
        n, look = key.public.raw.n, settling.Look.of(plan, progress, step)
        parts = {party: [x.to_ints() for x in look.shares(progress, party)] for party in progress.shares}
        parts[self.party][0][0] += fraction(n, 1, 2 * B)  # V has it twice
        for party, each in parts.items():
            session.channels[party].send(settling.SettlingShare(*(fresh(session, key, values) for values in each)))
        rest = look.rest(progress, penalised).to_ints()[0] + fraction(n, -guessed(self.weight, self.right), B)
        session.guest.send(settling.SettlingSum(fresh(session, key, [fraction(n, rest, 1)])))
        (found,) = key.open_whole(session.guest.recv(settling.SettlingSign).value).to_ints()
        self.hit = [fraction(n, found * B, 1) % p == 0 for p in PRIMES]
        broadcast([session.channels[p] for p in session.roles.data_parties], settling.Settled(0))
        progress.conclude(None, step)

    def watched(self, role: Callable[..., None]) -> Callable[..., None]:
        def follows(session: Session, plan: Any, progress: Any, step: Any, *rest: Any) -> None:
            if session.me == self.party:
                self.weight = progress.shares[session.me].point.to_ints()[0]
            role(session, plan, progress, step, *rest)

        return follows


def fresh(session: Session, key: DecryptionKey, values: list[int]) -> CipherVec:
    return encrypted(key, *values).rerandomise(session.seed("false"))


def decided(monkeypatch: pytest.MonkeyPatch, party: str) -> int:
    """About how many of its guesses the arbiter is right after a training's only verdict."""
    rng, thief = np.random.default_rng(1), Guessing(party)
    x, h = rng.normal(size=(2, 20, 2))
    y = (x.sum(1) + h.sum(1) + rng.logistic(size=20) > 0).astype(float)
    terms = glm.Terms(LOGISTIC_LINKS["taylor"], Penalty(1.0), 10, settles=True)
    programs: dict[str, Callable[[Session], Any]] = {
        "guest": lambda s: glm.guest(s, x, y[None], terms, bytes(16)),
        "h0": lambda s: glm.host(s, h, terms),
        "arbiter": lambda s: glm.arbiter(s, s.scheme.generate("arbiter", s.seed("key")), terms),
    }
    with monkeypatch.context() as patch:
        patch.setattr(settling, "arbiter", thief.arbiter)
        for role in ("guest", "host"):
            patch.setattr(settling, role, thief.watched(getattr(settling, role)))
        run_local(Roles("guest", ("h0",), "arbiter"), programs, Paillier(2048))
    return sum(hit == right for hit, right in zip(thief.hit, thief.right, strict=True))


PARTIES = pytest.mark.parametrize("party", ["guest", "h0"])


@PARTIES
def test_no_guess_of_a_weight_is_decided_by_a_verdict(monkeypatch: pytest.MonkeyPatch, party: str) -> None:
    assert abs(decided(monkeypatch, party) - TESTS / 2) <= 3


@PARTIES
def test_control_a_party_without_multiples_has_them_decided(monkeypatch: pytest.MonkeyPatch, party: str) -> None:
    multiples = settling.multiples

    def none(session: Session, encrypted: Any, bits: int, what: str) -> CipherVec:
        found = multiples(session, encrypted, bits, what)
        return found.mul_plain(PlainVec.from_ints([session.me != party]))

    monkeypatch.setattr(settling, "multiples", none)
    assert decided(monkeypatch, party) >= TESTS - 2  # a prime can divide the factor
