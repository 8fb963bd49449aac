"""Small random tables for boosted trees, and sealed trainings that are held against their twin."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from protocols.binning.quantile import Binned
from protocols.boosting import leaves as leaf_steps
from protocols.boosting import rings
from protocols.boosting.params import Params
from protocols.boosting.sealed_parts import alone
from protocols.boosting.tree import Tree
from protocols.cipher import Scheme
from protocols.glm.sealed_link import UNIT
from protocols.randomness import Randomness
from protocols.session import Session
from tests.unit.protocols.boosting.world import (
    TAKEN,
    Floats,
    Ints,
    Trained,
    bin_blocks,
    joined,
    roles_of,
    same,
    score,
    sealed_twin,
    train,
)

Bits = np.ndarray[Any, np.dtype[np.bool_]]


SETTINGS = st.fixed_dictionaries(
    {
        "n_estimators": st.integers(1, 3),
        "max_depth": st.integers(1, 4),
        "max_bin": st.integers(2, 12),
        "reg_lambda": st.sampled_from([0.0, 1.0]),
        "reg_alpha": st.sampled_from([0.0, 0.5]),
        "gamma": st.sampled_from([0.0, 0.3]),
        "min_child_weight": st.sampled_from([0.0, 1.0]),
        "subsample": st.sampled_from([1.0, 0.7]),
        "colsample_bytree": st.sampled_from([1.0, 0.5]),
        "gradient_bits": st.sampled_from([None, 3, 4, 8, 16]),
        "min_bin_rows": st.sampled_from([1, 5]),
        "guest_only_trees": st.integers(0, 1),
        "seed": st.integers(0, 5),
    }
)
KINDS = st.sampled_from(["binary:logistic", "reg:squarederror", "count:poisson", "multi:softprob"])


def table(seed: int, rows: int, columns: int, missing: float) -> tuple[Floats, Floats]:
    """x with ties, constants and missing values, and a margin that depends on it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns))
    x[:, ::3] = np.round(x[:, ::3])
    if columns > 3:
        x[:, 3] = 1.0
    z = x @ rng.normal(size=columns)
    x[rng.random(x.shape) < missing] = np.nan
    return x, z + rng.logistic(size=rows)


def labels(p: Params, z: Floats) -> Floats:
    if p.objective == "binary:logistic":
        return (z > np.median(z)).astype(np.float64)
    if p.objective == "multi:softprob":
        return np.digitize(z, np.quantile(z, np.arange(1, p.num_class) / p.num_class)).astype(np.float64)
    return np.floor(np.exp(np.clip(z / 3, -3, 3))) if p.objective == "count:poisson" else z


def tables(
    p: Params, widths: Sequence[int], *, seed: int, rows: int, missing: float = 0.1, named: bool = False
) -> tuple[list[Binned], Floats]:
    """The bins of each party, and labels; named: the first column of each party holds categories."""
    x, z = table(seed, rows, sum(widths), missing)
    y, parts = labels(p, z), np.split(x, np.cumsum(widths)[:-1], axis=1)
    for part in parts if named else ():
        part[:, 0] = np.round(part[:, 0])
    return bin_blocks(parts, p, [[0]] * len(parts) if named else None), y


def small(**changes: Any) -> Params:
    return Params(**({"n_estimators": 2, "max_depth": 3, "max_bin": 8, "min_bin_rows": 2} | changes))


def drawn_from(seed: int, hosts: int) -> dict[str, Randomness]:
    """The same secret randomness whenever a training is repeated with this seed."""
    return {q: Randomness(q, hashlib.sha256(f"{seed} {q}".encode()).digest(), b"") for q in roles_of(hosts).all}


@dataclass
class Steps:
    """What the leaves of each tree add to the shares of the rows' margins, by holder and tree; rows in the order of
    training."""

    found: dict[tuple[str, str], Any] = field(default_factory=dict)

    def of(self, number: int, k: int, order: Ints) -> Ints:
        """(rows,) of class k's tree of a round, put together, rows in the order of the tables."""
        whole = np.zeros(len(order), dtype=np.int64)
        label = f"leaves {number} {k}"
        whole[order] = rings.signed(self.found["guest", label] + self.found["arbiter", label])
        return whole


