"""An audit of the noise of averaging, by many canaries: it passes what is built, and finds less noise than promised.

A canary is a row whose gradient, clipped, is one entry of the update.  Half of the canaries are in one member's table.
The aggregator and a member that helps it subtract what they know, as few members remain as may, and each canary's entry
is one test of whether its row was there.  How often the tests err bounds from above the multiplier of the noise (Nasr
et al. 2023, Tight auditing, who so audit Gaussian noise): with 97.5% each for both kinds of errors, the
multiplier is lower than promised in at most one of 20 audits of a right build.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta, norm

from protocols.averaging.cohorts import Terms
from protocols.averaging.secure_sum import Sum
from tests.unit.vfl.models.averaging.test_private import member, noise
from vfl.models import accounting
from vfl.models.averaging import private
from vfl.models.averaging.families import Floats
from vfl.models.averaging.private import LONGEST, Noise
from vfl.models.averaging.private_member import PrivateOwn
from vfl.models.averaging.program import Rows
from vfl.models.averaging.spec import Averaging

NAMES = tuple(f"m{k:02}" for k in range(12))
CANARIES, SUMS = 1200, 3
PROMISED = Fraction(3, 5)
SPEC = Averaging(estimator="linear", rounds=SUMS)


def at_update(name: str, rows: Rows, seed: int) -> PrivateOwn:
    """A member whose first sum has been opened."""
    one = member(name, rows, SPEC, seed=seed, names=NAMES, multiplier=float(PROMISED))
    course, ends = one.course, np.zeros(CANARIES + 1)
    course._standardised(ends, ends + 1 / 3)  # of bounds -3 and 3: columns stay as they are
    course.weights, course.due = np.zeros(course.family.size), "update"
    return one


def canaries(present: Any) -> Rows:
    """One row for each canary that is present."""
    x = np.zeros((len(present), CANARIES))
    x[np.arange(len(present)), present] = 1e4
    return Rows(x, np.full(len(present), -3.0))


def opened(seed: int) -> tuple[Floats, Floats]:
    """What the coalition sees of canaries that are present, and of those that are not: 1 and 0, with noise."""
    present = np.sort(np.random.default_rng(seed).permutation(CANARIES)[: CANARIES // 2])
    nothing = Rows(np.zeros((0, CANARIES)), np.zeros(0))
    terms = SPEC.terms(NAMES)
    remain = NAMES[: terms.threshold]
    own = {n: at_update(n, canaries(present) if n == "m00" else nothing, 1000 * seed + k) for k, n in enumerate(remain)}
    helper, found = own[remain[-1]], []
    for turn in range(1, SUMS + 1):
        numbers = {name: one.numbers(turn) for name, one in own.items()}
        total = np.sum(list(numbers.values()), axis=0, dtype=np.uint64)
        found.append((total - numbers[helper.session.me]).view("<i8")[:-1] / LONGEST)
        still = Sum(turn, frozenset(NAMES), np.zeros_like(total))  # the model stays, so that canaries do
        for one in own.values():
            one.opened(still)
    entries, there = np.array(found), np.isin(np.arange(CANARIES), present)
    return entries[:, there].ravel(), entries[:, ~there].ravel()


def at_most(errors: int, tests: int) -> float:
    """Of the true rate, with 97.5% (Clopper and Pearson)."""
    return float(beta.ppf(0.975, errors + 1, tests - errors))


def multiplier_at_most(present: Floats, absent: Floats) -> float:
    """By how many errors tests at one half make."""
    missed, false = (present < 0.5).sum(), (absent > 0.5).sum()
    separated = -norm.ppf(at_most(int(missed), len(present))) - norm.ppf(at_most(int(false), len(absent)))
    return 1 / max(separated, 1e-9)


def flagged(seed: int) -> bool:
    """Whether an audit finds less noise than promised."""
    return multiplier_at_most(*opened(seed)) < float(PROMISED)


def invited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terms, "honest", property(lambda self: self.cohort_size))


def half(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Noise.sigma.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(Noise, "sigma", property(lambda self: round(honest(self) / np.sqrt(2))))


def not_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = private.clipped
    monkeypatch.setattr(private, "clipped", lambda vectors, longest: honest(vectors, 1.0) * 2)


def test_what_is_built_passes() -> None:
    found = opened(0)
    print(f"multiplier at most {multiplier_at_most(*found):.3f}, promised {float(PROMISED):.3f}")
    assert multiplier_at_most(*found) >= float(PROMISED)
    assert np.mean(found[0]) == pytest.approx(1, abs=0.06)  # canaries are what they should be
    shown = accounting.epsilon([(Fraction(multiplier_at_most(*found)), SUMS)], 1e-5)
    assert 0.7 * accounting.epsilon([(PROMISED, SUMS)], 1e-5) < shown  # the audit has power


@pytest.mark.parametrize("fault", [half, invited, not_clipped])
def test_planted_faults_are_flagged(monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    fault(monkeypatch)
    assert flagged(0)


@pytest.mark.slow
def test_it_passes_in_9_of_10_seeds() -> None:
    assert sum(not flagged(seed) for seed in range(10)) >= 9


@pytest.mark.slow
@pytest.mark.parametrize("fault", [half, invited, not_clipped])
def test_planted_faults_are_flagged_in_9_of_10_seeds(monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    fault(monkeypatch)
    assert sum(flagged(seed) for seed in range(10)) >= 9


def test_the_noise_of_a_run_is_that_of_the_audit() -> None:
    """`Noise.of` computes what the audit promises: the same terms, and a multiplier from epsilon."""
    terms = SPEC.terms(NAMES)
    assert (terms.threshold, terms.honest, terms.cohort_size) == (9, 8, 12)
    assert noise(SPEC, terms, 2, multiplier=0.6).sigma == int(np.ceil(0.6 * LONGEST / np.sqrt(8)))
