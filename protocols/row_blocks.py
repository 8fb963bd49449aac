"""Vectors with a number for each row travel in blocks, which their receiver works on as they arrive.

     sender                                            receiver
     block 0   ------------------------------------->  works on block 0
     block 1   ------------------------------------->
               <-------------------------------------  BlockTaken 0   (or what the protocol answers to block 0)
     block 2   ------------------------------------->  works on block 1

Each message that is declared with `in_blocks` is one block (protocols/parts.py).  Where it is the whole vector it has
its declared fields alone; otherwise the number of the block and how many follow stand behind them.  All blocks but the
last are full: who knows the number of rows knows all of them, and who does not checks each.  A block that is missing,
repeated, out of order, too long or too short is a RemoteProtocolError.
A sender is at most AHEAD blocks ahead of its receiver.  So neither holds a second copy of a long vector, unsent or
unread, and one block travels while the next is computed.

Who learns what: what the messages declare; of BlockTaken how far its sender has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from protocols import parts
from protocols._native import PlainVec
from protocols.channel import Channel, broadcast, misplaced
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.kept import KeptVec, between
from protocols.message import PUBLIC, Message
from protocols.parts import Part, Place

M = TypeVar("M", bound=Message)
AHEAD = 2  # blocks that may be under way


class BlockTaken(Message, disclosure=PUBLIC, learns="how far the sender has worked through a vector", most_bytes=16):
    number: int


def pace(channels: Sequence[Channel], part: Part) -> None:
    """Before this block is sent: waits until all have taken the one AHEAD before it, where nothing else tells that."""
    for channel in channels if part.number >= AHEAD else ():
        if channel.recv(BlockTaken).number != part.number - AHEAD:
            raise RemoteProtocolError(f"{channel.peer} lost count of the blocks of a vector", party=channel.peer)


def taken(channel: Channel, part: Part) -> None:
    """This block is worked off: its sender may continue, if it waits for that."""
    if part.more >= AHEAD:
        channel.send(BlockTaken(part.number))


def arriving(
    channel: Channel, kind: type[M], length: Callable[[M], int], most: int, full: int | None = None
) -> Iterator[tuple[Part, M]]:
    """The blocks of a vector whose length the receiver does not know, each with where it stands.

    length: of a block; full: of one that others follow, by default as many as there can be rows; most: of the vector.
    Raises RemoteProtocolError.
    """
    size, number, count = full or parts.ROWS, 0, 1
    while number < count:
        message, place = channel.recv_block(kind)
        count = count if number else max(1, place.number + place.more + 1)
        due = Place(number, count - 1 - number)
        if place != due:
            raise misplaced(channel.peer, kind, due, place)
        rows = length(message)
        if due.more:
            check_lengths(channel.peer, size, range(rows), what=f"a full block of {kind.kind}")
        least = (number + due.more) * size + (1 if due.more else rows)
        if rows > size or (number and not rows) or least > most:
            raise RemoteProtocolError(
                f"{channel.peer} sent a {kind.kind} of another length than there can be", party=channel.peer
            )
        yield Part(number, count, number * size, number * size + rows), message
        number += 1


def send_vector(channels: Sequence[Channel], kind: Callable[[PlainVec], Message], vector: PlainVec | KeptVec) -> None:
    """Integers that all stand at their sender, in messages of that one field."""
    for part in parts.parts(len(vector)):
        pace(channels, part)
        broadcast(channels, kind(between(vector, part)), part)


def receive_blocks(
    channel: Channel, kind: type[Message], length: int, what: str = "rows"
) -> Iterator[tuple[Part, PlainVec]]:
    """The same at a receiver, block after block."""
    ((name, _),) = kind.schema()
    for part in parts.parts(length):
        found = getattr(channel.recv(kind, part), name)
        check_lengths(channel.peer, len(part), found, what=what)
        taken(channel, part)
        yield part, found


def receive_vector(channel: Channel, kind: type[Message], length: int, what: str = "rows") -> PlainVec:
    """All of them."""
    return PlainVec.join([found for _, found in receive_blocks(channel, kind, length, what)])
