"""Before the first turn: a common seed from all members, and their public keys of the run.

Source: commitments as in Blum, Coin flipping by telephone (CRYPTO 1981).
Adversary: the aggregator and all members but one may deviate: the seed is uniform, or the run stops.  Who stops the run
has seen the seed, and can have another one drawn in a new run, which all members notice.

     member P, identity key, seed part s_P                       aggregator
 1   Joins: hash of s_P, box key, signature   --------------->
                                              <---------------   Joined, of all members
 2   checks all signatures
     SeedPart s_P                             --------------->
                                              <---------------   SeedParts, of all members
 3   checks that each fits its hash; the common seed is the hash of all

Who learns what: everybody the seed and the public keys.
The hash of all that was relayed enters every later signature: members that were shown different things accept nothing
from each other.
Cost: two messages each way, and as many signatures to check as there are members.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols.averaging.cohorts import Terms
from protocols.channel import broadcast
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.message import PUBLIC, Message
from protocols.randomness import Seed
from protocols.session import Session

SIGNATURE, KEY = 64, 32
_JOINS = 2 * KEY + SIGNATURE  # bytes of a member in Joined
MOST_MEMBERS = 1 << 12


class Joins(
    Message,
    disclosure=PUBLIC,
    learns="a hash of the sender's part of the common seed, and the sender's public key of this run",
    most_bytes=256,
):
    commitment: bytes  # (32,)
    box: bytes  # (32,) X25519, for shares
    signature: bytes  # (64,)


class Joined(Message, disclosure=PUBLIC, learns="the same of all members", most_bytes=64 + _JOINS * MOST_MEMBERS):
    members: bytes  # (members, 128) in the job's order


class SeedPart(
    Message, disclosure=PUBLIC, learns="the sender's part of the seed from which cohorts are drawn", most_bytes=64
):
    part: bytes  # (32,)


class SeedParts(Message, disclosure=PUBLIC, learns="the same of all members", most_bytes=64 + KEY * MOST_MEMBERS):
    parts: bytes  # (members, 32)


class Signs(Protocol):
    """A key that signs as a member."""

    def sign(self, data: bytes, /) -> bytes:
        """(64,) a signature."""


@dataclass(frozen=True)
class Identities:
    """The public keys (Ed25519) by which members know each other, agreed before the run, and the job's digest; with
    other keys `holds` differs."""

    job: bytes
    keys: Mapping[str, bytes]

    def check(self, name: str, signature: bytes, said: bytes, sender: str) -> None:
        """Raises RemoteProtocolError unless `name` signed this; sender: who brought the signature."""
        if not self.holds(name, signature, said):
            raise RemoteProtocolError(
                f"{sender} sent a signature of {name} that is not valid",
                remedy=f"Check that all parties pinned the same key of {name}",
                party=sender,
            )

    def holds(self, name: str, signature: bytes, said: bytes) -> bool:
        """Whether `name` signed this."""
        try:
            Ed25519PublicKey.from_public_bytes(self.keys[name]).verify(signature, said)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Setup:
    """What all parties share after it.  digest: of all that was relayed; boxes: public keys by member."""

    seed: bytes
    digest: bytes
    boxes: Mapping[str, bytes]


def aggregator(session: Session, terms: Terms, identities: Identities) -> Setup:
    """The aggregator's side.  Raises RemoteProtocolError, and TransportError for a member that is not there."""
    channels = [session.channels[name] for name in terms.members]
    joins = [channel.recv(Joins) for channel in channels]  # 1
    relayed = b"".join(each.commitment + each.box + each.signature for each in joins)
    _check_joined(relayed, terms, identities, terms.members)
    broadcast(channels, Joined(relayed))
    parts = b"".join(channel.recv(SeedPart).part for channel in channels)  # 2
    setup = agreed(relayed, parts, terms, identities, terms.members)
    broadcast(channels, SeedParts(parts))
    return setup


