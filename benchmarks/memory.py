"""How much memory the processes of a job take, and how much `vfl check` predicts.

    python -m benchmarks.memory [--kind KIND] [--rows N ...] [--columns GUEST HOST] [--bits N] [--iterations N]
                                [--predict]

Generated tables, all rows common; three processes from CSV files to reports.  KIND: of a model, "open-trees",
"direct-regression", or "alignment" for `vfl align` alone (of two processes).  --predict: of `vfl predict` too, for the
same rows.  Printed by party: the most memory that its process has held, in MiB, and the prediction.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vfl.cost.memory import Role, Size, Work, own_bytes
from vfl.demo.run import ARBITER, free_ports
from vfl.job import PERMITS, load_job, starter_job
from vfl.job.setup import init_party, trust_peer

OPEN, ALIGNMENT, DIRECT = "open-trees", "alignment", "direct-regression"
NAMES: dict[str, Role] = {"bank": "guest", "telecom": "host", ARBITER: "arbiter"}


def tables(rows: int, guest: int, host: int) -> dict[str, pd.DataFrame]:
    """The parties' tables by name: correlated normal columns, about 22% events."""
    rng = np.random.default_rng(11)
    common = rng.normal(size=(rows, 1))
    x = 0.8 * rng.normal(size=(rows, guest + host)) + 0.6 * common
    ids = pd.Series(np.char.add("c", np.arange(rows).astype(str)), name="id")
    own = pd.DataFrame(x[:, :guest].round(4)).add_prefix("x").assign(id=ids)
    own["label"] = (rng.random(rows) < 1 / (1 + np.exp(1.5 - common[:, 0]))).astype(int)
    other = pd.DataFrame(x[:, guest:].round(4)).add_prefix("y").assign(id=ids)
    return {"bank": own, "telecom": other}


def parties_of(kind: str, *, trains: bool = True) -> dict[str, Role]:
    """Who takes part, and as what: no arbiter in an alignment, or in open trees of one host."""
    return {
        name: role for name, role in NAMES.items() if role != "arbiter" or (trains and kind not in (OPEN, ALIGNMENT))
    }


def lay_out(folder: Path, frames: dict[str, pd.DataFrame], kind: str, bits: int, iterations: int) -> None:
    """The folders of the parties and the job."""
    names = parties_of(kind) if kind == OPEN else NAMES
    given: dict[str, Any] = (
        {"n_estimators": iterations} if kind in (OPEN, "boosted-trees") else {"max_iter": iterations}
    )
    given |= {"membership": "open"} if kind == OPEN else {}
    given |= {"preparation": "none"} if kind == DIRECT else {}
    kind = {OPEN: "boosted-trees", ALIGNMENT: "logistic-regression", DIRECT: "logistic-regression"}.get(kind, kind)
    listening = [name for name, role in names.items() if role != "host"]
    addresses = {n: f"127.0.0.1:{p}" for n, p in zip(listening, free_ports(len(listening)), strict=True)}
    for name, role in names.items():
        settings: dict[str, Any] = {"allow": tuple(PERMITS)}
        settings |= {"listen": addresses[name]} if name in addresses else {}
        settings |= {"policy": {"rows_per_label_number": 1, "scores_per_row": 1000}}  # the tables are random
        settings |= {"label": "label"} if role == "guest" else {}
        init_party(folder / name, role, name, kind=kind, **settings)  # type: ignore[arg-type]
        if name in frames:
            frames[name].to_csv(folder / name / "customers.csv", index=False)
    for name in names:
        for peer in names:
            if peer != name:
                dials = (NAMES[name], NAMES[peer]) in {("host", "guest"), ("host", "arbiter"), ("arbiter", "guest")}
                trust_peer(folder / name, folder / peer / "identity" / "cert.pem", addresses[peer] if dials else None)
    arbiter = ARBITER if ARBITER in names else ""
    job = starter_job(guest="bank", hosts=["telecom"], arbiter=arbiter, keys=["id"], kind=kind, key_bits=bits, **given)
    (folder / "job.toml").write_text(job, encoding="utf-8")
    if given.get("membership") == "open":  # whose permissions no other trees need
        allowed = re.search(r"^allow = \[.*?^\]", job, re.M | re.S)
        assert allowed is not None
        for name in names:
            file = folder / name / "party.toml"
            file.write_text(re.sub(r"^allow = \[.*?^\]", allowed[0], file.read_text(), count=1, flags=re.M | re.S))


def predicted(folder: Path, rows: int, columns: tuple[int, int], command: Work = "run") -> dict[str, int]:
    """What `vfl check` would say of the job, each party's, in bytes; columns: of guest and host."""
    job = load_job(folder / "job.toml")
    width: dict[Role, int] = {"guest": columns[0], "host": columns[1], "arbiter": columns[1]}
    return {name: own_bytes(job, role, Size(rows, width[role], rows), command) for name, role in NAMES.items()}


def measured(folder: Path, command: Work = "run", kind: str = "") -> dict[str, int]:
    """Runs the job; the peak in bytes of each party that takes part."""
    names = list(parties_of(kind, trains=command != "align"))
    given: dict[str, list[str]] = {name: [] for name in names}
    if command == "predict":
        models = {name: next((folder / name).rglob("model"), None) for name in names}
        given = {name: ["--model", str(path)] for name, path in models.items() if path is not None}
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", "vfl", command, str(folder / "job.toml"), str(folder / name / "party.toml"), *more],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, more in given.items()
    }
    for name, process in running.items():
        _, said = process.communicate()
        if process.returncode:
            raise SystemExit(f"{name}: {said}")
    file = "alignment.json" if command == "align" else "report.json"
    reports = {name: max((folder / name).rglob(file), key=lambda path: path.stat().st_mtime) for name in given}
    return {name: int(json.loads(report.read_text())["peak_memory"]) for name, report in reports.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="logistic-regression")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--columns", type=int, nargs=2, default=[5, 18])
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--predict", action="store_true")
    options = parser.parse_args()
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            lay_out(folder, tables(rows, *options.columns), options.kind, options.bits, options.iterations)
            commands: list[Work] = ["align" if options.kind == ALIGNMENT else "run"]
            commands += ["predict"] if options.predict else []
            for command in commands:
                told = predicted(folder, rows, tuple(options.columns), command)
                for party, peak in measured(folder, command, options.kind).items():
                    sizes = f"{peak / 2**20:,.0f} MiB, predicted {told[party] / 2**20:,.0f} MiB"
                    print(f"{rows:>10,} {options.columns} {options.kind} {command} {party:>8}: {sizes}", flush=True)


if __name__ == "__main__":
    main()
