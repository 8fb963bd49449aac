"""Long vectors travel in blocks: a block that is missing, repeated, out of order or of another length is found, and a
sender waits for its receiver."""

from __future__ import annotations

import numpy as np
import pytest

from protocols import codec, row_blocks
from protocols._native import PlainVec
from protocols.channel import Channel, MemoryNetwork
from protocols.cipher import Keyring
from protocols.errors import LocalProtocolError, PeerTimeout, RemoteProtocolError
from protocols.glm.sealed_link import EdgeShare
from protocols.message import BLINDED, Message
from protocols.parts import Part, parts
from tests.harness import small_blocks

ROWS = 64


class Numbers(Message, disclosure=BLINDED, learns="numbers of a test", in_blocks=True):
    values: PlainVec


@pytest.fixture(autouse=True)
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, ROWS)


@pytest.fixture
def ends() -> tuple[Channel, Channel]:
    network = MemoryNetwork(["host", "guest"])
    here, there = (network.wires(a)[b] for a, b in (("host", "guest"), ("guest", "host")))
    return Channel(here, Keyring(), deadline=0.05), Channel(there, Keyring(), deadline=0.05)


def numbers(part: Part) -> Numbers:
    return Numbers(PlainVec.from_i64(np.arange(part.first, part.last)))


def received(channel: Channel, rows: int) -> list[int]:
    return row_blocks.receive_vector(channel, Numbers, rows).to_ints()


def read(channel: Channel, most: int = 1000) -> list[int]:
    """By a receiver that does not know how many there are."""
    blocks = row_blocks.arriving(channel, Numbers, lambda message: len(message.values), most)
    return [value for _, message in blocks for value in message.values.to_ints()]


@pytest.mark.parametrize("rows", [0, 1, ROWS, ROWS + 1, 2 * ROWS])
def test_a_vector_arrives_whole(ends: tuple[Channel, Channel], rows: int) -> None:
    for receive in (received, lambda channel, _: read(channel)):
        row_blocks.send_vector([ends[0]], Numbers, PlainVec.from_i64(np.arange(rows)))
        assert receive(ends[1], rows) == list(range(rows))


def test_a_single_block_has_its_declared_fields_alone() -> None:
    (whole,), two = parts(ROWS), parts(ROWS + 1)
    assert codec.encode(numbers(whole), ["guest"], "host", whole) == codec.encode(numbers(whole), ["guest"], "host")
    assert len(codec.encode(numbers(whole), ["guest"], "host", two[0])) == 2 + len(
        codec.encode(numbers(whole), ["guest"], "host")
    )


def test_wide_rows_take_shorter_blocks() -> None:
    assert [len(part) for part in parts(ROWS, wide=64)] == [ROWS]
    assert [len(part) for part in parts(ROWS, wide=256)] == [ROWS // 4] * 4
    assert [len(part) for part in parts(3, wide=1 << 20)] == [1, 1, 1]


A, B, C = (Part(k, 3, ROWS * k, min(ROWS * (k + 1), 182)) for k in range(3))
FAULTS = {
    "missing": [A, C],
    "missing first": [B, C],
    "repeated": [A, A, B, C],
    "reordered": [A, C, B],
    "oversize": [A, Part(1, 3, 64, 129), C],
    "undersize": [A, Part(1, 3, 64, 127), C],
    "longer": [A, B, Part(2, 3, 128, 193)],
    "too many": [Part(0, 9, 0, 64), Part(1, 9, 64, 128)],
    "empty last": [A, B, Part(2, 3, 128, 128)],
    "too few": [Part(0, 2, 0, 64), Part(1, 2, 64, 128)],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(ends: tuple[Channel, Channel], fault: str) -> None:
    for part in FAULTS[fault]:
        ends[0].send(numbers(part), part)
    with pytest.raises(RemoteProtocolError) as found:
        received(ends[1], 182)
    assert found.value.party == "host"


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "too few"])
def test_planted_faults_are_found_by_who_does_not_know_the_length(ends: tuple[Channel, Channel], fault: str) -> None:
    for part in FAULTS[fault]:
        ends[0].send(numbers(part), part)
    with pytest.raises(RemoteProtocolError) as found:
        read(ends[1], 182)
    assert found.value.party == "host"


def test_a_block_larger_than_its_rows_can_be_is_refused_before_it_is_decoded(ends: tuple[Channel, Channel]) -> None:
    (whole,) = parts(ROWS)
    big = Numbers(PlainVec.from_ints([1 << 40000] * ROWS))
    with pytest.raises(LocalProtocolError, match="larger than a message may be"):
        ends[0].send(big, whole)
    data = codec.encode(numbers(whole), ["guest"], "host") + bytes(ROWS << 12)
    with pytest.raises(RemoteProtocolError, match="larger Numbers than there can be"):
        codec.decode(data, Numbers, "host", Keyring())


def test_a_place_where_none_is_declared_is_refused(ends: tuple[Channel, Channel]) -> None:
    two = parts(ROWS + 1)
    with pytest.raises(LocalProtocolError, match="not declared to travel in blocks"):
        ends[0].send(EdgeShare(PlainVec.zeros(1)), two[0])
    ends[0].send(numbers(two[0]), two[0])
    with pytest.raises(RemoteProtocolError, match="another block"):
        ends[1].recv(Numbers)


def test_a_sender_waits_for_its_receiver(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    long = PlainVec.from_i64(np.arange(3 * ROWS))
    with pytest.raises(PeerTimeout):
        row_blocks.send_vector([here], Numbers, long)
    assert here.count.sent == row_blocks.AHEAD  # planted fault: a sender that does not wait sends all three
    first, *_ = parts(3 * ROWS)
    there.recv(Numbers, first)
    row_blocks.taken(there, first)
    row_blocks.pace([here], parts(3 * ROWS)[2])  # now it may go on
    there.send(row_blocks.BlockTaken(2))
    with pytest.raises(RemoteProtocolError, match="lost count"):
        row_blocks.pace([here], parts(5 * ROWS)[3])
