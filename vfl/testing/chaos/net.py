"""Runs under schedules of network faults: attempt after attempt, each from the last checkpoint that all parties have,
until all are done.

What must come of each schedule: the results of the undisturbed run, to the bit; in every attempt that fails, a typed
error at every party that fails; and an end with the first attempt that nothing disturbs at the latest.
"""

from __future__ import annotations

import hmac
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from protocols.channel import Channel, Count, Wire
from protocols.cipher import Keyring
from protocols.errors import LocalProtocolError, RemoteProtocolError, VFLError
from protocols.randomness import Randomness
from protocols.recovery import resume
from protocols.recovery.checkpoint import START
from protocols.recovery.finish import confirm
from protocols.session import Session
from vfl.testing.chaos.memory import MemoryKeeper
from vfl.testing.chaos.network import HANG, Network
from vfl.testing.chaos.runs import RUNS, Run
from vfl.testing.chaos.schedule import Break, Direction, Fault, Schedule, draw

RUN_ID = bytes(resume.RUN_ID)


@dataclass
class Outcome:
    """What came of one schedule; `wrong` says what must not be, and is empty in a good one."""

    attempts: int = 0
    resumed: int = 0  # attempts that resumed from a checkpoint
    struck: list[Break] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Connections(Protocol):
    """How the parties of one attempt are joined."""

    def wires(self, me: str) -> Mapping[str, Wire]:
        """This party's ends."""

    def leave(self, me: str, error: VFLError | None) -> None:
        """A party is done, or stops with `error`."""


class Sealed:
    """Signs under a key that all parties of this process share: what a peer signs must fit what has passed."""

    def __init__(self, me: str) -> None:
        self._me = me

    def sign(self, peer: str, count: Count) -> bytes:
        return hmac.digest(RUN_ID, repr((self._me, peer, count)).encode(), "sha256")

    def accept(self, peer: str, count: Count, signature: bytes) -> None:
        if signature != Sealed(peer).sign(self._me, count):
            raise RemoteProtocolError(f"{peer} did not sign what has passed", party=peer)


class Trial:
    """A run that is attempted again and again."""

    def __init__(self, run: Run) -> None:
        self._run, self._keepers = run, {party: MemoryKeeper() for party in run.programs}
        self.resumed = 0  # attempts that resumed from a checkpoint

    def attempt(self, network: Connections) -> tuple[dict[str, str], dict[str, BaseException], bool]:
        """Results and errors by party, and whether some party hangs."""
        results, errors = dict[str, str](), dict[str, BaseException]()

        def live(me: str) -> None:
            try:
                session = self._meet(me, network.wires(me))
                result = self._run.programs[me](session)
                confirm(session, lambda: None, Sealed(me))
                results[me] = result
                network.leave(me, None)
            except BaseException as error:
                errors[me] = error
                network.leave(me, error if isinstance(error, VFLError) else LocalProtocolError("stopped"))

        threads = [threading.Thread(target=live, args=(party,), daemon=True) for party in self._run.programs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG)
        return results, errors, any(thread.is_alive() for thread in threads)

    def _meet(self, me: str, wires: Mapping[str, Wire]) -> Session:
        run, keys, keeper = self._run, Keyring(), self._keepers[me]
        channels = {peer: Channel(wire, keys) for peer, wire in wires.items()}
        marks, own = sorted(keeper.checkpoints), RUN_ID
        if me == run.roles.guest:
            _, goal, _ = resume.decide(list(channels.values()), own, marks, RUN_ID)
            self.resumed += goal != START
        else:
            _, goal, _ = resume.follow(channels[run.roles.guest], own, marks, RUN_ID, run.roles.all)
        if goal != START:
            resume.compare(channels, keeper.at(goal).counts)
        channels = {peer: Channel(wire, keys) for peer, wire in wires.items()}  # what was said to meet is not counted
        randomness = Randomness(me, me.encode().ljust(32), b"chaos")
        return Session(me, run.roles, channels, randomness, keys, run.scheme, None, keeper, goal)


def undisturbed(run: Run) -> tuple[dict[str, str], dict[Direction, int]]:
    """The results by party, and how many messages go which way."""
    network = Network(tuple(run.programs), 0)
    results, errors, hangs = Trial(run).attempt(network)
    if errors or hangs:
        raise next(iter(errors.values()), LocalProtocolError("an undisturbed run hangs"))
    return results, {way: state.sent for way, state in network.ways.items()}


def under(run: Run, schedule: Schedule, expected: Mapping[str, str]) -> Outcome:
    """One schedule from beginning to end."""
    outcome, trial, old = Outcome(), Trial(run), dict[Direction, bytes]()
    for breaks in (*schedule, ()):
        outcome.attempts += 1
        network = Network(tuple(run.programs), outcome.attempts, breaks, old)
        results, errors, hangs = trial.attempt(network)
        outcome.resumed, old = trial.resumed, network.captured
        outcome.struck += network.struck
        outcome.errors.update(error.code for error in errors.values() if isinstance(error, VFLError))
        outcome.wrong += [
            f"{party} failed with {type(e).__name__}" for party, e in errors.items() if not isinstance(e, VFLError)
        ]
        outcome.wrong += [
            f"{party} has another result" for party, result in results.items() if result != expected[party]
        ]
        if hangs:
            outcome.wrong.append("a party hangs")
        if errors and all(hit.fault.harmless for hit in network.struck):
            outcome.wrong.append("an attempt failed although no message was lost or changed")
        if hangs or not errors:
            return outcome
    outcome.wrong.append("it did not end with the attempt that nothing disturbed")
    return outcome


@dataclass
class Tally:
    """Many schedules of one kind of run."""

    run: str
    schedules: int = 0
    attempts: int = 0
    resumed: int = 0
    struck: Counter[Fault] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def storm(name: str, schedules: int, seed: int, done: Callable[[], object] = lambda: None) -> Tally:
    """`schedules` schedules of `seed` against the run of this name in RUNS."""
    run, tally = RUNS[name](), Tally(name)
    expected, traffic = undisturbed(run)
    for number in range(schedules):
        outcome = under(run, draw(seed, number, traffic), expected)
        tally.schedules += 1
        tally.attempts += outcome.attempts
        tally.resumed += outcome.resumed
        tally.struck.update(hit.fault for hit in outcome.struck)
        tally.errors.update(outcome.errors)
        tally.wrong += [f"schedule {number} of seed {seed}: {what}" for what in outcome.wrong]
        done()
    return tally
