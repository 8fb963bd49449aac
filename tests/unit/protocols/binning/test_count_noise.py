"""Noise on events of bins: what one label changes, that everything a host learns is computed from events with noise,
and how much noise that is."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

from protocols.binning import by_label as woe
from protocols.binning.merging import MergedBins, merge
from protocols.binning.noise import CountNoise, of_both
from protocols.cipher import Identity
from protocols.local import run_local
from protocols.randomness import Randomness
from tests.unit.protocols.binning.test_woe import ROLES, ROWS, RULE, TABLES, joined, labels, same
from tests.unit.protocols.test_noise import FITS, FOUND, fit, seed

NOISE = CountNoise(Fraction(3))


def run(noise: CountNoise | None = NOISE, number: int = 0) -> dict[str, Any]:
    programs: dict[str, Any] = {
        "guest": partial(woe.guest, y=labels(), own=TABLES["guest"], rule=RULE, tell=True, noise=noise),
        "arbiter": lambda session: None,
    }
    for host in ROLES.hosts:
        programs[host] = partial(woe.host, fine=TABLES[host], rule=RULE, tell=True, noisy=noise is not None)
    drawn = {party: Randomness(party, number.to_bytes(32, "big"), party.encode()) for party in ROLES.all}
    return run_local(ROLES, programs, Identity(), deadline=60.0, randomness=drawn)


def events(found: dict[str, Any], host: str) -> Any:
    return np.concatenate([column.events for column in found[host]])


def test_hosts_and_guest_have_the_same_bins_with_noise() -> None:
    found = run()
    own, theirs = found["guest"]
    assert all(same(a, b) for a, b in zip(own, joined("guest"), strict=True))  # no noise on what stays here
    for host in ROLES.hosts:
        assert all(same(a.merged, b) for a, b in zip(theirs[host], found[host], strict=True))
        for column in found[host]:
            assert column.rows.sum() == ROWS
            assert (column.events >= 0).all()
            assert (column.events <= column.rows).all()
            assert 0 < column.events.sum() < ROWS
    totals = {int(column.events.sum()) for column in found["host1"]}
    assert len(totals) > 1  # nobody learns the number of events


def test_a_column_keeps_both_classes_whatever_the_noise() -> None:
    rows = np.array([3, 9, 5])
    assert of_both(np.array([0, 0, 0]), rows).tolist() == [0, 1, 0]
    assert of_both(rows, rows).tolist() == [3, 8, 5]
    assert of_both(np.array([0, 2, 5]), rows).tolist() == [0, 2, 5]
    found = run(CountNoise(Fraction(10**6)))
    assert all(0 < column.events.sum() < ROWS for host in ROLES.hosts for column in found[host])


def test_the_same_seeds_give_the_same_noise_and_others_another() -> None:
    assert (events(run(), "host1") == events(run(), "host1")).all()
    assert events(run(), "host2").tolist() != events(run(number=1), "host2").tolist()


def groups(runs: Any) -> set[bytes]:
    return {b"".join(column.group.tobytes() for column in found["host1"]) for found in runs}


def test_which_bins_become_one_is_decided_by_noisy_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decided by exact ones, they would be the same every time, and say what the labels are."""
    assert len(groups(run(number=k) for k in range(8))) > 1

    def merged_first(rule: Any, rows: Any, hits: Any, **given: Any) -> MergedBins:
        return merge(rule, rows, hits, **given)

    monkeypatch.setattr(woe, "_noised", lambda session, columns, noise: columns)
    monkeypatch.setattr(woe, "merge", merged_first)
    assert len(groups(run(number=k) for k in range(8))) == 1


@pytest.mark.parametrize("host", ROLES.hosts)
def test_one_label_changes_one_bin_of_every_column(host: str) -> None:
    table, y = TABLES[host], labels()
    columns = len(table.width)

    def counted(labels: Any) -> Any:
        return np.concatenate([np.bincount(of, weights=labels, minlength=8) for of in table.bins.T])

    for row in range(0, ROWS, 37):
        other = y.copy()
        other[row] = 1 - other[row]
        assert ((counted(y) - counted(other)) ** 2).sum() == columns
    assert NOISE.sigma(columns) ** 2 >= NOISE.multiplier**2 * columns
    assert (NOISE.sigma(columns) - 1) ** 2 < NOISE.multiplier**2 * columns


def test_the_noise_is_that_of_the_discrete_gaussian() -> None:
    count, columns, rows = 200_000, 7, np.full(200_000, 10_000)
    true = np.full(count, 5_000)
    assert fit(NOISE.added(true, rows, columns, seed(1)) - true, 8) > FITS  # 3 sqrt(7) = 7.9
    assert fit(CountNoise(Fraction(3)).added(true, rows, 1, seed(1)) - true, 8) < FOUND  # as if of one column
