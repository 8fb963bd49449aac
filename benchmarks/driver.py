"""What a party with workers of its own takes, and what `vfl check` says before: memory of the command itself (driver)
and of each worker, and time.

    python -m benchmarks.driver [alignment|prediction|logistic-regression|boosted-trees|open-trees]
        [--rows 100000 1000000] [--columns GUEST HOST] [--workers 2] [--engine ray] [--bits 2048] [--iterations 5]
        [--alone]

Generated Parquet tables, all rows common.  Every party is a process of its own; the guest has workers, the others have
none (--alone: nobody has any).  Workers and the other parties have one thread each.  A prediction is that of a
regression whose parties know their weights, which is trained on a few rows before, in this process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.memory import ALIGNMENT, NAMES, lay_out, parties_of, tables
from protocols.cipher import Identity
from protocols.local import run_local
from tests.promises.clusters.clusters import name, write_key
from vfl.cost import cost, estimate, prepared
from vfl.cost.jobs import OTHERS
from vfl.cost.machine import Machine
from vfl.cost.memory import Size, own_bytes
from vfl.data.extras import needed
from vfl.job import load_job, load_party
from vfl.models.part_files import save_part
from vfl.models.workload import Workload
from vfl.run import train

STEP = 1 << 18  # rows that are generated at a time
MIB = 1 << 20
PREDICTION, FIRST = "prediction", 300
SCORING = ("bank", "telecom")


def generate(folder: Path, rows: int, guest: int, host: int) -> None:
    """Both parties' tables, the host's rows in another order of blocks."""
    pyarrow, parquet = needed("pyarrow", "benchmarks"), needed("pyarrow.parquet", "benchmarks")
    starts = list(range(0, rows, STEP))
    for party, prefix, columns, order in (("bank", "x", guest, starts), ("telecom", "y", host, starts[::-1])):
        writer = None
        for start in order:
            size, rng = min(STEP, rows - start), np.random.default_rng([11, start])
            shared = rng.normal(size=size)
            ids = np.char.add("customer-", np.char.zfill(np.arange(start, start + size).astype(str), 10))
            found = {"id": pyarrow.array(ids)}
            if party == "bank":
                found["label"] = pyarrow.array((rng.random(size) < 1 / (1 + np.exp(1.5 - shared))).astype(np.int64))
            for number in range(columns):
                values = 0.8 * np.random.default_rng([12, start, number, ord(prefix)]).normal(size=size) + 0.6 * shared
                found[f"{prefix}{number}"] = pyarrow.array(values.round(4))
            table = pyarrow.table(found)
            writer = writer or parquet.ParquetWriter(folder / party / "customers.parquet", table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()
        file = folder / party / "party.toml"
        file.write_text(file.read_text().replace('source = "customers.csv"', 'source = "customers.parquet"'))


@dataclass
class Watch:
    """The most memory that each process below one has held, and its CPU seconds."""

    pid: int
    memory: dict[int, int] = field(default_factory=dict)  # of its own and of files
    own: dict[str, int] = field(default_factory=dict)  # by phase, of the process itself without files
    theirs: dict[str, int] = field(default_factory=dict)  # the same of the worker that has the most
    phase: str = "start"
    shared: dict[int, int] = field(default_factory=dict)  # with others: what it has used of an object store
    names: dict[int, str] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    phases: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # time and CPU seconds, twice each
    over: bool = False

    def look(self) -> None:
        for pid in below(self.pid):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            except OSError:
                continue
            held = dict(line.split()[:2] for line in status.splitlines() if line.startswith("Rss"))
            if held:
                own = 1024 * (int(held["RssAnon:"]) + int(held["RssFile:"]))
                self.memory[pid] = max(self.memory.get(pid, 0), own)
                self.names[pid] = name(pid)
                if pid == self.pid or is_worker(self.names[pid]):
                    phases = self.own if pid == self.pid else self.theirs
                    phases[self.phase] = max(phases.get(self.phase, 0), 1024 * int(held["RssAnon:"]))
                self.shared[pid] = max(self.shared.get(pid, 0), 1024 * int(held["RssShmem:"]))
                self.seconds[pid] = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def run(self) -> None:
        while not self.over:
            self.look()
            time.sleep(0.1)

    def listen(self, lines: Iterable[str]) -> None:
        """Notes when phases begin and end, from what a command prints."""
        for line in lines:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") in ("begins", "ends"):
                self.look()
                self.phase = event["phase"] if event["event"] == "begins" else f"after {event['phase']}"
                self.phases.setdefault(event["phase"], []).append((time.perf_counter(), sum(self.seconds.values())))

    def workers(self, of: dict[int, float] | dict[int, int]) -> list[float]:
        """Of each worker's process."""
        cells = [pid for pid, said in self.names.items() if is_worker(said)]
        return [of[pid] for pid in cells if self.memory[pid] > 100 * MIB]

    def told(self) -> str:
        held, store = (f"{of[self.pid] / MIB:,.0f}" for of in (self.memory, self.shared))
        theirs = ", ".join(f"{phase} {most / MIB:,.0f}" for phase, most in self.theirs.items())
        workers = f"{[round(m / MIB) for m in self.workers(self.memory)]} MiB ({theirs} without files)"
        phases = ", ".join(
            f"{phase} {last[0] - first[0]:,.1f} s and {last[1] - first[1]:,.1f} CPU s"
            for phase, (first, *_, last) in self.phases.items()
        )
        own = ", ".join(f"{phase} {most / MIB:,.0f}" for phase, most in self.own.items())
        told = f"{held} MiB ({own} without files) and {store} of the object store, {self.seconds[self.pid]:,.1f} CPU s"
        return f"{told}; workers {workers}, {[round(s) for s in self.workers(self.seconds)]} CPU s; {phases}"


