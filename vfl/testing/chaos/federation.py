"""Three small institutions in a folder, whose processes can be killed: forked from this one, so that hundreds of starts
take no time.

A process runs what `vfl run` (`vfl align`, `vfl predict`) runs, with two things that no file, option or variable of it
can give: its run seed, so that every trial must end with the same results, and a tap that kills it with SIGKILL at a
message.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.alignment import lists
from protocols.channel import Tap
from protocols.errors import LocalProtocolError
from protocols.message import Message
from protocols.session import Observer
from vfl.demo.run import free_ports
from vfl.job import PERMITS, load_job, load_party, starter_job
from vfl.job.setup import init_party, trust_peer
from vfl.models.part_files import load_part
from vfl.report.page import ALIGNMENT, templates
from vfl.run import align as alignment_run
from vfl.run.align import align
from vfl.run.budget import Budget
from vfl.run.predict import predict
from vfl.run.prepare import prepare_ahead
from vfl.run.scoring import prepare as prepare_scoring
from vfl.run.train import prepare, run
from vfl.screen.errors import ended
from vfl.transport.identity import Identity

ROLES: dict[str, Any] = {"bank": "guest", "telecom": "host", "trustco": "arbiter"}
MODELS: dict[str, dict[str, Any]] = {
    "logistic-regression": {"max_iter": 5, "C": 1.0},
    "logistic-regression, direct": {"max_iter": 5, "C": 1.0, "preparation": "none"},
    "logistic-regression, prepared": {"max_iter": 5, "C": 1.0},  # after vfl prepare
    "boosted-trees": {"n_estimators": 2, "max_depth": 2, "max_bin": 4, "membership": "sealed"},
}
COMMANDS = ("align", "predict")  # a regression's job; its other commands, between the guest and the host
RUNS = (*MODELS, *COMMANDS)
AHEAD = "logistic-regression, prepared"
REDRAWN = ("logistic-regression", AHEAD)  # whose attempts draw new pads: their messages and last digits are others
RESULTS = {"run": "model/*", "align": "aligned.csv", "predict": "scores.csv"}
PATIENCE = 120  # seconds, for everything


class Kill(Tap):
    """Counts every message that its process is about to send or has received; before message number `at` of them it
    kills the process."""

    def __init__(self, at: int, count: Path) -> None:
        self._at, self._count, self._seen = at, count, 0

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self._seen += 1
        if self._seen == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._count.write_text(str(self._seen))

    received = sent


@dataclass(frozen=True)
class Process:
    """A party's process."""

    name: str
    pid: int

    def wait(self, deadline: float) -> int | None:
        """Its exit code, minus the signal that killed it; None if it still runs at the deadline."""
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.01)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def _load() -> None:
    """What every process would otherwise import and compile again, which takes most of the time of a run so small."""
    import sklearn.linear_model  # noqa: F401

    for name in templates().list_templates(extensions=["html"]):
        templates().get_template(name)


FEW_ROWS = {"rows_per_label_number": 1, "scores_per_row": 1000}  # the tables are toys


