"""How an attempt at a chunk of prepared iterations gets its name, and how a training ends: before anything under pads
leaves, all parties have the attempt on their disks as spent; when a training has ended at all, nobody repeats a part of
it.

 every other party                            guest
 0   ChunkNonce ----------------------------->
                 <--------------------------  ChunkNonces: all store on their disks that these pads are spent
 when all trainings are over
 4   TrainingStored ------------------------->
                 <--------------------------  AllStored: from here on nobody repeats a chunk

(Steps as in preparation.py.)  Adversary: honest but curious.  Who learns what: nobody anything but which parties lack
stored pads, or the end of a training, that others have: so all can say who lost them.
"""

from __future__ import annotations

import hashlib

import numpy as np

from protocols.channel import broadcast
from protocols.codec import Int32s
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.message import PUBLIC, Message
from protocols.randomness import run_seed
from protocols.session import Session

NONCE = 16  # bytes


class ChunkNonce(
    Message,
    disclosure=PUBLIC,
    learns=(
        "a new random number, which becomes a part of this attempt's name, whether the sender has pads stored, and "
        "whether the training is over at the sender"
    ),
    most_bytes=96,
):
    nonce: bytes  # (16,)
    stored: bytes  # (32,) the name of pads that it has stored for this chunk, or none
    over: bool


class ChunkNonces(
    Message,
    disclosure=PUBLIC,
    learns=(
        "the random numbers of all parties, which are this attempt's name, whether all have the pads stored, and which "
        "parties have not the pads, or the end of the training, that others have"
    ),
    most_bytes=1 << 16,
):
    nonces: bytes  # (16,) of each party, in the job's order
    stored: bytes  # (32,) the name of the pads that all have stored, or none
    without: Int32s  # numbers of parties in the job's order: those that have not the pads that others have
    behind: Int32s  # the same: those at which the training is not over, if it is at others


class TrainingStored(
    Message, disclosure=PUBLIC, learns="that the sender has stored the end of the training, or of a network's scoring"
):
    done: bool


class AllStored(
    Message, disclosure=PUBLIC, learns="that all parties have stored the end of the training, or of a network's scoring"
):
    done: bool


def begin(session: Session, model_id: bytes, stored: bytes = b"") -> tuple[bytes, bool]:
    """Step 0: the name of this attempt, which no other has, and which is on this party's disk as spent when this
    returns.  stored: the name of pads that this party has stored for it; also returned: whether all have these, which
    are spent then.  Pads that not all have are never used.

    Raises LocalProtocolError where the training is over already, or pads would be used twice."""
    session.course.renew()
    own = ChunkNonce(run_seed()[:NONCE], stored, session.course.is_spent(over(model_id)))
    told = _collected(session, own) if session.me == session.roles.guest else _told(session, own)
    nonces, agreed, behind = told.nonces, told.stored, _named(session, told.behind)
    if own.over or behind:
        names = " and ".join([*filter(None, [", ".join(behind[:-1])]), *behind[-1:]]) or "a party"
        raise LocalProtocolError(
            f"{names} would repeat a training or scoring that had ended at all parties; nothing was sent",
            remedy=f"The run store of {names} was lost, or put back from a copy: start all parties again with --fresh",
            party=behind[0] if behind else None,
        )
    if session.pads is not None and (without := _named(session, told.without)):
        session.pads.lacking(without)
    name = hashlib.sha256(b"vfl attempt|" + nonces).digest()
    if not session.course.spend(name) or not (spent(session, stored) or not agreed):
        raise LocalProtocolError(
            "an attempt has the name of an earlier one: its pads would be used twice; nothing was sent",
            remedy="The random numbers of all parties repeat, as where copies of their machines were restored: start "
            "all parties again with --fresh",
        )
    return name, bool(agreed)


def _collected(session: Session, own: ChunkNonce) -> ChunkNonces:
    """Step 0 at the guest."""
    others = [session.channels[p] for p in session.roles.all if p != session.me]
    said = {session.me: own} | {channel.peer: channel.recv(ChunkNonce) for channel in others}
    in_order = [said[party] for party in session.roles.all]
    stored = [one.stored for one in in_order]
    agreed = own.stored if set(stored) == {own.stored} else b""
    pads = max((name for name in stored if name), key=stored.count, default=b"")
    without = [k for k, name in enumerate(stored) if name != pads] if pads else []
    behind = [k for k, one in enumerate(in_order) if not one.over] if any(one.over for one in in_order) else []
    nonces = b"".join(one.nonce for one in in_order)
    told = ChunkNonces(nonces, agreed, *(np.array(numbers, dtype=np.int32) for numbers in (without, behind)))
    broadcast(others, told)
    return _checked(session, own, told)


def _told(session: Session, own: ChunkNonce) -> ChunkNonces:
    """Step 0 at another party."""
    session.guest.send(own)
    return _checked(session, own, session.guest.recv(ChunkNonces))


def _checked(session: Session, own: ChunkNonce, told: ChunkNonces) -> ChunkNonces:
    """Raises RemoteProtocolError unless what the guest names fits what this party sent."""
    everyone, nonces = session.roles.all, told.nonces
    place = NONCE * everyone.index(session.me)
    fits = len(nonces) == NONCE * len(everyone) and nonces[place : place + NONCE] == own.nonce
    numbers = (*told.without.tolist(), *told.behind.tolist())
    if not fits or told.stored not in (b"", own.stored) or any(not 0 <= k < len(everyone) for k in numbers):
        raise RemoteProtocolError(
            f"{session.roles.guest} names an attempt without this party's random number, or pads that this party has "
            "not stored",
            party=session.roles.guest,
        )
    return told


def _named(session: Session, numbers: Int32s) -> tuple[str, ...]:
    return tuple(session.roles.all[number] for number in numbers)


def spent(session: Session, stored: bytes) -> bool:
    """Spends stored pads, if there are any; whether they were not spent before."""
    return not stored or session.pads is None or session.pads.spend(stored)


def end(session: Session, model_id: bytes) -> None:
    """Step 4: when all parties have stored the end of the training, or of a scoring; from then on no part of it is
    repeated."""
    if session.me == session.roles.guest:
        others = [session.channels[p] for p in session.roles.all if p != session.me]
        for channel in others:
            channel.recv(TrainingStored)
        broadcast(others, AllStored(True))
    else:
        session.guest.send(TrainingStored(True))
        session.guest.recv(AllStored)
    session.course.spend(over(model_id))


def over(model_id: bytes) -> bytes:
    """The name under which it is stored that a training is over."""
    return hashlib.sha256(b"vfl over|" + model_id).digest()
