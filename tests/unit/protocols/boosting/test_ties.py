"""Splits with equal gains: the arbiter draws one, names only that and uses its sums; the twin that is told which equals
the trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from protocols.binning.quantile import Binned
from protocols.boosting import sealed_arbiter
from protocols.boosting.params import Params
from protocols.boosting.sealed import Owners, Start, Wins
from protocols.boosting.split import Bounds, Choice, Offer, Units, choose
from protocols.cipher import Identity, Keyring
from protocols.errors import PlaintextOverflow
from protocols.randomness import Seed
from protocols.session import Session
from tests.harness import Recording, Sent
from tests.unit.protocols.boosting import world
from tests.unit.protocols.boosting.samples import labels, sealed_and_its_twin, small
from tests.unit.protocols.boosting.world import Floats, Ints, bin_blocks, train

OBJECTIVES = ("binary:logistic", "reg:squarederror", "count:poisson")


def with_ties(seed: int) -> tuple[Params, list[Binned], Floats]:
    """Copies of columns in one party and across parties, mirrored ones (equal gains, other sums), and values that many
    rows share."""
    rng = np.random.default_rng(seed)
    p = small(
        objective=OBJECTIVES[seed % 3],
        max_depth=int(rng.integers(2, 5)),
        max_bin=int(rng.integers(3, 9)),
        min_bin_rows=1,
        min_child_weight=float(rng.choice([0.0, 1.0])),
        gradient_bits=int(rng.choice([4, 8, 12])),
    )
    x = np.round(rng.normal(size=(int(rng.integers(30, 90)), 3)) * 1.5)
    z = x @ rng.normal(size=3) + rng.logistic(size=len(x))
    x[rng.random(x.shape) < rng.choice([0.0, 0.1])] = np.nan
    guest = np.column_stack([x[:, 0], x[:, 0], -x[:, 0]])
    hosts = [np.column_stack([x[:, 1], -x[:, 1], x[:, 0]]), np.column_stack([x[:, 2], x[:, 2], x[:, 1], -x[:, 2]])]
    return p, bin_blocks([guest, *hosts[: 1 + seed % 2]], p), labels(p, z)


def count_ties(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(how many tied, which of them was drawn) of every split where several did."""
    found: list[tuple[int, int]] = []
    honest = world.drawn

    def drawn(tree: Any, candidates: Any, level: int, place: int, choice: Choice) -> int:
        taken = honest(tree, candidates, level, place, choice)
        if len(choice.ties) > 1:
            found.append((len(choice.ties), int(np.flatnonzero(choice.ties == taken)[0])))
        return taken

    monkeypatch.setattr(world, "drawn", drawn)
    return found


def check_runs(seeds: range, monkeypatch: pytest.MonkeyPatch) -> None:
    found = count_ties(monkeypatch)
    for seed in seeds:
        sealed_and_its_twin(*with_ties(seed), Identity(1024), seed=seed)
    assert len(found) > 3 * len(seeds)
    assert sum(place > 0 for _, place in found) > len(seeds)  # not always the first


def test_runs_with_planted_ties_equal_their_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    check_runs(range(12), monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_runs_with_planted_ties_equal_their_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    check_runs(range(100, 300), monkeypatch)


def spoilt(change: Callable[[Ints, int, Choice, Offer], Ints]) -> Callable[..., Any]:
    """`decide` whose sums of the left child are changed where several candidates tie."""
    honest = sealed_arbiter.decide

    def decide(
        session: Session, start: Start, offers: Sequence[Offer], total: Ints, bounds: Bounds
    ) -> tuple[Ints, Ints, Ints, Bounds]:
        owners, positions, below, lower = honest(session, start, offers, total, bounds)
        for node, choice in enumerate(choose(start.p, start.scale.units, offers, *total)):
            if choice is not None and len(choice.ties) > 1:
                below[:, 2 * node] = change(below[:, 2 * node], node, choice, offers[choice.party])
                below[:, 2 * node + 1] = total[:, node] - below[:, 2 * node]
        return owners, positions, below, lower

    return decide


def test_planted_sums_of_another_candidate_that_ties_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal gains have other sums where a column is mirrored."""
    first = spoilt(
        lambda left, node, choice, offer: np.array([offer.g[node, choice.ties[0]], offer.h[node, choice.ties[0]]])
    )
    monkeypatch.setattr(sealed_arbiter, "decide", first)
    wrong = 0
    for seed in range(6):
        try:
            sealed_and_its_twin(*with_ties(seed), Identity(1024), seed=seed)
        except (AssertionError, PlaintextOverflow):
            wrong += 1
    assert wrong > 2


def test_one_position_of_one_party_is_named_for_each_split() -> None:
    p, blocks, y = with_ties(1)
    sent: list[Sent] = []
    train(blocks, y, p, Identity(1024), taps={"arbiter": [Recording("arbiter", sent)]})
    guest = [s.message(Keyring()) for s in sent if s.kind is Owners]
    hosts = [[s.message(Keyring()) for s in sent if s.kind is Wins and s.receiver == f"host{k}"] for k in (1, 2)]
    assert len(guest) == p.n_estimators * p.max_depth
    for told, *theirs in zip(guest, *hosts, strict=True):
        named = np.array([told.positions >= 0, *(w.positions >= 0 for w in theirs)])  # type: ignore[attr-defined]
        assert np.array_equal(named.sum(axis=0), told.owners >= 0)  # type: ignore[attr-defined]
        assert np.array_equal(named.argmax(axis=0)[told.owners >= 0], told.owners[told.owners >= 0])  # type: ignore[attr-defined]


class Dealt:
    """A session whose seeds are numbered."""

    def __init__(self) -> None:
        self.count = 0

    def seed(self, label: str) -> Seed:
        assert label == "ties"
        self.count += 1
        return Seed("arbiter", self.count.to_bytes(32, "big"))


class Planned:
    p, scale = Params(min_child_weight=0.0), type("Scale", (), {"units": Units(1.0, 1.0)})()


def positions(decide: Callable[..., Any], draws: int = 400) -> Ints:
    """Which of four candidates that tie, besides two that do not, is taken, in many draws."""
    offer = Offer(np.array([[3, 1, 3, -3, 0, -3]]), np.array([[5, 5, 5, 5, 5, 5]]))
    session, total = Dealt(), np.array([[0], [10]])
    return np.array([int(decide(session, Planned, [offer], total, Bounds.none(1))[1][0]) for _ in range(draws)])


def test_each_candidate_that_ties_is_as_likely_as_the_others() -> None:
    """Whoever took always the first, or let the owner choose, would tell which others had the same rows: which bins are
    empty."""
    found = np.bincount(positions(sealed_arbiter.decide), minlength=6)
    assert not found[[1, 4]].any()
    assert chisquare(found[[0, 2, 3, 5]]).pvalue > 1e-4


def test_planted_choice_of_the_first_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seed, "words", lambda self, length: np.zeros(length, dtype=np.uint64))
    assert chisquare(np.bincount(positions(sealed_arbiter.decide), minlength=6)[[0, 2, 3, 5]]).pvalue < 1e-9
