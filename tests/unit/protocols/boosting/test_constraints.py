"""Monotone constraints: the trees equal the twin's, predictions never move against a sign, and xgboost predicts the
same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols.binning.quantile import Binned
from protocols.boosting import constraints, split
from protocols.boosting.constraints import SignsToArbiter, SignsToGuest
from protocols.boosting.ensemble import Rounds
from protocols.boosting.params import Params
from protocols.boosting.split import Bounds, Offer, Units, alike, bounds_below, choose
from protocols.boosting.tree import Tree
from protocols.cipher import Identity, Keyring
from protocols.errors import ConfigError, RemoteProtocolError
from tests.harness import TOY, Recording, Sent
from tests.unit.protocols.boosting.samples import sealed_and_its_twin, small, tables, walk
from tests.unit.protocols.boosting.test_bad_input import sent_instead
from tests.unit.protocols.boosting.world import (
    Floats,
    Trained,
    bin_blocks,
    joined,
    same,
    train,
    twin_trees,
)

SIGNS: tuple[tuple[int, ...], ...] = ((1, -1), (-1, 0, 1), (1, 1))
OBJECTIVES = ("binary:logistic", "reg:squarederror", "count:poisson")


def job(membership: str, seed: int, **changes: Any) -> tuple[Params, list[Binned], Floats]:
    """Columns that move the label in all directions, most of them constrained."""
    p = small(
        membership=membership,
        monotone_constraints=True,
        n_estimators=3,
        max_depth=4,
        objective=OBJECTIVES[seed % 3],
        guest_only_trees=seed % 2,
        seed=seed,
        **changes,
    )
    blocks, y = tables(p, [len(own) for own in SIGNS], seed=seed, rows=150)
    return p, [block.constrained(own) for block, own in zip(blocks, SIGNS, strict=True)], y


def moved(trees: Sequence[Tree], blocks: Sequence[Binned], seed: int = 0) -> tuple[float, float]:
    """The largest step against a sign, and the largest along one, over all pairs of neighbouring bins, with all other
    columns as some rows have them."""
    rng, worst, best = np.random.default_rng(seed), 0.0, 0.0
    for k, block in enumerate(blocks):
        for column, sign in enumerate(() if block.monotone is None else block.monotone):
            rows = rng.integers(0, len(block), 60)
            bins = len(block.binner.cuts[column]) + 1
            if not sign or bins < 2:
                continue
            every = [b.take(np.repeat(rows, bins)) for b in blocks]
            own = every[k].bins.copy()
            own[:, column] = np.tile(np.arange(bins), len(rows))
            every[k] = replace(every[k], bins=own)
            margin = np.zeros(len(every[0]))
            for tree in trees:
                margin += tree.value[tree.route(len(margin), walk(tree, every))]
            steps = sign * np.diff(margin.reshape(len(rows), bins), axis=1)
            worst, best = max(worst, -steps.min()), max(best, steps.max())
    return float(worst), float(best)


def open_and_its_twin(p: Params, blocks: Sequence[Binned], y: Floats) -> tuple[Trained, list[Tree]]:
    trained, (trees, rounds) = train(blocks, y, p, Identity()), twin_trees(blocks, y, p)
    assert same(joined(trained), trees)
    assert np.array_equal(trained.rounds.margin, rounds.margin)
    return trained, trees


@pytest.mark.parametrize("seed", range(6))
def test_sealed_trees_are_the_twins_and_monotone(seed: int) -> None:
    """Leaf values are whole numbers here: monotone after rounding, not up to it."""
    p, blocks, y = job("sealed", seed, reg_alpha=0.5 * (seed == 4), colsample_bytree=0.6 if seed == 5 else 1.0)
    _, trees = sealed_and_its_twin(p, blocks, y, Identity(1024), seed=seed)
    worst, best = moved(trees, blocks)
    assert worst == 0.0
    assert best > 0.0


@pytest.mark.parametrize("seed", range(6))
def test_open_trees_are_the_twins_and_monotone(seed: int) -> None:
    p, blocks, y = job("open", seed, gradient_bits=3 + seed)  # rounded so coarsely that exact leaf values differ
    _, trees = open_and_its_twin(p, blocks, y)
    worst, best = moved(trees, blocks)
    assert worst < 1e-12
    assert best > 0.01


def test_under_encryption_too() -> None:
    sealed_and_its_twin(*job("sealed", 0), TOY)
    p, blocks, y = job("open", 0)
    assert same(joined(train(blocks, y, p, TOY)), twin_trees(blocks, y, p)[0])


def test_a_model_is_continued_with_its_constraints() -> None:
    p, blocks, y = job("sealed", 0)
    first = train(blocks, y, replace(p, n_estimators=2), Identity(1024))
    _, trees = sealed_and_its_twin(p, blocks, y, Identity(1024), after=first)
    assert moved(trees, blocks)[0] == 0.0
    with pytest.raises(ConfigError, match="continued with its own monotone_constraints"):
        train(blocks, y, replace(p, monotone_constraints=False), Identity(1024), after=first)


def forgets_bounds(honest: Callable[..., Bounds]) -> Callable[..., Bounds]:
    def below(p: Params, units: Units, offer: Offer, at: Any, whole: Any, bounds: Bounds) -> Bounds:
        return Bounds.none(2)

    return below


def half_bounds(honest: Callable[..., Bounds]) -> Callable[..., Bounds]:
    """Each child keeps one of its two bounds: those of splits further above are lost."""

    def below(*args: Any) -> Bounds:
        found = honest(*args)
        return Bounds(np.array([-np.inf, found.low[1]]), np.array([found.high[0], np.inf]))

    return below


@pytest.mark.parametrize("fault", [forgets_bounds, half_bounds])
@pytest.mark.parametrize("membership", ["sealed", "open"])
def test_planted_children_without_bounds_are_found(
    membership: str, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split, "bounds_below", fault(split.bounds_below))
    worst = 0.0
    for seed in range(4):
        p, blocks, y = job(membership, seed)
        worst = max(worst, moved(joined(train(blocks, y, p, Identity(1024))), blocks)[0])
    assert worst > 0.01


@pytest.mark.parametrize("membership", ["sealed", "open"])
def test_planted_signs_of_another_order_are_found(membership: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A party that sends the signs in the order of its columns, not in that of its sums."""
    honest, worst = constraints.tell, 0.0
    monkeypatch.setattr(constraints, "tell", lambda channel, kind, signs: honest(channel, kind, np.sort(signs)))
    for seed in range(4):
        p, blocks, y = job(membership, seed)
        worst = max(worst, moved(joined(train(blocks, y, p, Identity(1024))), blocks)[0])
    assert worst > 0.01