class Federation:
    """A guest, a host and, where the command needs it, an arbiter on loopback.  what: one of RUNS."""

    def __init__(self, folder: Path, what: str, key_bits: int = 2048) -> None:
        _load()
        self.folder, self.job = folder, folder / "job.toml"
        model = "logistic-regression" if what in COMMANDS else what
        self.redraws, self.ahead = what in REDRAWN, what == AHEAD
        rng = np.random.default_rng(4)
        x = rng.normal(size=(40, 5))
        ids = [f"customer {i:03d}" for i in range(40)]
        label = np.where(x @ [1.0, -0.5, 0.8, 0.3, 0.0] + rng.logistic(size=40) > 0, "bad", "good")
        tables = {
            "bank": pd.DataFrame({"id": ids, "outcome": label, "age": x[:, 0], "limit": x[:, 1]}),
            "telecom": pd.DataFrame({"id": ids, "bill": x[:, 2], "late": x[:, 3], "calls": x[:, 4]}).iloc[4:],
        }
        ports = dict(zip(("bank", "trustco"), free_ports(2), strict=True))
        for name, role in ROLES.items():
            settings: dict[str, Any] = {"min_intersection": 5, "allow": tuple(PERMITS), "policy": FEW_ROWS}
            settings |= {"label": "outcome"} if role == "guest" else {}
            settings |= {"listen": f"127.0.0.1:{ports[name]}"} if name in ports else {}
            init_party(folder / name, role, name, **settings)
            if name in tables:
                tables[name].to_csv(folder / name / "customers.csv", index=False)
        for name in ROLES:
            for peer in ROLES:
                if peer != name:
                    dials = (ROLES[name], ROLES[peer]) in {("host", "guest"), ("host", "arbiter"), ("arbiter", "guest")}
                    trust_peer(
                        folder / name,
                        folder / peer / "identity" / "cert.pem",
                        f"127.0.0.1:{ports[peer]}" if dials else None,
                    )
        job = {"min_intersection": 5, "test": 0.25, "key_bits": key_bits, "keys": ["id"]}
        self.job.write_text(starter_job(kind=model.split(",")[0], **job, **MODELS[model]), encoding="utf-8")  # type: ignore[arg-type]

        self._begin("run")
        if what == "predict":
            self._train()
        if self.ahead:
            self._prepare()
        if what in COMMANDS:
            self._begin(what)
            self.clear()

    def _begin(self, command: str) -> None:
        self.command, self.results = command, RESULTS[command]
        self.roles = [name for name, role in ROLES.items() if role != "arbiter" or command != "align"]

    def _train(self) -> None:
        """Makes the model that is to predict."""
        self._together("the training of the model")
        for name in self.roles:
            (self.run_of(name) / "model").rename(self.folder / name / "trained")

    def _prepare(self) -> None:
        """Makes the pads with which every run begins."""
        self.command = "prepare"
        self._together("the preparation")
        for name in self.roles:
            (self.folder / name / "runs").rename(self.folder / f"prepared-{name}")
        self._begin("run")
        self.clear()

    def _together(self, what: str) -> None:
        ended = {name: self.start(name) for name in self.roles}
        if any(process.wait(time.monotonic() + PATIENCE) for process in ended.values()):
            raise LocalProtocolError(f"{what} did not end well", remedy="Report this")

    def clear(self) -> None:
        """As before the first run."""
        for name in ROLES:
            shutil.rmtree(self.folder / name / "runs", ignore_errors=True)
            shutil.rmtree(self.folder / name / "model", ignore_errors=True)
            if self.ahead:
                shutil.copytree(self.folder / f"prepared-{name}", self.folder / name / "runs")
            if self.command == "predict":  # which moves shares of weights on
                shutil.copytree(self.folder / name / "trained", self.folder / name / "model")

    def start(self, name: str, kill_at: int = 0) -> Process:
        """Starts a party; kill_at: before which message it dies, 0 for never."""
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return Process(name, pid)
        code = 1
        try:
            with (self.folder / name / "output.txt").open("a", encoding="utf-8") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                code = ended(lambda: self._take_part(name, kill_at))
        finally:
            os._exit(code)

    def _take_part(self, name: str, kill_at: int) -> None:
        job, party = load_job(self.job), load_party(self.folder / name / "party.toml")
        seed, taps = name.encode().ljust(32, b"."), (Kill(kill_at, self.folder / name / "messages.txt"),)
        if self.command == "run":
            run(prepare(job, party), Observer(), connect_timeout=PATIENCE, seed=seed, taps=taps)
        elif self.command == "prepare":
            prepare_ahead(prepare(job, party), Observer(), connect_timeout=PATIENCE, seed=seed, taps=taps)
        elif self.command == "align":
            lists.CHUNK, lists.BLOCK = 4, 2  # in this process alone: a few rows then have several checkpoints
            align(alignment_run.prepare(job, party, "csv"), Observer(), connect_timeout=PATIENCE, seed=seed, taps=taps)
        else:
            scoring = prepare_scoring(job, party, self.folder / name / "model", None, None)
            predict(scoring, Observer(), connect_timeout=PATIENCE, seed=seed, taps=taps)

    def messages(self, name: str) -> int:
        """How many messages the party's last process counted."""
        return int((self.folder / name / "messages.txt").read_text())

    def run_of(self, name: str) -> Path:
        """The folder of the one run of a party that came to its end."""
        report = ALIGNMENT if self.command == "align" else "report.json"
        (found,) = (self.folder / name / "runs").glob(f"*/{report}")
        return found.parent

    def weights(self) -> NDArray[np.int64]:
        """Of a regression, of all columns and the intercept, in units of 2^-WEIGHT: what both holders' shares add up
        to."""
        (arbiter,) = (name for name, role in ROLES.items() if role == "arbiter")
        own = self.folder / arbiter / "identity"
        kept, _ = load_part(self.run_of(arbiter) / "model", Identity.load(own / "key.pem", own / "cert.pem"))
        parts = {name: load_part(self.run_of(name) / "model")[0] for name in kept.shares}
        return np.concatenate(
            [(kept.shares[name].latest + part.shares.latest)[0].view(np.int64) for name, part in parts.items()]
        )

    def counted(self, name: str) -> int:
        """How many runs with another party this one has counted, at most."""
        budget = Budget(load_party(self.folder / name / "party.toml"), self.command)
        return max(budget.used(peer) for peer in self.roles if peer != name)
