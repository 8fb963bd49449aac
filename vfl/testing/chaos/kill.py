"""Kills one party of a small federation of real processes, starts it again with the same command, and compares the
results of all of them."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from protocols.errors import LocalProtocolError, VFLError
from protocols.recovery.finish import Kept
from vfl.ledger import read_ledger, reconcile, verify_ledger
from vfl.storage.run_store import FILE
from vfl.testing.chaos.federation import PATIENCE, Federation, Process

REPEATS = 1  # a restart does at most so many steps again,
ERROR = 1e-4  # of the largest weight: by which a regression whose iterations are prepared differs after a restart,
SECONDS = 30.0  # and all have ended after so many seconds more than an undisturbed run takes


@dataclass
class Trials:
    """What came of killing one party at several moments."""

    party: str
    kills: int = 0  # trials in which the party was killed, and not done before
    resumed: int = 0  # of these, trials that resumed from a checkpoint or the run's start
    repeats: int = 0  # the most steps that any party did again
    longest: float = 0.0  # seconds from a restart until all had ended
    wrong: list[str] = field(default_factory=list)

    def with_those_of(self, other: Trials) -> Trials:
        """Of the same party: both together."""
        return Trials(
            self.party,
            self.kills + other.kills,
            self.resumed + other.resumed,
            max(self.repeats, other.repeats),
            max(self.longest, other.longest),
            self.wrong + other.wrong,
        )


@dataclass(frozen=True)
class Undisturbed:
    """The run that all trials are compared with: its seconds, and how many messages each party sent and received."""

    seconds: float
    messages: dict[str, int]


class Chaos:
    """An undisturbed run, and trials that must end as it did."""

    def __init__(self, folder: Path, model: str) -> None:
        self.federation = Federation(folder, model)
        began = time.monotonic()
        failed = self._finish(
            {name: self.federation.start(name) for name in self.federation.roles}, time.monotonic() + PATIENCE
        )
        if failed:
            raise LocalProtocolError(f"the undisturbed run did not end well: {'; '.join(failed)}", remedy="Report this")
        self.seconds = time.monotonic() - began
        self.messages = {name: self.federation.messages(name) for name in self.federation.roles}
        self.expected = {name: self._ends_with(name) for name in self.federation.roles}
        self.weights = self.federation.weights() if self.federation.redraws else np.zeros(1)

    def at_message(self, trials: Trials, number: int) -> None:
        """Kills the party before a message."""
        self._trial(trials, f"message {number}", number, None)

    def at_instant(self, trials: Trials, after: float) -> None:
        """Kills the party after this number of seconds."""
        self._trial(trials, f"{after:.3f} s", 0, after)

    def _trial(self, trials: Trials, where: str, kill_at: int, after: float | None) -> None:
        self.federation.clear()
        deadline = time.monotonic() + PATIENCE
        processes = {
            name: self.federation.start(name, kill_at if name == trials.party else 0) for name in self.federation.roles
        }
        victim = processes[trials.party]
        if after is not None:
            time.sleep(after)
            victim.kill()
        died = victim.wait(deadline) != 0  # else it was done before
        restarted = time.monotonic()
        if died:
            processes[trials.party] = self.federation.start(trials.party)
        else:
            del processes[trials.party]
        trials.wrong += [
            f"{trials.party} killed at {where}: {what}"
            for what in self._finish(processes, deadline) or self._differences()
        ]
        if died:
            took, lines = (
                time.monotonic() - restarted,
                [line for name in self.federation.roles for line in self._resumed(name)],
            )
            repeats = max((line["repeats"] for line in lines), default=0)
            trials.kills, trials.resumed = trials.kills + 1, trials.resumed + bool(self._resumed(trials.party))
            trials.repeats, trials.longest = max(trials.repeats, repeats), max(trials.longest, took)
            if repeats > REPEATS or took > SECONDS + self.seconds:
                trials.wrong.append(
                    f"{trials.party} killed at {where}: {repeats} steps were repeated, and all had ended "
                    f"after {took:.1f} s"
                )

    def _resumed(self, name: str) -> list[dict[str, Any]]:
        """The lines of a party's ledgers that say that the run resumed."""
        ledgers = (self.federation.folder / name / "runs").glob("*/ledger.jsonl")
        return [line for path in ledgers for line in read_ledger(path) if line["type"] == "resumed"]

    def _finish(self, processes: dict[str, Process], deadline: float) -> list[str]:
        codes = {name: process.wait(deadline) for name, process in processes.items()}
        for name, code in codes.items():
            if code is None:
                processes[name].kill()
                processes[name].wait(time.monotonic() + 10)
        return [
            f"{name} {'hangs' if code is None else f'ended with {code}'}" for name, code in codes.items() if code != 0
        ]

    def _differences(self) -> list[str]:
        wrong = []
        try:
            for name in self.federation.roles:
                if self._ends_with(name) != self.expected[name]:
                    wrong.append(f"{name} has another result or sent other messages")
                if (counted := self.federation.counted(name)) != 1:
                    wrong.append(f"{name} counts {counted} runs where one was made")
                if list((self.federation.folder / name).rglob(f"{FILE}*")):
                    wrong.append(f"{name} keeps a store of a run that is over")
            if self.federation.redraws and self._error() > ERROR:
                wrong.append(f"a weight differs by {self._error():.1e} of the largest one")
            for one, other in itertools.combinations(self.federation.roles, 2):
                reconcile(self._ledger(one), self._ledger(other))
        except (VFLError, ValueError) as error:
            wrong.append(str(error))
        return wrong

    def _error(self) -> float:
        """By how much a weight differs from that of the undisturbed run, relative to the largest one."""
        return float(np.abs(self.federation.weights() - self.weights).max() / np.abs(self.weights).max())

    def _ledger(self, name: str) -> Path:
        return self.federation.run_of(name) / "ledger.jsonl"

    def _ends_with(self, name: str) -> tuple[dict[str, str], list[tuple[str, str, int, str]]]:
        """SHA-256 of every file of the results; and to whom which message left, by its number and hash.  Raises
        LedgerBroken.

        Without the hash of Kept, in which a party signs the random name of the run too; of prepared iterations, whose
        shares and messages are random in each attempt, the files' names alone.
        """
        folder = self.federation.run_of(name)
        verify_ledger(folder / "ledger.jsonl", (self.federation.folder / name / "identity" / "cert.pem").read_bytes())
        if self.federation.redraws:
            return dict.fromkeys((path.name for path in folder.glob(self.federation.results)), ""), []
        files = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.glob(self.federation.results))
        }
        lines = (line for line in read_ledger(folder / "ledger.jsonl") if line["type"] == "message" and line["seq"])
        return files, [
            (line["to"], line["message"], line["seq"], "" if line["message"] == Kept.kind else line["sha256"])
            for line in lines
        ]


def shared_kills(
    model: str, *, every: int, instants: int, seed: int, number: int = 0, of: int = 1
) -> Iterator[Undisturbed | Trials]:
    """First the undisturbed run, then what came of the kills of each party: before every `every`-th message (0: none),
    and at `instants` random moments.  Of these the part that federation `number` of `of` tries."""
    with tempfile.TemporaryDirectory(prefix="vfl-chaos-") as folder:
        chaos, rng, own = Chaos(Path(folder), model), np.random.default_rng(seed), slice(number, None, of)
        yield Undisturbed(chaos.seconds, chaos.messages)
        roles = chaos.federation.roles
        for turn, party in enumerate(roles):
            trials = Trials(party)
            numbers = range(1 + turn % every, chaos.messages[party] + 1, every) if every else range(0)
            moments = rng.uniform(0, 1, len(range(turn, instants, len(roles))))
            for at in numbers[own]:
                chaos.at_message(trials, at)
            for moment in moments[own]:
                chaos.at_instant(trials, float(moment) * chaos.seconds)
            yield trials
