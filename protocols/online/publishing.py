"""What every publication of an epoch has, whatever its lists hold: its name, the tags of a host's list, the seeds of
what hides it, and the end.

Source, adversary, figure and who learns what: epoch.py and tree_epoch.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocols.channel import Channel, broadcast
from protocols.codec import check_lengths
from protocols.errors import ModelError, RemoteProtocolError
from protocols.message import BLINDED, PUBLIC, Message
from protocols.online.lists import MOST_BITS, bits_of, tags_from
from protocols.session import Session
from protocols.tags import TAG_BYTES, Tags

PIECE = 1 << 16  # tags of a message
NAME = 16  # bytes of an epoch's name
Meter = Callable[[int], int]  # charges a number of queries; how many more are left, negative where these are refused


class EpochStart(
    Message,
    disclosure=PUBLIC,
    learns="the random names of the model and of the epoch, how many numbers a score has, and how fine they are",
    most_bytes=128,
):
    model_id: bytes  # (16,)
    epoch: bytes  # (16,)
    models: int
    cut: int  # of a sum the bits below which all are 0, of sealed trees score_bits


class ListStart(
    Message,
    disclosure=BLINDED,
    learns="how long the sender's list is, rounded up to a power of two, and a seed that only the two servers know",
    most_bytes=64,
):
    bits: int
    seed: bytes  # (32,) of what hides the answers


class PublishedTags(
    Message,
    disclosure=BLINDED,
    learns=(
        "how long the sender's list is, rounded up to a power of two; of tags of ids under a secret of the sender's, "
        "nothing before it asks"
    ),
    most_bytes=TAG_BYTES * PIECE + 16,
):
    tags: bytes  # a piece of (2^bits, 16), sorted
    more: int


class PadSeed(
    Message,
    disclosure=BLINDED,
    learns="nothing: the seed of numbers that hide a list, which the receiver does not hold",
    most_bytes=64,
):
    seed: bytes  # (32,)


class EpochReady(
    Message,
    disclosure=PUBLIC,
    learns="that the sender has its lists, and how many queries it still answers today",
    most_bytes=16,
):
    left: int


class EpochOpen(Message, disclosure=PUBLIC, learns="that all parties have their lists", most_bytes=16):
    done: bool


@dataclass(eq=False, repr=False, kw_only=True)
class Served:
    """What a server of look-ups holds of one host's list of 2^bits places: the epoch's name and the seed of what hides
    answers; scalar: at the host itself.  number: of the last query that was answered."""

    name: bytes
    bits: int
    seed: bytes
    scalar: bytes = b""
    number: int = 0


def check_start(session: Session, start: EpochStart, model_id: bytes, models: int, cut: int) -> None:
    """At hosts and arbiter.  Raises ModelError for another model than `model_id`, RemoteProtocolError for another
    form."""
    if start.model_id != model_id:
        raise ModelError(
            f"{session.roles.guest} publishes another model than this party's part belongs to",
            remedy="Give every party the model folder of the same run",
            party=session.me,
        )
    if (start.models, start.cut) != (models, cut) or len(start.epoch) != NAME:
        raise RemoteProtocolError(
            f"{session.roles.guest} starts an epoch of an impossible form", party=session.roles.guest
        )


def send_tags(channel: Channel, tags: bytes) -> None:
    """The sorted tags of a padded list."""
    pieces = [tags[at : at + TAG_BYTES * PIECE] for at in range(0, len(tags), TAG_BYTES * PIECE)]
    for number, piece in enumerate(pieces):
        channel.send(PublishedTags(piece, len(pieces) - 1 - number))


def receive_tags(channel: Channel) -> Tags:
    """A host's list of tags.  Raises RemoteProtocolError."""
    data, left = bytearray(), None
    most = (1 << MOST_BITS) // PIECE - 1
    while left != 0:
        piece = channel.recv(PublishedTags)
        if not 0 <= piece.more <= most or left not in (None, piece.more + 1) or not piece.tags:
            raise RemoteProtocolError(f"{channel.peer} lost count of the messages of a list", party=channel.peer)
        data += piece.tags
        left = piece.more
    bits = bits_of(len(data) // TAG_BYTES)
    tags = tags_from(bytes(data), bits) if bits <= MOST_BITS else None
    if tags is None:
        raise RemoteProtocolError(f"{channel.peer} published no sorted list of tags", party=channel.peer)
    return tags


def receive_pad_seed(channel: Channel) -> bytes:
    """Of a list's pads.  Raises RemoteProtocolError."""
    seed = channel.recv(PadSeed).seed
    check_lengths(channel.peer, 32, seed, what="bytes of a seed")
    return seed


def receive_list_start(channel: Channel) -> ListStart:
    """At the arbiter: how long a host's list is.  Raises RemoteProtocolError."""
    begun = channel.recv(ListStart)
    if not 1 <= begun.bits <= MOST_BITS or len(begun.seed) != 32:
        raise RemoteProtocolError(f"{channel.peer} publishes a list of impossible length", party=channel.peer)
    return begun


def opened(session: Session) -> int:
    """At the guest, when it has all lists: how many queries the others still answer today."""
    parties = [*session.hosts, session.arbiter]
    left = min(channel.recv(EpochReady).left for channel in parties)
    broadcast(parties, EpochOpen(True))
    return left


def ready(session: Session, left: int = 1 << 30) -> None:
    """At a host or the arbiter, when it has its lists; left: how many queries it still answers today."""
    session.guest.send(EpochReady(left))
    session.guest.recv(EpochOpen)