def test_the_signs_follow_the_shuffled_sums() -> None:
    """What is sent: a sign for each candidate, in no order of columns; and nothing without constraints."""
    for membership, kind in (("sealed", SignsToArbiter), ("open", SignsToGuest)):
        p, blocks, y = job(membership, 2)
        sent: list[Sent] = []
        train(blocks, y, p, Identity(1024), taps={q: [Recording(q, sent)] for q in ("guest", "host1", "host2")})
        told = [s.message(Keyring()) for s in sent if s.kind is kind and s.sender == "host1"]
        signs = [np.frombuffer(one.signs, dtype=np.int8).astype(int) for one in told]  # type: ignore[attr-defined]
        assert all(set(one) == {-1, 0, 1} for one in signs)
        assert any((np.diff(one) < 0).any() for one in signs)
        sent.clear()
        plain = replace(p, monotone_constraints=False)
        train(blocks, y, plain, Identity(1024), taps={q: [Recording(q, sent)] for q in ("guest", "host1", "host2")})
        assert kind not in {s.kind for s in sent}


@pytest.mark.parametrize(("membership", "name"), [("sealed", "SignsToArbiter"), ("open", "SignsToGuest")])
@pytest.mark.parametrize(
    "wrong", [lambda data: b"\x02" * len(data), lambda data: b"\xfe" * len(data), lambda data: data[:-1]]
)
def test_signs_that_cannot_be_name_their_sender(membership: str, name: str, wrong: Callable[[bytes], bytes]) -> None:
    p, blocks, y = job(membership, 0)
    with sent_instead(name, lambda m: {"signs": wrong(m.signs)}), pytest.raises(RemoteProtocolError) as refused:
        train(blocks, y, p, Identity(1024))
    assert refused.value.party in ("guest", "host1", "host2")


def test_a_categorical_column_has_no_order() -> None:
    (block,) = bin_blocks([np.arange(20.0)[:, None] % 4], small(), [[0]])
    assert block.constrained([0]).candidates([0]).sign.tolist() == [0] * 4
    with pytest.raises(ConfigError, match="a categorical column has no order"):
        block.constrained([1])
    with pytest.raises(ConfigError, match="depends on the scores of all classes"):
        Params(objective="multi:softprob", num_class=3, monotone_constraints=True)


def test_bounds_of_children_by_hand() -> None:
    """Without a penalty the weights of (g, h) are -g / h: left 1, right 3, the middle 2."""
    p, units = Params(reg_lambda=0.0, monotone_constraints=True), Units(1.0, 1.0)
    offer = Offer(np.array([[-10, -10]]), np.array([[10, 10]]), np.array([1, 0]))
    whole = (-40, 20)
    rising = bounds_below(p, units, offer, (0, 0), whole, Bounds.none(1))
    assert (rising.low.tolist(), rising.high.tolist()) == ([-np.inf, 2.0], [2.0, np.inf])
    falling = replace(offer, signs=np.array([-1, 0]))
    below = bounds_below(p, units, falling, (0, 0), whole, Bounds(np.array([0.5]), np.array([2.0])))
    assert (below.low.tolist(), below.high.tolist()) == ([1.5, 0.5], [2.0, 1.5])  # right is cut to 2 first
    free = bounds_below(p, units, offer, (0, 1), whole, Bounds(np.array([0.5]), np.array([2.0])))
    assert (free.low.tolist(), free.high.tolist()) == ([0.5, 0.5], [2.0, 2.0])