@dataclass(frozen=True)
class Keys:
    """A member's secrets of the run."""

    identity: Signs
    box: X25519PrivateKey

    def __repr__(self) -> str:
        return "<Keys: contents not shown>"


def member(session: Session, terms: Terms, identities: Identities, identity: Signs) -> tuple[Setup, Keys]:
    """A member's side.  Raises RemoteProtocolError."""
    part, keys = begin(session.seed, identity)
    aggregator = session.arbiter
    aggregator.send(joins(part, keys, identities.job, session.me))  # 1
    relayed = aggregator.recv(Joined).members
    senders = [aggregator.peer] * len(terms.members)
    _check_joined(relayed, terms, identities, senders)
    aggregator.send(SeedPart(part))  # 2
    parts = aggregator.recv(SeedParts).parts
    setup = agreed(relayed, parts, terms, identities, senders)  # 3
    check_own(setup, parts, part, keys, terms, session.me, aggregator.peer)
    return setup, keys


# -- pure, no channel


def begin(draw: Callable[[str], Seed], identity: Signs) -> tuple[bytes, Keys]:
    """A member's part of the common seed, and its keys of the run."""
    box = X25519PrivateKey.from_private_bytes(draw("averaging box key").secret)
    return draw("averaging seed part").secret, Keys(identity, box)


def joins(part: bytes, keys: Keys, job: bytes, me: str) -> Joins:
    """What a member sends first."""
    commitment, box = _committed(me, part), keys.box.public_key().public_bytes_raw()
    return Joins(commitment, box, keys.identity.sign(_said(job, me, commitment + box)))


def _committed(name: str, part: bytes) -> bytes:
    return hashlib.sha256(b"vfl averaging seed part|" + name.encode() + b"|" + part).digest()


def _said(job: bytes, name: str, content: bytes) -> bytes:
    return b"vfl averaging joins v1|" + hashlib.sha256(job).digest() + name.encode() + b"|" + content


def _pieces(data: bytes, size: int, count: int, sender: str) -> list[bytes]:
    check_lengths(sender, size * count, data, what="bytes of all members")
    return [data[i : i + size] for i in range(0, len(data), size)]


def _check_joined(relayed: bytes, terms: Terms, identities: Identities, senders: Sequence[str]) -> None:
    pieces = _pieces(relayed, _JOINS, len(terms.members), senders[0])
    for name, piece, sender in zip(terms.members, pieces, senders, strict=True):
        content = piece[: 2 * KEY]
        identities.check(name, piece[2 * KEY :], _said(identities.job, name, content), sender)


def agreed(relayed: bytes, parts: bytes, terms: Terms, identities: Identities, senders: Sequence[str]) -> Setup:
    joined = _pieces(relayed, _JOINS, len(terms.members), senders[0])
    for name, piece, part, sender in zip(
        terms.members, joined, _pieces(parts, KEY, len(terms.members), senders[0]), senders, strict=True
    ):
        if _committed(name, part) != piece[:KEY]:
            raise RemoteProtocolError(
                f"{sender} sent a part of the common seed for {name} that does not fit its hash", party=sender
            )
    digest = hashlib.sha256(b"vfl averaging setup|" + identities.job + relayed + parts).digest()
    boxes = {name: piece[KEY : 2 * KEY] for name, piece in zip(terms.members, joined, strict=True)}
    return Setup(hashlib.sha256(b"vfl averaging seed|" + parts).digest(), digest, boxes)


def check_own(setup: Setup, parts: bytes, part: bytes, keys: Keys, terms: Terms, me: str, sender: str) -> None:
    """Raises RemoteProtocolError unless this member's own part and key were relayed."""
    at = KEY * terms.members.index(me)
    if parts[at : at + KEY] != part or setup.boxes[me] != keys.box.public_key().public_bytes_raw():
        raise RemoteProtocolError(f"{sender} relayed another part of the common seed than {me} sent", party=sender)
