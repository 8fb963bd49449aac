"""`vfl demo`: three institutions on this machine, each its own folder and its own process, talking mutual TLS over
loopback.

It makes exactly what an institution would make (identity, pinned certificates, party.toml, the job) and runs `vfl run`
three times; everything stays in the demo's folder, so that any step can be repeated by hand.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
import pandas as pd
from rich.progress import Progress, TaskID

from protocols.errors import ConfigError, VFLError
from vfl.demo.datasets import Demo, breast_clinics, credit_sim, from_csv
from vfl.job import starter_job
from vfl.job.setup import init_party, trust_peer
from vfl.report.terminal import print_summary
from vfl.schema.parameters import paillier
from vfl.schema.spec import MIN_KEY_BITS
from vfl.screen.console import Console
from vfl.screen.errors import stoppable
from vfl.screen.events import Event
from vfl.screen.progress import PHASES, LogWatch, make_progress

ARBITER = "trustee"

MARKER = ".vfl-demo"
START_SECONDS = 120
STOP_SECONDS = 5  # that a party may take to end
LEAST = 100  # common rows


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    data: str
    label: str | None
    guest_columns: list[str] | None
    rows: int
    key_bits: int
    passes: int
    folder: Path


def run_demo(options: Options, console: Console) -> dict[str, Path]:
    """Sets the three parties up in `options.folder` and runs them; returns each one's run folder, the guest's first.
    Raises the first party's failure."""
    if options.key_bits < MIN_KEY_BITS:
        paillier(options.key_bits)
    demo = load(options)
    host = one_host(demo)
    folder = fresh_folder(options.folder)
    console.print(f"[bold]{demo.title}[/]\n{demo.sentence}\n", highlight=False)
    lay_out(demo, host, options, folder)
    names = (demo.guest_name, host, ARBITER)
    console.print(
        f"Three processes on this machine: {', '.join(names)}; mutual TLS 1.3; {options.key_bits}-bit Paillier.",
        highlight=False,
    )
    console.print(f"Their folders: {folder}\n", highlight=False, soft_wrap=True)
    return run_parties(names, folder, console)


def one_host(demo: Demo) -> str:
    """Its name.  Raises ConfigError where there are several."""
    if len(demo.hosts) != 1:
        raise ConfigError("the demo runs with one host")
    return next(iter(demo.hosts))


def print_demo(runs: Mapping[str, Path], folder: Path, console: Console) -> None:
    """What to do next, and the results."""
    guest, *others = runs
    results = {name: json.loads((runs[name] / "report.json").read_text(encoding="utf-8")) for name in runs}
    console.print()
    console.print("To run a party by hand, in three terminals:", highlight=False)
    for name in runs:
        console.print(
            f"  vfl run {folder / 'job.toml'} {folder / name / 'party.toml'}", highlight=False, soft_wrap=True
        )
    console.print(f"The full report, as a page: {runs[guest] / 'report.html'}\n", highlight=False, soft_wrap=True)
    print_summary(results[guest], console, runs[guest], [results[n] for n in others])


def load(options: Options) -> Demo:
    """The tables that the options name."""
    if options.data in ("breast", "credit-sim"):
        if options.label or options.guest_columns:
            raise ConfigError(
                f'--label and --guest go with a CSV file, not with "{options.data}"', remedy="Leave them out"
            )
        return breast_clinics() if options.data == "breast" else credit_sim(options.rows)
    if "." not in options.data and not Path(options.data).exists():
        raise ConfigError(
            f"--data {options.data} is none of the demo's tables, and no file",
            remedy='Use "breast", "credit-sim" or the path of a CSV file',
        )
    if not options.label or not options.guest_columns:
        raise ConfigError(
            "a CSV file needs --label and --guest",
            remedy="For example: --data clients.csv --label default --guest LIMIT_BAL,AGE",
        )
    return from_csv(options.data, options.label, options.guest_columns)


def fresh_folder(folder: Path) -> Path:
    """An empty folder; an earlier demo's is replaced, anything else is refused."""
    if folder.exists():
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder", remedy="Choose another one with --dir")
        if not (folder / MARKER).exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} holds something other than a demo", remedy="Choose another folder with --dir")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    return folder


