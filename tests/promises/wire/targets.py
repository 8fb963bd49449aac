"""Every place where bytes from a peer or from a disk are read, each with bytes that it accepts and what it may
raise."""

from __future__ import annotations

import contextlib
import datetime
import functools
import io
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from rich.console import Console

from protocols import _native
from protocols._native import DpfKeys, InvalidBytes, PlainVec
from protocols.alignment.ecdh import SizeOnly
from protocols.channel import Count
from protocols.cipher import CipherVec, DecryptionKey, Keyring
from protocols.codec import Int32s, Int64s, decode
from protocols.errors import DisclosureRefused, VFLError
from protocols.message import Message
from protocols.randomness import Seed
from protocols.recovery.checkpoint import Checkpoint, Position
from protocols.ristretto import PointVec
from tests.harness import TOY
from tests.parts import guests
from tests.unit.vfl.transport.test_client_hello import client_hello
from tools.leakage_page import declared
from vfl.api.federation import Federation
from vfl.cli.ledgers import print_ledger
from vfl.cli.show import show_report
from vfl.data import read_source
from vfl.job import load_agreement, load_party, starter_job, starter_party
from vfl.job.starter import starter_members_job
from vfl.ledger import LedgerWriter, Witness, signatures, verify_ledger
from vfl.ledger.continuing import read_unfinished
from vfl.ledger.witness import FILE as SIGNATURES
from vfl.metrics import binary_metrics, plot_series, uplift_interval
from vfl.models.averaging import files as averaging
from vfl.models.averaging.course import Scaling
from vfl.models.averaging.joint import AveragedModel
from vfl.models.averaging.spec import Averaging
from vfl.models.baseline import BASELINE, Baseline, compare, describe, load_baseline
from vfl.models.content import Part
from vfl.models.part_files import load_part, save_part
from vfl.models.trees.spec import BoostedTrees
from vfl.preprocessing import Standardiser
from vfl.run.budget import Budget, Opened
from vfl.run.budget.table import BudgetFile
from vfl.run.ledger_shown import ledger_shown
from vfl.storage.run_store import FILE, RunFacts, RunStore
from vfl.taps.transcript import FILE as TRANSCRIPT
from vfl.taps.transcript import TranscriptFile, read_transcript
from vfl.transport import frames, hello
from vfl.transport.client_hello import NoKnockError, knock_in
from vfl.transport.frames import Assembler, BadFrameError, FrameReader, Kind
from vfl.transport.identity import Identity, check_validity, common_name, create_identity, load_certificate, verify
from vfl.transport.seal import Seal
from vfl.transport.window import Window

SENDER = "telecom"
FRAME_KEY = b"k" * 32


@dataclass(frozen=True)
class Target:
    """`feed` takes any bytes and raises nothing but `typed`; `seeds` are bytes that it accepts."""

    name: str
    feed: Callable[[bytes], object]
    seeds: Sequence[bytes]
    typed: tuple[type[Exception], ...] = (VFLError,)

    def __repr__(self) -> str:
        return self.name


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


# -- what lies on a disk


def files(folder: Path) -> list[Target]:
    """Each reads one file; the others beside it are sound."""
    (folder / "run").mkdir()
    identity = create_identity(folder / "identity", "bank")
    return [
        Target("job.toml", _with(folder / "job.toml", load_agreement), [starter_job().encode()]),
        Target("job.toml of members", _with(folder / "job.toml", load_agreement), [starter_members_job().encode()]),
        Target("party.toml of a member", _with(folder / "party.toml", load_party), [_members_file()]),
        *_averaged(folder / "averaged"),
        Target("party.toml", _with(folder / "party.toml", load_party), [starter_party("guest", "bank").encode()]),
        *_ledger(folder / "run", identity),
        *(target for name, (kind, part) in parts().items() for target in _model(folder / name, kind, part)),
        *_report(folder / "run"),
        _baseline(folder),
        *_tables(folder),
        *_identity(folder, identity),
        _budget(folder),
        _transcript(folder),
        *_store(folder / "store"),
    ]


