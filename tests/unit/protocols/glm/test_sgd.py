"""solver="sgd": batches are what they say, every family comes near its optimum, integers are those of the same
arithmetic in the clear, and nobody holds more than a batch of ciphertexts."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

from protocols._native import PlainVec
from protocols.cipher import CipherVec, Identity
from protocols.errors import ConfigError
from protocols.glm import IDENTITY, POISSON, Link, Penalty, Sgd, Stopping, Terms
from protocols.glm.batches import Batches
from protocols.glm.block import Block, Share
from protocols.glm.pair_masks import PairMasks
from protocols.glm.plan import FEATURE, MOST_STEPS, WEIGHT, Plan, Step, rows_log2
from protocols.randomness import Seed
from tests.harness import TOY, ContextFree, short_masks
from tests.unit.protocols.glm.test_glm import EXACT, TAYLOR, Matrix, joined, optimum, problem, train
from tests.unit.protocols.glm.test_glm_families import counts

SGD = Sgd(batch_size=32)
SEED = Seed("guest", b"order".ljust(32))


def batches_of(plan: Plan, rows: int) -> list[list[np.ndarray[Any, Any]]]:
    """The rows of every step, by pass."""
    found = Batches(rows, plan.batches, SEED)
    steps = plan.steps()
    return [[np.asarray(found.of(s)) for s in steps[k : k + plan.batches]] for k in range(0, len(steps), plan.batches)]


@pytest.mark.parametrize("rows", [65, 100, 128, 569, 5000])
@pytest.mark.parametrize("size", [None, 32, 45, 60, 1000])
def test_each_pass_takes_each_row_once_in_another_order(rows: int, size: int | None) -> None:
    plan = TAYLOR.plan(rows_log2(rows), Penalty(1.0), 5, 2, 2007, Sgd(size))
    if plan.batches == 1:
        assert size is not None
        assert size >= 2 ** rows_log2(rows)
        return
    passes = batches_of(plan, rows)
    assert all(np.array_equal(np.sort(np.concatenate(one)), np.arange(rows)) for one in passes)
    assert len({tuple(np.concatenate(one)) for one in passes}) == 5
    least, most = plan.batch_rows
    sizes = [len(batch) for one in passes for batch in one]
    assert least <= min(sizes)
    assert max(sizes) <= min(most, 2**plan.batch_log2, size or 8192)
    assert min(sizes) >= max(8, (size or 0) // 4)
    assert max(sizes) - min(sizes) <= 1
    assert [s.last for s in plan.steps()] == [k >= 4 * plan.batches for k in range(5 * plan.batches)]


def test_the_number_of_batches_tells_no_more_than_the_power_of_two_above_the_rows() -> None:
    assert len({Sgd(100).batches(rows_log2(rows)) for rows in range(513, 1025)}) == 1
    assert [Sgd().batches(k) for k in (5, 6, 10, 15, 17, 20)] == [1, 2, 8, 8, 16, 128]


OPTIMA: dict[str, tuple[Link, Penalty, Any]] = {
    "exact": (EXACT, Penalty(1.0), LogisticRegression(tol=1e-10, max_iter=10_000)),
    "linear": (IDENTITY, Penalty(1.0), Ridge(alpha=1.0)),
    "poisson": (POISSON, Penalty(0.1, mean=True), PoissonRegressor(alpha=0.1, tol=1e-12, max_iter=10_000)),
}


@pytest.mark.parametrize("weighted", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", [pytest.param(f, marks=[] if f == "linear" else [pytest.mark.slow]) for f in OPTIMA])
def test_every_family_comes_near_scikit_learns_optimum(family: str, weighted: bool) -> None:
    link, penalty, oracle = OPTIMA[family]
    blocks, y = counts(n=600, widths=(2, 2, 1)) if link is POISSON else problem(n=600, widths=(2, 2, 1))
    weights = np.random.default_rng(3).uniform(0.5, 2.0, len(y)) if weighted else None
    if weights is not None:
        weights /= weights.mean()
    best = oracle.fit(np.hstack(blocks), y, sample_weight=weights)
    best = np.r_[np.ravel(best.coef_), best.intercept_]
    found = joined(
        train(blocks, y, 60, Identity(), fixed=False, link=link, penalty=penalty, weights=weights, sgd=Sgd(128))
    )
    assert np.abs(found - best).max() <= 2e-2 * np.abs(best).max()


def test_batches_whose_labels_are_all_the_same_do_no_harm() -> None:
    """With five events most batches have none: the start comes from all labels, and a batch's gradient needs no second
    class."""
    blocks, y = problem(n=300)
    order = np.argsort(np.hstack(blocks) @ np.arange(5) + np.random.default_rng(1).normal(0, 4, 300))
    y = np.zeros(300)
    y[order[-5:]] = 1.0
    plan = TAYLOR.plan(rows_log2(300), Penalty(1.0), 60, 2, 2007, SGD)
    constant = [y[rows].min() == y[rows].max() for one in batches_of(plan, 300) for rows in one]
    assert np.mean(constant) > 0.6
    best = optimum(blocks, y)
    assert (
        np.abs(joined(train(blocks, y, 60, Identity(), fixed=False, sgd=SGD)) - best).max() <= 1e-2 * np.abs(best).max()
    )


@pytest.mark.parametrize("link", [EXACT, TAYLOR, IDENTITY])
def test_every_cipher_computes_the_same_integers(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    short_masks(monkeypatch, 500)
    blocks, y = problem(n=40, widths=(2, 1, 2))
    weights = np.linspace(0.5, 2.0, 40) if link is EXACT else None
    runs = [train(blocks, y, 2, scheme, link=link, weights=weights, sgd=Sgd(16)) for scheme in (Identity(512), TOY)]
    for ours, theirs in zip(*runs, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_within_the_documented_bound_of_the_plaintext_arithmetic(momentum: float) -> None:
    """The same integers without shares, batch by batch; and far from them where one batch is another."""
    blocks, y = problem(n=100)
    sgd = Sgd(32, momentum)
    plan = TAYLOR.plan(rows_log2(len(y)), Penalty(1.0), 30, len(blocks), 2000, sgd)
    order = Batches(len(y), plan.batches, ContextFree("guest").draw("row order", b"", b""))
    plain = unshared(plan, blocks, y, order)
    shared = train(blocks, y, 30, Identity(), sgd=sgd)
    apart = max(np.abs(p - w * 2**WEIGHT).max() for p, w in zip(plain, shared, strict=True))
    assert apart <= 3 * 30 * plan.batches
    other = unshared(plan, blocks, y, Batches(len(y), plan.batches, SEED))
    assert max(np.abs(p - w * 2**WEIGHT).max() for p, w in zip(other, shared, strict=True)) > 100 * apart


def unshared(plan: Plan, blocks: list[Matrix], y: Matrix, order: Batches) -> list[Matrix]:
    """Final weights (in units of 2^-WEIGHT) of the Taylor link's integers."""
    made = [Block.of(x, plan, intercept=i == 0) for i, x in enumerate(blocks)]
    start = round(4 * (y.mean() - 0.5) * 2**WEIGHT)
    shares = [
        Share.start(PlainVec.from_ints([0] * (b.width - 1) + [start if i == 0 else 0])) for i, b in enumerate(made)
    ]
    for step in plan.steps():
        rows = order.of(step)
        parts = [b.take(rows) for b in made]
        points = [np.array(s.point.to_ints(), dtype=object) for s in shares]
        z = sum(b.x[:].astype(object) @ w for b, w in zip(parts, points, strict=True))
        d = z + ((2 - 4 * y[rows].astype(int)).astype(object) << (FEATURE + WEIGHT))
        for b, s, w in zip(parts, shares, points, strict=True):
            g = b.preconditioned[:].T.astype(object) @ d + b.penalty.astype(object) @ w
            s.step(PlainVec.from_ints([int(v) for v in g]), plan.shift, step)
    return [np.array(s.point.to_ints(), dtype=float) for s in shares]


