"""A host that adds columns of noise and reads labels off the events of its bins, which carry noise themselves: the
promise bounds what it reads, however many columns it adds; without noise the same host reads nearly all labels.

One label is hidden as by Gaussian noise of this multiplier: whatever is computed, labels are then distinguished with an
area under the curve of at most Phi(1 / (sqrt(2) multiplier)).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from protocols.binning.noise import CountNoise
from tests.plans import planned
from tests.promises.attacks.budgeted import Budgeted, table
from tests.promises.attacks.test_label_reading import CONTROL, World, auc
from vfl.models import accounting
from vfl.models.scorecard import program as scorecard
from vfl.models.scorecard.spec import Scorecard
from vfl.preprocessing import Preprocessing
from vfl.preprocessing.settings import SCORECARD

ROWS, COLUMNS = 200, 13
STEPS = Preprocessing(
    encode="woe", min_bin_rows=1, min_bin_size=0.02, max_n_bins=12, max_n_prebins=20, monotonic_trend="none"
)


def read(multiplier: Fraction | None, seed: int, columns: int = COLUMNS) -> float:
    """The AUC of least squares over the events that the host learns."""
    world = World(ROWS, seed)
    host = table("telecom", world.rng.normal(size=(ROWS, columns)))
    noise = None if multiplier is None else CountNoise(multiplier)
    binning = {name: getattr(STEPS, name) for name in SCORECARD}
    job = planned(Scorecard, **binning, max_iter=5, link="taylor", noise=noise)
    fitted = Budgeted(None).train(table("bank", world.own, world.y), host, job, module=scorecard)["telecom"]
    bins = [column.bin_of(host.features[column.name]) for column in fitted.preprocessor.woe.columns]
    counts = [column.events for column in fitted.preprocessor.woe.columns]
    a = np.array([of == k for of, known in zip(bins, counts, strict=True) for k in range(len(known))], float)
    return auc(world.y, np.linalg.lstsq(a, np.concatenate(counts), rcond=None)[0])


def mean(multiplier: Fraction | None, seeds: int, **given: Any) -> float:
    return float(np.mean([read(multiplier, seed, **given) for seed in range(seeds)]))


def at_most(multiplier: Fraction) -> float:
    return float(norm.cdf(1 / (math.sqrt(2) * float(multiplier))))


@pytest.mark.parametrize("epsilon", [1.0, pytest.param(4.0, marks=pytest.mark.slow)])
def test_noise_hides_labels_however_many_columns_there_are(epsilon: float) -> None:
    multiplier = accounting.multiplier(epsilon, 1e-5, 1)
    found, bound = mean(multiplier, 4), at_most(multiplier)
    print(f"epsilon {epsilon:g}: AUC {found:.3f}, at most {bound:.3f}")
    assert found <= bound + 0.05  # of 800 labels


def test_positive_control_without_noise_labels_are_read() -> None:
    assert read(None, 0) >= CONTROL


def test_noise_for_one_column_alone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault forgets that one row is in a bin of every column."""
    multiplier = accounting.multiplier(1.0, 1e-5, 1)
    monkeypatch.setattr(CountNoise, "sigma", lambda self, columns: math.ceil(self.multiplier / 10))
    assert mean(multiplier, 2) > at_most(multiplier) + 0.05
