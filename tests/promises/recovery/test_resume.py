"""A party stopped before any of its messages: all go on from the last mark that all keep, send the same bytes again,
and end as if nothing had been."""

from __future__ import annotations

import copy
import dataclasses
import time
from functools import partial
from typing import Any

import numpy as np
import pytest

from protocols import parts
from protocols.alignment import lists
from protocols.boosting import packing
from protocols.channel import Channel, Count, MemoryNetwork
from protocols.cipher import Identity, Keyring
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.recovery import resume
from protocols.recovery.checkpoint import ANYWHERE, END, START, Position, serves
from tests.plans import planned
from tests.promises.recovery.interrupted import RUN, Interrupted, Killed, MemoryKeeper, repeated
from tests.promises.recovery.resumed import CASES, trees
from tests.unit.vfl.steps import world
from vfl.models.regression import program as regressions
from vfl.models.regression.spec import LogisticRegression


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Marks two points apart, where the lists are called long."""
    if "long" in request.node.name:
        monkeypatch.setattr(lists, "CHUNK", 2)
        monkeypatch.setattr(lists, "BLOCK", 1)


# what opens the next training comes between two stages, whose ends are never forgotten; so is the walk of a model that
# is continued
MOST = {"a search": 2, "a search of trees": 2, "sealed trees that are continued": 2}


LONG = tuple(case for case in CASES if case.startswith("sealed trees"))


def check_every(case: str, every: int) -> None:
    roles, programs, scheme = CASES[case]()
    undisturbed = Interrupted(roles, programs, scheme)
    expected = undisturbed.attempt()
    assert expected is not None
    assert undisturbed.goals == [START]
    messages = {party: killer.seen for party, killer in undisturbed.killers.items()}
    gone_on = 0
    for turn, party in enumerate(programs):
        for at in range(1 + turn % every, messages[party] + 1, every):
            run = Interrupted(roles, programs, scheme)
            assert run.attempt(party, at) is None
            before = copy.deepcopy(run.keepers)
            assert run.attempt() == expected, (party, at)
            assert run.hashes == undisturbed.hashes, (party, at)
            assert max(repeated(keeper, run.goals[-1]) for keeper in before.values()) <= MOST.get(case, 1), (
                party,
                at,
                run.goals,
            )
            assert not any(run.behind.values())  # nobody is said to have lost anything
            gone_on += run.goals[-1] > START
    assert gone_on > 0


SLOW = (
    "logistic regression, two hosts",
    "a short and a long list, two keys",
    "the guest's open trees that stop early",
    "long lists of three, the size alone",
    "a search",
    "open trees",
    "open trees that stop early",
    "open trees that are continued",
    "sealed trees of two hosts",
    "sealed trees that are continued",
    "sealed trees that stop early",
    "sealed trees of three classes",
    "a search of trees",
    "long lists of three, two keys",
    "regressions that stop by their loss",
    "a regression that settles",
    "mini-batches",
    "bins of two hosts for the guest",
    "sealed trees with constraints",
    "open trees with constraints",
)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case in SLOW else case for case in CASES]
)
def test_a_party_stopped_before_a_mark_is_one_step_behind_at_most(case: str) -> None:
    """It has sent all of the step: the others go on, as far as they can without it."""
    roles, programs, scheme = CASES[case]()
    undisturbed = Interrupted(roles, programs, scheme)
    expected = undisturbed.attempt()
    for party in programs:
        for mark in every_mark(undisturbed.keepers[party]):
            run = Interrupted(roles, programs, scheme, keepers={party: MemoryKeeper(stops_at=mark)})
            assert run.attempt() is None
            run.keepers[party].stops_at = None
            before = copy.deepcopy(run.keepers)
            assert run.attempt() == expected, (party, mark)
            assert run.hashes == undisturbed.hashes, (party, mark)
            assert max(repeated(keeper, run.goals[-1]) for keeper in before.values()) <= 1, (party, mark, run.goals)
            assert not any(run.behind.values())  # nobody is said to have lost anything


def every_mark(keeper: MemoryKeeper) -> list[Position]:
    """All of the last stage of a party, forgotten ones too, and the parts of lists."""
    lists = [p for p in keeper.checkpoints if sum(p.stage == other.stage for other in keeper.checkpoints) > 2]
    return lists + [
        Position(p.stage, item)
        for p in sorted(keeper.checkpoints)[-1:]
        if p.item != ANYWHERE
        for item in range(p.item + 1)
    ]


OFTEN_SLOW = (
    "logistic regression, two hosts",
    "open trees",
    "sealed trees of two hosts",
    "regressions that stop by their loss",
    "a regression that settles",
    "long lists",
    "sealed trees of three classes",
    "sealed trees with constraints",
    "the guest's open trees that stop early",
    "open trees that are continued",
    "open trees with constraints",
    "bins of two hosts for the guest",
)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow) if "a search" in case or case in OFTEN_SLOW else case
        for case in CASES
    ],
)
def test_a_party_stopped_at_a_message_changes_nothing(case: str) -> None:
    few = "the guest's open trees that stop early"
    many = ("regressions that stop by their loss", "a regression that settles", "mini-batches", *LONG)
    check_every(case, 2 if case == few else 41 if case in many else 13)


IN_BLOCKS = {"logistic regression, two hosts": 97, "bins of two hosts for the guest": 23}
IN_BLOCKS_SLOW = {
    "open trees": 41,
    "regressions that stop by their loss": 151,
    "sealed trees of two hosts": 401,
    "mini-batches": 151,
}


@pytest.mark.parametrize(
    ("case", "every"),
    [*IN_BLOCKS.items(), *(pytest.param(*case, marks=pytest.mark.slow) for case in IN_BLOCKS_SLOW.items())],
)
def test_a_party_stopped_within_a_vector_of_blocks_changes_nothing(
    case: str, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROWS", 5)
    check_every(case, every)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_party_stopped_at_any_message_changes_nothing(case: str) -> None:
    check_every(case, 7 if case == "a search of trees" else 1)  # which has very many


@pytest.mark.slow
def test_a_party_stopped_while_classes_share_ciphertexts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks and all: with so few rows it would not pay, so encryption is made dear."""
    monkeypatch.setattr(packing, "ENCRYPTION", 1e9)
    monkeypatch.setitem(
        CASES, "shared ciphertexts", partial(trees, "open", n_estimators=2, objective="multi:softprob", num_class=3)
    )
    check_every("shared ciphertexts", 37)


