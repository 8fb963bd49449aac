"""A verdict is no matter of luck: a run without a leak fails once in a thousand audits, and a leak as large as the
control's is found."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.promises.audit.scenes import scene
from vfl.attacks import attack as attacks
from vfl.attacks.attack import FURTHER, LEAST, Attack, Estimate, Tried
from vfl.attacks.audit import CONTROLS, Audit, about_of, tried_on
from vfl.attacks.one_row import guessed
from vfl.attacks.page import guess, render
from vfl.attacks.registry import ATTACKS

AUDITS = 3000
RARE = 0.1  # of repetitions of attack 13 whose result is 1; three of the first 40 that were made on a regression
Draw = Callable[[np.random.Generator], float]


class Drawn(Attack):
    """An attack whose results are drawn: what other attacks get is too slow to repeat thousands of times."""

    number, name, bound, succeeds, chance, sizes = 6, "drawn", 0.63, 0.9, 0.5, (1.0,)
    who = needs = setting = sentence = measure = reason = size_of = textbook_is = "drawn"

    def __init__(self, draw: Draw, audit: int = 0) -> None:
        self.draw, self.rng, self.made = draw, np.random.default_rng(audit), 0

    def product(self, scene: Any, seed: int) -> float:
        self.made += 1
        return self.draw(self.rng)

    def planted(self, scene: Any, seed: int, size: float) -> float:
        return 0.97

    def textbook(self, scene: Any, seed: int) -> float:
        return 0.8


def failing(draw: Draw, seeds: int) -> float:
    """The part of audits that fail."""
    return float(np.mean([not tried_on(None, Drawn(draw, k), seeds).holds for k in range(AUDITS)]))


def sound(rng: np.random.Generator) -> float:
    """As attack 6 on 400 rows: one number for 50 labels explains an AUC of .58."""
    return float(rng.normal(0.58, 0.03))


def leaking(rng: np.random.Generator) -> float:
    """As its control."""
    return float(rng.normal(0.97, 0.03))


def rare(rng: np.random.Generator) -> float:
    """As attack 13 where the label decides once in ten times at which verdict training ends, which tells it."""
    return 1.0 if rng.random() < RARE else 0.5


def test_a_run_that_seldom_tells_a_label_fails_once_in_a_thousand_audits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drawn, "bound", 0.6)
    assert failing(rare, 2) <= 0.001
    assert failing(rare, 20) <= 0.001
    monkeypatch.setattr(attacks, "FURTHER", 20)  # as many as were made before
    assert failing(rare, 2) > 0.01


def test_a_run_without_a_leak_fails_once_in_a_thousand_audits_however_few_are_asked_for() -> None:
    assert failing(sound, 2) <= 0.001
    assert failing(leaking, 2) == 1.0


def test_planted_fault_two_repetitions_fail_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attacks, "LEAST", 2)
    monkeypatch.setattr(attacks, "FURTHER", 1)
    assert failing(sound, 2) > 0.004


def test_what_chance_may_explain_is_repeated_and_the_mean_of_all_decides() -> None:
    lucky = iter([0.5, 0.5, 1.0, 1.0, 0.5, *[0.5] * 100])
    one = Drawn(lambda _: next(lucky))
    tried = tried_on(None, one, 5)
    assert (tried.holds, one.made, tried.product.seeds) == (True, FURTHER, FURTHER)
    sure = Drawn(leaking)
    assert (tried_on(None, sure, 5).verdict, sure.made) == ("above the bound", 5)
    close = iter([0.5, 0.78] * 50)
    assert tried_on(None, Drawn(lambda _: next(close)), 6).verdict == "above the bound, or by chance"


def test_the_time_ends_repetitions_but_not_the_first_ones_and_the_page_says_so() -> None:
    one = Drawn(sound)
    tried = tried_on(None, one, 20, until=-math.inf)
    assert (one.made, tried.asked, tried.product.seeds) == (LEAST, 20, LEAST)
    about = about_of(scene("regression"), 20, "this run", minutes=3)
    page = render(Audit(about, [tried]).as_dict())
    assert "The 3 minutes of this audit were up before attack 6 (5 of 20 times)" in page
    whole = tried_on(None, Drawn(sound), 20)
    assert "of this audit were up" not in render(Audit(about, [whole]).as_dict())
    fixed = type("Fixed", (Drawn,), {"random": False})(sound)
    assert (tried_on(None, fixed, 20).product.seeds, fixed.made) == (1, 1)


def test_a_page_tells_a_rare_guess_from_none_and_has_a_true_minus_sign() -> None:
    assert [guess(chance) for chance in (0.0, 2.0**-12, 0.5)] == ["0", "0.0002", "0.500"]
    below = tried_on(None, Drawn(lambda _: -0.25), 5)
    page = render(Audit(about_of(scene("regression"), 5, "this run"), [below]).as_dict())
    assert "−0.250" in page
    assert "-0.250" not in page


def test_a_control_that_fails_is_named() -> None:
    blind = Estimate.of([0.5] * CONTROLS)
    assert Tried(Drawn(sound), blind, blind, blind, None).verdict == "control failed"


def test_random_numbers_are_seldom_taken_for_what_a_label_decides() -> None:
    rng, names = np.random.default_rng(0), [str(k) for k in range(12)]
    told = [guessed(*({name: [rng.random()] for name in names} for _ in range(4))) for _ in range(2000)]
    assert 0.001 < np.mean([one != 0.5 for one in told]) < 0.02
    told = [guessed(*({name: [rng.random()] for name in names} for _ in range(5))) for _ in range(4000)]
    assert np.mean([one != 0.5 for one in told]) < 0.001
    exact = [{"mean": [0.5 + label / 120]} for label in (1, 0, 1, 0, 1)]
    assert guessed(*exact) == guessed(*exact[:4]) == 1.0
    near = [{"mean": [(0.5 + label / 5) * (1 + 0.001 * rng.normal())]} for label in (0, 0, 1, 0, 1)]
    assert guessed(*near) == guessed(*near[:4]) == 0.0


def test_every_attack_can_be_sure_after_the_least_number_of_repetitions() -> None:
    """A result like the control's is above the bound, and no chance explains it."""
    for one in ATTACKS:
        assert Estimate.of([one.succeeds] * LEAST).surely_above(one.bound)
        assert not Estimate.of([one.bound] * LEAST).surely_above(one.bound)
