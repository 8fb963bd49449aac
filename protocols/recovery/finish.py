"""The end of a run: nobody keeps a result before every party has one, and nobody leaves before all keep theirs.

     each party                                             each of its peers
 1   (its own result is on its disk, not yet for use)
                       Finished  ------------------------>
                                 <------------------------  Finished
 2   keeps its result
                       Kept      ------------------------>
                                 <------------------------  Kept: the chained hashes of all messages before it, both ways, signed
 3   stores the signatures with its ledger, and leaves

A party evaluates its model and writes its result before step 1, while others wait: for a day and more as long as it is
alive.  Heartbeats tell within seconds that it is not.
A party that cannot write its result (a full disk) stops before step 1, so that the others stop too: no model exists of
which a part is missing.
A party that has passed step 2 knows that every result is on a disk: if it dies, it needs nobody to end the run.  A
party that died before step 2 finds the others still waiting for its Kept when it comes back; they wait as long as their
party files say (vfl/run/recovery.py).
A signature binds its party to what it sent and received: a ledger that it later cuts, removes or rewrites no longer
fits what its partner keeps.
Who learns what: that the sender is done.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from protocols.channel import Channel, Count, broadcast
from protocols.errors import PeerAborted, RemoteProtocolError, TransportError
from protocols.message import PUBLIC, Message
from protocols.session import Session

PATIENCE = 86_400.0  # seconds for which a party waits, at the least, for one that is alive and evaluates what it has


class Finished(Message, disclosure=PUBLIC, learns="that the sender has its part of the result"):
    done: bool


class Kept(
    Message,
    disclosure=PUBLIC,
    learns=(
        "that the sender keeps its part of the result, because every party has one; and the sender's signature over "
        "the messages that both know"
    ),
    most_bytes=512,
):
    sent: bytes  # (32,) chained SHA-256 of all that the sender sent to the receiver before this
    received: bytes  # (32,) and of all that it received from it
    signature: bytes


class Witness(Protocol):
    """Signs what this party sent and received, and keeps what its partners sign: `vfl.ledger.witness`."""

    def sign(self, peer: str, count: Count) -> bytes:
        """This party's signature over its count with `peer`."""

    def accept(self, peer: str, count: Count, signature: bytes) -> None:
        """Keeps the signature of `peer` over `count`, as that counts; raises RemoteProtocolError if it is none."""


def confirm(session: Session, keep: Callable[[], None], witness: Witness) -> None:
    """Tells every peer that this party has its result, keeps it when all have, and leaves when all keep theirs.  Every
    party runs this last.

    Raises RemoteProtocolError where a partner signs other messages than have passed; the result is kept then.
    """
    channels = [session.channels[p] for p in session.roles.all if p in session.channels]
    broadcast(channels, Finished(True))  # 1
    for channel in channels:
        channel.recv(Finished, at_least=PATIENCE)
    keep()  # 2
    counts = {channel.peer: channel.count for channel in channels}
    for channel in channels:
        _tell(channel, counts[channel.peer], witness)
    for channel in channels:
        _hear(channel, counts[channel.peer].mirrored(), witness)  # 3


def _tell(channel: Channel, count: Count, witness: Witness) -> None:
    channel.send(Kept(count.produced, count.consumed, witness.sign(channel.peer, count)))


def _hear(channel: Channel, count: Count, witness: Witness) -> None:
    kept = channel.recv(Kept, at_least=PATIENCE)  # it may wait for another party
    if (kept.sent, kept.received) != (count.produced, count.consumed):
        raise RemoteProtocolError(
            f"{channel.peer} signed other messages than were exchanged between it and this party",
            remedy=f"The results are kept. Keep the ledger too, and compare it with that of {channel.peer} "
            f"by vfl ledger reconcile",
            party=channel.peer,
        )
    witness.accept(channel.peer, count, kept.signature)


def confirm_rest(
    session: Session, keep: Callable[[], None], witness: Witness, late: Sequence[type[Message]]
) -> tuple[str, ...]:
    """The same at an aggregator, without the members that have left: returns those that have confirmed.  late: messages
    that a member may still have sent to an earlier step."""

    def with_each(channels: Sequence[Channel], work: Callable[[Channel], object]) -> list[Channel]:
        left = list[Channel]()
        for channel in channels:
            try:
                work(channel)
            except (TransportError, PeerAborted):
                continue
            left.append(channel)
        return left

    def finished(channel: Channel) -> None:
        while not isinstance(channel.recv_of((Finished, *late), at_least=PATIENCE), Finished):
            pass

    here = with_each([session.channels[p] for p in session.roles.members], lambda channel: channel.send(Finished(True)))
    here = with_each(here, finished)
    keep()  # 2
    counts = {channel.peer: channel.count for channel in here}
    here = with_each(here, lambda channel: _tell(channel, counts[channel.peer], witness))
    here = with_each(here, lambda channel: _hear(channel, counts[channel.peer].mirrored(), witness))
    return tuple(channel.peer for channel in here)
