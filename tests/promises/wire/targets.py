"""Every place where bytes from a peer or from a disk are read, each with bytes that it accepts and what it may
raise."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from protocols import _native
from protocols._native import DpfKeys, InvalidBytes, PlainVec
from protocols.cipher import CipherVec, DecryptionKey, Keyring
from protocols.codec import Int32s, Int64s, decode
from protocols.message import Message
from protocols.randomness import Seed
from protocols.ristretto import PointVec
from tests.harness import TOY
from tests.promises.wire.file_targets import files
from tests.promises.wire.target import SENDER, Target
from tests.unit.vfl.transport.test_client_hello import client_hello
from tools.leakage_page import declared
from vfl.transport import frames, hello
from vfl.transport.client_hello import NoKnockError, knock_in
from vfl.transport.frames import Assembler, BadFrameError, FrameReader, Kind
from vfl.transport.seal import Seal
from vfl.transport.window import Window

FRAME_KEY = b"k" * 32


def targets(folder: Path) -> list[Target]:
    """All of them; `folder` takes the files that are read."""
    return [*messages(), *transport(), *native(), *files(folder)]


# -- what a peer sends


@functools.cache
def key() -> DecryptionKey:
    return TOY.generate(SENDER, Seed(SENDER, b"k" * 32))


def ring() -> Keyring:
    """A party's keys: the toy key alone."""
    made = Keyring()
    made.add(key().public)
    return made


def sample(kind: Any) -> list[object]:
    """Values of a message's field, as they stand on the wire."""
    dpf = DpfKeys.deal(b"d" * 32, np.array([3, 5], np.int64), 4)[0].to_bytes()
    cipher = key().public.encrypt(PlainVec.from_ints([4, -5]), Seed(SENDER, b"r" * 32))
    values: dict[Any, list[object]] = {
        int: [0, 3],
        bool: [True, False],
        str: ["columns"],
        float: [0.5],
        bytes: [b"", bytes(range(32))],
        Int32s: [np.arange(3, dtype=np.int32).tobytes()],
        Int64s: [np.arange(3, dtype=np.int64).tobytes()],
        PlainVec: [PlainVec.from_ints([1, -(2**70)]).to_bytes(), PlainVec.zeros(0).to_bytes()],
        DpfKeys: [dpf],
        PointVec: [PointVec.hash_to_group([b"a", b"b"], b"d").to_bytes(), b""],
        CipherVec: [key().public.fingerprint + cipher.raw.to_bytes()],
    }
    return values[kind]


def bodies(kind: type[Message]) -> list[bytes]:
    """Well-formed messages of `kind`."""
    samples = [sample(field) for _, field in kind.schema()]
    longest = max(map(len, samples), default=1)
    return [msgspec.msgpack.encode([kind.kind, *(s[min(i, len(s) - 1)] for s in samples)]) for i in range(longest)]


def messages() -> list[Target]:
    """One for each declared kind."""
    return [
        *(
            Target(f"message {kind.kind}", functools.partial(_decoded, kind=kind), bodies(kind))
            for kind in declared()
            if kind.__module__.startswith("protocols.")
        ),
    ]


def _decoded(data: bytes, kind: type[Message]) -> object:
    return decode(data, kind, SENDER, ring())


ABORTS = [b"data bank telecom ", b"data bank  ", b"disclosure-refused bank  policy.allow"]


def transport() -> list[Target]:
    mine = hello.Hello(hello.VERSION, "bank", "guest", bytes(32), bytes(hello.NONCE))
    seal = Seal(FRAME_KEY)
    whole = b"".join(bytes(p) for m in (b"first", b"") for parts in frames.cut(m, seal) for p in parts)
    whole += (
        frames.header(Kind.ROOM, 8)
        + bytes(8)
        + frames.header(Kind.BEAT)
        + frames.header(Kind.ABORT, 11)
        + b"data bank  "
        + frames.header(Kind.BYE)
    )
    return [
        Target("frames", _framed, [whole], (BadFrameError,)),
        Target("hello", lambda data: hello.read_hello(data, hello.VERSION), [hello.encode(mine)], ()),
        Target("refusal", hello.read_reason, [reason.encode() for reason in hello.Reason], ()),
        Target(
            "abort",
            lambda data: frames.read_abort(bytearray(data)),
            ABORTS,
            (BadFrameError,),
        ),
        Target("ClientHello", knock_in, [client_hello(hello.knock("bank", bytes(32)))], (NoKnockError,)),
        Target("knock", _knocked, [hello.knock("bank", bytes(32)).encode()], ()),
    ]


def _framed(data: bytes) -> None:
    reader, assembler, window = FrameReader(), Assembler(Seal(FRAME_KEY)), Window()
    for kind, payload in reader.feed(memoryview(data)):
        if kind in (Kind.PART, Kind.LAST):
            window.begins()
            assembler.add(kind, payload)
        elif kind is Kind.ROOM:
            window.room(*frames.ROOM.unpack(payload))
        elif kind is Kind.ABORT:
            frames.read_abort(payload)


def _knocked(data: bytes) -> object:
    return hello.who_knocks(data.decode("latin-1"), ["bank", "telecom"], bytes(32))


def native() -> list[Target]:
    """The Rust core's own readers, below what a message lets through."""
    public, typed = key().public.raw, (InvalidBytes,)
    big = public.n.to_bytes(public.bits // 8, "big")
    return [
        Target("DPF keys", DpfKeys.from_bytes, [sample(DpfKeys)[0]], typed),  # type: ignore[list-item]
        Target("integers", PlainVec.from_bytes, sample(PlainVec), typed),  # type: ignore[arg-type]
        Target("points", _native.PointVec.from_bytes, sample(PointVec), typed),  # type: ignore[arg-type]
        Target("ciphertexts", public.ciphers_from_bytes, [s[32:] for s in sample(CipherVec)], typed),  # type: ignore[index]
        Target("public key", lambda data: TOY.accept(int.from_bytes(data, "big"), key().prove(), SENDER), [big]),
        Target("proof of a key", lambda data: TOY.accept(public.n, data, SENDER), [key().prove()]),
        Target("private key", _native.PrivateKey.from_bytes, [key()._raw.to_bytes()], typed),  # type: ignore[attr-defined]
    ]
