"""Messages survive the wire unchanged, and nothing but the expected kind, well-formed, is ever decoded."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols._native import PlainVec
from protocols.alignment.ecdh import BlindedIds, HostRows, IntersectionSize
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey, Keyring
from protocols.codec import decode, encode
from protocols.errors import (
    InvalidCiphertext,
    KeyMismatch,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    VFLError,
)
from protocols.glm.scoring import Scores
from protocols.glm.sealed_link import EdgeShare
from protocols.glm.terms import TrainingStart
from protocols.glm.training import Residual
from protocols.message import PUBLIC, REVEALED, Message, registry
from protocols.randomness import Seed
from tests.harness import TOY


@pytest.fixture(scope="module")
def key() -> DecryptionKey:
    return TOY.generate("arbiter", Seed("arbiter", b"k" * 32))


@pytest.fixture(scope="module")
def keys(key: DecryptionKey) -> Keyring:
    ring = Keyring()
    ring.add(key.public)
    return ring


def fresh(key: EncryptionKey, *values: int, label: bytes = b"r") -> CipherVec:
    return key.encrypt(PlainVec.from_ints(list(values)), Seed("guest", label * 32))


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers(value: int) -> None:
    data = encode(IntersectionSize(value), ["host"], "guest")
    assert decode(data, IntersectionSize, "guest", Keyring()).size == value


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), st.lists(st.integers(-(2**200), 2**200), max_size=9))
def test_arrays_and_big_integers(words: list[int], big: list[int]) -> None:
    scores = decode(encode(Scores(np.array(words, dtype=np.int64)), ["guest"], "host"), Scores, "host", Keyring())
    assert scores.masked.tolist() == words
    share = decode(encode(EdgeShare(PlainVec.from_ints(big)), ["host"], "arbiter"), EdgeShare, "arbiter", Keyring())
    assert share.share.to_ints() == big


def test_ciphertexts(key: DecryptionKey, keys: Keyring) -> None:
    data = encode(Residual(fresh(key.public, 5, -7)), ["host"], "guest")
    assert key.open(decode(data, Residual, "guest", keys).d, 40).to_ints() == [5, -7]


def decoded(data: bytes, kind: type[Message]) -> Message | VFLError:
    try:
        return decode(data, kind, "host", Keyring())
    except VFLError as error:
        return error


@given(st.binary(max_size=300), st.sampled_from(sorted(registry())))
def test_any_bytes_end_in_a_typed_error_or_a_message(data: bytes, kind: str) -> None:
    outcome = decoded(data, registry()[kind])
    assert isinstance(outcome, ProtocolError) or outcome.kind == kind


@given(st.data())
def test_any_fields_of_the_right_kind_end_in_a_typed_error_or_a_message(data: st.DataObject) -> None:
    kind = registry()[data.draw(st.sampled_from(sorted(registry())))]
    field = st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.binary(max_size=80),
        st.text(max_size=9),
        st.none(),
        st.booleans(),
        st.floats(),
    )
    fields = data.draw(st.lists(field, min_size=0, max_size=4))
    outcome = decoded(msgspec.msgpack.encode([kind.kind, *fields]), kind)
    assert isinstance(outcome, Message) or outcome.party == "host"


@pytest.mark.parametrize(
    "wire",
    [
        ["IntersectionSize"],
        ["IntersectionSize", 1, 2],
        ["IntersectionSize", "1"],
        ["IntersectionSize", 1.0],
        ["IntersectionSize", True],
        ["IntersectionSize", None],
        {"IntersectionSize": 1},
        "IntersectionSize",
        [["IntersectionSize"], 1],
    ],
)
def test_other_shapes_are_refused(wire: object) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(msgspec.msgpack.encode(wire), IntersectionSize, "guest", Keyring())


def test_another_kind_is_refused_and_both_are_named() -> None:
    data = encode(IntersectionSize(3), ["host"], "guest")
    with pytest.raises(RemoteProtocolError, match="expected Scores, found IntersectionSize"):
        decode(data, Scores, "guest", Keyring())
    hostile = msgspec.msgpack.encode(["<script>" * 9, 3])
    with pytest.raises(RemoteProtocolError, match="something else"):
        decode(hostile, Scores, "guest", Keyring())


def test_an_unknown_key_is_refused(key: DecryptionKey) -> None:
    data = encode(Residual(fresh(key.public, 1)), ["host"], "guest")
    with pytest.raises(KeyMismatch):
        decode(data, Residual, "guest", Keyring())


@pytest.mark.parametrize("forge", ["zero", "n", "n^2", "kp", "above", "short"])
def test_invalid_ciphertexts_are_refused(key: DecryptionKey, keys: Keyring, forge: str) -> None:
    n, width = key.public.raw.n, 2 * key.public.raw.bits // 8
    prime = int.from_bytes(key._raw.to_bytes()[: width // 4], "little")
    value = {
        "zero": 0,
        "n": n,
        "n^2": n * n,
        "kp": 12345 * prime,
        "above": min(n * n + 1, 2 ** (8 * width) - 1),
        "short": 1,
    }[forge]
    body = value.to_bytes(width, "little")[: -1 if forge == "short" else None]
    with pytest.raises(InvalidCiphertext) as caught:
        decode(msgspec.msgpack.encode(["Residual", key.public.fingerprint + body]), Residual, "guest", keys)
    assert caught.value.party == "guest"


def test_a_field_of_another_type_is_our_own_bug() -> None:
    for message in (
        IntersectionSize(True),
        IntersectionSize("3"),
        TrainingStart(3, 1, "x"),
        Scores(np.zeros(3)),
        HostRows(np.zeros(2, np.int64), b""),
    ):  # type: ignore[arg-type]
        with pytest.raises(LocalProtocolError):
            encode(message, ["host"], "guest")


def test_declarations_are_checked() -> None:
    with pytest.raises(TypeError, match="permission"):

        class NoPermit(Message, disclosure=REVEALED, learns="everything"):
            x: int

    with pytest.raises(TypeError, match="permission"):

        class Permit(Message, disclosure=PUBLIC, permit="scores-to-guest", learns="nothing"):
            x: int

    with pytest.raises(TypeError, match="two messages"):
        type("BlindedIds", (Message,), {"__module__": "elsewhere"}, disclosure=PUBLIC, learns="nothing")
    assert registry()["BlindedIds"] is BlindedIds


def test_a_schema_is_read_once() -> None:
    """Reading annotations anew took most of the time of a small training."""
    assert all(kind.schema() is kind.schema() for kind in registry().values())


def test_reprs_show_no_contents(key: DecryptionKey) -> None:
    assert "42" not in repr(IntersectionSize(42))
    assert repr(Seed("guest", b"s" * 32)) == "Seed(maker='guest')"
    assert str(key.public.raw.n)[:9] not in repr(key)
