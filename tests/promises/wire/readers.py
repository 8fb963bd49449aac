"""What reads the bad vectors: a reader's name -> a function of bytes that raises the typed error, or accepts them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from protocols import _native
from protocols._native import DpfKeys, InvalidBytes, PlainVec
from protocols.codec import decode
from protocols.errors import VFLError
from protocols.message import registry
from tests.harness import TOY
from tests.promises.wire.target import SENDER
from tests.promises.wire.targets import key, ring
from vfl.data import read_source
from vfl.job import load_agreement, load_party
from vfl.ledger import verify_ledger
from vfl.models.part_files import load_part
from vfl.report import read_report
from vfl.transport import frames, hello
from vfl.transport.frames import Assembler, BadFrameError, FrameReader, Kind
from vfl.transport.identity import load_certificate
from vfl.transport.seal import Seal
from vfl.transport.window import Window

FRAME_KEY = b"k" * 32
Reader = Callable[[bytes, Path], object]


def outcome(reader: Reader, data: bytes, folder: Path) -> str:
    """The code of the error that the bytes end in, or "accepted"."""
    try:
        refusal = reader(data, folder)
    except VFLError as error:
        return error.code
    except BadFrameError:
        return "bad-frame"
    except InvalidBytes:
        return "invalid-bytes"
    return f"refused: {refusal.value}" if isinstance(refusal, hello.Reason) else "accepted"


def _file(name: str, read: Callable[[Path], object]) -> Reader:
    def reader(data: bytes, folder: Path) -> object:
        (folder / name).write_bytes(data)
        return read(folder / name)

    return reader


def _framed(data: bytes, folder: Path) -> None:
    frames_in, assembler, window = FrameReader(), Assembler(Seal(FRAME_KEY)), Window()
    for kind, payload in frames_in.feed(memoryview(data)):
        if kind in (Kind.PART, Kind.LAST):
            assembler.add(kind, payload)
        elif kind is Kind.ROOM:
            window.room(*frames.ROOM.unpack(payload))
        elif kind is Kind.ABORT:
            frames.read_abort(payload)


def readers() -> dict[str, Reader]:
    """Every reader that a vector may name; `message KIND` for each declared kind."""
    toy = key().public.raw
    found: dict[str, Reader] = {
        "frames": _framed,
        "hello": lambda data, _: hello.read_hello(data, hello.VERSION),
        "DPF keys": lambda data, _: DpfKeys.from_bytes(data),
        "integers": lambda data, _: PlainVec.from_bytes(data),
        "points": lambda data, _: _native.PointVec.from_bytes(data),
        "ciphertexts": lambda data, _: toy.ciphers_from_bytes(data),
        "public key": lambda data, _: TOY.accept(int.from_bytes(data, "big"), key().prove(), SENDER),
        "proof": lambda data, _: TOY.accept(toy.n, data, SENDER),
        "job.toml": _file("job.toml", load_agreement),
        "party.toml": _file("party.toml", load_party),
        "ledger": _file("ledger.jsonl", verify_ledger),
        "manifest": _file("manifest.json", lambda path: load_part(path.parent)),
        "weights": _file("weights.safetensors", lambda path: load_part(path.parent)),
        "report.json": _file("report.json", lambda path: read_report(path.parent)),
        "table.csv": _file("table.csv", lambda path: read_source(path, keys=("id",))),
        "table.parquet": _file("table.parquet", lambda path: read_source(path, keys=("id",))),
        "certificate": lambda data, _: load_certificate(data, "The certificate"),
    }

    def message(data: bytes, _: Path, kind: str) -> object:
        return decode(data, registry()[kind], SENDER, ring())

    return found | {f"message {kind}": partial(message, kind=kind) for kind in registry()}