def test_an_arbiter_that_dies_while_it_makes_the_key_lets_nobody_align_again(monkeypatch: pytest.MonkeyPatch) -> None:
    roles, programs = world.programs(world.frames(24), regressions, plan=planned(LogisticRegression, max_iter=5))
    run, make = Interrupted(roles, programs, Identity(1024)), Identity.generate

    def dies(*given: Any) -> Any:
        give_up = time.monotonic() + 30
        while (
            not all(Position(1, 1) in run.keepers[party].checkpoints for party in roles.data_parties)
            and time.monotonic() < give_up
        ):
            time.sleep(0.01)
        raise Killed

    monkeypatch.setattr(Identity, "generate", dies)
    assert run.attempt() is None
    monkeypatch.setattr(Identity, "generate", make)
    before = copy.deepcopy(run.keepers)
    assert run.attempt() is not None
    assert max(repeated(keeper, run.goals[-1]) for keeper in before.values()) <= 1, run.goals


def test_a_party_stopped_again_and_again_gets_there() -> None:
    roles, programs, scheme = CASES["logistic regression"]()
    expected = Interrupted(roles, programs, scheme).attempt()
    run = Interrupted(roles, programs, scheme)
    for at, party in ((5, "guest"), (17, "host1"), (9, "arbiter"), (12, "host1"), (22, "guest")):
        run.attempt(party, at)
    assert run.attempt() == expected
    assert sorted(run.goals) == run.goals


def test_a_party_that_comes_back_with_another_seed_is_found_out() -> None:
    roles, programs, scheme = CASES["logistic regression"]()
    run = Interrupted(roles, programs, scheme)
    assert run.attempt("guest", 22) is None
    run.seeds["host1"] = bytes(32)
    with pytest.raises(AssertionError, match="another content"):
        run.attempt()


def test_a_state_that_was_changed_is_found_out() -> None:
    roles, programs, scheme = CASES["logistic regression"]()
    run = Interrupted(roles, programs, scheme)
    assert run.attempt("guest", 22) is None
    keeper = run.keepers["arbiter"]
    goal = max(set.intersection(*(set(k.checkpoints) for k in run.keepers.values())))
    assert goal.stage == 2
    mark, packed = keeper.checkpoints[goal]
    keeper.checkpoints[goal] = dataclasses.replace(mark, draws=mark.draws + 1), packed
    with pytest.raises(AssertionError, match="another content"):
        run.attempt()


def test_a_journal_that_lacks_or_adds_a_message_is_found_out() -> None:
    for change, words in (
        (lambda messages: messages.pop(), "more than it did"),
        (lambda messages: messages.append(b""), "does not repeat"),
    ):
        roles, programs, scheme = CASES["logistic regression"]()
        run = Interrupted(roles, programs, scheme)
        assert run.attempt("guest", 22) is None
        change(run.keepers["host1"].journal[2]["arbiter"])
        with pytest.raises(LocalProtocolError, match=words):
            run.attempt()


def pair() -> tuple[Channel, Channel]:
    network = MemoryNetwork(("guest", "host"))
    return Channel(network.wires("guest")["host"], Keyring(), (), 1), Channel(
        network.wires("host")["guest"], Keyring(), (), 1
    )


MARKS = [Position(0, 1), Position(1, 0), Position(1, 1), END]


NONCES = bytes(16), bytes([1]) * 16  # the guest's and the host's
NEW = resume.named(b"".join(NONCES))


