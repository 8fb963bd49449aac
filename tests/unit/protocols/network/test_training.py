"""A network trained on shares equals the same integers in the clear, whatever its layers, activations and parties; and
faults planted in its protocol are found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols._native import PlainVec
from protocols.cipher import Identity, Scheme
from protocols.errors import ConfigError, DataError, LocalProtocolError
from protocols.glm.links import ROW_WEIGHT
from protocols.network import dealt, first_layer, layers
from protocols.network.descent import Share
from protocols.network.plan import Plan, Terms
from tests.harness import TOY
from tests.unit.protocols.glm.test_glm import problem
from tests.unit.protocols.network.networks import TERMS, Started, opened, run

PLAIN = Identity(512)
TABLE = 1e-4  # what a step of a weight may differ by, for a rate of 1: the error of the table of tanh


def apart(terms: Terms, widths: tuple[int, ...] = (2, 3), scheme: Scheme = PLAIN, n: int = 40) -> float:
    """The largest difference of a weight from the twin's, per step and unit of the rate, of weights that moved."""
    blocks, y = problem(n=n, widths=widths)
    y = y if terms.family == "logistic" else blocks[-1][:, 0] - blocks[-1][:, -1] ** 2 / 3
    weights = np.random.default_rng(3).uniform(0.1, 4.0, n) if terms.weighted else None
    with pytest.MonkeyPatch.context() as patch:
        started = Started(patch)
        found = run(blocks, y, terms, scheme, fixed=True, weights=weights)
    twin = started.twin([f"host{k}" for k in range(1, len(blocks))])
    before = twin.flat()
    twin.train(np.concatenate(blocks, axis=1), y, started.order, weights)  # type: ignore[arg-type]
    assert np.abs(twin.flat() - before).max() > 0.05
    steps = terms.epochs * started.plan.batches  # type: ignore[union-attr]
    return float(np.abs(twin.flat() - opened(found, terms)).max()) / (steps * terms.rate)


@pytest.mark.parametrize(
    ("changes", "widths"),
    [
        ({}, (2, 3)),
        ({"hidden": (4, 2), "activation": "logistic", "rate": 3.0}, (0, 2, 2)),
        ({"activation": "softplus", "nesterov": False, "alpha": 2.0, "order": 3}, (1, 1)),
        ({"hidden": (2,), "family": "linear", "rate": 0.1, "batch_size": 40}, (2, 1)),
        ({"hidden": (2,), "weighted": True}, (2, 1)),
    ],
)
def test_equals_the_same_integers_in_the_clear(changes: dict[str, Any], widths: tuple[int, ...]) -> None:
    assert apart(replace(TERMS, **changes), widths) < TABLE


def test_relu_is_found_in_either_of_two_cells_where_its_slope_turns() -> None:
    """There the two cubics of the slope differ by up to 7e-4."""
    assert apart(replace(TERMS, activation="relu", rate=0.2)) < 2 * TABLE


def test_the_same_under_encryption() -> None:
    assert apart(replace(TERMS, epochs=2), scheme=TOY, n=25) < TABLE


def test_several_epochs_share_a_chunk() -> None:
    """Two units' pads of two epochs stand in the slots of one plaintext, and rows keep their order for both."""
    terms = replace(TERMS, hidden=(2,), epochs=3)
    plan = Plan(terms, 40, Identity(1024).generate("a", first_seed()).public.plain_bits)
    assert (plan.together, [c.epochs for c in plan.chunks]) == (3, [3])
    assert apart(terms, scheme=Identity(1024)) < TABLE


@pytest.mark.parametrize(("units", "epochs", "layout"), [(16, 2, [(32, 2)]), (12, 4, [(16, 1), (16, 1), (16, 1)])])
def test_plaintexts_of_several_epochs(units: int, epochs: int, layout: list[tuple[int, int]]) -> None:
    """With two groups of gradients in one plaintext of weights; and plaintexts that begin within an epoch."""
    terms, scheme = replace(TERMS, hidden=(units,), epochs=epochs, rate=0.2), Identity(2048)
    plan = Plan(terms, 40, scheme.generate("a", first_seed()).public.plain_bits)
    assert [(one.passes, one.groups) for one in plan.slots] == layout
    assert apart(terms, scheme=scheme) < TABLE


def first_seed() -> Any:
    from protocols.randomness import Seed

    return Seed("", bytes(32))


def test_a_training_that_diverges_ends_with_a_verdict() -> None:
    blocks, y = problem(n=40)
    with pytest.raises(DataError, match=r"no model.*learning_rate_init"):
        run(blocks, 30 * y, replace(TERMS, family="linear", rate=8.0, epochs=20), PLAIN)


@pytest.mark.parametrize(("changes", "text"), [({"hidden": (257,)}, "cannot have"), ({"batch_size": 41}, "batch_size")])
def test_sizes_that_are_refused(changes: dict[str, Any], text: str) -> None:
    blocks, y = problem(n=40)
    with pytest.raises(ConfigError, match=text):
        run(blocks, y, replace(TERMS, **changes), PLAIN)


def test_a_key_that_is_too_small_is_refused() -> None:
    blocks, y = problem(n=40)
    with pytest.raises(ConfigError, match="too small to prepare"):
        run(blocks, y, TERMS, Identity(200))


# -- planted faults


def broken(patch: pytest.MonkeyPatch, name: str) -> None:
    if name == "a cut is missing":
        honest = layers.propagated_back
        patch.setattr(layers, "WEIGHT", 0)
        assert honest is layers.propagated_back
    elif name == "a share is taken for the whole":
        patch.setattr(first_layer, "propagate_guest", own_share)
    elif name == "the penalty is left out":
        step = Share.step
        patch.setattr(Share, "step", lambda self, *rest: step(self, *rest[:-1], None))
    elif name == "rows weigh the same":
        patch.setattr(layers, "factors_of", lambda weights: np.full(len(weights), 1 << ROW_WEIGHT))


def own_share(session: Any, plan: Plan, share: PlainVec) -> PlainVec:
    """The guest does not add what the arbiter sent."""
    bits = plan.slots[0].g_bits
    first_layer.received(session.arbiter, first_layer.MeanLessPad, len(share), bits)
    first_layer.row_blocks.send_vector(session.hosts, first_layer.ResidualLessPad, share.residue(bits))
    return share.residue(bits)


@pytest.mark.parametrize(
    "fault",
    ["a cut is missing", "a share is taken for the whole", "the penalty is left out", "rows weigh the same"],
)
def test_a_planted_fault_is_far_from_the_twin(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, fault)
    try:
        found = apart(replace(TERMS, alpha=2.0, weighted=fault == "rows weigh the same"))
    except DataError:
        return  # the sums left the table: a verdict, and no model
    assert found > 10 * TABLE


def test_a_dealt_pad_serves_one_value() -> None:
    """The program refuses it before anything is sent."""
    one = PlainVec.zeros(4)
    scheme = dealt.Scheme({"A1": (2, 2)}, ())
    own = dealt.Dealt(scheme, True, {"A1": one}, [], {"A1": one})
    with pytest.raises(LocalProtocolError, match="used for two values"):
        own.open(None, A1=one)  # type: ignore[arg-type]
