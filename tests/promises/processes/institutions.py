"""Three institutions on loopback, each a folder and a process: what the tests of this folder lay out, start, kill and
look into."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.glm import WeightShares
from tests.places import ROOT
from tests.promises.processes.warm import WarmProcess
from vfl.cli import main as cli
from vfl.demo.run import free_ports
from vfl.job import starter_job
from vfl.job.setup import init_party, trust_peer
from vfl.models.part_files import load_part
from vfl.run import announce
from vfl.transport.identity import Identity

ROLES = {"bank": "guest", "telecom": "host", "trustco": "arbiter"}
KEY = "canarycustomer"
MANY = {
    "min_bin_rows": 1,
    "rows_per_label_number": 1,
    "scores_per_row": 1000,
    "score_vectors": 1000,
}  # tables are small and used often
CANARIES = (b"canary", b"CANARY")  # in every id, column name and label value


def tables(rows: int = 80, seed: int = 3, overlap: float = 0.8) -> dict[str, pd.DataFrame]:
    """A guest's and a host's table; ids, column names and label values all hold the word "canary"."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    y = x @ [1.0, -0.5, 0.8, 0.3] + rng.logistic(size=rows) > 0
    ids = [f"CANARY-{i:05d}" for i in range(rows)]
    label = np.where(y, "canarybad", "canarygood")
    guest = pd.DataFrame(
        {KEY: ids, "canarylabel": label, "canaryage": 40 + 9 * x[:, 0], "canarylimit": 1e3 + 3e2 * x[:, 1]}
    )
    host = pd.DataFrame({KEY: ids, "canarybill": x[:, 2], "canarylate": x[:, 3]})
    return {"bank": guest, "telecom": host.iloc[rows - round(rows * overlap) :].sample(frac=1, random_state=1)}


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, what it wrote, and after how many seconds."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Path:
        """The report.json that the last line of its output names."""
        last = self.out.splitlines()[-1]
        return Path(json.loads(last)["report"] if last.startswith("{") else last.removeprefix("report: "))

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.report.parent

    def says(self, code: int, *words: str) -> None:
        """It ended with `code` and one line on stderr that matches every pattern and ends with a remedy."""
        assert self.code == code, (self.code, self.err)
        lines = [line for line in self.err.splitlines() if not line.startswith(("note: ", "caution: "))]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("vfl: ")
        for word in words:
            assert re.search(word, lines[0]), (word, lines[0])


class Process:
    """A command of ours as a process of its own."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        name: str,
        *,
        inside: Sequence[str] = (),
        cwd: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        """inside: a command that runs it, such as one that enters a network namespace."""
        folder.mkdir(exist_ok=True)
        number = len(list(folder.glob("*.out")))
        self.out, self.err = folder / f"{name}-{number}.out", folder / f"{name}-{number}.err"
        if list(arguments[:2]) == ["-m", "vfl"] and not (inside or environment or options):
            for file in (self.out, self.err):
                file.touch()
            self._process: subprocess.Popen[bytes] | WarmProcess = WarmProcess(arguments[2:], cwd, self.out, self.err)
            return
        more = options.pop("preexec_fn", None)

        def prepared() -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # some runners start us with it ignored
            if more:
                more()

        with self.out.open("wb") as out, self.err.open("wb") as err:
            self._process = subprocess.Popen(
                [*inside, sys.executable, *arguments],
                cwd=cwd,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
                stdout=out,
                stderr=err,
                preexec_fn=prepared,
                **options,
            )

    def wait(self, seconds: float = 60) -> Ended:
        """Waits until it has ended."""
        code = self._process.wait(seconds)
        return Ended(code, self.out.read_text(), self.err.read_text())

    def until(self, true: Callable[[list[dict[str, Any]]], bool], seconds: float = 60) -> None:
        """Waits until `true` of the progress events that it has printed."""
        deadline = time.monotonic() + seconds
        while not true(
            [
                json.loads(line)
                for line in self.out.read_text().splitlines(keepends=True)
                if line.startswith("{") and line.endswith("\n")
            ]
        ):
            assert self._process.poll() is None, self.err.read_text()
            assert time.monotonic() < deadline, "nothing happens"
            time.sleep(0.02)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends it a signal."""
        os.kill(self._process.pid, number)

    def end(self) -> None:
        """Makes sure that it is gone."""
        self._process.kill()
        self._process.wait()


