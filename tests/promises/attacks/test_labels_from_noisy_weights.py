"""A host that adds columns of noise and reads labels off its final weights: trained on labels with noise it reads no
more than the promise allows, however many columns it adds; without noise the same host reads nearly all labels.

One label is hidden as by Gaussian noise of this multiplier: whatever is computed, labels are then distinguished with an
area under the curve of at most Phi(1 / (sqrt(2) multiplier)).
"""

from __future__ import annotations

import pytest

from protocols.glm import LabelNoise, label_noise
from tests.harness import KNOWN
from tests.plans import planned
from tests.promises.attacks.budgeted import Budgeted, table
from tests.promises.attacks.test_label_reading import World, auc
from tests.promises.attacks.test_labels_from_noisy_events import at_most
from vfl.models import accounting
from vfl.models.regression.spec import LogisticRegression

ROWS, NOISE, CONTROL = 200, 95, 0.9


def read(noise: LabelNoise | None, seed: int) -> float:
    """The AUC of predictors by the host's columns and weights."""
    world = World(ROWS, seed)
    host = table("telecom", world.rng.choice([-1.0, 1.0], size=(ROWS, NOISE)))
    job = planned(LogisticRegression, link="taylor", max_iter=40, reveal=KNOWN, label_noise=noise)
    part = Budgeted(None).train(table("bank", world.own, world.y), host, job)["telecom"].part
    return auc(world.y, part.standardiser.transform(host.features, "telecom") @ part.shares.weights()[0])


def mean(noise: LabelNoise | None, seeds: int) -> float:
    return sum(read(noise, seed) for seed in range(seeds)) / seeds


@pytest.mark.parametrize("epsilon", [1.0, pytest.param(4.0, marks=pytest.mark.slow)])
def test_weights_of_labels_with_noise_hide_labels(epsilon: float) -> None:
    multiplier = accounting.multiplier(epsilon, 1e-5, 1)
    found, bound = mean(LabelNoise(multiplier), 4), at_most(multiplier)
    print(f"epsilon {epsilon:g}: AUC {found:.3f}, at most {bound:.3f}")
    assert found <= bound + 0.05  # of 800 labels


def test_positive_control_without_noise_labels_are_read() -> None:
    found = mean(None, 2)
    print(f"without noise: AUC {found:.3f}")
    assert found >= CONTROL


def test_noise_that_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplier = accounting.multiplier(1.0, 1e-5, 1)
    monkeypatch.setattr(label_noise, "discrete_gaussian", lambda seed, length, sigma: 0 * seed.words(length).view("i8"))
    assert read(LabelNoise(multiplier), 0) > at_most(multiplier) + 0.05
