"""Private set intersection of two parties by Diffie-Hellman on ristretto255, size first.

Source: Meadows 1986 and Huberman, Franklin, Hogg 1999 (commutative blinding); the size is settled before anything else is opened.
Adversary: honest but curious; points from the peer are validated, so a malicious one learns no more than which of its own inputs are members.

     guest, ids G, secret a                                    host, ids H, secret b
 1   shuffle G       BlindedIds H(g)^a  ------------------->
 2                                      <-------------------   BlindedIds H(h)^b       shuffle H
 3                                      <-------------------   SortedTags of (H(g)^a)^b
 4   tags of (H(h)^b)^a; compare
                     IntersectionSize   ------------------->   both stop here if it is too small
 5                   HostRows           ------------------->   its own rows, in tag order
 6                                      <-------------------   GuestRows: the guest's rows, in tag order

Who learns what: each party the other's number of ids, the size of the intersection, and, if that is large enough, which of its own ids are in it.
The shared order is that of the tags: pseudo-random, independent of either table's order.
Cost a row pair: four scalar products, two hashes to the group, 80 bytes and 8 more a common id.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.codec import Int32s, check_lengths
from protocols.errors import DataError, RemoteProtocolError
from protocols.message import BLINDED, REVEALED, Message
from protocols.ristretto import PointVec
from protocols.session import Session

DOMAIN = b"vfl ecdh-psi v1"
TAG_BYTES = 16


class BlindedIds(Message, disclosure=BLINDED, learns="how many ids the sender has"):
    points: PointVec  # (n,)  H(id)^k, shuffled by the sender


class SortedTags(
    Message,
    disclosure=BLINDED,
    learns="nothing before it compares: tags of its own ids under both secrets, in an order that is not its own",
):
    tags: bytes  # (n, 16) of the receiver's points, sorted


class IntersectionSize(Message, disclosure=REVEALED, permit="intersection-to-parties", learns="how many ids all parties have in common"):
    size: int


class HostRows(Message, disclosure=REVEALED, permit="intersection-to-parties", learns="which of its own ids are common to all parties"):
    rows: Int32s  # (size,)  positions in the host's list, in tag order
    hits: bytes  # bitmap over SortedTags: which of them are common


class GuestRows(Message, disclosure=REVEALED, permit="intersection-to-parties", learns="which of its own ids are common to all parties"):
    rows: Int32s  # (size,)  positions in the guest's list, in tag order


@dataclass(frozen=True)
class Alignment:
    """What a data party takes from an alignment: its own common rows (size,), in the shared order, and how many ids each data party had."""

    rows: NDArray[np.int64]
    sizes: dict[str, int]


def guest(session: Session, ids: list[bytes], min_intersection: int) -> Alignment:
    """Rows of `ids` that the host also holds, in the shared order.  Raises DataError below `min_intersection`, InvalidPoint."""
    (host_channel,) = session.hosts
    host_name = host_channel.peer
    shuffle, secret, points = blind(session, ids)
    host_channel.send(BlindedIds(points))  # 1
    theirs = host_channel.recv(BlindedIds).points  # 2
    own_tags = np.frombuffer(host_channel.recv(SortedTags).tags, dtype="V16")  # 3
    check_lengths(host_name, len(ids), own_tags, what="tags of the ids sent")
    their_tags = (theirs * secret).tags()  # 4
    common, at_own, at_theirs = np.intersect1d(own_tags, their_tags, return_indices=True)
    host_channel.send(IntersectionSize(len(common)))
    if len(common) < min_intersection:
        raise too_small(len(common), min_intersection)
    hits = np.zeros(len(ids), dtype=bool)
    hits[at_own] = True
    host_channel.send(HostRows(at_theirs.astype(np.int32), np.packbits(hits).tobytes()))  # 5
    rows = host_channel.recv(GuestRows).rows  # 6
    check_rows(host_name, rows, len(common), len(ids))
    return Alignment(shuffle[rows], {session.me: len(ids), host_name: len(theirs)})


def host(session: Session, ids: list[bytes], min_intersection: int) -> Alignment:
    """As `guest`, the other side."""
    guest_name = session.roles.guest
    shuffle, secret, points = blind(session, ids)
    theirs = session.guest.recv(BlindedIds).points  # 1
    session.guest.send(BlindedIds(points))  # 2
    tags = (theirs * secret).tags()
    order = np.argsort(tags, kind="stable")
    session.guest.send(SortedTags(tags[order].tobytes()))  # 3
    size = session.guest.recv(IntersectionSize).size  # 4
    if size < min_intersection:
        raise too_small(max(size, 0), min_intersection)
    answer = session.guest.recv(HostRows)  # 5
    check_rows(guest_name, answer.rows, size, len(ids))
    check_lengths(guest_name, (len(order) + 7) // 8, answer.hits, what="bytes of the bitmap of hits")
    hits = np.unpackbits(np.frombuffer(answer.hits, dtype=np.uint8), count=len(order)).astype(bool)
    if int(hits.sum()) != size:
        raise RemoteProtocolError(f"{guest_name} marked another number of hits than it announced", party=guest_name)
    session.guest.send(GuestRows(order[hits].astype(np.int32)))  # 6
    return Alignment(shuffle[answer.rows], {guest_name: len(theirs), session.me: len(ids)})


def blind(session: Session, ids: list[bytes]) -> tuple[NDArray[np.int64], bytes, PointVec]:
    """A secret order, a secret scalar, and the blinded points in that order."""
    digest = ids_digest(ids)
    shuffle = session.seed("psi shuffle", digest).permutation(len(ids))
    secret = session.seed("psi scalar", digest).scalar()
    return shuffle, secret, PointVec.hash_to_group([ids[i] for i in shuffle], DOMAIN) * secret


def check_rows(sender: str, rows: NDArray[np.int32], size: int, length: int) -> None:
    """Raises RemoteProtocolError unless `rows` are `size` distinct positions below `length`."""
    check_lengths(sender, size, rows, what="common rows")
    if len(rows) and (rows.min() < 0 or rows.max() >= length or len(np.unique(rows)) != len(rows)):
        raise RemoteProtocolError(f"{sender} sent row positions that do not exist", party=sender)


def ids_digest(ids: list[bytes]) -> bytes:
    """SHA-256 of a list of ids, each with its length."""
    digest = hashlib.sha256()
    for item in ids:
        digest.update(len(item).to_bytes(4, "big"))
        digest.update(item)
    return digest.digest()


def too_small(size: int, least: int) -> DataError:
    """The error of a run that stops because the parties share too few ids."""
    found = "no id is" if size == 0 else f"only {size} ids are"
    return DataError(
        f"{found} common to all parties, and this job wants at least {least}",
        remedy="Check that all parties use the same id column and normaliser; nothing but the size was learnt",
    )
