"""What a party with workers of its own takes, and what `vfl check` says before: memory of the command itself (driver)
and of each worker, and time.

    python -m benchmarks.driver [alignment|logistic-regression|boosted-trees|open-trees] [--rows 100000 1000000]
        [--columns GUEST HOST] [--workers 2] [--engine ray] [--bits 2048] [--iterations 5] [--alone]

Generated Parquet tables, all rows common.  Every party is a process of its own; the guest has workers, the others have
none (--alone: nobody has any).  Workers and the other parties have one thread each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.memory import ALIGNMENT, NAMES, lay_out
from tests.promises.clusters.clusters import children, name, write_key
from vfl.data.extras import needed

STEP = 1 << 18  # rows that are generated at a time
MIB = 1 << 20


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
    """The most memory that each process below one has held, and its CPU seconds, by its place."""

    pid: int
    memory: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    over: bool = False

    def look(self) -> None:
        for pid in (self.pid, *children(self.pid)):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
            if peak:
                self.memory[pid] = max(self.memory.get(pid, 0), 1024 * int(peak[0]))
                self.names[pid] = name(pid)
                self.seconds[pid] = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def run(self) -> None:
        while not self.over:
            self.look()
            time.sleep(0.2)

    def workers(self, of: dict[int, float] | dict[int, int]) -> list[float]:
        """Of each worker's process."""
        cells = [pid for pid, said in self.names.items() if said.startswith("ray::Cell") or "spawn_main" in said]
        return [of[pid] for pid in cells if self.memory[pid] > 100 * MIB]


def vfl(command: str, folder: Path, party: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.Popen(
        [sys.executable, "-m", "vfl", command, str(folder / "job.toml"), str(folder / party / "party.toml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def measured(folder: Path, command: str, parties: Sequence[str], rows: int) -> None:
    """Prints what `vfl check` says, and what a run takes."""
    check = vfl("check", folder, "bank")
    out, err = check.communicate()
    if check.returncode:
        raise SystemExit(err)
    said = " ".join(out.split())
    for what in ("time ", "workers "):
        at = said.find(what)
        print(f"  predicted: {said[at : at + 260] if at >= 0 else 'nothing'}", flush=True)
    start, load = time.perf_counter(), os.getloadavg()[0]
    running = {party: vfl(command, folder, party) for party in parties}
    watches = {party: Watch(process.pid) for party, process in running.items()}
    threads = [threading.Thread(target=watch.run, daemon=True) for watch in watches.values()]
    for thread in threads:
        thread.start()
    for party, process in running.items():
        _, err = process.communicate()
        if process.returncode:
            raise SystemExit(f"{party}: {err}")
    wall = time.perf_counter() - start
    for party, watch in watches.items():
        watch.over = True
        workers = watch.workers(watch.memory)
        print(
            f"  {rows:,} rows, {party}: driver {watch.memory[watch.pid] / MIB:,.0f} MiB, "
            f"{watch.seconds[watch.pid]:,.1f} CPU s; workers {[round(m / MIB) for m in workers]} MiB, "
            f"{[round(s) for s in watch.workers(watch.seconds)]} CPU s; wall {wall:,.0f} s, load {load:.1f}",
            flush=True,
        )


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
    options = parser.parse_args()
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root)
            lay_out(folder, {}, options.what, options.bits, options.iterations)
            if options.what == ALIGNMENT:
                job = folder / "job.toml"
                text = job.read_text().partition("[split]")[0]
                job.write_text(text + '[disclosure]\nallow = ["intersection-to-parties"]\n')
            generate(folder, rows, *options.columns)
            if not options.alone:
                write_key(folder / "bank" / "compute.key")
                section = (
                    f'\n[compute]\nengine = "{options.engine}"\nworkers = {options.workers}\nkey = "compute.key"\n'
                )
                file = folder / "bank" / "party.toml"
                file.write_text(file.read_text() + section)
            parties = [one for one in NAMES if options.what != ALIGNMENT or one in ("bank", "telecom")]
            measured(folder, "align" if options.what == ALIGNMENT else "run", parties, rows)


if __name__ == "__main__":
    main()
