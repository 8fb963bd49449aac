"""Agreement on where a run resumes, whenever its parties connect: for the first time, or after one of them had stopped.

     every other party                                              guest
 1   Standing: the run that it has begun, if any, its
     checkpoints, and a new nonce         ------------------------>   all hold the same run: the latest checkpoint that all have;
                                                                      otherwise a new run, from the start
 2                                        <------------------------   Agreed: run and checkpoint, and every party's nonce
 3   both ways between all, when they have the run on their disks:
                                 Counted  <------------->             what one has sent up to there, the other has received

The name of a new run is a hash of all nonces.  A party accepts it only with its own nonce among them, so that nobody
can give a new run the name of an old one, which would not be counted again against its budget.  A restarted party finds
its unfinished run by the digest of the job, and names it in Standing.

Who learns what: the random name of the run, and how far each party has come in it (steps that the job prescribes).
"""  # noqa: E501

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from protocols.channel import Channel, Count
from protocols.codec import Int32s
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.message import PUBLIC, Message
from protocols.recovery.checkpoint import START, Position, serves

RUN_ID = NONCE = 16  # bytes


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
    Message, disclosure=PUBLIC, learns="which run resumes, from which step, and the nonces that name a new run"
):
    run: bytes  # (16,)
    stage: int
    item: int
    nonces: bytes  # (16,) of each party


class Counted(
    Message,
    disclosure=PUBLIC,
    learns="how many messages the sender has sent to the receiver, and received from it, up to the agreed step",
):
    sent: int
    received: int


def decide(others: Sequence[Channel], own: bytes, marks: Sequence[Position], nonce: bytes) -> tuple[bytes, Position]:
    """The guest's side; others: the channels to all other parties; own: the run that it has begun (b"" for none); nonce
    (16,): its own, drawn for this agreement."""
    common, same, nonces = {START, *marks}, len(own) == RUN_ID, nonce
    for channel in others:
        standing = channel.recv(Standing)
        theirs = {START, *map(Position, standing.stages.tolist(), standing.items.tolist())}
        if (
            len(standing.stages) != len(standing.items)
            or len(standing.run) not in (0, RUN_ID)
            or len(standing.nonce) != NONCE
        ):
            raise RemoteProtocolError(f"{channel.peer} sends a malformed list of its checkpoints", party=channel.peer)
        same = same and standing.run == own
        common = {mark for mark in common if serves(theirs, mark)}
        nonces += standing.nonce
    run, position = (own, max(common)) if same else (named(nonces), START)
    for channel in others:
        channel.send(Agreed(run, *position, nonces))
    return run, position


def follow(guest: Channel, own: bytes, marks: Sequence[Position], nonce: bytes) -> tuple[bytes, Position]:
    """The side of every other party: the run, and this party's own checkpoint to resume from.  nonce: as in
    `decide`."""
    stages, items = (np.array([mark[k] for mark in marks], dtype=np.int32) for k in (0, 1))
    guest.send(Standing(own, stages, items, nonce))
    agreed = guest.recv(Agreed)
    position = Position(agreed.stage, agreed.item)
    if agreed.run != own and position == START:
        nonces = [agreed.nonces[k : k + NONCE] for k in range(0, len(agreed.nonces), NONCE)]
        if nonce not in nonces or agreed.run != named(agreed.nonces):
            raise RemoteProtocolError(
                f"{guest.peer} gives the new run a name that is not computed from every party's nonce",
                remedy=f"Check which software {guest.peer} runs: a reused name would not be counted against the budget",
                party=guest.peer,
            )
        return agreed.run, START
    mark = START if position == START else serves(marks, position) if agreed.run == own else None
    if len(agreed.run) != RUN_ID or mark is None:
        raise RemoteProtocolError(
            f"{guest.peer} wants to resume from a step for which this party has no checkpoint", party=guest.peer
        )
    return agreed.run, mark


def named(nonces: bytes) -> bytes:
    """The name of a new run."""
    return hashlib.sha256(b"vfl run|" + nonces).digest()[:RUN_ID]


def compare(channels: Mapping[str, Channel], counts: Mapping[str, Count]) -> None:
    """Raises LocalProtocolError unless both ends of every channel have counted the same messages up to the agreed
    checkpoint; counts: this party's."""
    for peer in sorted(channels):
        channels[peer].send(Counted(counts[peer].sent, counts[peer].received))
    for peer in sorted(channels):
        theirs = channels[peer].recv(Counted)
        if (theirs.sent, theirs.received) != (counts[peer].received, counts[peer].sent):
            raise LocalProtocolError(
                f"{peer} and this party count their messages differently at the step from which the run should resume",
                remedy="Start all parties again with --fresh, and report this",
                party=peer,
            )