class Institutions:
    """The folders of the parties, with pinned certificates, tables and a job; and every process that was started."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._stack = folder, contextlib.ExitStack()

    def lay_out(
        self,
        data: dict[str, pd.DataFrame] | None = None,
        roles: dict[str, str] | None = None,
        ports: dict[str, str] | None = None,
        settings: dict[str, Any] | None = None,
        reconnect: float = 0,
        **job: Any,
    ) -> Institutions:
        """Writes everything.  roles: by name; ports: "address:port" by name; settings, reconnect (seconds): for every
        party file; job: as `starter_job`."""
        self.roles = roles or ROLES
        self.data = data if data is not None else tables()
        by_role = {role: [n for n, r in self.roles.items() if r == role] for role in ("guest", "host", "arbiter")}
        listening = [n for n in self.roles if self.roles[n] != "host"]
        self.ports = ports or {n: f"127.0.0.1:{p}" for n, p in zip(listening, free_ports(len(listening)), strict=True)}
        for name, role in self.roles.items():
            mine: dict[str, Any] = {"min_intersection": 5, "policy": MANY} | (settings or {})
            mine |= {"listen": self.ports[name]} if name in self.ports else {}
            mine |= {"label": "canarylabel"} if role == "guest" else {}
            init_party(self.folder / name, role, name, **mine)  # type: ignore[arg-type]
            self.change(name, 'directory = "runs"', f'directory = "runs"\nreconnect_seconds = {reconnect:g}')
            if role != "arbiter":
                self.data[name].to_csv(self.folder / name / "customers.csv", index=False)
        for name in self.roles:
            for peer in self.roles:
                if peer != name and {self.roles[name], self.roles[peer]} != {"host"}:
                    self.trust(name, peer, self.folder / peer / "identity" / "cert.pem")
        given: dict[str, Any] = {
            "guest": by_role["guest"][0], "hosts": by_role["host"], "arbiter": next(iter(by_role["arbiter"]), ""), "keys": [KEY],  # noqa: E501
            "normalise": {KEY: "text"}, "min_intersection": 5, "key_bits": 2048,
        }  # fmt: skip
        given |= {"max_iter": 5, "link": "taylor"} if "kind" not in job else {}
        self.job = self.folder / "job.toml"
        self.job.write_text(starter_job(**(given | job)))
        if any(
            frame.shape[1] < 4 for name, frame in self.data.items() if self.roles.get(name) == "host"
        ):  # with the key
            for file in (self.job, *map(self.file, self.roles)):
                if '"few-columns"' not in (text := file.read_text()):
                    file.write_text(text.replace("allow = [\n", 'allow = [\n  "few-columns",\n', 1))
        return self

    def trust(self, name: str, peer: str, certificate: Path) -> None:
        """Pins a certificate; the address is given where `name` dials."""
        dials = (self.roles[name], self.roles[peer]) in {("host", "guest"), ("host", "arbiter"), ("arbiter", "guest")}
        trust_peer(self.folder / name, certificate, self.ports[peer] if dials else None)

    def file(self, name: str) -> Path:
        """The party file of `name`."""
        return self.folder / name / "party.toml"

    def change(self, name: str, old: str, new: str) -> None:
        """Replaces a text in a party file."""
        text = self.file(name).read_text()
        assert old in text
        self.file(name).write_text(text.replace(old, new))

    def start(
        self, name: str, *options: str, job: Path | None = None, command: str = "run", timeout: float = 40, **popen: Any
    ) -> Process:
        """Starts `vfl COMMAND` for a party."""
        words = ["-m", "vfl", command, "--progress", "lines", "--connect-timeout", str(timeout), *options]
        return self.run([*words, str(job or self.job), str(self.file(name))], name, **popen)

    def run(self, arguments: Sequence[str], name: str = "command", **popen: Any) -> Process:
        """Starts Python with these arguments."""
        process = Process(arguments, self.folder / "outputs", name, **popen)
        self._stack.callback(process.end)
        return process

    def vfl(self, *arguments: object, seconds: float = 60, **popen: Any) -> Ended:
        """Runs a command of ours to its end."""
        return self.run(["-m", "vfl", *map(str, arguments)], **popen).wait(seconds)

    def here(self, *arguments: object) -> Ended:
        """As `vfl`, within this process: for what one party finds out alone."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["vfl", *map(str, arguments)])
            patch.setattr(announce, "SECONDS", 0.05)  # nobody waits for this party
            patch.setattr(announce, "LONGEST", 0.0)  # and nobody comes
            try:
                cli.main()
            except SystemExit as stopped:
                code = int(stopped.code or 0)
        return Ended(code, out.getvalue(), err.getvalue())

    def together(self, *options: str, seconds: float = 60, **changes: Any) -> dict[str, Ended]:
        """Starts all parties and waits for all."""
        processes = {name: self.start(name, *options, **changes) for name in self.roles}
        return {name: process.wait(seconds) for name, process in processes.items()}

    def done(self, *options: str, **changes: Any) -> dict[str, Ended]:
        """As `together`; all must succeed."""
        results = self.together(*options, **changes)
        assert [r.code for r in results.values()] == [0] * len(results), [r.err for r in results.values()]
        return results

    def models(self, results: Mapping[str, Ended]) -> dict[str, Path]:
        """The model folder of each party that has one."""
        return {name: ended.folder / "model" for name, ended in results.items() if (ended.folder / "model").exists()}

    def whole(self, models: Mapping[str, Path]) -> dict[str, Any]:
        """Each data party's part with its weights, which no party knows: from its shares and the arbiter's."""
        parts = {name: load_part(folder)[0] for name, folder in models.items() if self.roles[name] != "arbiter"}
        keeper = next((name for name in models if self.roles[name] == "arbiter"), None)
        held: dict[str, WeightShares] = {}
        if keeper is not None:
            own = self.folder / keeper / "identity"
            held = load_part(models[keeper], Identity.load(own / "key.pem", own / "cert.pem"))[0].shares
        for name, other in held.items():
            (both,) = {*parts[name].shares.names} & {*other.names}
            known = WeightShares((), (parts[name].shares.of(both) + other.of(both))[np.newaxis])
            parts[name] = dataclasses.replace(parts[name], shares=known)
        return parts

    def sent(self, name: str) -> int:
        """How many messages all ledgers of this party list."""
        ledgers = (self.folder / name).rglob("ledger.jsonl")
        return sum(
            json.loads(line)["type"] == "message" for ledger in ledgers for line in ledger.read_text().splitlines()
        )

    def close(self) -> None:
        self._stack.close()


@contextlib.contextmanager
def institutions(folder: Path) -> Iterator[Institutions]:
    """Institutions whose processes are all gone at the end."""
    made = Institutions(folder)
    try:
        yield made
    finally:
        made.close()
