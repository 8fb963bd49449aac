"""Who takes part is drawn by the common seed; sums that would isolate fewer members than agreed are not opened."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from protocols.averaging.cohorts import Terms, fewest
from protocols.errors import ConfigError
from tests.unit.protocols.averaging.world import names


def sets(*members: str) -> list[frozenset[str]]:
    return [frozenset(each) for each in members]


def searched(sums: list[frozenset[str]]) -> int:
    """The same by brute force: the smallest set of members outside of which some combination vanishes."""
    everybody = sorted(frozenset().union(*sums))
    matrix = np.array([[name in each for name in everybody] for each in sums], float)
    rank = np.linalg.matrix_rank(matrix)
    for size in range(1, len(everybody) + 1):
        for chosen in combinations(range(len(everybody)), size):
            rest = np.delete(matrix, chosen, axis=1)
            if (np.linalg.matrix_rank(rest) if rest.size else 0) < rank:
                return size
    return 0


@pytest.mark.parametrize(
    ("sums", "least"),
    [
        (sets("abcdef"), 6),
        (sets("abcdef", "abcdef"), 6),
        (sets("abcdef", "abcde"), 1),
        (sets("abcdef", "abc"), 3),
        (sets("abcdef", "abc", "def"), 3),
        (sets("abcdefg", "abcd", "efg", "abcdef"), 1),
        (sets("abcdefgh", "abcdgh", "cdefgh", "abefgh"), 2),  # no two of the last three differ by fewer than 4
    ],
)
def test_combinations_of_sums(sums: list[frozenset[str]], least: int) -> None:
    assert fewest(tuple(sums)) == least == searched(sums)


def test_combinations_of_random_sums_as_by_brute_force() -> None:
    rng = np.random.default_rng(5)
    for count, members in product((1, 2, 3, 4), (4, 6, 8)):
        for _ in range(4):
            sums = [frozenset(np.array(list("abcdefgh"))[:members][rng.random(members) < 0.7]) for _ in range(count)]
            assert fewest(tuple(sums)) == (searched(sums) if any(sums) else 0)


def test_three_sums_isolate_where_no_two_do() -> None:
    """The planted fault is a rule for pairs: it would open the last of these sums."""
    sums = sets("abcdefghi", "abcdef", "abghi", "ij" + "cdef")
    pairs = [len(one ^ other) for one, other in combinations(sums[:3], 2)]
    assert min(pairs) >= 3
    assert fewest(tuple(sums[:3])) == searched(sums[:3]) < 3


def test_a_cohort_follows_from_the_seed_and_the_turn() -> None:
    terms = Terms(names(20), fraction=0.5)
    cohorts = [terms.cohort(b"seed", opened, ()) for opened in range(40)]
    assert {len(cohort) for cohort in cohorts} == {10}
    assert len(set(cohorts)) > 35
    assert cohorts[3] == terms.cohort(b"seed", 3, ()) != terms.cohort(b"other", 3, ())
    shares = np.array([sum(name in cohort for cohort in cohorts) for name in terms.members])
    assert shares.min() > 8  # of 40, 20 expected
    assert shares.max() < 32


def test_the_threshold_is_above_two_thirds() -> None:
    for count in range(3, 60):
        terms = Terms(names(count))
        assert 3 * terms.threshold > 2 * count
        assert terms.threshold <= count
        assert 3 * (terms.threshold - 1) <= 2 * count or terms.threshold == 3
    assert Terms(names(10), min_members=8).threshold == 8
    assert Terms(names(50), fraction=0.1).threshold == 4


def test_members_are_left_out_until_the_sum_may_be_opened() -> None:
    """One of 12 drops out: two more are left out, so that both sums differ by three; others in each turn."""
    terms, everybody = Terms(names(12)), frozenset(names(12))
    order = terms.order(b"seed", 2, "left out")
    found = terms.survivors(everybody - {"m03"}, [everybody], order)
    assert found is not None
    assert (len(found), fewest((found, everybody))) == (9, 3)
    sizes, before = [], [everybody, found]
    for turn in range(3, 30):
        order = terms.order(b"seed", turn, "left out")
        survivors = terms.survivors(everybody - {"m03"}, before[-3:], order)
        assert survivors is not None
        assert fewest((*before[-3:], survivors)) >= 3
        before.append(survivors)
        sizes.append(len(survivors))
    assert np.mean(sizes[3:]) > 9  # larger sums once the first one is out of the window
    shares = [sum(name in each for each in before) for name in everybody - {"m03"}]
    assert min(shares) > 6  # of 29: nobody is left out for good
    assert terms.survivors(everybody - {"m03"}, [], order) == everybody - {"m03"}  # nothing was opened before
    assert Terms(names(12), window=1).survivors(everybody - {"m03"}, [everybody], order) == everybody - {"m03"}


def test_no_sum_is_opened_where_too_few_could_be_left_out() -> None:
    terms, everybody = Terms(names(5)), frozenset(names(5))
    assert terms.survivors(everybody - {"m00"}, [everybody], names(5)) is None


def test_bitmaps() -> None:
    terms = Terms(names(11))
    chosen = frozenset({"m00", "m07", "m08", "m10"})
    assert terms.named(terms.bitmap(chosen)) == chosen
    assert [terms.named(bad) for bad in (b"", b"\x00", bytes(3), b"\x00\x01")] == [None] * 4


@pytest.mark.parametrize(
    "terms",
    [
        {"min_members": 2},
        {"fraction": 0.0},
        {"fraction": 1.5},
        {"window": 0},
        {"window": 5},
        {"word_bits": 16},
        {"min_members": 7},
        {"min_members": True},
    ],
)
def test_impossible_terms(terms: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="averaging"):
        Terms(names(6), **terms)  # type: ignore[arg-type]


def test_a_member_listed_twice() -> None:
    with pytest.raises(ConfigError, match="twice"):
        Terms(("a", "b", "c", "a"))


def test_over_a_whole_run_there_are_at_most_four_different_sums() -> None:
    """Members drop out and come back for 200 turns: no combination of all sums involves fewer than three."""
    terms, rng, before = Terms(names(12), whole_run=True), np.random.default_rng(3), list[frozenset[str]]()
    opened = 0
    for turn in range(200):
        answered = frozenset(name for name in terms.members if not before or rng.random() > 0.05)
        found = terms.survivors(answered, before, terms.order(b"seed", turn, "left out"))
        if found is not None:
            opened += 1
            before = list(dict.fromkeys((*before, found)))
    assert 2 <= len(before) <= 4
    assert fewest(tuple(before)) >= 3
    assert opened > 100
    others = frozenset(names(12)) - {"m00", "m05"}
    assert not terms.may_open(others, before)
