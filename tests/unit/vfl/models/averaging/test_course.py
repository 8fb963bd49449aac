"""What all parties compute from opened sums: standardisation to the last bits of its sums, and one model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.averaging.secure_sum import Sum
from protocols.errors import DataError
from vfl.models.averaging.course import SCALE, Course, limbs, whole
from vfl.models.averaging.program import Own, Rows
from vfl.models.averaging.spec import Averaging

NAMES = ("a", "b", "c")
EVERYBODY = frozenset(NAMES)


class Alone:
    """What a member needs of a session."""

    def __init__(self, me: str) -> None:
        self.me = me
        self.observer = type("Silent", (), {"step": staticmethod(lambda *given: None)})()


def members(tables: dict[str, tuple[Any, Any]], **spec: Any) -> dict[str, Own]:
    asked = Averaging(**spec)
    return {
        name: Own(Alone(name), Course(asked, asked.terms(tuple(tables)), x.shape[1]), Rows(x, y))  # type: ignore[arg-type]
        for name, (x, y) in tables.items()
    }


def step(own: dict[str, Own], turn: int = 1) -> None:
    """A sum of all members."""
    words = [one.numbers(turn) for one in own.values()]
    total = np.sum(words, axis=0, dtype=words[0].dtype)
    for one in own.values():
        assert len(total) == one.course.length
        one.opened(Sum(turn, frozenset(own), total))


@given(st.lists(st.lists(st.integers(-(2**110), 2**110), min_size=3, max_size=3), min_size=1, max_size=5))
def test_limbs_add_up(rows: list[list[int]]) -> None:
    for bits in (32, 64):
        words = [limbs(row, bits) for row in rows]
        assert whole(np.sum(words, axis=0, dtype=words[0].dtype)) == [sum(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("bits", [None, 8])
def test_columns_are_standardised_by_all_rows(bits: int | None) -> None:
    rng = np.random.default_rng(0)
    size = np.array([1.0, 1e-6, 1e9, 0.0])  # the last one is constant
    tables = {name: (rng.normal(size=(9, 4)) * size + [0, 1e-6, 5e9, 3], rng.normal(5, 2, 9)) for name in NAMES}
    own = members(tables, estimator="linear", max_rows=16, **({} if bits is None else {"update_bits": bits}))
    step(own)
    scaling = own["a"].course.scaling
    assert scaling is not None
    x, y = (np.concatenate([table[k] for table in tables.values()]) for k in (0, 1))
    assert scaling.mean == pytest.approx(x.mean(axis=0), rel=1e-9, abs=2.0**-SCALE)
    assert scaling.deviation[:3] == pytest.approx(x.std(axis=0)[:3], rel=1e-6, abs=2.0 ** -(SCALE // 2))
    assert scaling.deviation[3] == 1
    assert (scaling.label_mean, scaling.label_deviation) == pytest.approx((y.mean(), y.std()))
    assert scaling.columns(x)[:, 3] == pytest.approx(0)


def test_all_members_have_one_model_to_the_bit() -> None:
    rng = np.random.default_rng(3)
    tables = {name: (rng.normal(size=(20, 2)), (rng.random(20) < 0.5).astype(float)) for name in NAMES}
    own = members(tables, rounds=4, batch_size=5)
    for turn in range(1, 6):
        step(own, turn)
    assert {one.course.due for one in own.values()} == {None}
    assert len({one.course.weights.tobytes() for one in own.values()}) == 1
    assert [each.rows for each in own["a"].course.rounds] == [60] * 4


def test_the_same_sum_tried_again_has_the_same_numbers() -> None:
    rng = np.random.default_rng(3)
    tables = {name: (rng.normal(size=(20, 2)), (rng.random(20) < 0.5).astype(float)) for name in NAMES}
    own = members(tables, batch_size=5)
    step(own)
    assert own["a"].numbers(2) is own["a"].numbers(3)


def test_what_rounding_cuts_off_is_carried_over() -> None:
    """Of a member that took part; who was left out sends all of it again."""
    rng = np.random.default_rng(3)
    tables = {name: (rng.normal(size=(20, 2)), (rng.random(20) < 0.5).astype(float)) for name in NAMES}
    own = members(tables, update_bits=4, max_rows=32, rounds=3)
    step(own)
    one = own["a"]
    exact = one._trained() - one.course.weights
    sent = one.numbers(2).view(np.int32)[:-1] / 20 * one.course.unit
    assert sent + one._next_rest == pytest.approx(exact)
    assert np.abs(one._next_rest).max() <= one.course.unit / 2 + 1e-12
    one.opened(Sum(2, EVERYBODY - {"a"}, np.zeros(4, np.uint32)))
    assert not one._rest.any()
    one.numbers(3)
    expected = one._next_rest.copy()
    one.opened(Sum(3, EVERYBODY, np.zeros(4, np.uint32)))
    assert (one._rest == expected).all()


def test_a_column_beyond_all_sizes_is_refused() -> None:
    own = members({name: (np.full((3, 1), 1e30), np.ones(3)) for name in NAMES})
    with pytest.raises(DataError, match="too large to be standardised"):
        own["a"].numbers(1)
