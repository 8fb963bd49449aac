"""The frame format: any cut of the stream gives the same frames, and what breaks it is refused by its header."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import Cause
from vfl.transport import frames, hello
from vfl.transport.frames import HEADER, MAX_FRAME, MAX_PAYLOAD, MAX_PIECE, Assembler, BadFrameError, FrameReader, Kind
from vfl.transport.hello import NONCE, Hello, Reason
from vfl.transport.seal import MARK, End, Seal, direction

KEY = b"k" * 32


def stream(*messages: bytes, seal: Seal | None = None) -> bytes:
    seal = seal or Seal(KEY)
    return b"".join(bytes(part) for message in messages for parts in frames.cut(message, seal) for part in parts)


def assembled(data: bytes, seal: Seal | None = None) -> list[bytes]:
    assembler = Assembler(seal or Seal(KEY))
    found = [assembler.add(kind, payload) for kind, payload in FrameReader().feed(memoryview(data))]
    return [message for message in found if message is not None]


@pytest.mark.parametrize("size", [0, 1, MAX_PIECE - 1, MAX_PIECE, MAX_PIECE + 1, 2 * MAX_PIECE, 3 * MAX_PIECE + 7])
def test_messages_survive_and_frames_are_at_most_one_mebibyte(size: int) -> None:
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sent = stream(message)
    assert len(sent) == frames.wire_size(size)
    found = list(FrameReader().feed(memoryview(sent)))
    assert [k for k, _ in found] == [Kind.PART] * (len(found) - 1) + [Kind.LAST]
    assert b"".join(p for _, p in found)[:-MARK] == message
    assert assembled(sent) == [message]
    assert all(HEADER.size + len(p) <= MAX_FRAME for _, p in found)


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(1, 30), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_cut_of_the_stream_gives_the_same_frames(messages: list[bytes], cuts: list[int]) -> None:
    sent, reader, assembler, found, at = stream(*messages), FrameReader(), Assembler(Seal(KEY)), list[bytes | None](), 0
    while at < len(sent):
        step = cuts[len(found) % len(cuts)]
        found += [assembler.add(k, p) for k, p in reader.feed(memoryview(sent[at : at + step]))]
        at += step
    assert found == messages


@pytest.mark.parametrize("fault", ["dropped", "twice", "swapped", "changed", "cut", "other key", "glued"])
def test_a_message_out_of_its_place_is_refused(fault: str) -> None:
    seal = Seal(KEY)
    one, two, three = (stream(m, seal=seal) for m in (b"first", b"second", b"third"))
    faulty = {
        "dropped": one + three,
        "twice": one + one,
        "swapped": two + one,
        "changed": one.replace(b"first", b"worst"),
        "cut": HEADER.pack(Kind.LAST, 4 + MARK) + one[HEADER.size + 1 :],
        "other key": stream(b"first", seal=Seal(b"o" * 32)),
        "glued": HEADER.pack(Kind.PART, 5) + b"first" + two,
    }
    assert assembled(one + two + three) == [b"first", b"second", b"third"]
    with pytest.raises(BadFrameError, match="does not belong"):
        assembled(faulty[fault])


def test_planted_fault_without_marks_a_repeated_message_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seal, "fits", lambda *_: True)
    one = stream(b"first")
    assert assembled(one + one) == [b"first", b"first"]


def test_a_seal_is_bound_to_session_certificates_nonces_and_direction() -> None:
    bank, telecom = End(b"B", b"1" * NONCE), End(b"T", b"2" * NONCE)
    seals = [
        direction(bytes(32), bank, telecom),
        direction(bytes(32), telecom, bank),
        direction(b"x" * 32, bank, telecom),
        direction(bytes(32), End(b"B", b"3" * NONCE), telecom),
        direction(bytes(32), bank, End(b"T", b"3" * NONCE)),
        direction(bytes(32), End(b"C", b"1" * NONCE), telecom),
        direction(bytes(32), bank, End(b"C", b"2" * NONCE)),
    ]
    marks = [seal.mark() for seal in seals]
    assert len(set(marks)) == len(marks)
    assert direction(bytes(32), bank, telecom).fits(marks[0])


@pytest.mark.parametrize(
    ("kind", "length"),
    [(Kind.PART, MAX_PAYLOAD + 1), (Kind.LAST, 0xFFFFFFFF), (Kind.HELLO, 2000), (Kind.ABORT, 193), (Kind.BEAT, 1),
     (Kind.BYE, 1), (Kind.PART, 0), (0, 0), (77, 3)],
)  # fmt: skip
def test_bad_headers_are_refused_before_anything_is_stored(kind: int, length: int) -> None:
    reader = FrameReader()
    with pytest.raises(BadFrameError):
        list(reader.feed(memoryview(HEADER.pack(kind, length))))


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_garbage_ends_in_a_named_error_or_in_frames(garbage: bytes) -> None:
    try:
        for kind, payload in FrameReader().feed(memoryview(garbage)):
            if kind is Kind.ABORT:
                frames.read_abort(payload)
            hello.read_hello(payload, hello.VERSION)
            hello.read_reason(payload)
    except BadFrameError:
        pass


def test_limits_agree_with_the_codec() -> None:
    codec = pytest.importorskip("protocols.codec", exc_type=ImportError)
    assert frames.MAX_MESSAGE_BYTES == codec.MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    "cause",
    [
        Cause("peer-closed", "bank", "telecom"),
        Cause("data", "bank"),
        Cause("a" * 40, "x" * 32, "y" * 32, "z" * 64),
        Cause("disclosure-refused", "telecom", "telecom", "policy.at_least.min_intersection"),
    ],
)
def test_an_abort_carries_the_cause(cause: Cause) -> None:
    payload = frames.abort_payload(cause)
    assert frames.read_abort(bytearray(payload)) == cause
    (framed,) = FrameReader().feed(memoryview(frames.header(Kind.ABORT, len(payload)) + payload))
    assert framed == (Kind.ABORT, payload)


@pytest.mark.parametrize("bad", ["", "with space", "row 17 = 4.2", "UPPER", "x" * 41, "ü"])
def test_an_abort_carries_nothing_else(bad: str) -> None:
    cause = Cause(bad, "bank", "../x", "row 17 = 4.2")
    assert frames.read_abort(bytearray(frames.abort_payload(cause))) == Cause("error", "bank")
    for text in (f"data {bad}/  ", f"data bank {bad}/ ", f"data bank  {bad}/", f"{bad}! bank  ", f"data {bad}"):
        with pytest.raises(BadFrameError):
            frames.read_abort(bytearray(text.encode()))


def test_a_hello_is_a_closed_schema() -> None:
    mine = Hello(2, "bank", "guest", bytes(32), bytes(NONCE))
    good = hello.encode(mine)
    assert hello.read_hello(good, 2) == mine
    assert hello.read_hello(good, 1) is Reason.VERSION
    names = [msgspec.structs.replace(mine, name=bad) for bad in ("", "Bank", "../x", "a b", "x" * 33, "bank\n", "-a")]
    wrong = [
        *names,
        *(msgspec.structs.replace(mine, role=bad) for bad in ("", "x" * 33)),
        msgspec.structs.replace(mine, nonce=b""),
    ]
    for bad in (
        *map(hello.encode, wrong),
        b"",
        b"\x80",
        good[:-1],
        good + b"x",
        good.replace(b"role", b"rule"),
        b"\x91" * 900,
    ):
        assert hello.read_hello(bad, 2) is Reason.MALFORMED


def test_a_knock_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    now = hello._period()
    made = hello.knock("telecom", bytes(32))
    heard = []
    for later in (-2, -1, 0, 1, 2):
        monkeypatch.setattr(hello, "_period", lambda later=later: now + later)
        heard.append(hello.who_knocks(made, ["shop", "telecom"], bytes(32)))
    assert heard[1:4] == ["telecom"] * 3
    assert heard[0] is heard[4] is None


def test_a_knock_names_its_party_to_those_who_know_the_session() -> None:
    made = hello.knock("telecom", bytes(32))
    assert made != hello.knock("telecom", bytes(32))
    assert all(len(label) <= 63 for label in made.split("."))
    assert hello.who_knocks(made, ["shop", "telecom"], bytes(32)) == "telecom"
    assert hello.who_knocks(made, ["shop"], bytes(32)) is None
    assert hello.who_knocks(made, ["telecom"], b"x" * 32) is None
    for other in (None, "", "telecom", "k.k", "example.org", "kü.k"):
        assert hello.who_knocks(other, ["telecom"], bytes(32)) is None


def test_planted_fault_unlimited_frames_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(frames._LIMITS, Kind.LAST, 1 << 40)
    assert list(FrameReader().feed(memoryview(HEADER.pack(Kind.LAST, MAX_PAYLOAD + 1)))) == []
