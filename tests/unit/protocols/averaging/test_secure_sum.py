"""The sum is exact, a member gives away one kind of share at most, and steps that break the protocol are refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from protocols.averaging.cohorts import Terms
from protocols.averaging.secure_sum import (
    MaskedUpdate,
    RelayedShares,
    SealedShares,
    Survivors,
    SurvivorSignatures,
    SurvivorsSigned,
    TurnBegins,
    TurnKey,
    TurnKeys,
    UnmaskingShares,
)
from protocols.averaging.setup import SIGNATURE
from protocols.averaging.shamir import SHARE
from protocols.errors import DisclosureRefused, RemoteProtocolError, TooFewMembers
from protocols.message import Message
from tests.unit.protocols.averaging.world import LENGTH, Faults, Steps, World, names, total

SIX = names(6)


def world(count: int = 6, **terms: object) -> World:
    return World(Terms(names(count), **terms), Faults())  # type: ignore[arg-type]


def run(w: World, *silent: str) -> frozenset[str]:
    """A whole turn, in which these drop out with their update; its sum is right."""
    steps = Steps(w)
    steps.up_to(SurvivorSignatures, *silent)
    while w.side.total is None:
        steps.step()
    opened = w.tell()
    assert (opened.words == total(opened.survivors, opened.turn, w.terms.word_bits)).all()
    return opened.survivors


@pytest.mark.parametrize("bits", [32, 64])
def test_the_sum_of_all_is_exact(bits: int) -> None:
    w = world(word_bits=bits)
    for turn in (1, 2):
        opened = w.one_turn()
        assert opened is not None
        assert opened.survivors == frozenset(SIX)
        assert (opened.words == total(opened.survivors, turn, bits)).all()
        assert opened.words.dtype.itemsize == bits // 8


def test_numbers_below_zero_and_sums_beyond_the_words_wrap() -> None:
    """Numbers are modulo 2^64: signed ones add up as such."""
    w = world()
    for k, member in enumerate(w.members.values()):
        member._numbers = lambda turn, k=k: np.full(LENGTH, -(k + 1), np.int64).view(np.uint64)  # type: ignore[misc]
    opened = w.one_turn()
    assert opened is not None
    assert (opened.words.view(np.int64) == -21).all()


def test_who_drops_out_with_its_update_is_left_out() -> None:
    assert run(world(), "m04") == frozenset(SIX) - {"m04"}


def test_members_drop_out_at_every_step() -> None:
    """One each at keys, shares, updates, signatures and releases; the sum is of those that sent their update."""
    w = world(16)
    steps = Steps(w)
    for silent in ("m00", "m01", "m02", "m03", "m04"):
        steps.step(silent)
    assert w.side.total is not None
    assert w.side.total.survivors == frozenset(names(16)) - {"m00", "m01", "m02"}
    assert (w.side.total.words == total(w.side.total.survivors, 1)).all()


@pytest.mark.parametrize("step", range(5))
def test_below_the_threshold_every_step_ends_the_turn(step: int) -> None:
    w = world()
    steps = Steps(w)
    for _ in range(step):
        steps.step()
    with pytest.raises(TooFewMembers, match="turn 1"):
        steps.step("m00", "m01")
    assert w.side.total is None
    assert w.one_turn() is not None  # the next turn is a new one


def test_an_earlier_sum_leaves_more_members_out() -> None:
    """m03 drops out in the second turn: two others are left out too, so that the difference is of three."""
    w = world(12)
    assert len(run(w)) == 12
    assert len(run(w, "m03")) == 9


# -- what a member refuses


def refused(w: World, name: str, message: Message, match: str, error: type[Exception] = RemoteProtocolError) -> None:
    with pytest.raises(error, match=match) as raised:
        w.members[name].answer(message)
    assert getattr(raised.value, "party", None) == "trustee"


def test_two_lists_in_one_turn() -> None:
    w = world(6)
    message = Steps(w).up_to(Survivors)["m00"]
    assert isinstance(w.members["m00"].answer(message), SurvivorsSigned)
    assert w.members["m00"].answer(message) is None  # repeated: nothing more is sent
    fewer = Survivors(1, w.terms.bitmap(frozenset(SIX) - {"m05"}))
    refused(w, "m00", fewer, "twice")


def test_a_list_that_too_few_have_signed() -> None:
    """Aggregator with signatures of 4 of 6, where 5 are needed; also with one of them twice, and with a wrong one."""
    w = world(6)
    steps = Steps(w)
    steps.up_to(Survivors)
    signed = {name: answer for name, answer in steps.answer().items() if isinstance(answer, SurvivorsSigned)}
    good = b"".join(signed[name].signature for name in SIX)
    four = SurvivorSignatures(1, w.terms.bitmap(frozenset(SIX[:4])), good[: 4 * SIGNATURE])
    refused(w, "m00", four, "fewer members than the threshold")
    padded = SurvivorSignatures(1, w.terms.bitmap(frozenset(SIX[:5])), good[: 4 * SIGNATURE] + good[:SIGNATURE])
    refused(w, "m01", padded, "signature of m04")
    short = SurvivorSignatures(1, w.terms.bitmap(frozenset(SIX[:5])), good[: 4 * SIGNATURE])
    refused(w, "m02", short, "another length")
    five = SurvivorSignatures(1, w.terms.bitmap(frozenset(SIX[:5])), good[: 5 * SIGNATURE])
    assert isinstance(w.members["m03"].answer(five), UnmaskingShares)


def test_two_groups_that_were_shown_different_lists_release_nothing() -> None:
    """The aggregator shows half of the members one list and half another, to learn both kinds of shares of m05."""
    w = world(6)
    steps = Steps(w)
    steps.up_to(Survivors)
    one, other = frozenset(SIX), frozenset(SIX) - {"m05"}
    signed: dict[str, SurvivorsSigned] = {}
    for name in SIX:
        shown = one if name in ("m00", "m01", "m02", "m05") else other
        answer = w.members[name].answer(Survivors(1, w.terms.bitmap(shown)))
        assert isinstance(answer, SurvivorsSigned)
        signed[name] = answer
    for name in SIX[:5]:
        signers = [n for n in SIX if n != "m05"]
        relayed = b"".join(signed[n].signature for n in signers)
        refused(w, name, SurvivorSignatures(1, w.terms.bitmap(frozenset(signers)), relayed), "signature of")


def test_both_kinds_of_shares_are_never_released_of_one_member() -> None:
    """Of every member the answers hold the shares of one secret: 33 bytes, of its seed or of its mask key."""
    w = world(6)
    steps = Steps(w)
    steps.up_to(SurvivorSignatures, "m02")
    released = steps.answer()
    assert len(released) == 5
    for name, answer in released.items():
        assert isinstance(answer, UnmaskingShares)
        assert len(answer.shares) == 6 * SHARE
        assert w.members[name]._secrets is None  # nothing is left to be released
    refused(w, "m00", SurvivorSignatures(1, b"\x00", b""), "twice")


def test_a_sum_that_differs_by_too_few_members() -> None:
    """The planted fault is an aggregator that leaves nobody out."""
    w = world(12)
    run(w)
    w.side.terms = Terms(names(12), window=1)
    message = Steps(w).up_to(Survivors, "m03")["m00"]
    refused(w, "m00", message, "fewer than 3 members", DisclosureRefused)


@pytest.mark.parametrize(
    ("kind", "changed", "match"),
    [
        (TurnKeys, lambda m: TurnKeys(1, m.senders, m.keys[:-1]), "another length"),
        (TurnKeys, lambda m: TurnKeys(1, m.senders, m.keys[:96] + m.keys[:96] + m.keys[192:]), "signature of"),
        (TurnKeys, lambda m: TurnKeys(1, b"\xff", m.keys), "do not take part"),
        (TurnKeys, lambda m: TurnKeys(1, b"\xf0", m.keys[: 4 * 96]), "fewer members than the threshold"),
        (RelayedShares, lambda m: RelayedShares(1, m.senders, m.boxes[1:] + b"x"), "are not what"),
        (RelayedShares, lambda m: RelayedShares(1, m.senders, m.boxes[82:] + m.boxes[:82]), "are not what"),
        (RelayedShares, lambda m: RelayedShares(1, m.senders, m.boxes[82:]), "another length"),
        (Survivors, lambda m: Survivors(1, b"\x7c"), "do not take part"),  # without m00
        (Survivors, lambda m: Survivors(1, b"\xf0"), "fewer members than the threshold"),
        (Survivors, lambda m: Survivors(2, m.survivors), "has not begun"),
        (Survivors, lambda m: SurvivorSignatures(1, m.survivors, b""), "left out a step"),
    ],
)
def test_messages_that_break_the_protocol(
    kind: type[Message], changed: Callable[[Message], Message], match: str
) -> None:
    w = world(6)
    refused(w, "m00", changed(Steps(w).up_to(kind)["m00"]), match)


def test_messages_of_an_earlier_turn_change_nothing() -> None:
    w = world(6)
    old = Steps(w).up_to(Survivors)["m00"]
    w.side.begin(LENGTH)
    steps = Steps(w)
    steps.up_to(Survivors)
    assert w.members["m00"].answer(old) is None
    while w.side.total is None:
        steps.step()
    assert (w.side.total.words == total(frozenset(SIX), 3)).all()


def test_a_member_outside_the_cohort_is_not_asked() -> None:
    w = world(12, fraction=0.5)
    outside = next(n for n in names(12) if n not in w.side._history.cohort)
    refused(w, outside, TurnBegins(1), "not of the cohort")
    assert len(run(w)) == 6


# -- what the aggregator refuses


@pytest.mark.parametrize(
    ("kind", "changed", "match"),
    [
        (TurnBegins, lambda m: TurnKey(1, m.public, m.signature[::-1]), "signature of m00"),
        (TurnKeys, lambda m: SealedShares(1, m.commitment, m.boxes[1:]), "another length"),
        (RelayedShares, lambda m: MaskedUpdate(1, m.words[8:]), "another length"),
        (Survivors, lambda m: SurvivorsSigned(1, m.signature[::-1]), "signature of m00"),
        (SurvivorSignatures, lambda m: UnmaskingShares(1, m.shares[1:]), "another length"),
        (Survivors, lambda m: SurvivorsSigned(2, m.signature), "has not begun"),
    ],
)
def test_answers_that_break_the_protocol(
    kind: type[Message], changed: Callable[[Message], Message], match: str
) -> None:
    w = world(6)
    steps = Steps(w)
    answer = w.members["m00"].answer(steps.up_to(kind)["m00"])
    assert answer is not None
    with pytest.raises(RemoteProtocolError, match=match) as raised:
        w.side.take("m00", changed(answer))
    assert raised.value.party == "m00"


@pytest.mark.parametrize("silent", [(), ("m05",)])
def test_a_wrong_share_is_noticed(silent: tuple[str, ...]) -> None:
    """In the first share of a seed, and in the share of a mask key: no wrong sum is opened."""
    w = world(6)
    steps = Steps(w)
    steps.up_to(SurvivorSignatures, *silent)
    for name, message in steps.following.items():
        answer = w.members[name].answer(message)
        assert isinstance(answer, UnmaskingShares)
        wrong = answer.shares[:-1] + bytes([answer.shares[-1] ^ 1])
        w.side.take(name, UnmaskingShares(1, wrong) if name == "m00" else answer)
    with pytest.raises(RemoteProtocolError, match="m05's mask secrets"):
        w.side.close()
    assert w.side.total is None


# -- the rule over a whole run


def test_one_who_comes_back_is_in_the_first_sum_again() -> None:
    w = world(12, whole_run=True)
    assert [len(run(w)), len(run(w, "m03")), len(run(w)), len(run(w, "m03"))] == [12, 9, 12, 9]
    assert len(w.side._history.survivors) == 2
