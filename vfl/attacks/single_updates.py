"""Attack 18: one member's numbers from what is added up, by itself or as the difference of two sums.

Sums over members that differ by one member differ by its numbers; numbers under masks that are the same twice differ by
what is under them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from vfl.attacks.attack import Attack
from vfl.attacks.averages import Averaged
from vfl.attacks.received import texts
from vfl.models.averaging.course import BITS, LIMB, whole
from vfl.taps.transcript import Entry

MOST = 60  # lists of one length of which all pairs are subtracted
LEAST = 1 << 16  # of a number that is looked for: a smaller one occurs by chance


class SingleUpdates(Attack):
    number = 18
    name = "One member's numbers from masked updates and sums"
    who = "the aggregator, and each member"
    needs = "a member's numbers without a mask, or two sums that differ by one member"
    setting = "averaging.min_members; sums of fewer members, or that differ by few, are refused"
    sentence = "Could whoever adds up the members' numbers learn those of a single member?"
    measure = "the part of the members' first numbers (sums of their columns and squares) that are found exactly"
    chance = 0.0
    bound = 0.0
    reason = "a number under a uniform mask of 64 bits equals a given one with a probability of 2^-64"
    succeeds = 0.99
    sizes = (1.0, 0.5, 0.1)
    found = 0.1
    size_of = "the part of the members whose numbers reach the aggregator without a mask"
    textbook_is = "every member's numbers sent to the aggregator as they are (federated averaging)"
    random = False
    on = (Averaged,)

    def unfit(self, scene: Averaged) -> str:
        return "" if scene.privacy is None else "made for averagings without noise: with it even exact sums say little"

    def product(self, scene: Averaged, seed: int) -> float:
        run = scene.again(seed)
        words = run.estimator.terms(run.roles.members).word_bits // 8
        sums = [entry for entry in run.entries(run.roles.members[0]) if entry.message == "OpenedSum"]
        both = {party: [*run.entries(party), *sums] for party in run.roles.all}  # the aggregator sends sums to all
        return max(found_in(run, party, numbers(entries, words)) for party, entries in both.items())

    def planted(self, scene: Averaged, seed: int, size: float) -> float:
        members = scene.roles.members
        few = np.random.default_rng([seed, 18]).permutation(members)[: max(1, round(size * len(members)))]
        return found_in(scene, scene.roles.arbiter, {one for name in few for one in scene.first_numbers(str(name))})

    def textbook(self, scene: Averaged, seed: int) -> float:
        return self.planted(scene, seed, 1.0)


def found_in(run: Averaged, attacker: str, seen: set[int]) -> float:
    """The part of the others' numbers that were seen."""
    theirs = [
        one for name in run.roles.members if name != attacker for one in run.first_numbers(name) if abs(one) >= LEAST
    ]
    return float(np.mean([one in seen for one in theirs])) if theirs else 0.0


def numbers(entries: Sequence[Entry], width: int) -> set[int]:
    """Every list of words that was received, and the difference of any two of one length, as whole numbers."""
    found, by_length = set[int](), dict[int, list[np.ndarray]]()
    limbs = width * (BITS // LIMB[8 * width])
    for entry in entries:
        for text in texts(entry):
            if text and len(text) % limbs == 0:
                by_length.setdefault(len(text), []).append(np.frombuffer(text, f"<u{width}"))
    for lists in by_length.values():
        for one in (*lists, *differences(lists[:MOST])):
            found.update(whole(one))
    return found


def differences(lists: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Of any two lists, either way."""
    for one, other in itertools.permutations(lists, 2):
        yield one - other