@contextmanager
def watching_margins() -> Iterator[Steps]:
    steps = Steps()

    def kept(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(session: Session, keys: Any, label: str, *rest: Any) -> Any:
            blocks = list(function(session, keys, label, *rest))
            steps.found.setdefault((session.me, label), np.concatenate([words for _, words in blocks]))
            return blocks

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaf_steps, "guest", kept(leaf_steps.guest))
        patch.setattr(leaf_steps, "arbiter", kept(leaf_steps.arbiter))
        yield steps


def sealed_and_its_twin(
    p: Params,
    blocks: Sequence[Binned],
    y: Floats,
    scheme: Scheme,
    *,
    seed: int = 0,
    weight: Floats | None = None,
    held_out: Bits | None = None,
    after: Trained | None = None,
) -> tuple[Trained, list[Tree]]:
    """A training whose trees, and shares of margins, have been found equal to the twin's that is given the same rounded
    gradients.  after: one that it continues, whose trees are the first."""
    more: dict[str, Any] = {} if weight is None else {"weight": weight}
    more |= {} if held_out is None else {"held_out": held_out}
    with watching_margins() as steps:
        trained = train(blocks, y, p, scheme, randomness=drawn_from(seed, len(blocks) - 1), after=after, **more)
    first = joined(after) if after else []
    before = len(first) // p.num_class
    trees, margin = sealed_twin(trained, blocks, y, held_out, before)
    assert same(joined(trained), [*first, *trees], TAKEN)
    check_margins(trained, steps, margin, p.guest_only_trees + before)
    return trained, [*first, *trees]


def check_margins(trained: Trained, steps: Steps, margin: Ints, first: int) -> None:
    """The shares of margins add up to the twin's, bit for bit; margin (outputs, rows): what the trees from round
    `first` on add."""
    kept, order = len(joined(trained)) // trained.part.params.num_class, trained.opened.order
    for k in range(len(margin)):
        whole = np.zeros(margin.shape[1], dtype=np.int64)
        for number in range(first, trained.part.params.guest_only_trees + kept):
            assert order is not None
            whole += steps.of(number, k, order)
        assert np.array_equal(whole, margin[k])


def exact(trained: Trained, blocks: Sequence[Binned], trees: Sequence[Tree]) -> Floats:
    """(rows, outputs) the margins of all trees, before they are rounded."""
    part = trained.sealed
    found = alone(part.own, blocks[0])
    for t, tree in enumerate(trees):
        found[:, t % part.params.num_class] += tree.value[tree.route(len(found), walk(tree, blocks))] * part.margin_unit
    return found


def walk(tree: Tree, blocks: Sequence[Binned]) -> Callable[[int, Ints], Bits]:
    """Which of the rows go left at a node of a joined tree."""
    return lambda node, rows: blocks[tree.owner[node]].goes_left(
        rows, int(tree.feature[node]), int(tree.cut[node]), bool(tree.missing_left[node])
    )


def grid(trained: Trained) -> float:
    """What one step of the grid of opened scores is worth."""
    return trained.sealed.margin_unit * float(2 ** (UNIT - trained.part.params.score_bits))


def check_scores(trained: Trained, blocks: Sequence[Binned], trees: Sequence[Tree], scheme: Scheme) -> None:
    """What joint trees add to scores lies on the grid, less than one of its steps from what they add to the margin."""
    found, step = score(trained, blocks, scheme), grid(trained)
    own = alone(trained.sealed.own, blocks[0])
    whole = np.rint(own / trained.sealed.margin_unit) * trained.sealed.margin_unit
    opened, target = found - whole, exact(trained, blocks, trees) - own
    assert np.array_equal(np.rint(opened / step), opened / step)
    assert np.abs(opened - target).max(initial=0.0) < step