def is_worker(said: str) -> bool:
    return said.startswith("ray::Cell") or "spawn_main" in said


def below(pid: int) -> list[int]:
    """A process and every process below it."""
    parents = dict[int, list[int]]()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def vfl(command: str, folder: Path, party: str, *options: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    words = [command, *options, str(folder / "job.toml"), str(folder / party / "party.toml")]
    with (folder / f"{party}.err").open("w") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "vfl", *words], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )


def ended(process: subprocess.Popen[str], folder: Path, party: str) -> None:
    if process.wait():
        raise SystemExit(f"{party}: {(folder / f'{party}.err').read_text()}")


def all_cpu_seconds(folder: Path, command: str, rows: int, columns: int) -> float:
    """What the cost model predicts, of all parties and without their starts: the machine's cores are shared here, and
    `vfl check` says how long it takes on a machine for each."""
    job = load_job(folder / "job.toml") if command == "run" else None
    aligned = Workload("alignment", round(rows / (1 + OTHERS)))
    if job is None:
        return cost.one_core_s(aligned, 0, Machine.measured(0))
    work, bits = estimate.workload(job, rows, columns), job.crypto.key_bits
    assert work is not None
    machine = Machine.measured(bits)
    whole = cost.one_core_s(work, bits, machine)
    if chunks := estimate.chunks_of(job, work):
        whole = sum(prepared.one_core_s(chunks, work, bits, machine)) + cost.one_core_s(aligned, 0, machine)
    return whole


def measured(folder: Path, command: str, parties: Sequence[str], rows: int, columns: int) -> dict[str, Watch]:
    """Prints what `vfl check` says, and what a run takes."""
    print(f"  predicted: {all_cpu_seconds(folder, command, rows, columns):,.0f} CPU s of all parties", flush=True)
    check = vfl("check", folder, "bank", "--json")
    out, _ = check.communicate()
    ended(check, folder, "bank")
    facts = json.loads(out)["facts"]
    for what in ("time", "memory", "workers"):
        print(f"  predicted {what}: {facts.get(what, 'nothing')}", flush=True)
    return watched(folder, command, {party: [] for party in parties}, rows)


