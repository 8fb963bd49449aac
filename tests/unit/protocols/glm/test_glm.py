"""Training equals the closed-form optimum of the same objective; every cipher computes the same integers; overflow is
noticed."""

from __future__ import annotations

import contextlib
import itertools
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from protocols import glm
from protocols._native import PlainVec
from protocols.cipher import CipherVec, Identity, Paillier, PhePaillier, Scheme
from protocols.errors import ConfigError, DataError
from protocols.glm.block import Block, Share
from protocols.glm.links import IDENTITY, LOGISTIC_LINKS, Link
from protocols.glm.plan import FEATURE, TOLERANCE, WARM_UP, WEIGHT, Penalty, rows_log2
from protocols.local import run_local
from protocols.session import Roles, Session
from tests.harness import KNOWN, TOY, ContextFree, short_masks

Matrix = NDArray[np.float64]


def problem(n: int = 80, widths: tuple[int, ...] = (2, 3), seed: int = 0) -> tuple[list[Matrix], Matrix]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, sum(widths)))
    x = np.clip((x - x.mean(0)) / x.std(0), -6, 6)
    y = (x @ rng.normal(size=x.shape[1]) + rng.logistic(size=n) > 0.4).astype(float)
    return np.split(x, np.cumsum(widths)[:-1], axis=1), y


TAYLOR, EXACT = LOGISTIC_LINKS["taylor"], LOGISTIC_LINKS["exact"]


def train(
    blocks: list[Matrix],
    y: Matrix,
    passes: int,
    scheme: Scheme,
    C: float = 1.0,
    fixed: bool = True,
    link: Link = TAYLOR,
    weights: Matrix | None = None,
    **changes: Any,
) -> list[Matrix]:
    """Final weights by party (guest's intercept last of its own); with y and weights (models, n) those of each
    model."""
    terms = glm.Terms(
        link,
        **{"penalty": Penalty(1 / C), "passes": passes, "weighted": weights is not None, "reveal": KNOWN, **changes},
    )
    hosts = tuple(f"host{i}" for i in range(1, len(blocks)))
    roles = Roles("guest", hosts, "arbiter")

    def arbiter(session: Session) -> glm.Kept:
        return glm.arbiter(session, scheme.generate("arbiter", session.seed("key")), terms)

    targets, row_weights = np.atleast_2d(y), None if weights is None else np.atleast_2d(weights)
    guest = partial(glm.guest, x=blocks[0], targets=targets, terms=terms, model_id=bytes(16), weights=row_weights)
    programs = {"guest": guest, "arbiter": arbiter}
    programs |= {h: partial(glm.host, x=b, terms=terms) for h, b in zip(hosts, blocks[1:], strict=True)}
    randomness = {p: ContextFree(p) for p in roles.all} if fixed else None
    results = run_local(roles, programs, scheme, randomness=randomness)
    found = [results[p].weights for p in ("guest", *hosts)]
    return found if y.ndim == 2 else [w[0] for w in found]


def optimum(blocks: list[Matrix], y: Matrix, C: float = 1.0) -> Matrix:
    """The minimiser of C sum((1/2 - y) z + z^2 / 8) + |w|^2 / 2, intercept last and un-penalised."""
    x = np.column_stack([*blocks, np.ones(len(y))])
    penalty = np.diag([1.0] * (x.shape[1] - 1) + [0.0])
    return np.linalg.solve(C * x.T @ x / 4 + penalty, C * x.T @ (y - 0.5))


def joined(weights: list[Matrix]) -> Matrix:
    return np.concatenate([weights[0][:-1], *weights[1:], weights[0][-1:]])


@pytest.mark.parametrize(
    ("widths", "C"), [((2, 3), 0.05), ((0, 4), 1.0), ((3, 1), 30.0), ((1, 2, 2), 30.0), ((2, 1, 1, 1), 0.05)]
)
def test_reaches_the_closed_form_optimum(widths: tuple[int, ...], C: float) -> None:
    blocks, y = problem(widths=widths)
    best = optimum(blocks, y, C)
    found = joined(train(blocks, y, 120, Identity(), C, fixed=False))
    assert np.abs(found - best).max() <= 1e-3 * np.abs(best).max()


