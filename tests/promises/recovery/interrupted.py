"""Runs all parties in this process, stops one of them at a message, and lets all go on from the marks that they
kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from protocols.channel import Channel, MemoryNetwork, Tap
from protocols.cipher import Keyring, Scheme
from protocols.errors import Cause, PeerAborted
from protocols.message import Message
from protocols.randomness import Randomness
from protocols.recovery import resume
from protocols.recovery.checkpoint import START, Checkpoint, Position
from protocols.session import Roles, Session

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


@dataclass
class MemoryKeeper:
    """Keeps marks as `vfl.storage.run_store` does: in its bytes, those of finished stages and of the last two counts
    of messages. (Not in NumPy's: its reader parses Python, which fails in threads side by side on Python 3.11.)"""

    checkpoints: dict[Position, tuple[Checkpoint, bytes]] = field(default_factory=dict)
    journal: dict[int, dict[str, list[bytes]]] = field(default_factory=dict)
    spent: set[bytes] = field(default_factory=set)
    stops_at: Position | None = (
        None  # its party is stopped before it keeps this mark, when the others have gone as far as they can without it
    )

    def keep(self, mark: Checkpoint, heard: Mapping[str, Sequence[bytes]]) -> None:
        if mark.position == self.stops_at:
            time.sleep(0.05)
            raise Killed
        packed = save({name: np.array(array, order="C") for name, array in mark.arrays.items()})
        self.checkpoints[mark.position] = mark, packed
        if mark.position.item == 0:
            self.journal[mark.position.stage] = {peer: list(messages) for peer, messages in heard.items()}
        recent = sorted({m.messages for m, _ in self.checkpoints.values()})[-2:]
        self.checkpoints = {p: k for p, k in self.checkpoints.items() if k[0].last or k[0].messages >= recent[0]}

    def at(self, position: Position) -> Checkpoint:
        mark, packed = self.checkpoints[position]
        return Checkpoint(mark.position, mark.draws, mark.counts, load(packed), mark.last)

    def last(self, stage: int) -> Checkpoint:
        return self.at(max(p for p, (m, _) in self.checkpoints.items() if p.stage == stage and m.last))

    def heard(self, stage: int) -> dict[str, list[bytes]]:
        return self.journal.get(stage, {})

    def spend(self, name: bytes) -> bool:
        found, self.spent = name not in self.spent, self.spent | {name}
        return found

    def is_spent(self, name: bytes) -> bool:
        return name in self.spent


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

    def attempt(self, victim: str | None = None, at: int | None = None) -> dict[str, Any] | None:
        network, results, failures = MemoryNetwork(tuple(self.programs)), dict[str, Any](), dict[str, BaseException]()
        self.killers = {party: Killer(at if party == victim else None) for party in self.programs}

        def live(me: str) -> None:
            wires = network.wires(me)
            try:
                session = self._meet(me, wires)
                results[me] = self.programs[me](session)
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
            run, goal = resume.decide(list(plain.values()), RUN, marks, RUN)
            self.goals.append(goal)
        else:
            run, goal = resume.follow(plain[self.roles.guest], RUN, marks, RUN)
        assert run == RUN
        channels = {
            peer: Channel(wire, keys, (Numbered(me, self.hashes, self.sent), self.killers[me]), 30)
            for peer, wire in wires.items()
        }
        if goal != START:
            resume.compare(plain, keeper.at(goal).counts)
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
        )


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
        later = [key for key in self._hashes if key[:2] == (self._me, peer) and key[2] > count.sent]
        for key in later:
            del self._hashes[key]
