"""Writes bad.json: bytes that must be refused, each with the reader and the error that it must give.  `python -m tests.promises.wire.make_bad`

Everything is made by hand from sound bytes (`good`), which stand in the file too; nothing is random.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from safetensors.numpy import save

from protocols._native import DpfKeys, PlainVec
from protocols.randomness import Seed
from protocols.recovery.finish import Finished
from protocols.ristretto import PointVec
from tests.places import ROOT
from tests.promises.wire.target import SENDER
from tests.promises.wire.targets import key, sample
from vfl.job import starter_job, starter_party
from vfl.ledger import LedgerWriter, read_ledger
from vfl.ledger.writing import encode
from vfl.transport import frames, hello
from vfl.transport.frames import Kind
from vfl.transport.seal import Seal

FILE = Path(__file__).parent / "bad.json"
CURVE = ROOT / "native/core/src/curve/vectors.txt"
Vector = tuple[str, str, bytes, str]  # reader, what is wrong, bytes, error


def pack(*values: Any) -> bytes:
    return msgspec.msgpack.encode(list(values))


def shapes() -> Iterator[Vector]:
    """msgpack that is no message of the expected kind."""
    size, bad = "message IntersectionSize", "remote-protocol"
    yield size, "good", pack("IntersectionSize", 3), "accepted"
    for what, data in {
        "nothing": b"",
        "no field": pack("IntersectionSize"),
        "a field too many": pack("IntersectionSize", 1, 2),
        "text for a number": pack("IntersectionSize", "1"),
        "a float for a number": pack("IntersectionSize", 1.0),
        "a truth value for a number": pack("IntersectionSize", True),
        "nil for a number": pack("IntersectionSize", None),
        "bytes for a number": pack("IntersectionSize", b"1"),
        "a list for a number": pack("IntersectionSize", [1]),
        "a map": msgspec.msgpack.encode({"IntersectionSize": 1}),
        "no list": msgspec.msgpack.encode("IntersectionSize"),
        "the kind in a list": pack(["IntersectionSize"], 1),
        "the kind as bytes": pack(b"IntersectionSize", 1),
        "the kind as a number": pack(7, 1),
        "another kind": pack("Scores", 1),
        "a kind with a trailing blank": pack("IntersectionSize ", 1),
        "a kind in small letters": pack("intersectionsize", 1),
        "a kind that names Python": pack("__reduce__", 1),
        "a kind that is a path": pack("../../etc/passwd", 1),
        "a kind that is mark-up": pack("<script>alert(1)</script>", 1),
        "a kind of no text": b"\x92\xa2\xff\xfe\x01",
        "a kind of one surrogate": b"\x92\xa3\xed\xa0\x80\x01",
        "a kind with a nought": pack("IntersectionSize\0", 1),
        "cut in the kind": pack("IntersectionSize", 3)[:6],
        "cut before the field": pack("IntersectionSize", 3)[:-1],
        "a byte behind": pack("IntersectionSize", 3) + b"\0",
        "two messages": pack("IntersectionSize", 3) * 2,
        "2^32 - 1 fields announced": b"\xdd\xff\xff\xff\xff" + pack("IntersectionSize", 3)[1:],
        "2^32 - 1 bytes announced": b"\x92" + pack("IntersectionSize")[1:] + b"\xc6\xff\xff\xff\xff",
        "2^32 - 1 letters announced": b"\x92\xdb\xff\xff\xff\xff",
        "2^32 - 1 entries announced": b"\xdf\xff\xff\xff\xff",
        "a type that msgpack never uses": b"\x92" + pack("IntersectionSize")[1:] + b"\xc1",
        "an extension": b"\x92" + pack("IntersectionSize")[1:] + b"\xc7\x01\x05x",
        "a time": b"\x92" + pack("IntersectionSize")[1:] + b"\xd6\xff\x00\x00\x00\x01",
        "a thousand lists in each other": b"\x91" * 1000 + b"\x01",
        "a hundred thousand lists in each other": b"\x91" * 100_000 + b"\x01",
        "lists in each other as the field": b"\x92" + pack("IntersectionSize")[1:] + b"\x91" * 100_000 + b"\x01",
        "what pickle writes": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    }.items():
        yield size, what, data, bad
    yield "message Scores", "good", pack("Scores", bytes(16)), "accepted"
    for length in (1, 7, 9, 15):
        yield "message Scores", f"{length} bytes of 8-byte numbers", pack("Scores", bytes(length)), bad
    yield "message GuestRows", "good", pack("GuestRows", bytes(8)), "accepted"
    yield "message GuestRows", "6 bytes of 4-byte numbers", pack("GuestRows", bytes(6)), bad
    yield "message GuestRows", "text for rows", pack("GuestRows", "rows"), bad


def integers() -> Iterator[Vector]:
    good = PlainVec.from_ints([1, -(2**70)]).to_bytes()
    wide = struct.pack("<IQ", 2, 1) + bytes(16)
    cases = {
        "nothing": b"", "half a header": good[:7], "a header alone": good[:12], "cut": good[:-1], "a byte behind": good + b"\0",
        "no width": struct.pack("<IQ", 0, 2), "no width, 2^63 numbers": struct.pack("<IQ", 0, 1 << 63),
        "2^64 - 1 numbers": struct.pack("<IQ", 1, (1 << 64) - 1), "2^61 numbers of 8 bytes": struct.pack("<IQ", 1, 1 << 61),
        "a width of 2^32 - 1": struct.pack("<IQ", (1 << 32) - 1, 1), "wider than it needs to be": wide, "one number fewer than there are": struct.pack("<IQ", 2, 1) + good[12:],
    }  # fmt: skip
    yield "integers", "good", good, "accepted"
    yield "message EdgeShare", "good", pack("EdgeShare", good), "accepted"
    for what, data in cases.items():
        yield "integers", what, data, "invalid-bytes"
        yield "message EdgeShare", what, pack("EdgeShare", data), "remote-protocol"


def dpf() -> Iterator[Vector]:
    good = DpfKeys.deal(b"d" * 32, np.array([3, 5], np.int64), 4)[0].to_bytes()
    cases = {
        "nothing": b"", "a header alone": good[:26], "half a header": good[:9], "cut": good[:-1], "a byte behind": good + b"\0",
        "party 2": b"\2" + good[1:], "party 255": b"\xff" + good[1:], "no bits": good[:1] + b"\0" + good[2:], "21 bits": good[:1] + b"\x15" + good[2:],
        "255 bits": good[:1] + b"\xff" + good[2:], "another number of bits": good[:1] + b"\5" + good[2:],
        "a row fewer": good[:2] + struct.pack("<Q", 1) + good[10:], "a row more": good[:2] + struct.pack("<Q", 3) + good[10:],
        "2^64 - 1 rows": good[:2] + b"\xff" * 8 + good[10:], "the other party's mark": b"\1" + good[1:],
    }  # fmt: skip
    yield "DPF keys", "good", good, "accepted"
    for what, data in cases.items():
        yield "DPF keys", what, data, "invalid-bytes"


def points() -> Iterator[Vector]:
    good = bytes(sample(PointVec)[0])  # type: ignore[arg-type]
    yield "points", "good", good, "accepted"
    yield "message BlindedIds", "good", pack("BlindedIds", good, 0), "accepted"
    bad = [line.split()[1] for line in CURVE.read_text().splitlines() if line.startswith("invalid ")]
    for number, text in enumerate(bad, 1):
        data = good[:32] + bytes.fromhex(text)
        yield "points", f"RFC 9496 A.2 and the identity, {number}", data, "invalid-bytes"
    for what, data in {"31 bytes": good[:31], "33 bytes": good[:33], "one byte": b"\1"}.items():
        yield "message BlindedIds", what, pack("BlindedIds", data, 0), "invalid-point"
    yield "message BlindedIds", "the identity", pack("BlindedIds", bytes(32), 0), "invalid-point"
    yield "message BlindedIds", "no point of the group", pack("BlindedIds", bytes.fromhex(bad[-1]), 0), "invalid-point"


def ciphertexts() -> Iterator[Vector]:
    public = key().public
    n, width, mine = public.raw.n, 2 * public.raw.bits // 8, public.fingerprint
    prime = int.from_bytes(key()._raw.to_bytes()[: width // 4], "little")  # type: ignore[attr-defined]
    good = public.encrypt(PlainVec.from_ints([5]), Seed(SENDER, b"r" * 32)).raw.to_bytes()
    yield "message Residual", "good", pack("Residual", mine + good), "accepted"
    for what, value in {
        "nought": 0, "n": n, "2n": 2 * n, "n^2": n * n, "above n^2": n * n + 1, "the widest number": (1 << 8 * width) - 1,
        "a multiple of p": 12345 * prime, "a multiple of p^2": 7 * prime * prime, "p": prime, "q": n // prime,
    }.items():  # fmt: skip
        for beside in (b"", good):
            data = beside + (value % (1 << 8 * width)).to_bytes(width, "little")
            yield (
                "message Residual",
                f"{what}{' behind a sound one' if beside else ''}",
                pack("Residual", mine + data),
                "invalid-ciphertext",
            )
    yield "message Residual", "cut", pack("Residual", mine + good[:-1]), "invalid-ciphertext"
    yield "message Residual", "a byte behind", pack("Residual", mine + good + b"\0"), "invalid-ciphertext"
    yield "message Residual", "nothing, not even whose key", pack("Residual", b""), "key-mismatch"
    yield "message Residual", "another key", pack("Residual", bytes(32) + good), "key-mismatch"
    yield "message Residual", "half a fingerprint", pack("Residual", mine[:16]), "key-mismatch"
    yield "message Residual", "no fingerprint", pack("Residual", good), "key-mismatch"


def keys() -> Iterator[Vector]:
    n, proof = key().public.raw.n, key().prove()
    p = int.from_bytes(key()._raw.to_bytes()[:32], "little")  # type: ignore[attr-defined]
    size = n.bit_length() // 8
    yield "public key", "good", n.to_bytes(size, "big"), "accepted"
    yield "proof", "good", proof, "accepted"
    for what, value in {
        "nought": 0, "one": 1, "even": n + 1, "two more": n + 2, "a square": p * p, "a prime": 2**521 - 1, "a small factor": n - n % 12 - 3, "half the size": p,
        "a bit too long": n << 1 | 1, "all ones": (1 << 512) - 1, "8193 bits": 1 << 8192 | 1, "minus n": (1 << 512) - n,
    }.items():  # fmt: skip
        yield "public key", what, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"), "invalid-key"
    for what, data in {
        "nothing": b"", "cut": proof[:-1], "a byte behind": proof + b"\0", "a bit flipped": bytes([proof[0] ^ 1]) + proof[1:],
        "noughts": bytes(len(proof)), "ones": b"\xff" * len(proof), "its halves swapped": proof[len(proof) // 2 :] + proof[: len(proof) // 2],
    }.items():  # fmt: skip
        yield "proof", what, data, "invalid-key"


def transport() -> Iterator[Vector]:
    head = frames.HEADER.pack
    one = b"".join(bytes(p) for parts in frames.cut(b"first", Seal(b"k" * 32)) for p in parts)
    yield "frames", "good", one, "accepted"
    for what, data in {
        "kind 0": head(0, 0), "kind 11": head(11, 0), "kind 255": head(255, 9), "4 GiB": head(Kind.LAST, (1 << 32) - 1), "a piece above 1 MiB": head(Kind.PART, frames.MAX_PAYLOAD + 1),
        "an empty piece": head(Kind.PART, 0), "a beat with content": head(Kind.BEAT, 1), "a BYE with content": head(Kind.BYE, 1), "a WELCOME with content": head(Kind.WELCOME, 4),
        "a long hello": head(Kind.HELLO, 1025), "a long refusal": head(Kind.REFUSE, 33), "a long abort": head(Kind.ABORT, 193), "a short ROOM": head(Kind.ROOM, 7),
        "ROOM for what was never sent": head(Kind.ROOM, 8) + bytes(7) + b"\1", "no mark": head(Kind.LAST, 5) + b"first", "noughts for a mark": head(Kind.LAST, 21) + b"first" + bytes(16),
        "twice": one + one, "changed": one.replace(b"first", b"worst"), "its mark alone": head(Kind.LAST, 16) + one[-16:],
        "a piece before it": head(Kind.PART, 1) + b"x" + one, "an abort that is a path": head(Kind.ABORT, 11) + b"../x bank  ", "an abort of a path": head(Kind.ABORT, 11) + b"data ../x  ", "an abort that blames a path": head(Kind.ABORT, 15) + b"data bank ../x ",
        "an abort about a path": head(Kind.ABORT, 15) + b"data bank  ../x", "an abort of version 3": head(Kind.ABORT, 9) + b"data bank",
        "an abort without text": head(Kind.ABORT, 0), "an abort of no text": head(Kind.ABORT, 4) + b"\xff\xfe\x00\x01", "an abort in capitals": head(Kind.ABORT, 11) + b"DATA bank  ",
    }.items():  # fmt: skip
        yield "frames", what, data, "bad-frame"
    mine = {
        "version": hello.VERSION,
        "name": "bank",
        "role": "guest",
        "session": bytes(32),
        "nonce": bytes(hello.NONCE),
        "release": "0.1.0",
    }
    yield "hello", "good", msgspec.msgpack.encode(mine), "accepted"
    for what, change in {
        "a long name": {"name": "x" * 33}, "no name": {"name": ""}, "a path for a name": {"name": "../bank"}, "capitals": {"name": "Bank"}, "a line behind the name": {"name": "bank\n"},
        "a number for a name": {"name": 7}, "no role": {"role": ""}, "a role with a blank": {"role": "guest guest"}, "a short session": {"session": bytes(31)}, "a long session": {"session": bytes(33)},
        "a text for a session": {"session": "x" * 32}, "no nonce": {"nonce": b""}, "an unknown field": {"admin": True}, "a text for a version": {"version": "3"}, "no release": {"release": ""}, "a sentence for a release": {"release": "0.1 or later"}, "a long release": {"release": "1" * 33},
        "a line behind the release": {"release": "0.1.0\n"},
    }.items():  # fmt: skip
        yield "hello", what, msgspec.msgpack.encode(mine | change), "refused: malformed"
    yield (
        "hello",
        "an earlier version",
        msgspec.msgpack.encode({k: v for k, v in mine.items() if k != "release"} | {"version": 2}),
        "refused: version",
    )
    yield (
        "hello",
        "a later version with other fields",
        msgspec.msgpack.encode({"version": 9, "who": "bank"}),
        "refused: version",
    )
    yield (
        "hello",
        "a name of no text",
        msgspec.msgpack.encode(mine).replace(b"bank", b"\xff\xfe\xfd\xfc"),
        "refused: malformed",
    )
    yield "hello", "nothing", b"", "refused: malformed"


def plain(text: str) -> str:
    """A starter file without its comments."""
    lines = (line.split("  #")[0] for line in text.splitlines() if not line.lstrip().startswith("#"))
    return "\n".join(line for line in lines if line) + "\n"


def tomls() -> Iterator[Vector]:
    job, party = plain(starter_job()), plain(starter_party("guest", "bank"))
    yield "job.toml", "good", job.encode(), "accepted"
    yield "party.toml", "good", party.encode(), "accepted"
    for what, data in {
        "nothing": b"", "no text": b"\xff\xfe" + job.encode("utf-16-le"), "latin-1": job.replace("credit-risk", "crédit").encode("latin-1"), "noughts": bytes(100), "half a line": job.encode()[:200],
        "larger than 1 MiB": b"# " + b"x" * (1 << 20), "an unknown key": job.encode() + b"\n[more]\nx = 1\n", "a thousand brackets": b"x = " + b"[" * 1000, "a key twice": b'name = "a"\nname = "b"\n',
        "a path for a name": job.replace('"credit-risk"', '"../credit"').encode(), "another version": job.replace("version = 1", "version = 2").encode(),
        "a text for a version": job.replace("version = 1", 'version = "1"').encode(), "not finite": job.replace("C = 1.0", "C = inf").encode(), "no number": job.replace("C = 1.0", "C = nan").encode(),
        "a negative C": job.replace("C = 1.0", "C = -1.0").encode(), "a short key": job.replace("key_bits = 3072", "key_bits = 1024").encode(), "a guest twice": job.replace('"telecom"', '"bank"').encode(),
        "JSON": b'{"name": "credit-risk"}',
    }.items():  # fmt: skip
        yield "job.toml", what, data, "config"
    for what, text in {
        "nothing": "", "an unknown role": party.replace('"guest"', '"boss"'), "a path for a name": party.replace('name = "bank"', 'name = "../bank"'),
        "a list for a name": party.replace('name = "bank"', 'name = ["bank"]'), "an unknown section": party + "\n[exec]\ncommand = 'sh'\n", "brackets": "x = " + "[" * 1000,
    }.items():  # fmt: skip
        yield "party.toml", what, text.encode(), "config"


def ledgers() -> Iterator[Vector]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        fixed: dict[str, Any] = {"now": lambda: "2026-01-01T00:00:00.000Z", "who": lambda: "clerk"}
        with LedgerWriter(path, job="j", job_digest=bytes(32), party="bank", **fixed) as writer:
            for _ in range(2):
                writer.record("telecom", Finished, bytes(9))
        lines: list[dict[str, Any]] = list(read_ledger(path))

    def chained(rows: list[dict[str, Any]]) -> bytes:
        previous, out = "0" * 64, b""
        for row in rows:
            data = encode(row | {"previous": previous})
            previous, out = hashlib.sha256(data).hexdigest(), out + data + b"\n"
        return out

    good = chained(lines)
    rows = good.split(b"\n")[:-1]
    yield "ledger", "good", good, "accepted"
    for what, data in {
        "nothing": b"", "cut": good[:-1], "cut in a line": good[:-50], "no last line": good[: good.rindex(b"\n", 0, -1) + 1], "no first line": b"\n".join(rows[1:]) + b"\n",
        "a line removed": b"\n".join([rows[0], *rows[2:]]) + b"\n", "lines swapped": b"\n".join([rows[0], rows[2], rows[1], rows[3]]) + b"\n", "a line twice": b"\n".join([*rows[:2], *rows[1:]]) + b"\n",
        "an edited line": good.replace(b'"bytes":9', b'"bytes":8', 1), "white space": good.replace(b":", b": ", 1), "a line behind": good + rows[1] + b"\n", "two ledgers": good + good,
        "chained anew with another total": chained([*lines[:3], lines[3] | {"bytes": 17}]), "chained anew with a number left out": chained([lines[0], lines[2], lines[3] | {"messages": 1, "bytes": 9}]),
        "chained anew with another format": chained([lines[0] | {"format": 99}, *lines[1:]]), "chained anew with an unknown line": chained([lines[0], {"type": "note"}, *lines[1:]]),
        "chained anew without a receiver": chained([lines[0], {k: v for k, v in lines[1].items() if k != "to"}, *lines[2:]]), "a list": b"[]\n", "no JSON": b"hello\n", "brackets": b"[" * 100_000 + b"\n",
    }.items():  # fmt: skip
        yield "ledger", what, data, "ledger-broken"


def models() -> Iterator[Vector]:
    manifest = {
        "format": 2, "kind": "logistic-regression", "party": "bank", "model_id": "00" * 16, "job_digest": "00" * 32, "columns": ["age", "limit"],
        "clip": 6.0, "family": "logistic", "link": "exact", "score_bits": 10, "known": True, "arbiter": False, "guest": True, "intercept": True, "label_mean": 0.0, "label_scale": 1.0,
        "classes": [0, 1],
    }  # fmt: skip
    vectors = {"mean": np.array([1.0, 2.0]), "scale": np.array([1.0, 2.0])}
    own = {"shares": np.array([[[1 << 24, 1 << 25, 7]]], np.uint64), "share_names": np.zeros((0, 16), np.uint8)}
    tensors = vectors | own
    sound = save(tensors)
    yield "weights", "good", sound, "accepted"
    yield "manifest", "good", json.dumps(manifest).encode(), "accepted"
    for what, change in {
        "another format": {"format": 99}, "a former format": {"format": 1}, "weights that are shared with nobody": {"known": False}, "a text for the format": {"format": "1"}, "another kind": {"kind": "pickle"}, "a column too many": {"columns": ["a", "b", "c"]}, "columns that are no list": {"columns": "ab"},
        "a number for a column": {"columns": [1, 2]}, "a name of no hex": {"model_id": "zz" * 16}, "a list for the party": {"party": ["bank"]}, "an unknown key": {"code": "print(1)"},
        "a text for a number": {"clip": "6"}, "a map in the classes": {"classes": [{"a": 1}, 2]},
    }.items():  # fmt: skip
        yield "manifest", what, json.dumps(manifest | change).encode(), "model"
    for what, data in {
        "nothing": b"",
        "a list": b"[]",
        "cut": json.dumps(manifest).encode()[:-1],
        "no text": b"\xff" * 40,
        "brackets": b"[" * 100_000,
    }.items():
        yield "manifest", what, data, "model"
    short = {"weights": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}}
    for what, data in {
        "nothing": b"", "cut": sound[:-1], "a byte behind": sound + b"\0", "a header of 2^63 bytes": struct.pack("<Q", 1 << 63) + sound[8:], "a header of 100 MB": struct.pack("<Q", 100_000_000) + sound[8:],
        "no JSON": struct.pack("<Q", 4) + b"{{{{", "offsets outside": sound.replace(b"[0,16]", b"[0,99]"), "offsets backwards": sound.replace(b"[0,16]", b"[16,0]"),
        "another type": save({name: value.astype(np.float32) for name, value in vectors.items()} | own), "a vector too long": save({name: np.zeros(3) for name in vectors} | own),
        "a matrix": save({name: np.zeros((2, 1)) for name in vectors} | own), "a vector missing": save({"mean": np.zeros(2)} | own), "no weights": save(vectors),
        "weights of signed numbers": save(tensors | {"shares": own["shares"].astype(np.int64)}), "a weight missing": save(tensors | {"shares": own["shares"][:, :, :2]}),
        "a name for weights that are known": save(tensors | {"share_names": np.zeros((1, 16), np.uint8)}), "short names": save(tensors | {"share_names": np.zeros((0, 8), np.uint8)}),
        "one vector alone": struct.pack("<Q", len(json.dumps(short))) + json.dumps(short).encode() + bytes(16), "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    }.items():  # fmt: skip
        yield "weights", what, data, "model"
    yield "report.json", "good", b'{"format": 1}', "accepted"
    for what, data in {
        "nothing": b"",
        "a list": b"[]",
        "no format": b"{}",
        "another format": b'{"format": 9}',
        "no text": b"\xff\xfe",
        "cut": b'{"format": 1',
        "brackets": b"[" * 100_000,
    }.items():
        yield "report.json", what, data, "model"


def tables() -> Iterator[Vector]:
    yield "table.csv", "good", b"id,age\na,1\nb,2\n", "accepted"
    for what, data in {
        "nothing": b"", "an empty line": b"\n", "semicolons": b"id;age\na;1\n", "tabs": b"id\tage\na\t1\n", "no text": b"\xff\xfe\x00PAR1", "latin-1 below": b"id,age\n\xe9,1\n", "a name twice": b"id,id\na,b\n",
        "a cell too many": b"id,age\na,1\nb,2,3\n", "a quote that does not end": b'id,age\na,"1\nb,2\n',
    }.items():  # fmt: skip
        yield "table.csv", what, data, "data"
    buffer = io.BytesIO()
    pd.DataFrame({"id": ["a", "b"], "age": [1.0, 2.0]}).to_parquet(buffer, compression=None)
    parquet = buffer.getvalue()
    yield "table.parquet", "good", parquet, "accepted"
    for what, data in {
        "nothing": b"", "the magic alone": b"PAR1PAR1", "cut": parquet[:-1], "half": parquet[: len(parquet) // 2], "a footer of 2 GiB": parquet[:-8] + struct.pack("<i", (1 << 31) - 1) + b"PAR1",
        "a footer of no bytes": parquet[:-8] + bytes(4) + b"PAR1", "encrypted": parquet[:-4] + b"PARE",
    }.items():  # fmt: skip
        yield "table.parquet", what, data, "data"


def certificates() -> Iterator[Vector]:
    for what, data in {
        "nothing": b"", "no PEM": b"hello", "an empty one": b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "no DER": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "a private key": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "a request": b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    }.items():  # fmt: skip
        yield "certificate", what, data, "config"


def vectors() -> list[Vector]:
    """All of them, in the order of the file."""
    makers = (shapes, integers, dpf, points, ciphertexts, keys, transport, tomls, ledgers, models, tables, certificates)
    return [vector for maker in makers for vector in maker()]


def document() -> str:
    """The file's content; long runs of one byte are folded as [hex, times]."""
    rows = [{"reader": r, "what": w, "bytes": fold(d), "error": e} for r, w, d, e in vectors()]
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"


def fold(data: bytes) -> list[list[str | int]]:
    """[[hex, times], ...]: pieces that repeat are written once."""
    parts: list[list[str | int]] = []
    at = 0
    while at < len(data):
        run = len(data[at:]) - len(data[at:].lstrip(data[at : at + 1]))
        if run >= 64:
            parts.append([data[at : at + 1].hex(), run])
            at += run
        elif parts and parts[-1][1] == 1:
            parts[-1][0] = str(parts[-1][0]) + data[at : at + run].hex()
            at += run
        else:
            parts.append([data[at : at + run].hex(), 1])
            at += run
    return parts


def unfold(parts: list[list[Any]]) -> bytes:
    """The bytes that `fold` wrote."""
    return b"".join(bytes.fromhex(text) * times for text, times in parts)


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
