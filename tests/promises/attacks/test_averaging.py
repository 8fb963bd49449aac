"""What an aggregator, alone and with members, makes of what it receives: of another member, nothing.

Each attack that fails is followed by the one thing that would make it succeed.
"""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols.averaging import masks, secure_sum, shamir
from protocols.averaging.cohorts import Terms
from protocols.averaging.masks import Words
from protocols.averaging.secure_sum import MaskedUpdate, SurvivorSignatures, TurnKey
from protocols.randomness import Seed
from tests.unit.protocols.averaging.world import LENGTH, Faults, Steps, World, names, numbers

NINE = names(9)
TERMS = Terms(NINE, window=1)
VICTIM = "m08"
COALITION = NINE[: TERMS.threshold - 1]  # 6 of 9, with the aggregator; besides the victim two others are honest


class View:
    """What aggregator and coalition hold after a turn: every message, and the coalition's secrets."""

    def __init__(self, silent: str | None = None) -> None:
        """silent: drops out with its update; it is what arrives late."""
        self.world = World(TERMS, Faults())
        self.steps = Steps(self.world)
        self.steps.up_to(secure_sum.RelayedShares)
        own = {name: member._secrets for name, member in self.world.members.items()}
        self.late: MaskedUpdate | None = None
        for name, message in self.steps.following.items():
            answer = self.world.members[name].answer(message)
            assert isinstance(answer, MaskedUpdate)
            if name == silent:
                self.late = answer
            else:
                self.world.side.take(name, answer)
        self.steps.following = self.world.side.close()
        self.steps.up_to(SurvivorSignatures)
        self.steps.step()
        self.turn = self.world.side._turn
        answers = self.world.side._answers
        self.publics = {n: a.public for n, a in answers[0].items() if isinstance(a, TurnKey)}
        self.updates = {n: masks.words_of(a.words, 64) for n, a in answers[2].items()}
        if self.late is not None and silent is not None:
            self.updates[silent] = masks.words_of(self.late.words, 64)
        self.secrets = {name: secrets for name, secrets in own.items() if secrets is not None}

    def shares(self, of: str, which: int, holders: tuple[str, ...]) -> bytes | None:
        """The secret (0: self-mask seed, 1: mask key) of a member, as these holders' shares give it."""
        found = {TERMS.number(h): self.secrets[h].shares[of][which] for h in holders}
        return shamir.join(found, dict(zip(found, shamir.at_zero(list(found)), strict=True)))

    def without(self, seed: bytes | None, key: bytes | None) -> Words:
        """The victim's masked numbers less what these two secrets expand to, and what the coalition shares with it."""
        left = self.updates[VICTIM]
        if seed is not None:
            left = left - masks.self_mask(Seed("attack", seed), LENGTH, 64)
        others = [name for name in NINE if name != VICTIM]
        if key is not None:
            secret = X25519PrivateKey.from_private_bytes(key)
            return left - masks.pair_mask(secret, self.publics, VICTIM, others, self.turn, left)
        for name in COALITION:
            mask = masks.pair_mask(self.secrets[name].mask_key, self.publics, name, [VICTIM], self.turn, left)
            left = left + mask
        return left

    @property
    def truth(self) -> Words:
        return numbers(VICTIM, self.turn)


def similar(left: Words, truth: Words) -> bool:
    """Whether any of the numbers was read."""
    return bool((left == truth).any())


def test_coalition_below_the_threshold_reads_nothing_of_a_survivor() -> None:
    """The aggregator has rebuilt the victim's seed, as it may; the victim's mask key it has not."""
    view = View()
    seed = view.shares(VICTIM, 0, NINE[: TERMS.threshold])
    key = view.shares(VICTIM, 1, COALITION)
    assert not similar(view.without(seed, key), view.truth)
    assert not similar(view.without(seed, None), view.truth)


def test_positive_control_one_more_member_reads_the_update() -> None:
    view = View()
    holders = NINE[: TERMS.threshold]
    assert (view.without(view.shares(VICTIM, 0, holders), view.shares(VICTIM, 1, holders)) == view.truth).all()


def test_a_late_update_stays_masked() -> None:
    """The victim was declared dropped, and its mask key rebuilt by all; then its update arrives after all."""
    view = View(silent=VICTIM)
    assert VICTIM not in view.world.side._survivors
    key = view.shares(VICTIM, 1, NINE[: TERMS.threshold])
    assert not similar(view.without(None, key), view.truth)
    assert not similar(view.without(view.shares(VICTIM, 0, COALITION), key), view.truth)


def test_positive_control_without_self_masks_a_late_update_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "self_mask", lambda seed, length, word_bits: masks.zeros(length, word_bits))
    view = View(silent=VICTIM)
    key = view.shares(VICTIM, 1, NINE[: TERMS.threshold])
    assert (view.without(None, key) == view.truth).all()


# -- what arrives at the aggregator looks like uniform numbers


def spread(turns: int = 40) -> float:
    """Chi-squared of the bytes of all masked updates, of 255 degrees of freedom."""
    found = bytearray()
    for seed in range(turns):
        w = World(Terms(names(4), window=1), Faults(), seed)
        w.one_turn()
        found += b"".join(m.words for _, m in w.told if isinstance(m, MaskedUpdate))
    counts = np.bincount(np.frombuffer(bytes(found), np.uint8), minlength=256)
    return float(((counts - len(found) / 256) ** 2 / (len(found) / 256)).sum())


FAR = 330.5  # p = .001


def test_masked_updates_fit_uniform_numbers() -> None:
    assert spread() < FAR


def test_planted_fault_masks_of_56_bits_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = masks.expanded
    monkeypatch.setattr(masks, "expanded", lambda *given: honest(*given) >> 8)
    with pytest.raises(AssertionError):
        assert spread() < FAR