def test_a_split_against_its_sign_is_refused_and_ties_lead_to_the_same_bounds() -> None:
    p, units = Params(reg_lambda=0.0, min_child_weight=0.0, monotone_constraints=True), Units(1.0, 1.0)
    offer = Offer(np.array([[-10, -30, -10, -30]]), np.array([[10, 10, 10, 10]]), np.array([-1, 1, 0, -1]))
    (choice,) = choose(p, units, [offer], np.array([-40]), np.array([20]), Bounds.none(1))
    assert choice is not None
    assert choice.ties.tolist() == [2]  # of 0 to 3 only 2 and 3 are allowed, and 0 is a larger sign than -1
    assert alike(offer, 0, np.array([1, 3])).tolist() == [1]
    assert alike(replace(offer, signs=None), 0, np.arange(4)).tolist() == [0, 2]


def test_gains_under_bounds_are_the_losses_own() -> None:
    """By brute force: what the loss falls by where children take the weights that their bounds allow."""
    rng, units = np.random.default_rng(3), Units(0.5, 0.25)
    p = Params(reg_lambda=0.7, reg_alpha=0.4, min_child_weight=0.0, monotone_constraints=True)
    g, h = rng.integers(-60, 60, (5, 7)), rng.integers(5, 40, (5, 7))
    whole_g, whole_h = g.sum(axis=1) // 3, h.max(axis=1) + 20
    bounds = Bounds(rng.uniform(-1.0, 0.0, 5), rng.uniform(0.0, 1.0, 5))
    found = split.gains(p, units, Offer(g, h), whole_g, whole_h, bounds)

    def loss(of_g: int, of_h: int, node: int) -> float:
        grid = np.linspace(bounds.low[node], bounds.high[node], 20001)
        return float((of_g * 0.5 * grid + (of_h * 0.25 + 0.7) * grid**2 / 2 + 0.4 * np.abs(grid)).min())

    for node in range(5):
        for k in range(7):
            left = loss(g[node, k], h[node, k], node)
            right = loss(whole_g[node] - g[node, k], whole_h[node] - h[node, k], node)
            expected = -2 * (left + right - loss(whole_g[node], whole_h[node], node))
            assert found[node, k] == pytest.approx(expected, abs=1e-5)


def without_l1(p: Params, g: Floats, h: Floats, w: Floats) -> Floats:
    """Gains under bounds as xgboost computes them: it leaves the L1 penalty out."""
    return np.asarray(-(2 * g * w + (h + p.reg_lambda) * w**2))


@pytest.mark.parametrize("reg_alpha", [0.0, 0.7])
def test_xgboost_predicts_the_same(reg_alpha: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same bins, with missing values; under an L1 penalty once its gains are xgboost's.  Planted: other signs,
    and none."""
    if reg_alpha:
        monkeypatch.setattr(split, "score_of", without_l1)
    xgb = pytest.importorskip("xgboost")
    rng = np.random.default_rng(5)
    x = np.round(rng.normal(size=(800, 5)) * 2)
    z = x @ [1.0, -0.6, 0.5, 0.0, -0.2] + 2 * np.sin(2 * x[:, 0]) + np.cos(3 * x[:, 3])
    y = (z + rng.logistic(size=800) > 0).astype(np.float64)
    x[rng.random(x.shape) < 0.15] = np.nan
    signs = (1, -1, -1, 1, 0)
    p = Params(
        n_estimators=5,
        max_depth=4,
        max_bin=64,
        membership="open",
        gradient_bits=16,
        min_bin_rows=1,
        base_score=0.5,
        monotone_constraints=True,
        reg_alpha=reg_alpha,
    )
    blocks = bin_blocks([x[:, :2], x[:, 2:]], p)
    own = [block.constrained(part) for block, part in zip(blocks, (signs[:2], signs[2:]), strict=True)]
    _, trees = open_and_its_twin(p, own, y)
    assert moved(trees, own)[0] < 1e-12
    rounds = Rounds(p, y)
    margin = rounds.base[0] + sum(tree.value[tree.route(len(y), walk(tree, own))] for tree in trees)

    def theirs(constraint: tuple[int, ...] | None) -> Floats:
        options = {
            "objective": "binary:logistic",
            "max_depth": 4,
            "max_bin": 64,
            "tree_method": "hist",
            "nthread": 1,
            "base_score": 0.5,
            "reg_alpha": reg_alpha,
        }
        options |= {} if constraint is None else {"monotone_constraints": constraint}
        model = xgb.train(options, xgb.DMatrix(x, y), 5)
        return np.asarray(model.predict(xgb.DMatrix(x), output_margin=True), dtype=np.float64)

    assert np.abs(margin - theirs(signs)).max() < 1e-5
    for planted in (None, (1, -1, 1, 1, 0), (-1, -1, -1, 1, 0)):
        assert np.abs(margin - theirs(planted)).mean() > 0.02