@pytest.mark.parametrize("size", [None, 32, 100])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
def test_head_room_of_a_batch(size: int | None, alpha: float) -> None:
    """No residual within the link's bound makes a batch's gradient beyond the plan's, be the batch the worst that there
    is."""
    rng = np.random.default_rng(0)
    x = np.clip(rng.normal(size=(1000, 12)) @ rng.normal(size=(12, 12)), -6, 6)
    for link in (TAYLOR, EXACT):
        plan = link.plan(rows_log2(1000), Penalty(alpha), 10, 2, 2007, Sgd(size))
        block = Block.of(x, plan, intercept=True)
        most = plan.batch_rows[1]
        largest = np.sort(np.abs(block.preconditioned[:]), axis=0)[-most:].astype(float)  # of each column
        residual = 2.0 ** (plan.residual_log2 + plan.residual_bits)
        decay = np.abs(block.penalty.astype(float)).sum(axis=1).max() * 2.0 ** (block.penalty_shift + 8 + WEIGHT)
        assert np.sqrt((largest**2).sum(axis=0)).max() * np.sqrt(most) * residual + decay < 2.0**plan.gradient_bits


def test_masks_between_hosts_have_a_number_of_their_own_in_every_batch_of_every_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uses = list[int]()
    honest = PairMasks.integers

    def kept(self: PairMasks, use: int, rows: int, bits: int) -> PlainVec:
        uses.append(use)
        return honest(self, use, rows, bits)

    monkeypatch.setattr(PairMasks, "integers", kept)
    blocks, y = problem(n=40, widths=(1, 1, 1))
    targets = np.stack([y, 1 - y])
    train(blocks, targets, 3, Identity(), sgd=Sgd(16))
    assert sorted(uses) == sorted([*range(2 * 3 * 4)] * 2)  # two hosts each the same ones: that is how masks cancel
    uses.clear()
    monkeypatch.setattr(Plan, "steps", _numbered_by_batch(Plan.steps))
    train(blocks, targets, 3, Identity(), sgd=Sgd(16))
    assert len(set(uses)) < 2 * 3 * 4  # the planted fault shows