BOTH, HOST, GUEST = ("guest", "host"), ("host",), ("guest",)


@pytest.mark.parametrize(
    ("own", "guests", "theirs", "hosts", "expected"),
    [
        (RUN, MARKS, RUN, MARKS, (RUN, END, ())),
        (RUN, MARKS, RUN, MARKS[:3], (RUN, Position(1, 1), HOST)),
        (RUN, MARKS[:2], RUN, MARKS[2:], (RUN, START, GUEST)),
        (RUN, [], RUN, [], (RUN, START, ())),
        (RUN, MARKS, b"", [], (NEW, START, HOST)),
        (b"", [], RUN, MARKS, (NEW, START, GUEST)),
        (RUN, MARKS, RUN[::-1], MARKS, (NEW, START, BOTH)),
        (b"", [], b"", [], (NEW, START, ())),
        (RUN, MARKS[:3], RUN, [Position(1, ANYWHERE)], (RUN, Position(1, 1), GUEST)),
        (RUN, MARKS, RUN, [Position(1, ANYWHERE)], (RUN, Position(1, 1), HOST)),
        (RUN, MARKS[:1], RUN, [Position(1, ANYWHERE)], (RUN, START, GUEST)),
    ],
)
def test_the_latest_mark_that_all_keep_of_the_same_run(
    own: bytes,
    guests: list[Position],
    theirs: bytes,
    hosts: list[Position],
    expected: tuple[bytes, Position, tuple[str, ...]],
) -> None:
    here, there = pair()
    there.send(resume.Standing(theirs, *(np.array([m[k] for m in hosts], np.int32) for k in (0, 1)), NONCES[1]))
    assert resume.decide([here], own, guests, NONCES[0]) == expected
    run, position, without = expected
    mark = serves([START, *hosts], position)
    assert resume.follow(there, theirs, hosts, NONCES[1], ("guest", "host")) == (run, mark, without)


def test_of_three_parties_the_one_that_has_another_run_is_named() -> None:
    assert resume.odd([RUN, RUN, b""]) == resume.odd([RUN, RUN, RUN[::-1]]) == [2]
    assert resume.odd([b"", RUN, RUN]) == [0]
    assert resume.odd([b"", b"", RUN]) == [0, 1]
    assert resume.odd([RUN, RUN[::-1], b""]) == [0, 1, 2]


@pytest.mark.parametrize("number", [-1, 2])
def test_a_guest_that_names_a_party_that_does_not_take_part(number: int) -> None:
    here, there = pair()
    here.send(resume.Agreed(NEW, *START, b"".join(NONCES), np.array([number], np.int32)))
    with pytest.raises(RemoteProtocolError, match="names parties that do not take part"):
        resume.follow(there, b"", [], NONCES[1], ("guest", "host"))


@pytest.mark.parametrize("answer", [(RUN, 1, 7), (RUN[::-1], 0, 1)])
def test_a_guest_that_names_a_step_that_is_not_kept(answer: tuple[bytes, int, int]) -> None:
    here, there = pair()
    here.send(resume.Agreed(*answer, b"".join(NONCES), np.zeros(0, np.int32)))
    with pytest.raises(RemoteProtocolError, match="has no checkpoint"):
        resume.follow(there, RUN, MARKS, NONCES[1], ("guest", "host"))


OTHER = bytes([2]) * 16
FORGED = {
    "an old name": (RUN[::-1], b"".join(NONCES)),
    "an old name with the nonces that made it": (resume.named(NONCES[0] + OTHER), NONCES[0] + OTHER),
    "the host's nonce across two others": (
        resume.named(bytes(8) + NONCES[1] + bytes(8)),
        bytes(8) + NONCES[1] + bytes(8),
    ),
    "a short name": (b"short", b"".join(NONCES)),
    "no name": (b"", b"".join(NONCES)),
    "no nonce": (resume.named(b""), b""),
}


@pytest.mark.parametrize("own", [b"", RUN], ids=["no run", "an unfinished run"])
@pytest.mark.parametrize(("name", "nonces"), FORGED.values(), ids=FORGED)
def test_a_guest_cannot_name_a_run_alone(own: bytes, name: bytes, nonces: bytes) -> None:
    here, there = pair()
    here.send(resume.Agreed(name, *START, nonces, np.zeros(0, np.int32)))
    with pytest.raises(RemoteProtocolError, match=r"not computed from every party's nonce|has no checkpoint") as caught:
        resume.follow(there, own, MARKS, NONCES[1], ("guest", "host"))
    assert caught.value.party == here.me


def test_a_message_that_crosses_a_mark_is_found_out() -> None:
    here, there = pair()
    there.send(resume.Counted(3, 5, 4))
    assert resume.compare({"host": here}, {"host": Count(5, 3)}, 1) == 4
    there.send(resume.Counted(3, 4, 0))
    with pytest.raises(LocalProtocolError, match="count their messages differently"):
        resume.compare({"host": here}, {"host": Count(5, 3)})
