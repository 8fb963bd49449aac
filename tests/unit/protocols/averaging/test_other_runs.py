"""Sums of other runs count: members that know them refuse a sum that would single somebody out together with them, and
an aggregator that knows them leaves more members out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from protocols.averaging.cohorts import Members, Terms
from protocols.averaging.lists import OtherRuns
from protocols.averaging.secure_sum import Sum
from protocols.errors import ConfigError, DisclosureRefused
from tests.unit.protocols.averaging.world import Faults, Steps, World, names, numbers

TWELVE = names(12)
BEFORE = frozenset(TWELVE) - {"m11"}


class Known(OtherRuns):
    """These sums of other runs; and those that were kept, with what the party had sent by then."""

    def __init__(self, *sums: Members) -> None:
        self._sums, self.kept = sums, list[Members]()

    @property
    def survivors(self) -> tuple[Members, ...]:
        return self._sums

    def keep(self, survivors: Members) -> None:
        self.kept.append(survivors)


def world(count: int = 12, **terms: object) -> World:
    return World(Terms(names(count), whole_run=True, **terms), Faults())  # type: ignore[arg-type]


def opened(w: World) -> Sum:
    steps = Steps(w)
    while w.side.total is None:
        steps.step()
    return w.tell()


def knows(w: World, *sums: Members, aggregator: bool) -> dict[str, Known]:
    found = {name: Known(*sums) for name in w.members}
    for name, one in w.members.items():
        one._other_runs = found[name]
    if aggregator:
        w.side._other_runs = Known(*sums)
    return found


def run_without_m11() -> Sum:
    """An earlier run, of the same numbers, in which all but m11 took part."""
    w = world()
    w.side._pending = BEFORE
    return opened(w)


def test_control_two_runs_that_differ_by_one_member_give_its_numbers_away() -> None:
    both = opened(world()).words - run_without_m11().words
    assert (both == numbers("m11", 1)).all()


def test_members_that_know_the_other_run_refuse() -> None:
    w = world()
    knows(w, BEFORE, aggregator=False)
    with pytest.raises(DisclosureRefused, match="of this run and of others"):
        opened(w)


def test_an_aggregator_that_knows_it_too_leaves_the_same_member_out() -> None:
    w = world()
    knows(w, BEFORE, aggregator=True)
    assert opened(w).survivors == BEFORE


@pytest.mark.parametrize("far", [3, 4])
def test_sums_that_differ_by_enough_members_are_opened(far: int) -> None:
    w = world()
    knows(w, frozenset(TWELVE[far:]), aggregator=True)
    assert opened(w).survivors == frozenset(TWELVE)


def test_combinations_of_several_other_runs_count() -> None:
    """No two of these differ by fewer than three, and the sum of the first two without the third is m11 and m10."""
    some = (frozenset(TWELVE[:6]), frozenset(TWELVE[6:10]), frozenset(TWELVE[:10]))
    w = world()
    knows(w, *some, aggregator=False)
    with pytest.raises(DisclosureRefused):
        opened(w)


OLDER = (frozenset(TWELVE[4 * k : 4 * k + 4] + names(24)[12 + 4 * k : 16 + 4 * k]) for k in range(3))
LATER = (BEFORE, *OLDER)  # the sum without m11 is not one of the last three


@pytest.mark.parametrize("aggregator", [False, True])
def test_the_first_sum_is_compared_with_all_others_where_later_ones_are_with_the_last(aggregator: bool) -> None:
    w = World(Terms(TWELVE), Faults())
    knows(w, *LATER, aggregator=aggregator)
    if aggregator:  # it leaves out m11 again, or two more
        assert len(opened(w).survivors ^ BEFORE) in (0, 3, 4, 5)
        return
    with pytest.raises(DisclosureRefused, match="of this run and of others"):
        opened(w)


def test_planted_comparison_with_the_last_sums_alone_gives_a_member_s_numbers_away() -> None:
    w = World(Terms(TWELVE), Faults())
    knows(w, *LATER[-3:], aggregator=True)
    both = opened(w)
    assert both.survivors == frozenset(TWELVE)
    assert (both.words - run_without_m11().words == numbers("m11", 1)).all()


def test_each_party_keeps_a_sum_before_its_shares_leave() -> None:
    w = world()
    found, order = knows(w, aggregator=True), list[str]()
    first = w.members["m00"]
    first._other_runs.keep = lambda survivors: order.append("kept")  # type: ignore[method-assign]
    release: Callable[..., object] = first._steps[next(k for k in first._steps if k.__name__ == "SurvivorSignatures")]
    kind = next(k for k in first._steps if k.__name__ == "SurvivorSignatures")

    def told(message: object) -> object:
        answer = release(message)
        order.append("answered")
        return answer

    first._steps[kind] = told  # type: ignore[assignment]
    opened(w)
    assert order[:2] == ["kept", "answered"]
    assert all(set(one.kept) == {frozenset(TWELVE)} for name, one in found.items() if name != "m00")
    assert isinstance(w.side._other_runs, Known)
    assert w.side._other_runs.kept == [frozenset(TWELVE)]


def test_a_record_that_cannot_be_written_keeps_shares_back() -> None:
    w = world()

    class Full(OtherRuns):
        def keep(self, survivors: Members) -> None:
            raise ConfigError("the disk is full")

    for one in w.members.values():
        one._other_runs = Full()
    with pytest.raises(ConfigError, match="full"):
        opened(w)
    assert not any(kind.kind == "UnmaskingShares" for _, kind in w.told)


def test_only_the_aggregator_sees_a_combination_of_runs_none_of_which_has_the_same_members() -> None:
    """What docs/threat-model.md says of an aggregator that forgets, or deviates: first - second + third - fourth is
    m12 alone, and no member of the fourth took part in the second."""
    x, y, z, w = (frozenset(TWELVE[k : k + 3]) for k in range(0, 12, 3))
    earlier, last = (x | y, y | z, z | w), w | x | {"m12"}
    terms = Terms(tuple(sorted(last)), whole_run=True)
    for member in last:
        assert terms.may_open(last, (), [each for each in earlier if member in each])
    assert not terms.may_open(last, (), earlier)


# -- two members


def test_of_two_members_each_reads_the_other_s_numbers() -> None:
    w = world(2, min_members=2)
    found = opened(w)
    for mine, other in (("m00", "m01"), ("m01", "m00")):
        assert np.array_equal(found.words - numbers(mine, 1), numbers(other, 1))


@pytest.mark.parametrize("count", [3, 12])
def test_more_members_never_open_sums_of_two(count: int) -> None:
    with pytest.raises(ConfigError, match="min_members = 2"):
        Terms(names(count), min_members=2)