def watched(folder: Path, command: str, parties: Mapping[str, Sequence[str]], rows: int) -> dict[str, Watch]:
    """Prints what a run takes; parties: with options of their commands."""
    start, load = time.perf_counter(), os.getloadavg()[0]
    running = {party: vfl(command, folder, party, "--progress", "lines", *more) for party, more in parties.items()}
    watches = {party: Watch(process.pid) for party, process in running.items()}
    threads = [threading.Thread(target=watch.run, daemon=True) for watch in watches.values()]
    for party, process in running.items():
        assert process.stdout is not None
        threads.append(threading.Thread(target=watches[party].listen, args=(process.stdout,), daemon=True))
    for thread in threads:
        thread.start()
    try:
        for party, process in running.items():
            ended(process, folder, party)
    finally:
        for process in running.values():
            process.kill()  # those that wait for one that has failed
            process.wait()
    for watch in watches.values():
        watch.over = True
    for thread in threads:
        thread.join()
    for process in running.values():
        assert process.stdout is not None
        process.stdout.close()
    wall = time.perf_counter() - start
    for party, watch in watches.items():
        print(f"  {rows:,} rows, {party}: {watch.told()}", flush=True)
    print(f"  all: {wall:,.0f} s, load {load:.1f} before, {os.getloadavg()[0]:.1f} after", flush=True)
    return watches


@dataclass(frozen=True)
class Options:
    """What is measured: the kind, the columns of guest and host, the guest's workers (0: none), the bits of a key, and
    iterations or trees."""

    what: str = ALIGNMENT
    columns: Sequence[int] = (5, 5)
    workers: int = 2
    engine: str = "ray"
    bits: int = 2048
    iterations: int = 5


def give_workers(folder: Path, options: Options) -> None:
    """To the guest, if it is to have some."""
    if options.workers:
        write_key(folder / "bank" / "compute.key")
        section = f'\n[compute]\nengine = "{options.engine}"\nworkers = {options.workers}\nkey = "compute.key"\n'
        file = folder / "bank" / "party.toml"
        file.write_text(file.read_text() + section)


def trained(folder: Path, options: Options) -> dict[str, Path]:
    """Lays out a job, and trains it in this process on `FIRST` rows: the parts of the parties that score without the
    arbiter."""
    lay_out(folder, tables(FIRST, *options.columns), "logistic-regression", options.bits, options.iterations)
    file = folder / "job.toml"
    known = 'allow = [\n  "guest-weights-to-guest",\n  "host-weights-to-host",\n'
    file.write_text(file.read_text().replace("allow = [\n", known, 1))
    job = load_job(file)
    ready = {party: train.prepare(job, load_party(folder / party / "party.toml")) for party in NAMES}
    found = run_local(ready["bank"].roles, {party: train.program(one) for party, one in ready.items()}, Identity())
    models = {party: folder / party / "runs" / "earlier" / "model" for party in SCORING}
    for party, model in models.items():
        model.parent.mkdir(parents=True)
        save_part(found[party].part, model, kind=job.model.kind, job_digest=job.digest)
    return models


def scored(folder: Path, models: Mapping[str, Path], rows: int, options: Options) -> dict[str, Watch]:
    """Scores as many rows."""
    size = Size(rows, options.columns[0], rows)
    needs = own_bytes(load_job(folder / "job.toml"), "guest", size, "predict", workers=bool(options.workers))
    print(f"  predicted memory: {needs / MIB:,.0f} MiB", flush=True)
    return watched(folder, "predict", {party: ["--model", str(model)] for party, model in models.items()}, rows)


def of_rows(rows: int, options: Options) -> dict[str, Watch]:
    """Lays a job over this many rows out, and measures it."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        if options.what == PREDICTION:
            models = trained(folder, options)
            generate(folder, rows, *options.columns)
            give_workers(folder, options)
            return scored(folder, models, rows, options)
        lay_out(folder, {}, options.what, options.bits, options.iterations)
        if options.what == ALIGNMENT:
            job = folder / "job.toml"
            text = job.read_text().partition("[split]")[0]
            job.write_text(text + '[disclosure]\nallow = ["intersection-to-parties"]\n')
        generate(folder, rows, *options.columns)
        give_workers(folder, options)
        parties = list(parties_of(options.what))
        command = "align" if options.what == ALIGNMENT else "run"
        return measured(folder, command, parties, rows, options.columns[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default=ALIGNMENT)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--columns", type=int, nargs=2, default=[5, 5])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engine", choices=("ray", "dask"), default="ray")
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--alone", action="store_true")
    given = parser.parse_args()
    options = Options(
        given.what, given.columns, 0 if given.alone else given.workers, given.engine, given.bits, given.iterations
    )
    for rows in given.rows:
        of_rows(rows, options)


if __name__ == "__main__":
    main()
