"""On each kind of model every attack stays at or under its bound, and each control succeeds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import t

import vfl
from protocols._native import PlainVec
from tests.promises.audit.scenes import KINDS, OPEN, answers, federation, scene
from vfl.attacks.attack import LEAST, SEEDS, Attack, Estimate
from vfl.attacks.audit import CONTROLS, one_thread, tried_on
from vfl.attacks.binary_columns import BinaryColumns
from vfl.attacks.gradients import HostGradients
from vfl.attacks.membership import Membership
from vfl.attacks.received import fields
from vfl.attacks.registry import ATTACKS
from vfl.attacks.scene import Asked, record
from vfl.attacks.traffic import TOLD


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


ROUND = 6  # bytes of a place, for each row, in messages of sealed trees


def named(attack: Attack) -> str:
    return type(attack).__name__


GIVEN_AWAY = {9, 10}  # attacks that find in open trees what their permissions say
RARELY = {13}  # whose results are 1/2 and sometimes 1, which is not normal: test_verdicts.py counts them
SURE = 3.09  # standard errors: chance is this far off once in a thousand times
QUICK = ("SmallBatches", "Forensics", "HostGradients")  # in the default suite


@pytest.mark.parametrize(
    "attack",
    [pytest.param(a, marks=[] if named(a) in QUICK else [pytest.mark.slow]) for a in ATTACKS],
    ids=named,
)
def test_an_attack_stays_under_its_bound_and_its_control_succeeds(attack: Attack) -> None:
    """Few seeds; all of them in the slow test."""
    if why := attack.untried(scene("regression")):
        pytest.skip(why)
    tried = tried_on(scene("regression"), attack, seeds=2)
    print(f"{named(attack)}: {tried.product.mean:.3f}, control {tried.control.mean:.3f}, {tried.textbook.mean:.3f}")
    assert tried.works
    assert tried.product.mean <= attack.bound
    assert tried.textbook.mean > attack.bound or attack.number == 15  # a federated model equals the central one


@pytest.mark.slow
@pytest.mark.timeout(2700)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_with_all_seeds_on_every_kind(attack: Attack, kind: str) -> None:
    run = scene(kind)
    if why := attack.untried(run):
        pytest.skip(why)
    tried = tried_on(run, attack, SEEDS)
    print(f"{kind}, {named(attack)}: {tried.product}, control {tried.control.mean:.3f}")
    assert tried.works
    given_away = kind == OPEN and attack.number in GIVEN_AWAY
    assert (tried.product.mean <= attack.bound) == (not given_away)
    assert margin(tried.control, tried.control.mean - attack.succeeds, CONTROLS) >= SURE
    if attack.number not in RARELY:
        assert given_away or margin(tried.product, attack.bound - tried.product.mean, LEAST) >= SURE


def margin(found: Estimate, by: float, repetitions: int) -> float:
    """By how many standard errors of a mean over so many repetitions a result stays clear of a limit."""
    one = (found.high - found.mean) / t.ppf(0.975, found.seeds - 1) * found.seeds**0.5 if found.seeds > 1 else 0.0
    return by / (one / repetitions**0.5) if one else math.inf if by >= 0 else -math.inf


@pytest.mark.slow
@pytest.mark.timeout(2700)
@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_the_smallest_leak_is_found_at_every_seed(attack: Attack) -> None:
    """Of the sizes that the attack states.  Where even the largest is missed at a seed, the attack states none, and its
    control succeeds only in the mean."""
    if not isinstance(scene("regression"), attack.on):
        pytest.skip("of another kind of run")
    smallest = attack.smallest(scene("regression"), SEEDS)  # attack 11 plants its leak in tables of its own
    print(f"{named(attack)}: {smallest if smallest is not None else 'none found'}")
    assert smallest is not None or attack.found is None


def test_least_squares_says_nothing_of_few_rows() -> None:
    run = record(Asked(federation(120), vfl.LogisticRegression()))
    assert "with 120 rows" in HostGradients().unfit(run)
    assert HostGradients().unfit(scene("regression")) == ""


def test_membership_is_tried_only_where_its_bound_is_made_for() -> None:
    """With two training rows per column a model memorises more than the bound, protocol or not."""
    run = scene("regression")
    assert Membership().unfit(run) == ""
    wide = SimpleNamespace(
        kind=run.kind, asked=run.asked, y=run.y, rows=run.rows, guest="bank", hosts=(), x=lambda _: np.zeros((1, 100))
    )
    assert "fewer than 6 training rows per column" in Membership().unfit(wide)  # type: ignore[arg-type]


@pytest.mark.slow
def test_lengths_of_sealed_trees_are_what_their_receivers_are_told() -> None:
    """Why attack 16 leaves out three kinds of messages: they have 6 bytes a row for each place that is told."""
    run, rows = scene("sealed trees"), ROUND * scene("sealed trees").rows
    told = {(one.peer, party, one.message): dict[str, int]() for party in run.seen for one in run.entries(party)}
    for party in run.seen:
        for one in run.entries(party):
            counted = told[one.peer, party, one.message]
            for name, _, value in fields(one):
                if one.message in TOLD and name in ("u", "low"):
                    counted["bytes"] = counted.get("bytes", 0) + len(value)
                elif one.message in TOLD and name == "s":
                    counted["words"] = counted.get("words", 0) + len(PlainVec.from_bytes(value))
                elif name == "helps":
                    counted[name] = counted.get(name, 0) + value
                elif name in ("owners", "positions"):
                    each = np.frombuffer(value, "<i4")
                    for owner in (0, 1):
                        counted[f"{name} {owner}"] = counted.get(f"{name} {owner}", 0) + int((each == owner).sum())
                    counted[f"any {name}"] = counted.get(f"any {name}", 0) + int((each >= 0).sum())

    def places(sender: str, receiver: str, kind: str) -> float:
        counted = told[sender, receiver, kind]
        return counted["bytes"] / rows + counted.get("words", 0) / run.rows

    owners, wins = told["arbiter", "guest", "Owners"], told["arbiter", "telecom", "Wins"]
    assert places("arbiter", "guest", "ShareLessPad") == owners["owners 0"] > 0
    assert places("telecom", "guest", "ProductShare") == owners["any owners"]
    assert places("telecom", "guest", "DirectionShare") == owners["owners 1"] > 0
    assert places("guest", "telecom", "ShareLessPad") == wins["any positions"] > 0
    assert places("arbiter", "telecom", "ShareLessPad") == wins["any positions"]
    assert places("guest", "telecom", "DirectionShare") == wins["helps"] > 0
    assert {key[2] for key in told} >= TOLD


@pytest.mark.slow
@pytest.mark.timeout(2700)
def test_answers_of_a_host_that_has_nothing_else_are_read_from_one_score() -> None:
    """What no rounding of the default stops: `vfl run` refuses such a host (docs/threat-model.md), and the audit finds
    it."""
    run, attack = record(Asked(answers(), vfl.LogisticRegression())), BinaryColumns()
    assert attack.unfit(run) == ""
    tried = tried_on(run, attack, SEEDS)
    print(f"{tried.product}; control {tried.control}")
    assert tried.works
    assert not tried.holds
    assert tried.product.mean > 0.5
    assert "no column of the host has two values" in attack.unfit(scene("regression"))


@pytest.mark.slow
@pytest.mark.timeout(2700)
def test_answers_of_a_host_that_has_another_column_are_not_read() -> None:
    run, attack = record(Asked(answers(usage=1.0), vfl.LogisticRegression())), BinaryColumns()
    assert attack.unfit(run) == ""
    tried = tried_on(run, attack, SEEDS)
    print(f"{tried.product}; control {tried.control}")
    assert tried.holds


def test_every_attack_says_what_a_reader_needs() -> None:
    numbers = [attack.number for attack in ATTACKS]
    assert numbers == sorted(set(numbers))
    for attack in ATTACKS:
        texts = (attack.name, attack.who, attack.needs, attack.setting, attack.measure, attack.reason, attack.size_of)
        assert all(texts)
        assert attack.sentence.endswith("?")
        assert list(attack.sizes) == sorted(attack.sizes, reverse=True)
        assert attack.succeeds > attack.bound