def _numbered_by_batch(honest: Any) -> Any:
    return lambda plan: [replace(step, number=step.number % plan.batches) for step in honest(plan)]


class Alive:
    """How many ciphertexts exist at once, in all parties of a process together."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def count(self, made: CipherVec) -> None:
        self.now += len(made)
        self.most = max(self.most, self.now)
        weakref.finalize(made, self.less, len(made))

    def less(self, size: int) -> None:
        self.now -= size


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Alive]:
    counter, honest = Alive(), CipherVec.__init__

    def counted(self: CipherVec, *given: Any, **named: Any) -> None:
        honest(self, *given, **named)
        counter.count(self)

    monkeypatch.setattr(CipherVec, "__init__", counted)
    return counter


def test_the_working_set_is_a_batch(alive: Alive) -> None:
    """Eight times the rows: as many ciphertexts at once as before; the solver over all rows needs eight times as
    many."""
    peak = dict[tuple[int, bool], int]()
    for rows, sgd in ((128, SGD), (1024, SGD), (128, None), (1024, None)):
        blocks, y = problem(n=rows)
        alive.most = alive.now
        train(blocks, y, 2, Identity(), link=EXACT, sgd=sgd)
        peak[rows, sgd is not None] = alive.most - alive.now
    assert peak[1024, True] <= 1.1 * peak[128, True] <= 12 * 32
    assert peak[1024, False] > 7 * peak[128, False]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_working_set_of_a_hundred_thousand_rows_is_a_batch(alive: Alive) -> None:
    blocks, y = problem(n=100_000)
    train(blocks, y, 2, Identity(), link=EXACT, sgd=Sgd(1000))
    assert alive.most <= 12 * 1000


@pytest.mark.parametrize(
    ("rows", "sgd", "passes", "words"),
    [(50, Sgd(64), 5, "single batch"), (4000, Sgd(1), MOST_STEPS, "more steps than one training")],
)
def test_rows_that_mini_batches_are_not_for(rows: int, sgd: Sgd, passes: int, words: str) -> None:
    blocks, y = problem(n=rows)
    with pytest.raises(ConfigError, match=words):
        train(blocks, y, passes, Identity(), sgd=sgd)


def test_rates_rise_and_fade() -> None:
    steps = Sgd(momentum=0.5, learning_rate_init=2.0).steps(1000)
    rates = np.array([s.rate for s in steps]) / 2**WEIGHT
    assert rates.argmax() == 99
    assert rates.max() == pytest.approx(2 * 0.901**3)
    assert (np.diff(rates[:100]) > 0).all()
    assert (np.diff(rates[100:]) <= 0).all()
    assert rates[-1] < 1e-6
    assert steps[0] == Step(round(1.5 * 2**WEIGHT), steps[0].rate, keeps=True)


def test_stopping_by_a_loss_and_mini_batches_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match="make all their epochs"):
        Terms(TAYLOR, Penalty(1.0), 30, sgd=SGD, stopping=Stopping(1e-4, 10))
