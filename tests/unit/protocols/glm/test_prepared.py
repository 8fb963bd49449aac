"""Prepared iterations: the model of the direct ones within the documented units for every family, number of hosts and
way to end; and pads serve once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols import glm
from protocols._native import PlainVec
from protocols.cipher import Identity, Paillier
from protocols.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from protocols.glm import prepared
from protocols.glm.batches import Batches
from protocols.glm.chunks import Ready, layouts
from protocols.glm.links import IDENTITY, POISSON, Link, Weighted
from protocols.glm.plan import WEIGHT, Penalty, Plan, rows_log2
from protocols.glm.preparation import Pads
from protocols.glm.slots import Slots
from protocols.kept import KeptVec
from tests.harness import TOY, ContextFree
from tests.unit.protocols.glm.test_glm import EXACT, TAYLOR, Matrix, problem, train
from tests.unit.protocols.glm.test_glm_families import counts
from tests.unit.protocols.glm.test_sgd import SEED, unshared

LINKS: dict[str, Link] = {"exact": EXACT, "taylor": TAYLOR, "linear": IDENTITY, "poisson": POISSON}
UNITS = 3  # of 2^-WEIGHT per iteration and weight, where the link is linear
CURVE = 1e-4  # of the largest weight, where it is a look-up: a row may be found in either of two cells


def apart(first: list[Matrix], second: list[Matrix]) -> float:
    """The largest difference of a weight, in units of 2^-WEIGHT."""
    return max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True)) * 2.0**WEIGHT


def bound(link: Link, weights: list[Matrix], steps: int) -> float:
    largest = max(float(np.abs(w).max()) for w in weights) * 2**WEIGHT
    return UNITS * steps if link in (TAYLOR, IDENTITY) else CURVE * largest


def data(family: str, n: int = 60, widths: tuple[int, ...] = (2, 3)) -> tuple[list[Matrix], Matrix, dict[str, Any]]:
    if family == "poisson":
        return *counts(n=n, widths=widths), {"penalty": Penalty(0.1, mean=True)}
    return *problem(n=n, widths=widths), {}


@pytest.mark.parametrize("widths", [(2, 3), (0, 2, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("family", LINKS)
def test_the_model_of_the_direct_protocol(family: str, weighted: bool, widths: tuple[int, ...]) -> None:
    """Two chunks of different lengths and one row that fills no ciphertext, under a key of 512 bits."""
    blocks, y, more = data(family, n=61, widths=widths)
    link, weights = LINKS[family], np.linspace(0.5, 2.0, 61) if weighted else None
    direct = train(blocks, y, 5, Identity(), link=link, weights=weights, **more)
    for scheme in (Identity(512), TOY) if widths == (2, 3) else (Identity(512),):
        found = train(blocks, y, 5, scheme, link=link, weights=weights, prepared=True, **more)
        assert apart(direct, found) <= bound(link, direct, 5)


def test_within_the_documented_bound_of_the_plaintext_arithmetic() -> None:
    """The same integers without shares; and far from them where an iteration takes the pads of another."""
    blocks, y = problem(n=60)
    plan = TAYLOR.plan(rows_log2(60), Penalty(1.0), 30, 2, 2007)
    plain = [w / 2**WEIGHT for w in unshared(plan, blocks, y, Batches(60))]
    assert apart(plain, train(blocks, y, 30, Identity(), prepared=True)) <= UNITS * 30
    with pytest.MonkeyPatch.context() as patch:
        honest = prepared.guest

        def swapped(session: Any, plan: Plan, ready: Ready, *rest: Any) -> None:
            pad = replace(ready.pad, predictor=KeptVec.of(-ready.pad.predictor.whole()))
            honest(session, plan, Ready(ready.slots, pad, ready.name), *rest)

        patch.setattr(prepared, "guest", swapped)
        assert apart(plain, train(blocks, y, 30, Identity(), prepared=True)) > 1000 * UNITS * 30


def test_one_against_the_rest_and_both_ways_to_end_early() -> None:
    blocks, y = problem(n=60)
    targets = np.stack([y, np.arange(60) % 3 == 0]).astype(float)
    for passes, changes in ((3, {}), (12, {"stopping": glm.Stopping(1e-2, 3)}), (22, {"settles": True})):
        direct, found = (
            train(blocks, targets, passes, Identity(), link=TAYLOR, prepared=p, **changes) for p in (False, True)
        )
        assert apart(direct, found) <= bound(TAYLOR, direct, passes)


def test_mini_batches_keep_their_rows_for_a_chunk() -> None:
    """The twin takes the same order; one that takes a new order in each epoch ends elsewhere."""
    blocks, y = problem(n=100)
    sgd = glm.Sgd(32)
    plan = TAYLOR.plan(rows_log2(100), Penalty(1.0), 30, 2, 2007, sgd)
    hold = layouts(plan, TAYLOR, None)[0].passes
    assert 1 < hold < 30
    seed = ContextFree("guest").draw("row order", b"", b"")
    found = train(blocks, y, 30, Identity(), sgd=sgd, prepared=True)
    same, other = (
        [w / 2**WEIGHT for w in unshared(plan, blocks, y, Batches(100, plan.batches, seed, hold=h))] for h in (hold, 1)
    )
    assert apart(same, found) <= UNITS * 30 * plan.batches
    assert apart(other, found) > 10 * UNITS * 30 * plan.batches
    orders = Batches(100, plan.batches, SEED, hold)
    first = [orders.of(s).tolist() for s in plan.steps()]  # type: ignore[union-attr]
    turns = [first[k * plan.batches] for k in range(30)]
    assert [turns[k] == turns[k + 1] for k in range(29)] == [(k + 1) % hold > 0 for k in range(29)]


def test_moduli_of_every_link() -> None:
    """Predictors of a look-up are shared modulo its table's period, in the units of their digits; those of a linear
    link as its residuals.  Chunks are long where nothing can end the training."""
    for link, period in ((EXACT, 48), (POISSON, 47), (Weighted(EXACT, 3), 48), (IDENTITY, 0), (Weighted(TAYLOR, 3), 0)):
        plan = link.plan(20, Penalty(1.0), 60, 2, 2007)
        for slots in layouts(plan, link, None):
            assert slots.z_bits + slots.digits.below == (period or slots.g_bits)
            assert slots.digits.below == (16 if period else 0)
            assert slots.g_bits > plan.gradient_bits + 40
    plan = EXACT.plan(20, Penalty(1.0), 60, 2, 2007)
    ways = (
        (plan, None),
        (plan, glm.Stopping(1e-3, 5)),
        (replace(plan, settles=True), None),
        (replace(plan, sgd=glm.Sgd(32)), None),
    )
    assert [layouts(one, EXACT, stopping)[0].groups for one, stopping in ways] == [3, 1, 1, 1]


def test_a_key_that_is_too_small_is_refused() -> None:
    blocks, y = problem(n=20)
    with pytest.raises(ConfigError, match="too small to prepare"):
        train(blocks, y, 3, Paillier(256), prepared=True)


def test_pads_serve_once() -> None:
    one = PlainVec.zeros(3)
    pads = Pads([KeptVec.of(one), KeptVec.of(one)], {"host": [one, one]})
    pads.spend(1)
    pads.spend(0)
    with pytest.raises(LocalProtocolError, match="used twice"):
        pads.spend(1)
    assert "contents" not in repr(pads)
    assert "PlainVec" not in repr(pads)


def test_numbers_out_of_range_and_of_another_length_are_refused() -> None:
    slots = Slots(1, 1, 48, 100)
    good = PlainVec.from_ints([2**47 - 1, -(2**47)])
    prepared.check_range("host", good, slots.z_bits)
    with pytest.raises(RemoteProtocolError, match="out of range"):
        prepared.check_range("host", good + PlainVec.from_ints([1, 0]), slots.z_bits)