def lay_out(demo: Demo, host: str, options: Options, folder: Path) -> None:
    """Three party folders with tables and pinned certificates, and the job."""
    ports = free_ports(2)
    addresses = {demo.guest_name: f"127.0.0.1:{ports[0]}", ARBITER: f"127.0.0.1:{ports[1]}"}
    tables: dict[str, pd.DataFrame | None] = {demo.guest_name: demo.guest, host: demo.hosts[host], ARBITER: None}
    roles: dict[str, Any] = {demo.guest_name: "guest", host: "host", ARBITER: "arbiter"}
    for name, table in tables.items():
        settings: dict[str, Any] = {"min_intersection": LEAST}
        if name in addresses:
            settings["listen"] = addresses[name]
        if roles[name] == "guest":
            settings["label"] = demo.label
        init_party(folder / name, roles[name], name, **settings)
        if table is not None:
            table.to_csv(folder / name / "customers.csv", index=False)
    for name in tables:
        for peer in tables:
            if peer != name:
                dials = (roles[name], roles[peer]) in {("host", "guest"), ("host", "arbiter"), ("arbiter", "guest")}
                trust_peer(folder / name, folder / peer / "identity" / "cert.pem", addresses[peer] if dials else None)
    (folder / "job.toml").write_text(job_text(demo, host, options), encoding="utf-8")


def job_text(demo: Demo, host: str, options: Options, *, name: str | None = None, seed: int = 7) -> str:
    """A job file.  seed: of the held-out rows."""
    return starter_job(
        name=name or f"demo-{demo.name}",
        guest=demo.guest_name,
        hosts=[host],
        arbiter=ARBITER,
        keys=[demo.key],
        normalise={demo.key: demo.normalise},
        min_intersection=LEAST,
        seed=seed,
        max_iter=options.passes,
        key_bits=options.key_bits,
    )


def free_ports(count: int) -> list[int]:
    """Ports of loopback that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def run_parties(names: tuple[str, ...], folder: Path, console: Console) -> dict[str, Path]:
    """Starts `vfl run` for each party, shows the first one's progress, and returns each run's folder."""
    processes = {name: start(folder, name) for name in names}
    outputs: dict[str, list[str]] = {name: [] for name in names}
    errors: dict[str, list[str]] = {name: [] for name in names}
    with shown(console) as watch:
        readers = [
            threading.Thread(target=read, args=(stream, sink, watch if first else None), daemon=True)
            for name, process in processes.items()
            for stream, sink, first in (
                (process.stdout, outputs[name], name == names[0]),
                (process.stderr, errors[name], False),
            )
        ]
        for reader in readers:
            reader.start()
        try:
            with stoppable(console):
                for process in processes.values():
                    process.wait()
        except BaseException:
            end(processes.values())
            raise
        for reader in readers:
            reader.join()
    for process in processes.values():
        process.stdout.close()  # type: ignore[union-attr]
        process.stderr.close()  # type: ignore[union-attr]
    failed = [name for name in names if processes[name].returncode != 0]
    if failed:
        for name in failed:
            console.print(f"{name}: {' '.join(errors[name]).strip()}", markup=False, highlight=False, soft_wrap=True)
        failure = VFLError(
            f"the demo did not finish: {', '.join(failed)} stopped with an error", remedy="Their messages are above"
        )
        failure.exit_code = max(processes[name].returncode for name in failed) or 1
        raise failure
    return {name: Path(json.loads(outputs[name][-1])["report"]).parent for name in names}


def start(folder: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vfl", "run", "--progress", "lines", "--connect-timeout", str(START_SECONDS)]
    command += [str(folder / "job.toml"), str(folder / name / "party.toml")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(processes: Iterable[subprocess.Popen[str]]) -> None:
    """Ends those that still run: asked to, they tell their peers; after STOP_SECONDS they are killed."""
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def shown(console: Console) -> Iterator[Bars | LogWatch]:
    """What shows the events of one party: bars on a terminal, log lines elsewhere."""
    if console.is_terminal:
        with make_progress(console) as progress:
            yield Bars(progress)
    else:
        with LogWatch(console.file) as lines:
            yield lines


class Bars:
    """One bar a phase of the party whose events it is given."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._tasks = progress, dict[str, TaskID]()

    def event(self, event: Event) -> None:
        phase = event.phase
        if phase is None:
            return
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(PHASES.get(phase, phase), total=1)
        task = self._tasks[phase]
        if event.event == "ends":
            total = next(t.total for t in self._progress.tasks if t.id == task)
            self._progress.update(task, completed=total or 1)
        elif event.event == "step":
            self._progress.update(task, completed=event.step, total=event.of)


def read(stream: IO[str], lines: list[str], watch: Bars | LogWatch | None) -> None:
    """Collects a stream's lines; those that are events go to `watch`."""
    for line in stream:
        lines.append(line.strip())
        if watch and line.startswith("{"):
            watch.event(msgspec.json.decode(line, type=Event))
