"""How long a metered run would take between machines: its events, played again on a network.

Every party works at its own speed and waits for what it needs; a message leaves when its sender's line is free, takes
its bytes' time on that line and half a round trip more.  What the seconds between two events are is a parameter: those
that were measured, or the products counted, or nothing at all, which leaves the network alone.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vfl.cost.meter import Event


@dataclass(frozen=True)
class Network:
    """Every party has a line of `bits_per_second` each way, shared by its peers; `round_trip_s` there and back.  No
    loss, no slow start."""

    name: str
    bits_per_second: float
    round_trip_s: float


LAN = Network("LAN, 1 Gbit/s, 0.2 ms", 1e9, 0.0002)
CITY = Network("100 Mbit/s, 10 ms", 1e8, 0.010)
LINE = Network("10 Mbit/s, 50 ms", 1e7, 0.050)
NETWORKS = (LAN, CITY, LINE)
NO_NETWORK = Network("none", float("inf"), 0.0)


def seconds(event: Event) -> float:
    """The work before an event, as it was measured."""
    return event.seconds


def play(parties: Mapping[str, Sequence[Event]], network: Network, work: Callable[[Event], float] = seconds) -> float:
    """When the last party ends, every one on a machine of its own."""
    clock, line = dict.fromkeys(parties, 0.0), dict.fromkeys(parties, 0.0)
    arrivals: dict[tuple[str, str], deque[float]] = defaultdict(deque)
    rest = {party: deque(events) for party, events in parties.items()}
    while any(rest.values()):
        moved = False
        for party, events in rest.items():
            while events and (events[0].what != "receive" or arrivals[events[0].peer, party]):
                event = events.popleft()
                clock[party] += work(event)
                if event.what == "send":
                    line[party] = max(line[party], clock[party]) + 8 * event.size / network.bits_per_second
                    arrivals[party, event.peer].append(line[party] + network.round_trip_s / 2)
                elif event.what == "receive":
                    clock[party] = max(clock[party], arrivals[event.peer, party].popleft())
                moved = True
        if not moved:
            raise ValueError("a party waits for a message that nobody sends")
    return max(clock.values())


def longest(parties: Mapping[str, Sequence[Event]], work: Callable[[Event], float]) -> float:
    """The most work that has to be done one after the other, with every party on a machine of its own."""
    return play(parties, NO_NETWORK, work)


def round_trips(parties: Mapping[str, Sequence[Event]]) -> float:
    """How often the run waits for a message there and back; what travels at the same time counts once."""
    return play(parties, Network("latency alone", float("inf"), 1.0), lambda event: 0.0)


def bytes_in_line(parties: Mapping[str, Sequence[Event]]) -> float:
    """The bytes that travel one after the other: their time on a line cannot overlap."""
    return play(parties, Network("lines alone", 8.0, 0.0), lambda event: 0.0)
