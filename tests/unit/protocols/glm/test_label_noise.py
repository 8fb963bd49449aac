"""Noise on labels: one label changes one number by 1, the optimum is that of the labels with noise, and an audit of
labels finds half the noise."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from protocols import glm
from protocols.cipher import Identity
from protocols.errors import ConfigError, LocalProtocolError
from protocols.glm import LOGISTIC_LINKS, POISSON, LabelNoise, Sgd, Stopping, label_noise, training
from protocols.glm.label_noise import BITS, noisy
from protocols.randomness import Seed
from tests.unit.protocols.glm.test_glm import joined, optimum, problem, train

NOISE = LabelNoise(Fraction(17, 4))


def seed(k: int) -> Seed:
    return Seed("guest", k.to_bytes(32, "big"))


def labels(n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return (np.arange(n) % 2).astype(float)[np.newaxis]


def test_another_label_changes_one_number_by_one_exactly() -> None:
    before = labels(100)
    after = before.copy()
    after[0, 7] = 1 - after[0, 7]
    moved = NOISE.added(after, seed(1)) - NOISE.added(before, seed(1))
    assert np.flatnonzero(moved).tolist() == [7]
    assert abs(moved[0, 7]) == 1
    assert NOISE.sigma >= NOISE.multiplier * 2**BITS


def test_labels_stay_within_what_all_parties_know() -> None:
    """Also of noise that is far larger; a cut is hardly ever needed."""
    for noise in (NOISE, LabelNoise(Fraction(1, 100)), LabelNoise(Fraction(4000))):
        found, bound = noise.added(labels(20_000), seed(2)), 2.0**noise.bound_log2
        assert np.abs(found).max() < bound  # none is cut
        assert bound >= 1 + 8 * noise.multiplier
        for link in LOGISTIC_LINKS.values():
            assert link.noisy(noise.bound_log2).residual_log2 > math.log2(bound)


def test_two_labels_are_as_hard_to_tell_apart_as_promised_and_half_the_noise_is_flagged() -> None:
    """The audit of many canaries: all labels, by the guest's own numbers, which no other party sees."""
    y, flagged = labels(6000), []
    most = norm.cdf(1 / (math.sqrt(2) * float(NOISE.multiplier)))
    for k in range(10):
        for noise in (NOISE, LabelNoise(NOISE.multiplier / 2)):
            flagged.append(roc_auc_score(y[0], noise.added(y, seed(k))[0]) > most + 0.03)
    assert sum(flagged[::2]) <= 1
    assert sum(flagged[1::2]) >= 9


@pytest.mark.parametrize(
    ("link", "prepared"),
    [
        ("taylor", False),
        ("exact", True),
        pytest.param("taylor", True, marks=pytest.mark.slow),
        pytest.param("exact", False, marks=pytest.mark.slow),
    ],
)
def test_the_optimum_is_that_of_the_labels_with_noise(
    link: str, prepared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks, y = problem(400, (2, 3), 0)
    kept = []
    monkeypatch.setattr(training, "noisy", lambda *given: kept.append(noisy(*given)) or kept[-1])
    more: dict[str, Any] = {"models": 1, "noise": NOISE, "prepared": prepared}
    found = joined(train(blocks, y, 80, Identity(), C=0.02, fixed=False, link=LOGISTIC_LINKS[link], **more))
    x = np.column_stack([*blocks, np.ones(len(y))])
    assert np.std(kept[0][0] - y) > 3
    if link == "taylor":
        best = optimum(blocks, kept[0][0], 0.02)
    else:

        def loss(w: np.ndarray[Any, Any]) -> float:
            z = x @ w
            return float(0.02 * np.sum(np.logaddexp(0, z) - kept[0][0] * z) + w[:-1] @ w[:-1] / 2)

        best = minimize(loss, np.zeros(x.shape[1]), method="BFGS", options={"gtol": 1e-7}).x
    assert np.abs(found - best).max() < 2e-3


def test_labels_without_a_bound_and_what_else_is_computed_from_labels_are_refused() -> None:
    terms: dict[str, Any] = {"penalty": glm.Penalty(1.0), "passes": 10, "models": 1, "noise": NOISE}
    glm.Terms(LOGISTIC_LINKS["exact"], **terms, sgd=Sgd())
    for change in ({"weighted": True}, {"stopping": Stopping(1e-4, 5)}, {"passes": None}, {"models": 3}):
        with pytest.raises(ConfigError, match="noise on labels"):
            glm.Terms(LOGISTIC_LINKS["exact"], **terms | change)
    for link in (POISSON, glm.IDENTITY):
        with pytest.raises(ConfigError, match="for a logistic regression"):
            link.noisy(3)


class Resuming:
    """A session of a run that begins again and again: what it has stored stays, what it draws may not."""

    me = "guest"

    def __init__(self) -> None:
        self.stored, self.number, self.course = set[bytes](), 0, self

    def seed(self, label: str, value: bytes) -> Seed:
        return seed(self.number)

    def spend(self, name: bytes) -> None:
        self.stored.add(name)

    def is_spent(self, name: bytes) -> bool:
        return name in self.stored


def test_one_run_trains_on_one_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    run: Any = Resuming()
    first = noisy(run, labels(50), NOISE)
    assert np.array_equal(noisy(run, labels(50), NOISE), first)
    run.number = 1
    with pytest.raises(LocalProtocolError, match="again under other noise"):
        noisy(run, labels(50), NOISE)
    monkeypatch.setattr(label_noise, "reveal_once", lambda *_: None)
    assert not np.array_equal(noisy(run, labels(50), NOISE), first)  # the planted fault: the mean of many is the label
