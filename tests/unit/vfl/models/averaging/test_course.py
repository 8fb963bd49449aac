"""What all parties compute from opened sums: standardisation to the last bits of its sums, and one model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from protocols.averaging.secure_sum import Sum
from protocols.errors import DataError
from protocols.randomness import Seed
from tests.unit.protocols.averaging.world import drawing
from vfl.models.averaging.course import LIMB, SCALE, Course, limbs, noise_bits, whole
from vfl.models.averaging.program import Own, Rows
from vfl.models.averaging.spec import Averaging

NAMES = ("a", "b", "c")
EVERYBODY = frozenset(NAMES)


class Alone:
    """What a member needs of a session."""

    def __init__(self, me: str) -> None:
        self.me = me
        self.seed = drawing(me)
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


def seeded(number: int) -> Seed:
    return Seed("a", number.to_bytes(32, "big"))


@given(st.lists(st.lists(st.integers(-(2**110), 2**110), min_size=3, max_size=3), min_size=1, max_size=5))
def test_limbs_add_up(rows: list[list[int]]) -> None:
    for bits in (32, 64):
        words = [limbs(row, bits, len(rows), seeded(k)) for k, row in enumerate(rows)]
        assert whole(np.sum(words, axis=0, dtype=words[0].dtype)) == [sum(column) for column in zip(*rows, strict=True)]


# -- limbs say nothing but their sum

ONE_BELOW, NONE_BELOW = (1000, 2000, 3000, -500, 4500), (1000, 2000, 3000, 1500, 2500)  # of one sum


def above(members: tuple[int, ...], bits: int, tries: int, first: int = 0) -> Any:
    """(tries, limbs - 1) of opened limbs of one column what is above a limb's bits, between 0 and 1, as an aggregator
    sees it."""
    found = []
    for k in range(first, first + tries):
        words = [limbs([n << SCALE], bits, len(members), seeded(100 * k + j)) for j, n in enumerate(members)]
        opened = np.sum(words, axis=0, dtype=words[0].dtype)
        assert whole(opened) == [sum(members) << SCALE]
        found.append(opened.view(f"<i{bits // 8}")[:-1] >> LIMB[bits])
    return np.array(found, float) / 2 ** noise_bits(bits, len(members))


def told_apart(bits: int, tries: int = 400) -> float:
    """The smallest p-value of Kolmogorov and Smirnov's test over the limbs, times their number, between members of whom
    one has a negative sum, and members of whom none has, with the same sum."""
    one, none = above(ONE_BELOW, bits, tries), above(NONE_BELOW, bits, tries, tries)
    return float(min(ks_2samp(*pair, method="asymp").pvalue for pair in zip(one.T, none.T, strict=True))) * one.shape[1]


@pytest.mark.parametrize("bits", [32, 64])
def test_carries_do_not_show_whose_sums_are_negative(bits: int) -> None:
    """With the same random numbers both would differ by a carry, which is below 2^-16 of their range."""
    assert told_apart(bits) > 0.001
    difference = above(ONE_BELOW, bits, 1) - above(NONE_BELOW, bits, 1)
    assert np.abs(difference).max() < 2.0**-16


@pytest.mark.parametrize("bits", [32, 64])
def test_positive_control_without_random_numbers_carries_show(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seed, "words", lambda self, length: np.zeros(length, np.uint64))
    assert told_apart(bits) < 1e-9


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