@pytest.mark.parametrize("link", [TAYLOR, EXACT, IDENTITY])
@pytest.mark.parametrize("widths", [(2, 3), (1, 1, 2)])
def test_every_cipher_computes_the_same_integers(
    link: Link, widths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    short_masks(monkeypatch, 500)  # what is cut off by shifts depends on masks, which depend on n
    blocks, y = problem(n=20, widths=widths)
    reference = train(blocks, y, 3, Identity(512), link=link)
    for scheme in (TOY, PhePaillier(512)):
        for ours, theirs in zip(reference, train(blocks, y, 3, scheme, link=link), strict=True):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("widths", [(2, 3), (0, 3), (2, 2, 1)])
def test_least_squares_with_the_identity_link(widths: tuple[int, ...]) -> None:
    blocks, _ = problem(widths=widths)
    x = np.column_stack([*blocks, np.ones(len(blocks[0]))])
    y = x @ np.arange(1, x.shape[1] + 1) / 3 + np.random.default_rng(2).normal(size=len(x))
    best = np.linalg.solve(x.T @ x + np.diag([1.0] * (x.shape[1] - 1) + [0.0]), x.T @ y)
    found = joined(train(blocks, y, 120, Identity(), fixed=False, link=IDENTITY))
    assert np.abs(found - best).max() <= 1e-3 * np.abs(best).max()


@pytest.mark.parametrize(
    ("widths", "C"),
    [
        pytest.param(
            widths,
            C,
            marks=() if (widths, C) in (((0, 3), 1.0), ((2, 2, 1), 0.05)) else pytest.mark.slow,
        )
        for widths, C in itertools.product([(2, 3), (0, 3), (2, 2, 1)], [0.05, 1.0, 10.0])
    ],
)
def test_the_exact_link_reaches_scikit_learns_optimum(widths: tuple[int, ...], C: float) -> None:
    blocks, y = problem(n=300, widths=widths)
    best = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(np.hstack(blocks), y)
    best = np.r_[best.coef_[0], best.intercept_]
    found = joined(train(blocks, y, 120, Identity(), C, fixed=False, link=EXACT))
    assert np.abs(found - best).max() <= 2e-3 * np.abs(best).max()


@pytest.mark.parametrize(("start", "stops"), [(60.0, False), (-66.0, True), (66.0, True), (120.0, True)])
def test_predictors_near_the_tables_edge_stop_the_run(
    monkeypatch: pytest.MonkeyPatch, start: float, stops: bool
) -> None:
    monkeypatch.setattr(type(EXACT), "start", lambda self, y, weights: start)
    blocks, y = problem(n=30)
    with pytest.raises(DataError, match="left the range") if stops else contextlib.nullcontext():
        train(blocks, y, 2, Identity(), fixed=False, link=EXACT)


def test_within_the_documented_bound_of_the_plaintext_arithmetic() -> None:
    """Masks and shares cost at most one unit in the last place a pass and truncation: compared with the same integers,
    unshared."""
    blocks, y = problem(n=50)
    n, passes = len(y), 25
    plan = TAYLOR.plan(rows_log2(n), Penalty(1.0), passes, len(blocks), 2000)
    made = [Block.of(x, plan, intercept=i == 0) for i, x in enumerate(blocks)]
    start = round(4 * (y.mean() - 0.5) * 2**WEIGHT)
    plain = [
        Share.start(PlainVec.from_ints([0] * (b.width - 1) + [start if i == 0 else 0])) for i, b in enumerate(made)
    ]
    for step in plan.steps():
        z = sum(
            b.x[:].astype(object) @ np.array(s.point.to_ints(), dtype=object) for b, s in zip(made, plain, strict=True)
        )
        d = z + ((2 - 4 * y.astype(int)).astype(object) << (FEATURE + WEIGHT))
        for b, s in zip(made, plain, strict=True):
            g = b.preconditioned[:].T.astype(object) @ d + b.penalty.astype(object) @ np.array(
                s.point.to_ints(), dtype=object
            )
            s.step(PlainVec.from_ints([int(v) for v in g]), plan.shift, step)
    shared = train(blocks, y, passes, Identity(), fixed=False)
    for s, w in zip(plain, shared, strict=True):
        assert np.abs(np.array(s.point.to_ints()) - w * 2**WEIGHT).max() <= 3 * passes


def test_head_room_is_proven_before_and_checked_after() -> None:
    with pytest.raises(ConfigError, match="head-room"):
        TAYLOR.plan(20, Penalty(1.0), 10, 2, 150)
    rng = np.random.default_rng(0)
    x = np.clip(rng.normal(size=(1000, 12)) @ rng.normal(size=(12, 12)), -6, 6)  # correlated columns
    for C in (0.01, 1.0, 100.0):
        plan = TAYLOR.plan(rows_log2(1000), Penalty(1 / C), 10, 2, 2007)
        block = Block.of(x, plan, intercept=True)
        worst = (
            np.abs(block.preconditioned[:]).sum(axis=0).max() * 2.0**8 * 2 ** (FEATURE + WEIGHT)
            + np.abs(block.penalty).sum(axis=1).max() * 2.0**8 * 2**WEIGHT
        )
        assert worst < 2.0**plan.gradient_bits
    assert plan.slots * plan.width <= 2007
    assert plan.width > plan.gradient_bits + 80


def test_weights_that_have_overflowed_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are uniform modulo the table's period, so that half of the rows are near its edge."""
    blocks, y = problem(n=20)
    honest = Block.gradient

    def inflated(self: Block, residual: CipherVec, theirs: CipherVec, mine: PlainVec) -> CipherVec:
        return honest(self, residual, theirs, mine).mul_plain(PlainVec.from_ints([2**88]))

    monkeypatch.setattr(Block, "gradient", inflated)
    with pytest.raises(DataError, match="left the range"):
        train(blocks, y, 2, TOY, link=EXACT)


def test_a_constant_and_a_collinear_column_do_no_harm() -> None:
    blocks, y = problem()
    blocks[1] = np.column_stack([blocks[1], np.zeros(len(y)), blocks[1][:, 0]])
    best = optimum(blocks, y)
    found = joined(train(blocks, y, 200, Identity(), fixed=False))
    assert np.abs(found - best).max() <= 1e-3 * np.abs(best).max()


@pytest.mark.parametrize("passes", [5, 20, 100])
def test_steps_shrink_a_spectrum_as_chebyshevs_polynomial_does(passes: int) -> None:
    """On a diagonal problem the error after all passes is a polynomial of the spectrum: at most TOLERANCE where it
    reaches."""
    after = passes - passes // WARM_UP
    spectrum = np.linspace(min((math.acosh(1 / TOLERANCE) / (2 * after)) ** 2, 0.5), 1, 500)
    point = trail = np.ones_like(spectrum)
    for step in TAYLOR.plan(10, Penalty(1.0), passes, 2, 2007).steps():
        gradient = spectrum * point
        momentum, rate = step.momentum / 2**WEIGHT, step.rate / 2**WEIGHT
        point, trail = (
            momentum * point + (1 - momentum) * trail - rate * gradient,
            point if step.keeps else point - gradient,
        )
    reach = 1 / np.cosh(after * math.acosh((1 + spectrum[0]) / (1 - spectrum[0])))  # what 5 passes can do at all
    assert np.abs(point).max() <= 1.01 * max(TOLERANCE, reach)


@pytest.mark.slow
def test_identity_and_paillier_give_equal_integers_on_breast_cancer(
    data_folder: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five passes on the real table, both sides, 2048-bit key."""
    short_masks(monkeypatch, 2040)
    import pandas as pd

    guest, host = (pd.read_csv(f"{data_folder}/breast_hetero_{side}.csv") for side in ("guest", "host"))
    table = guest.merge(host, on="id")
    y = table.pop("y").to_numpy(float)
    columns = [c for c in table.columns if c != "id"]
    x = np.clip(table[columns].to_numpy(float), -6, 6)
    blocks = [x[:, :10], x[:, 10:]]
    reference = train(blocks, y, 5, Identity(2048))
    for ours, theirs in zip(reference, train(blocks, y, 5, Paillier(2048)), strict=True):
        assert np.array_equal(ours, theirs)
