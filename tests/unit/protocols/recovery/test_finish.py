"""The end of a run waits for a party that is alive and still evaluates, and not for one that is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import pytest

from protocols.averaging.secure_sum import ANSWERED
from protocols.channel import Channel, Count, MemoryNetwork
from protocols.cipher import Keyring
from protocols.errors import Cause, PeerAborted, PeerTimeout, VFLError
from protocols.randomness import Randomness
from protocols.recovery import finish
from protocols.session import Roles, Session
from tests.harness import TOY

DEADLINE = 0.1  # for one message
EVALUATES = 5 * DEADLINE


class Nobody:
    def sign(self, peer: str, count: Count) -> bytes:
        return b"signed"

    def accept(self, peer: str, count: Count, signature: bytes) -> None:
        assert signature == b"signed"


def confirm(session: Session, keep: Callable[[], None]) -> None:
    finish.confirm(session, keep, Nobody())


def confirm_rest(session: Session, keep: Callable[[], None]) -> None:
    finish.confirm_rest(session, keep, Nobody(), ANSWERED)


def at_the_end(
    roles: Roles, late: str, leaves: bool, programs: Mapping[str, Callable[[Session, Callable[[], None]], None]]
) -> tuple[set[str], dict[str, VFLError]]:
    """Who keeps its result, and the errors by party, where one party evaluates for longer than a message may take, and
    then confirms or `leaves`."""
    network, kept, errors = MemoryNetwork(roles.all), set[str](), dict[str, VFLError]()

    def live(me: str) -> None:
        wires, keys = network.wires(me), Keyring()
        channels = {
            peer: Channel(wire, keys, deadline=DEADLINE) for peer, wire in wires.items() if roles.meet(me, peer)
        }
        session = Session(me, roles, channels, Randomness(me, bytes(32), b""), keys, TOY)
        try:
            if me == late:
                time.sleep(EVALUATES)
                if leaves:
                    for peer in channels:
                        wires[peer].abort(Cause("stopped", me))
                    return
            programs[me](session, lambda: kept.add(me))
        except VFLError as error:
            errors[me] = error

    threads = [threading.Thread(target=live, args=(me,), daemon=True) for me in roles.all]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    return kept, errors


ROLES = Roles("bank", ("telecom", "grocer"), "trustco")  # hosts have no channel with each other
MEMBERS = Roles.averaging(("north", "south"), "registry")


@pytest.mark.parametrize("late", ROLES.all)
def test_a_party_that_evaluates_for_long_is_waited_for(late: str, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = dict.fromkeys(ROLES.all, confirm)
    assert at_the_end(ROLES, late, False, programs) == (set(ROLES.all), {})
    monkeypatch.setattr(finish, "PATIENCE", 0.0)  # planted: the deadline of one message counts
    kept, errors = at_the_end(ROLES, late, False, programs)
    assert kept < set(ROLES.all)
    assert PeerTimeout in {type(error) for error in errors.values()}


def test_one_that_leaves_while_others_wait_ends_their_wait_at_once() -> None:
    start = time.monotonic()
    kept, errors = at_the_end(ROLES, "bank", True, dict.fromkeys(ROLES.all, confirm))
    assert time.monotonic() - start < 10
    assert (kept, set(errors)) == (set(), {"telecom", "grocer", "trustco"})
    assert all(isinstance(error, PeerAborted) and error.party == "bank" for error in errors.values())


def test_an_aggregator_waits_for_a_member_that_evaluates(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = dict.fromkeys(MEMBERS.members, confirm) | {"registry": confirm_rest}
    assert at_the_end(MEMBERS, "north", False, programs) == ({*MEMBERS.all}, {})
    monkeypatch.setattr(finish, "PATIENCE", 0.0)
    assert at_the_end(MEMBERS, "north", False, programs) != ({*MEMBERS.all}, {})
