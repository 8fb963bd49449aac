"""What noise costs is what dp-accounting says, and what the conversion of Renyi divergences gives by hand."""

from __future__ import annotations

import builtins
import math
import sys
from fractions import Fraction
from typing import Any

import dp_accounting
import numpy as np
import pytest
from dp_accounting import rdp
from scipy.stats import norm

from protocols.errors import ConfigError
from vfl.models import accounting
from vfl.models.accounting import GRID, epsilon, multiplier


def by_hand(releases: list[tuple[Fraction, int]], delta: float) -> float:
    """The conversion of Canonne, Kamath and Steinke, at every order: Renyi divergences of order a are at most a rho."""
    rho = sum(times / (2 * float(each) ** 2) for each, times in releases)
    orders = np.concatenate([np.linspace(1.01, 12, 20_000), np.geomspace(12, 1e6, 20_000)])
    found = rho * orders + np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1)
    return float(found.min())


def exact(releases: list[tuple[Fraction, int]], delta: float) -> float:
    """Of continuous Gaussians, the smallest epsilon (Balle and Wang 2018)."""
    mu = math.sqrt(sum(times / float(each) ** 2 for each, times in releases))
    reached = lambda e: norm.cdf(mu / 2 - e / mu) - math.exp(e) * norm.cdf(-mu / 2 - e / mu)  # noqa: E731
    low, high = 0.0, 200.0
    for _ in range(80):
        low, high = ((low + high) / 2, high) if reached((low + high) / 2) > delta else (low, (low + high) / 2)
    return high


CASES = [
    ([(Fraction(5), 31)], 1e-5),
    ([(Fraction(1), 1)], 1e-6),
    ([(Fraction(41, 2), 100), (Fraction(7), 3)], 1e-7),
]


@pytest.mark.parametrize(("releases", "delta"), CASES)
def test_it_equals_dp_accounting_and_the_formula(releases: list[tuple[Fraction, int]], delta: float) -> None:
    events = [
        dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(float(each)), times) for each, times in releases
    ]
    theirs = rdp.RdpAccountant().compose(dp_accounting.ComposedDpEvent(events)).get_epsilon(delta)
    found = epsilon(releases, delta)
    assert found == pytest.approx(theirs, rel=1e-12)
    assert by_hand(releases, delta) <= found <= 1.01 * by_hand(releases, delta)
    assert exact(releases, delta) < found < 1.3 * exact(releases, delta)


@pytest.mark.parametrize("most", [0.05, 1.0, 8.0, 90.0])
@pytest.mark.parametrize("times", [1, 31, 1000])
def test_a_multiplier_is_just_large_enough(most: float, times: int) -> None:
    found = multiplier(most, 1e-6, times)
    assert (found * GRID).denominator == 1
    assert 0.99 * most < epsilon([(found, times)], 1e-6) <= most
    theirs = dp_accounting.calibrate_dp_mechanism(
        rdp.RdpAccountant,
        lambda z: dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(z), times),
        most,
        1e-6,
    )
    assert float(found) == pytest.approx(theirs, rel=1e-3, abs=2 / GRID)


def test_what_no_noise_can_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "MOST", 4)
    with pytest.raises(ConfigError, match="no noise gives epsilon"):
        multiplier(0.01, 1e-6, 100)


def test_without_the_library_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = builtins.__import__

    def missing(name: str, *given: Any, **more: Any) -> Any:
        if name.startswith("dp_accounting"):
            raise ImportError
        return honest(name, *given, **more)

    for name in [each for each in sys.modules if each.startswith("dp_accounting")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.setattr("importlib.import_module", lambda name: missing(name))
    with pytest.raises(ConfigError, match="dp_accounting") as caught:
        epsilon([(Fraction(1), 1)], 1e-6)
    assert "vfl[dp]" in str(caught.value.remedy)