def _transcript(folder: Path) -> Target:
    with TranscriptFile(folder) as file:
        file.tap.received("telecom", SizeOnly, b"a message")
        file.tap.sent("telecom", SizeOnly, b"a message")
    feed = _with(folder / TRANSCRIPT, lambda path: read_transcript(path.parent, "bank"))
    return Target("transcript.bin", feed, [(folder / TRANSCRIPT).read_bytes()])


def _members_file() -> bytes:
    return starter_party("member", "bank-a", kind="averaging").encode()


def _averaged(folder: Path) -> list[Target]:
    """The model that all members have, and what a party adds of itself; each scores what it loads."""
    table = pd.DataFrame({"age": [30.0, 40.0, 55.0], "limit": [1.0, 2.0, 4.0]})
    scaling = Scaling(np.array([40.0, 2.0]), np.array([10.0, 1.0]), 0.0, 1.0)
    rounds = pd.DataFrame({"members": [3], "rows": [9]}, index=pd.RangeIndex(1, 2, name="round"))
    by_member = pd.DataFrame({"rows": [3], "auc": [0.7]}, index=["bank-a"])
    weights = np.array([0.5, -0.25, 0.3])
    model = AveragedModel(
        Averaging(rounds=1), ("age", "limit"), weights, scaling, rounds, by_member, {"bank-b": "left"}
    )
    averaging.save(model, folder, bytes(32))
    sound = {path.name: path.read_bytes() for path in folder.iterdir()}

    def one(name: str) -> Target:
        def feed(data: bytes) -> object:
            for other, content in sound.items():
                (folder / other).write_bytes(data if other == name else content)
            averaging.named(folder)
            return averaging.load(folder).predict_score(table)

        return Target(f"averaged model: {name}", feed, [sound[name]])

    return [one(name) for name in sound]


