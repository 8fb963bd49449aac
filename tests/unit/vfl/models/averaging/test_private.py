"""What a member of a run with noise sends: one row or member changes it by no more than the noise is made for."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protocols.averaging.cohorts import Terms
from protocols.averaging.secure_sum import Sum
from protocols.errors import PlaintextOverflow
from protocols.randomness import Randomness
from vfl.models.averaging import private
from vfl.models.averaging.families import Family
from vfl.models.averaging.held_out import drawn, drawn_alone
from vfl.models.averaging.private import LONGEST, Noise, clipped, unit
from vfl.models.averaging.private_course import PrivateCourse
from vfl.models.averaging.private_member import PrivateOwn
from vfl.models.averaging.program import Rows
from vfl.models.averaging.spec import Averaging
from vfl.models.privacy import Privacy

NAMES = ("a", "b", "c")
ESTIMATORS = ("logistic", "linear", "poisson", "mlp")


class Alone:
    """What a member needs of a session."""

    def __init__(self, me: str, seed: int = 0) -> None:
        self.me, self._randomness = me, Randomness(me, seed.to_bytes(32, "big"), me.encode())
        self.observer = type("Silent", (), {"step": staticmethod(lambda *given: None)})()

    def seed(self, label: str, value: bytes = b"") -> Any:
        return self._randomness.draw(label, b"", value)


def noise(spec: Averaging, terms: Terms, columns: int, multiplier: float = 1.0, **given: Any) -> Noise:
    """As `Noise.of`, of this multiplier; all bounds are -3 and 3."""
    low, high = np.full(columns + 1, -3.0), np.full(columns + 1, 3.0)
    privacy = Privacy(epsilon=1, delta=1e-6, **given)
    return Noise(privacy, low, high, Fraction(multiplier).limit_denominator(1 << 30), spec.rounds + 1, terms.honest)


def member(name: str, rows: Rows, spec: Averaging, seed: int = 0, names: Any = NAMES, **given: Any) -> PrivateOwn:
    terms, columns = spec.terms(names), rows.x.shape[1]
    course = PrivateCourse(spec, terms, columns, noise=noise(spec, terms, columns, **given))
    return PrivateOwn(Alone(name, seed), course, rows)  # type: ignore[arg-type]


def rows(count: int, columns: int = 3, seed: int = 0, estimator: str = "logistic") -> Rows:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count) if estimator in ("logistic", "mlp") else rng.integers(0, 4, count)
    return Rows(rng.normal(size=(count, columns)) * 2, y.astype(float))


def signed(words: Any) -> Any:
    return words.view("<i8")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members add no noise."""
    monkeypatch.setattr(Noise, "added", lambda self, vectors, seed: vectors.view(np.uint64))


# -- clipping


@given(
    arrays(np.float64, (4, 6), elements=st.floats(allow_nan=True, allow_infinity=True, width=64)),
    st.floats(1e-6, 1e6),
)
def test_no_vector_is_longer_than_it_may_be(vectors: Any, longest: float) -> None:
    found = clipped(vectors, longest)
    assert all(sum(int(each) ** 2 for each in row) <= LONGEST**2 for row in found)


@given(arrays(np.float64, (3, 5), elements=st.floats(-1, 1)))
def test_a_short_vector_is_only_rounded(vectors: Any) -> None:
    back = clipped(vectors, 3.0) * unit(3.0, 5)
    assert np.abs(back - vectors).max() <= unit(3.0, 5) / 2 * (1 + 1e-9)


def test_a_long_vector_keeps_its_direction() -> None:
    (found,) = clipped(np.array([[300.0, -400.0, 0.0]]), 1.0) * unit(1.0, 3)
    assert found == pytest.approx([0.6, -0.8, 0.0], abs=1e-5)


def test_a_scale_that_forgets_rounding_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its vectors are too long, and the last check takes them out."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 400))
    assert clipped(vectors, 1.0).any(axis=1).all()
    monkeypatch.setattr(private, "_target", lambda entries: float(LONGEST))
    assert not clipped(vectors, 1.0).any(axis=1).all()


