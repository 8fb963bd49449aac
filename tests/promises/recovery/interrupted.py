"""Runs all parties in this process, stops one of them at a message, and lets all go on from the marks that they
kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocols.channel import Channel, Count, MemoryNetwork, Tap
from protocols.cipher import Keyring, Scheme
from protocols.errors import Cause, PeerAborted
from protocols.message import Message
from protocols.randomness import Randomness
from protocols.recovery import resume
from protocols.recovery.checkpoint import START, Checkpoint, Position, serves
from protocols.recovery.pad_store import Paused
from protocols.session import Roles, Session
from vfl.testing.chaos import memory

RUN = bytes(range(16))


class Killed(Exception):
    """What a test raises in the place of a kill."""


@dataclass
class Killer(Tap):
    """Stops its party before message number `at` of all that it sends or has received; counts them."""

    at: int | None = None
    seen: int = 0

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise Killed

    received = sent


class MemoryKeeper(memory.MemoryKeeper):
    """stops_at: its party is stopped before it keeps this checkpoint, when the others have gone as far as they can
    without it."""

    def __init__(self, stops_at: Position | None = None) -> None:
        super().__init__()
        self.stops_at = stops_at

    def keep(self, mark: Checkpoint, heard: Mapping[str, Sequence[bytes]]) -> None:
        if mark.position == self.stops_at:
            time.sleep(0.05)
            raise Killed
        super().keep(mark, heard)


@dataclass
class Interrupted:
    """One run of several attempts; `attempt` returns what each party returned, or None if one was stopped."""

    roles: Roles
    programs: Mapping[str, Callable[[Session], Any]]
    scheme: Scheme
    keepers: dict[str, MemoryKeeper] = field(default_factory=dict)
    hashes: dict[tuple[str, str, int], int] = field(default_factory=dict)  # of every message ever sent, by its number
    seeds: dict[str, bytes] = field(default_factory=dict)
    goals: list[Position] = field(default_factory=list)
    sent: list[tuple[str, type[Message], bytes]] = field(default_factory=list)  # of all attempts, by sender
    pads: dict[str, memory.MemoryPads] = field(default_factory=dict)
    ahead: int | None = None  # the next attempt only prepares: so many iterations, 0 for all
    behind: dict[str, tuple[str, ...]] = field(default_factory=dict)  # who lacks checkpoints, as each party was told
    failures: dict[str, BaseException] = field(default_factory=dict)  # by party, of the last attempt

    def attempt(self, victim: str | None = None, at: int | None = None) -> dict[str, Any] | None:
        network, results, failures = MemoryNetwork(tuple(self.programs)), dict[str, Any](), dict[str, BaseException]()
        self.failures = failures
        self.killers = {party: Killer(at if party == victim else None) for party in self.programs}

        def live(me: str) -> None:
            wires = network.wires(me)
            try:
                session = self._meet(me, wires)
                results[me] = self.programs[me](session)
            except Paused as paused:
                results[me] = paused
            except BaseException as error:
                failures[me] = error
                for wire in wires.values():
                    wire.abort(Cause("killed", me))

        threads = [threading.Thread(target=live, args=(party,), daemon=True) for party in self.programs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        for error in failures.values():
            if not isinstance(error, Killed | PeerAborted):
                raise error
        return None if failures else results

    def _meet(self, me: str, wires: Mapping[str, Any]) -> Session:
        keys, keeper = Keyring(), self.keepers.setdefault(me, MemoryKeeper())
        plain = {peer: Channel(wire, keys, (), 30) for peer, wire in wires.items()}
        marks = sorted(keeper.checkpoints)
        if me == self.roles.guest:
            run, goal, behind = resume.decide(list(plain.values()), RUN, marks, RUN)
            self.goals.append(goal)
        else:
            run, goal, behind = resume.follow(plain[self.roles.guest], RUN, marks, RUN, self.roles.all)
        assert run == RUN
        channels = {
            peer: Channel(wire, keys, (Numbered(me, self.hashes, self.sent), self.killers[me]), 30)
            for peer, wire in wires.items()
        }
        counts = dict.fromkeys(plain, Count()) if goal == START else keeper.at(goal).counts
        repeats = resume.compare(plain, counts, repeated(keeper, goal))
        self.behind[me] = behind if repeats > resume.REPEATED else ()
        return Session(
            me,
            self.roles,
            channels,
            Randomness(me, self.seeds.get(me, me.encode().ljust(32)), b""),
            keys,
            self.scheme,
            None,
            keeper,
            goal,
            pads=self.pads.setdefault(me, memory.MemoryPads()),
            ahead=self.ahead,
        )


def repeated(keeper: memory.MemoryKeeper, goal: Position) -> int:
    """How many steps with messages a party had done after `goal`."""
    own = serves(keeper.checkpoints, goal)
    done = keeper.at(own).messages if own else 0
    return len({mark.messages for mark, _ in keeper.checkpoints.values() if mark.messages > done})


class Numbered(Tap):
    """Holds every message, whenever it is sent, against what was sent under its number before."""

    def __init__(
        self, me: str, hashes: dict[tuple[str, str, int], int], sent: list[tuple[str, type[Message], bytes]]
    ) -> None:
        self._me, self._hashes, self._next, self._sent = me, hashes, dict[str, int](), sent

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        number = self._next[peer] = self._next.get(peer, 0) + 1
        self._sent.append((self._me, kind, data))
        assert self._hashes.setdefault((self._me, peer, number), hash(data)) == hash(data), (
            f"{kind.kind} {number} to {peer} has another content"
        )

    def moved(self, peer: str, count: Any) -> None:
        self._next[peer] = count.sent

    def renewed(self, peer: str, count: Any) -> None:
        later = [key for key in list(self._hashes) if key[:2] == (self._me, peer) and key[2] > count.sent]
        for key in later:
            del self._hashes[key]
