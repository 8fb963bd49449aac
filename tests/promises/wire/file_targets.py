"""Every place where bytes from a disk are read: files of runs, models, tables, keys and budgets."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from protocols.alignment.ecdh import SizeOnly
from protocols.channel import Count
from protocols.errors import DisclosureRefused
from protocols.recovery.checkpoint import Checkpoint, Position
from tests.harness import TOY
from tests.parts import guests
from tests.promises.wire.target import SENDER, Target
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
from vfl.transport.identity import Identity, check_validity, common_name, create_identity, load_certificate, verify


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