# -- what one row or member changes


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("due", ["scale", "update"])
def test_one_row_changes_a_sum_by_its_own_vector(estimator: str, due: str) -> None:
    """Exactly: the integers of the other rows are the same bits without it.  clip is small, so that all are clipped."""
    every, spec = rows(9, estimator=estimator), Averaging(estimator=estimator, rounds=2)
    sums = []
    for without in (None, 0, 4, 8):
        kept = np.arange(9) != without
        one = member("a", Rows(every.x[kept], every.y[kept]), spec, clip=0.05)
        if due == "update":
            begin(one)
        sums.append(signed(one.numbers(1)))
    for left_out in sums[1:]:
        change = sums[0] - left_out
        assert 0 < sum(int(each) ** 2 for each in change) <= LONGEST**2
    if due == "update":
        assert all(sum(int(each) ** 2 for each in sums[0] - other) > (0.99 * LONGEST) ** 2 for other in sums[1:])


def begin(one: PrivateOwn) -> None:
    """As after a first sum."""
    course = one.course
    course._standardised(np.full(course.columns + 1, 0.1), np.full(course.columns + 1, 0.3))
    course.weights, course.due = np.linspace(-0.5, 0.5, course.family.size), "update"


@pytest.mark.usefixtures("quiet")
def test_rows_that_are_not_clipped_are_found() -> None:
    one, other = (member("a", rows(count), Averaging(rounds=2), clip=0.05) for count in (9, 8))
    for each in (one, other):
        begin(each)
    free = [each.course.family.gradient(each.course.weights, *each._scaled) for each in (one, other)]
    change = (free[0] * 9 - free[1] * 8) / one.course.unit
    assert np.linalg.norm(change) > LONGEST


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_of_rows_do_not_depend_on_other_rows(estimator: str) -> None:
    family, own = Family(estimator, 30, 7, 0.0), rows(700, 30, estimator=estimator)  # type: ignore[arg-type]
    weights = np.random.default_rng(1).normal(size=family.size) / 5
    every = family.row_gradients(weights, own.x, own.y)
    for part in (slice(1, None), slice(0, 699), slice(13, 400), slice(5, 7)):
        assert (family.row_gradients(weights, own.x[part], own.y[part]) == every[part]).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_of_rows_add_up_to_that_of_all(estimator: str) -> None:
    family, own = Family(estimator, 4, 3, 0.3), rows(20, 4, estimator=estimator)  # type: ignore[arg-type]
    weights = np.random.default_rng(1).normal(size=family.size)
    mean = family.row_gradients(weights, own.x, own.y).mean(axis=0) + family.penalty(weights)
    assert mean == pytest.approx(family.gradient(weights, own.x, own.y))


@pytest.mark.usefixtures("quiet")
def test_a_member_changes_a_sum_by_a_vector_that_is_clipped() -> None:
    spec = Averaging(rounds=2, local_epochs=5, batch_size=4, learning_rate=50.0)
    one = member("a", rows(30), spec, unit="member", clip=0.2)
    assert one.course.due == "update"  # there is no first sum
    length = math.sqrt(sum(int(each) ** 2 for each in signed(one.numbers(1))))
    assert 0.99 * LONGEST < length <= LONGEST


# -- noise


@pytest.mark.parametrize(("members", "least"), [(3, 3), (12, 3), (12, 5), (50, 3)])
def test_members_that_remain_and_keep_to_the_protocol_add_enough(members: int, least: int) -> None:
    spec = Averaging(min_members=least)
    terms = spec.terms(tuple(f"m{k}" for k in range(members)))
    own = noise(spec, terms, 2, multiplier=3.7)
    assert own.honest == terms.threshold - max(1, least - 2) >= 2
    assert own.sigma**2 * own.honest >= (own.multiplier * LONGEST) ** 2
    assert (own.sigma - 1) ** 2 * own.honest < (own.multiplier * LONGEST) ** 2
    assert own.sigma**2 * terms.cohort_size > (own.multiplier * LONGEST) ** 2  # a margin, if all remain