def _with(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def feed(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return feed


def _console() -> Console:
    return Console(file=io.StringIO(), width=120)


def _ledger(run: Path, identity: Identity) -> list[Target]:
    path = run / "ledger.jsonl"
    with LedgerWriter(path, job="credit-risk", job_digest=bytes(32), party="bank", sign=identity.sign) as writer:
        for kind in declared()[:4]:
            writer.record("telecom", kind, b"x" * 40)
    seed = path.read_bytes()
    witness = Witness(run, bytes(32), bytes(16), "bank", identity.sign, {SENDER: (identity.certificate_pem,)})
    witness.accept(
        SENDER, Count(1, 2), Witness(run, bytes(32), bytes(16), SENDER, identity.sign, {}).sign("bank", Count(1, 2))
    )
    signed = run / SIGNATURES
    return [
        Target(
            SIGNATURES, _with(signed, lambda p: [one.holds for one in signatures(p).values()]), [signed.read_bytes()]
        ),
        Target("ledger, resumed", _with(path, lambda p: read_unfinished(p, "")), [seed]),
        Target("ledger", _with(path, lambda p: verify_ledger(p, identity.certificate_pem)), [seed]),
        Target(
            "ledger, shown", _with(path, lambda p: print_ledger(ledger_shown(p, messages=True), _console())), [seed]
        ),
    ]


def parts() -> dict[str, tuple[str, Part]]:
    """A small part of each kind of model, by the name of its folder, with its kind."""
    table = pd.DataFrame({"age": [30.0, 40.0, 55.0], "limit": [1.0, 2.0, 4.0]})
    regression = guests(Standardiser.fit(table, 6.0), (0.5, -0.25), 0.3)
    ids = [f"c{i}" for i in range(16)]
    bank = pd.DataFrame({"id": ids, "default": [0, 1] * 8, "age": np.arange(16.0)})
    shop = pd.DataFrame({"id": ids, "spend": np.arange(16.0) % 5})
    small = BoostedTrees(n_estimators=1, max_depth=2, max_bin=4, min_bin_rows=1)
    trees = (
        Federation.local(bank, {"shop": shop}, on="id", label="default", cipher=TOY, convergence=False).fit(small).parts
    )
    return {
        "regression": ("logistic-regression", regression),
        "trees-guest": ("boosted-trees", trees["guest"]),
        "trees-host": ("boosted-trees", trees["shop"]),
    }


def _model(folder: Path, kind: str, part: Part) -> list[Target]:
    save_part(part, folder, kind=kind, job_digest=bytes(32))
    sound = {p.name: p.read_bytes() for p in sorted(folder.iterdir())}

    def one(name: str) -> Target:
        def feed(data: bytes) -> object:
            for other, content in sound.items():
                (folder / other).write_bytes(data if other == name else content)
            return load_part(folder)

        return Target(f"model: {folder.name}: {name}", feed, [sound[name]])

    return [one(name) for name in sound]


def _report(run: Path) -> list[Target]:
    phase = {
        "name": "align",
        "seconds": 0.4,
        "bytes_sent": 5000,
        "bytes_received": 7000,
        "messages_sent": 2,
        "messages_received": 2,
    }
    y, p = np.arange(40) % 2, np.linspace(0.1, 0.9, 40)
    scores, curves = binary_metrics(y, p), plot_series(y, p)
    result = {
        "format": 1, "purpose": "run", "job": "credit-risk", "job_digest": "ab" * 32, "role": "guest", "party": "bank",
        "parties": {"guest": "bank", "hosts": ["telecom"], "arbiter": "trustco"}, "started": "2026-11-20T11:42:07+00:00",  # noqa: E501
        "alignment": {"guest_rows": 10, "host_rows": 12, "intersection": 9}, "metrics": {"test": {"joint": scores, "guest_alone": scores}},  # noqa: E501
        "phases": [phase], "model": {"kind": "logistic-regression", "passes": 30, "link": "exact", "key_bits": 3072},
        "disclosure": [{"message": "Scores", "class": "REVEALED", "to": "telecom", "count": 1, "bytes": 9, "learns": "scores"}],  # noqa: E501
        "environment": {"python": "3.11", "platform": "Linux", "processor": "x86_64", "cores": 2, "backend": "serial",
                        "versions": {"vfl": "0.1.0"}},
        "plots": {"test": {"joint": curves, "guest_alone": curves}}, "outcome": "binary", "classes": ["good", "bad"], "cutoff": 0.3,  # noqa: E501
        "uplift": {"test": uplift_interval(y, p, p[::-1])}, "permits": {"scores-to-guest": "scores"}, "inputs": {"own table": "cd" * 32},  # noqa: E501
        "columns": describe(pd.DataFrame({"age": p, "town": ["bath", "york"] * 20})), "job_file": {"name": "credit-risk"},  # noqa: E501
        "stability": compare(Baseline.of("bank", bytes(16), pd.DataFrame({"age": p}), p), pd.DataFrame({"age": p}), p),
    }  # fmt: skip
    return [
        Target(
            "report.json",
            _with(run / "report.json", lambda p: show_report(p.parent, _console())),
            [json.dumps(result).encode()],
        )
    ]


def _baseline(folder: Path) -> Target:
    table = pd.DataFrame({"age": np.arange(20.0), "kind": [1.0, 2.0] * 10, "town": ["bath", "york"] * 10})
    Baseline.of("bank", bytes(16), table, np.linspace(0, 1, 20)).save(folder)
    path = folder / BASELINE
    return Target(
        BASELINE,
        _with(path, lambda p: compare(load_baseline(p.parent), table, np.linspace(0, 1, 9))),
        [path.read_bytes()],
    )


def _tables(folder: Path) -> list[Target]:
    frame = pd.DataFrame({"id": ["a", "b", "c"], "age": [30.5, 40.0, 55.0], "when": ["2020-01-01", "", "x"]})
    frame.to_parquet(folder / "seed.parquet")
    csv, parquet = frame.to_csv(index=False).encode(), (folder / "seed.parquet").read_bytes()
    return [
        Target("table.csv", _with(folder / "table.csv", lambda p: read_source(p, keys=("id",))), [csv]),
        Target(
            "table.csv, some columns",
            _with(folder / "table.csv", lambda p: read_source(p, keys=("id",), only=("id", "age"))),
            [csv],
        ),
        Target("table.parquet", _with(folder / "table.parquet", lambda p: read_source(p, keys=("id",))), [parquet]),
    ]


def _identity(folder: Path, identity: Identity) -> list[Target]:
    path = folder / "key.pem"

    def feed(data: bytes) -> object:
        path.touch(mode=0o600)
        path.write_bytes(data)
        return Identity.load(path, identity.certificate_path, "bank")

    return [
        Target("certificate", _pinned, [identity.certificate_pem]),
        Target("key.pem", feed, [identity.key_path.read_bytes()]),
    ]


def _pinned(pem: bytes) -> None:
    certificate = load_certificate(pem, "The certificate")
    check_validity(certificate, "The certificate", "Ask")
    common_name(certificate)
    verify(pem, b"data", b"signature")


def _budget(folder: Path) -> Target:
    """The file of this release, with something of every kind in it, and that of an earlier one."""
    (folder / "party.toml").write_text(starter_party("host", "telecom", columns=["a", "b", "c"]))
    party = load_party(folder / "party.toml")
    party = party.model_copy(update={"run": party.run.model_copy(update={"directory": folder})})
    budget, path, now = (
        Budget(party, guest="bank", opened=Opened(1, ("a", "b", "c"))),
        folder / "budget.sqlite",
        datetime.datetime.now(datetime.UTC),
    )
    with sqlite3.connect(path) as store:
        store.execute(
            "CREATE TABLE runs (time TEXT NOT NULL, partner TEXT NOT NULL, job TEXT NOT NULL, purpose TEXT NOT NULL)"
        )
        store.execute("INSERT INTO runs VALUES ('2026-11-20T11:42:07+00:00', 'bank', 'credit-risk', 'run')")
    store.close()
    former = path.read_bytes()
    budget.charge(["bank"], bytes(16), now)
    budget.allowance(bytes(16)).score_vectors(bytes(16), 1, ["a", "b", "c"])
    budget.allowance(bytes(16)).rows_scored(bytes(16), "new rows", [b"c1", b"c2"])
    with BudgetFile(folder).opened() as counts:
        counts.add_sum(["a", "b"], ["bank-a", "bank-b", "bank-c"], "2026-11-20")

    def use(_: Path) -> None:
        with contextlib.suppress(DisclosureRefused):
            budget.check(["bank"])
            budget.allowance(bytes(16)).score_vectors(bytes(15), 1, ["a", "b", "c"])
            budget.allowance(bytes(15)).rows_scored(bytes(16), "new rows", [b"c3"])
        with BudgetFile(folder).opened(reading=True) as counts:
            counts.sums(["a"], "2026-01-01")

    return Target("budget.sqlite", _with(path, use), [path.read_bytes(), former])


def _store(folder: Path) -> list[Target]:
    """The whole file, and the arrays of a mark in a sound one."""
    folder.mkdir()
    store = RunStore(
        folder, RunFacts("0", "run", bytes(32), bytes(32), bytes(16), bytes(32), "2026-11-20T11:42:07+00:00")
    )
    counts = {"telecom": Count(2, 3, bytes(32))}
    store.keep(Checkpoint(Position(0, 0), 1, counts, {}), {"telecom": [b"heard"]})
    store.keep(Checkpoint(Position(0, 1), 2, counts, {"shares": np.arange(4), "one": np.array(7)}, last=True), {})
    store.close()
    path = folder / FILE
    sound = path.read_bytes()
    with contextlib.closing(sqlite3.connect(path)) as db:
        ((packed,),) = db.execute("SELECT arrays FROM marks WHERE item = 1")

    def read() -> None:
        store = RunStore(folder)
        try:
            for position in store.checkpoints:
                store.at(position)
            store.last(0)
            store.heard(0)
        finally:
            store.close()

    def whole(data: bytes) -> None:
        path.write_bytes(data)
        read()

    def arrays(data: bytes) -> None:
        path.write_bytes(sound)
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE marks SET arrays = ? WHERE item = 1", (data,))
        read()

    def counted(data: bytes) -> None:
        path.write_bytes(sound)
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE marks SET counts = ? WHERE item = 1", (data.decode("utf-8", "replace"),))
        read()

    told = json.dumps({"telecom": (2, 3, bytes(32).hex())}).encode()
    return [
        Target("run.sqlite", whole, [sound]),
        Target("run.sqlite: arrays", arrays, [packed]),
        Target("run.sqlite: counts", counted, [told]),
    ]
