"""What an averaging sends, before it runs: by the lengths of its messages, if no member drops out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from protocols import codec
from protocols.averaging import secure_sum, setup
from protocols.averaging.cohorts import Terms
from protocols.averaging.masks import BOX
from protocols.averaging.setup import KEY, SIGNATURE
from protocols.averaging.shamir import SHARE
from protocols.message import Message
from vfl.models.averaging.course import Course
from vfl.models.averaging.private import Noise
from vfl.models.averaging.private_course import PrivateCourse
from vfl.models.averaging.spec import Averaging
from vfl.models.privacy import Privacy


@dataclass(frozen=True)
class AveragingCost:
    """What an averaging sends.

    sums: how many are opened, at most; member_bytes: what a member sends and receives, on average over the members;
    aggregator_bytes: what the aggregator sends and receives.  With members that drop out more
    turns may be tried.
    """

    rounds: int
    sums: int
    member_bytes: int
    aggregator_bytes: int


def predicted(
    spec: Averaging, members: int, columns: int, privacy: Privacy | None = None, measures: int = 0
) -> AveragingCost:
    """The cost of a run with this number of members, columns and opened measures.  Raises ConfigError."""
    terms = spec.terms(tuple(f"member {k}" for k in range(members)))
    names = tuple(map(str, range(measures)))
    due = ["update"] * spec.rounds if privacy and privacy.unit == "member" else ["scale", *["update"] * spec.rounds]
    due += ["counts", "measures"] * (measures > 0)
    total = members * _length(*_setup(members))
    for turn, sum_ in enumerate(due, 1):
        course = _course(spec, terms, columns, privacy, sum_, names)
        words = course.length * terms.word_bits // 8
        total += terms.cohort_size * _turn(_like(turn), terms, words)
        bitmap, signatures = bytes(_bitmap(terms)), bytes(SIGNATURE * terms.cohort_size)
        opened = secure_sum.OpenedSum(_like(turn), bitmap, bitmap, signatures, bytes(words))
        total += members * _length(opened)
    return AveragingCost(spec.rounds, len(due), round(total / members), total)


def _course(
    spec: Averaging, terms: Terms, columns: int, privacy: Privacy | None, due: Any, measures: tuple[str, ...]
) -> Course:
    if privacy is None:
        return Course(spec, terms, columns, measures, due=due)
    ends = np.zeros(columns + 1)  # lengths depend neither on bounds nor on the noise
    noise = Noise(privacy, ends, ends, Fraction(1), spec.rounds + 1, terms.honest)
    return PrivateCourse(spec, terms, columns, due=due, noise=noise)


def _bitmap(terms: Terms) -> int:
    return (len(terms.members) + 7) // 8


def _like(turn: int) -> int:
    """The smallest number that is as long on the wire."""
    return next(least for least in (1 << 32, 1 << 16, 1 << 8, 1 << 7, 0) if turn >= least)


def _length(*messages: Message) -> int:
    return sum(len(codec.encode(message, ["peer"], "me")) for message in messages)


def _setup(members: int) -> tuple[Message, ...]:
    joins = setup.Joins(bytes(KEY), bytes(KEY), bytes(SIGNATURE))
    relayed = setup.Joined(bytes((2 * KEY + SIGNATURE) * members))
    return joins, relayed, setup.SeedPart(bytes(KEY)), setup.SeedParts(bytes(KEY * members))


@lru_cache(maxsize=64)
def _turn(turn: int, terms: Terms, words: int) -> int:
    """What one member of the cohort sends and receives in a turn, without the sum."""
    bitmap, cohort = _bitmap(terms), terms.cohort_size
    boxes = bytes(BOX * (cohort - 1))
    return _length(
        secure_sum.TurnBegins(turn),
        secure_sum.TurnKey(turn, bytes(KEY), bytes(SIGNATURE)),
        secure_sum.TurnKeys(turn, bytes(bitmap), bytes((KEY + SIGNATURE) * cohort)),
        secure_sum.SealedShares(turn, bytes(KEY), boxes),
        secure_sum.RelayedShares(turn, bytes(bitmap), boxes),
        secure_sum.MaskedUpdate(turn, bytes(words)),
        secure_sum.Survivors(turn, bytes(bitmap)),
        secure_sum.SurvivorsSigned(turn, bytes(SIGNATURE)),
        secure_sum.SurvivorSignatures(turn, bytes(bitmap), bytes(SIGNATURE * cohort)),
        secure_sum.UnmaskingShares(turn, bytes(SHARE * cohort)),
    )