def test_a_sum_that_is_tried_again_has_the_same_noise_and_another_sum_has_other_noise() -> None:
    spec = Averaging(rounds=3)
    own = {name: member(name, rows(20, seed=k), spec, seed=k, multiplier=0.01) for k, name in enumerate(NAMES)}
    first = {name: one.numbers(1).copy() for name, one in own.items()}
    assert all((one.numbers(2) == first[name]).all() for name, one in own.items())
    total = np.sum(list(first.values()), axis=0, dtype=np.uint64)
    for one in own.values():
        assert one.opened(Sum(2, frozenset(NAMES), total))
    a, again = own["a"].numbers(3).copy(), member("a", own["a"].rows, spec, seed=99, multiplier=0.01)
    again.opened(Sum(2, frozenset(NAMES), total))
    assert (again.course.weights == own["a"].course.weights).all()
    assert (again.numbers(3) != a).any()


def test_without_clipping_and_with_hardly_any_noise_it_is_gradient_descent() -> None:
    spec = Averaging(rounds=12, learning_rate=0.3, alpha=0.1)
    parts = {name: rows(40, seed=k) for k, name in enumerate(NAMES)}
    own = {name: member(name, each, spec, clip=100.0, multiplier=1e-5) for name, each in parts.items()}
    course = run(own)
    x, y = (np.concatenate([getattr(each, what) for each in parts.values()]) for what in ("x", "y"))
    inside = np.clip(x, -3, 3)
    assert course.scaling is not None
    assert course.scaling.mean == pytest.approx(inside.mean(axis=0), abs=1e-3)
    assert course.scaling.deviation == pytest.approx(inside.std(axis=0), abs=1e-3)
    weights, z = course.family.start(y.mean(), 0), course.scaling.columns(x)
    for _ in range(spec.rounds):
        weights = weights - 0.3 * course.family.gradient(weights, z, y)
    assert course.weights == pytest.approx(weights, abs=2e-3)
    assert [(each.members, each.rows) for each in course.rounds] == [(3, 120)] * 12


def run(own: dict[str, PrivateOwn]) -> PrivateCourse:
    """All rounds, of all members."""
    turn, more = 0, True
    while more:
        turn += 1
        total = np.sum([one.numbers(turn) for one in own.values()], axis=0, dtype=np.uint64)
        (more,) = {one.opened(Sum(turn, frozenset(own), total)) for one in own.values()}
    return next(iter(own.values())).course


def test_members_weigh_the_same_where_members_are_protected() -> None:
    spec = Averaging(rounds=1, learning_rate=0.1)
    parts = {"a": rows(10), "b": rows(40, seed=1), "c": rows(90, seed=2)}
    own = {name: member(name, each, spec, unit="member", multiplier=1e-5) for name, each in parts.items()}
    steps = [one._trained() - one.course.weights for one in own.values()]
    assert run(own).weights == pytest.approx(np.mean(steps, axis=0), abs=1e-4)
    assert [each.rows for each in own["a"].course.rounds] == [None]


def test_a_model_that_diverges_ends_the_run() -> None:
    one = member("a", rows(10), Averaging(rounds=3, learning_rate=100, alpha=1e6))
    begin(one)
    one.course.weights = np.full(4, 1e305)
    with pytest.raises(PlaintextOverflow, match="diverged"):
        one.course.opened(Sum(1, frozenset(NAMES), np.zeros(4, np.uint64)))


# -- which rows are trained on


def changed(draw: Any) -> int:
    """Of how many other rows it depends on the first row whether they are held out."""
    numbers = np.random.default_rng(0).normal(size=(200, 3))
    return int((draw(numbers)[1:] != draw(numbers[1:])).sum())


def test_no_row_decides_whether_another_one_is_held_out() -> None:
    assert changed(lambda numbers: drawn_alone(numbers, 0.25, 7)) == 0
    assert changed(lambda numbers: drawn(len(numbers), 0.25, 7, 0)) > 30  # the planted fault: by the number of rows


def test_the_draw_takes_its_part_and_follows_the_seed() -> None:
    numbers = np.random.default_rng(0).normal(size=(20_000, 3))
    first, second = (drawn_alone(numbers, 0.25, seed) for seed in (1, 2))
    assert abs(first.mean() - 0.25) < 0.015
    assert abs((first & second).mean() - 0.0625) < 0.01


@pytest.mark.parametrize("entries", [1, 7, 300, 9000])
def test_a_clipped_row_does_not_depend_on_other_rows(entries: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(9, entries)) * 10
    every = clipped(vectors, 2.0)
    for part in (slice(0, 1), slice(3, 9), slice(1, 3)):
        assert (clipped(vectors[part], 2.0) == every[part]).all()
