"""Agreement on where a run resumes, whenever its parties connect: for the first time, or after one of them had stopped.

     every other party                                              guest
 1   Standing: the run that it has begun, if any, its
     checkpoints, and a new nonce         ------------------------>   all hold the same run: the latest checkpoint that all have;
                                                                      otherwise a new run, from the start
 2                                        <------------------------   Agreed: run and checkpoint, every party's nonce, and who
                                                                      has not the run, or the checkpoints, that others have
 3   both ways between all, when they have the run on their disks:
                                 Counted  <------------->             what one has sent up to there, the other has received;
                                                                      and how many of its steps each repeats

The name of a new run is a hash of all nonces.  A party accepts it only with its own nonce among them, so that nobody
can give a new run the name of an old one, which would not be counted again against its budget.  A restarted party finds
its unfinished run by the digest of the job, and names it in Standing.

Who learns what: the random name of the run, how far each party has come in it (steps that the job prescribes), and who
has given a run up or lost it that others have, or has come least far in it.  A party that was stopped lets nobody repeat
more than two steps: otherwise the store of the one that has come least far was put back from a copy.
"""  # noqa: E501

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from protocols.channel import Channel, Count
from protocols.codec import Int32s
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.message import PUBLIC, Message
from protocols.recovery.checkpoint import START, Position, serves

RUN_ID = NONCE = 16  # bytes
REPEATED = 2  # steps that a party repeats at most after another was stopped


class Standing(
    Message,
    disclosure=PUBLIC,
    learns="which run of the job the sender has begun, if any, and from which steps the sender can resume",
):
    run: bytes  # (16,) or none
    stages: Int32s  # (marks,)
    items: Int32s  # (marks,)
    nonce: bytes  # (16,)


class Agreed(
    Message,
    disclosure=PUBLIC,
    learns=(
        "which run resumes, from which step, the nonces that name a new run, and which parties have not the run that "
        "others have, or have come least far in it"
    ),
):
    run: bytes  # (16,)
    stage: int
    item: int
    nonces: bytes  # (16,) of each party
    without: Int32s  # numbers of parties, in the order of nonces


class Counted(
    Message,
    disclosure=PUBLIC,
    learns=(
        "how many messages the sender has sent to the receiver, and received from it, up to the agreed step, and how "
        "many steps it had done after that"
    ),
):
    sent: int
    received: int
    repeats: int


class Met(NamedTuple):
    """What the parties agree on: the run, and this party's own checkpoint to resume from; who has not the run that
    others have begun or, of a run that resumes, has come least far."""

    run: bytes
    position: Position
    without: tuple[str, ...] = ()


def decide(others: Sequence[Channel], own: bytes, marks: Sequence[Position], nonce: bytes) -> Met:
    """The guest's side; others: the channels to all other parties; own: the run that it has begun (b"" for none); nonce
    (16,): its own, drawn for this agreement."""
    common, runs, nonces, kept = {START, *marks}, [own], nonce, [{START, *marks}]
    for channel in others:
        standing = channel.recv(Standing)
        theirs = {START, *map(Position, standing.stages.tolist(), standing.items.tolist())}
        if (
            len(standing.stages) != len(standing.items)
            or len(standing.run) not in (0, RUN_ID)
            or len(standing.nonce) != NONCE
        ):
            raise RemoteProtocolError(f"{channel.peer} sends a malformed list of its checkpoints", party=channel.peer)
        runs.append(standing.run)
        kept.append(theirs)
        common = {mark for mark in common if serves(theirs, mark)}
        nonces += standing.nonce
    same = len(own) == RUN_ID and {*runs} == {own}
    run, position = (own, max(common)) if same else (named(nonces), START)
    without = np.array(least(kept) if same else odd(runs), dtype=np.int32)
    for channel in others:
        channel.send(Agreed(run, *position, nonces, without))
    names = (others[0].me, *(channel.peer for channel in others))
    return Met(run, position, tuple(names[k] for k in without))


def odd(runs: Sequence[bytes]) -> list[int]:
    """Who has not the run that most of those have who have begun one; all, where there is no such run."""
    counted = Counter(run for run in runs if run).most_common(2)
    if not counted:
        return []
    most = counted[0] if len(counted) == 1 or counted[0][1] > counted[1][1] else (b"", 0)
    return [k for k, run in enumerate(runs) if not most[0] or run != most[0]]


def least(kept: Sequence[set[Position]]) -> list[int]:
    """Who has come least far, where not all have come as far; kept: the checkpoints of each party."""
    ends = [max(marks) for marks in kept]
    return [k for k, end in enumerate(ends) if end == min(ends)] if len({*ends}) > 1 else []


def follow(guest: Channel, own: bytes, marks: Sequence[Position], nonce: bytes, everyone: Sequence[str]) -> Met:
    """The side of every other party.  nonce: as in `decide`; everyone: all parties that meet, in the order in which the
    guest has them."""
    stages, items = (np.array([mark[k] for mark in marks], dtype=np.int32) for k in (0, 1))
    guest.send(Standing(own, stages, items, nonce))
    agreed = guest.recv(Agreed)
    if any(not 0 <= number < len(everyone) for number in agreed.without):
        raise RemoteProtocolError(f"{guest.peer} names parties that do not take part", party=guest.peer)
    without = tuple(everyone[number] for number in agreed.without)
    position = Position(agreed.stage, agreed.item)
    if agreed.run != own and position == START:
        nonces = [agreed.nonces[k : k + NONCE] for k in range(0, len(agreed.nonces), NONCE)]
        if nonce not in nonces or agreed.run != named(agreed.nonces):
            raise RemoteProtocolError(
                f"{guest.peer} gives the new run a name that is not computed from every party's nonce",
                remedy=f"Check which software {guest.peer} runs: a reused name would not be counted against the budget",
                party=guest.peer,
            )
        return Met(agreed.run, START, without)
    mark = START if position == START else serves(marks, position) if agreed.run == own else None
    if len(agreed.run) != RUN_ID or mark is None:
        raise RemoteProtocolError(
            f"{guest.peer} wants to resume from a step for which this party has no checkpoint", party=guest.peer
        )
    return Met(agreed.run, mark, without)


def named(nonces: bytes) -> bytes:
    """The name of a new run."""
    return hashlib.sha256(b"vfl run|" + nonces).digest()[:RUN_ID]


def compare(channels: Mapping[str, Channel], counts: Mapping[str, Count], repeats: int = 0) -> int:
    """Raises LocalProtocolError unless both ends of every channel have counted the same messages up to the agreed
    checkpoint; counts: this party's.  repeats: how many steps with messages this party had done after that; returned:
    the most of any party that it meets."""
    for peer in sorted(channels):
        channels[peer].send(Counted(counts[peer].sent, counts[peer].received, repeats))
    for peer in sorted(channels):
        theirs = channels[peer].recv(Counted)
        repeats = max(repeats, theirs.repeats)
        if (theirs.sent, theirs.received) != (counts[peer].received, counts[peer].sent):
            raise LocalProtocolError(
                f"{peer} and this party count their messages differently at the step from which the run should resume",
                remedy="Start all parties again with --fresh, and report this",
                party=peer,
            )
    return repeats
