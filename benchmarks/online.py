"""How long an online score takes, from the request of the bank's system to the answer: three nodes on this machine,
each with its own process of the model, over mutual TLS.

    python -m benchmarks.online [--bits 16 20] [--samples N] [--reveal | --trees 100 --depth 5] [--connections C]

A model is trained on 2,000 customers; then the host publishes 2^bits of them, real ones and made-up ones.  One system
asks one query after the other over one connection, half of them about customers that the host knows; then C
connections ask at once.  All parties share this machine, so that times are those of three parties' work and no network.
Each answer from the partners is counted as one that is not partial, or is partial because the host does not know the
customer.  Prints milliseconds, and the machine's load before and after.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.randomness import run_seed
from vfl.data.normalise import normaliser
from vfl.demo.datasets import Demo, credit_sim
from vfl.demo.run import ARBITER, Options, free_ports, lay_out, run_parties
from vfl.job import starter_job
from vfl.job.starter import starter_permits
from vfl.node.online.publications import Publications
from vfl.screen.console import Console
from vfl.storage.files import write_private

ROWS, KEY_BITS, PASSES, HOST, TREES = 2000, 2048, 10, "telecom", "boosted-trees"
SECTION = """
[node]
[node.online]
seconds = 30.0
per_second = 100000.0
burst = 100000
[node.http]
listen = "127.0.0.1:{port}"
[node.http.access.system]
token = "token"
roles = ["score"]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 20], help="of the number of customers")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--reveal", action="store_true", help="all weights are known to their owners")
    parser.add_argument("--trees", type=int, help="sealed trees in the place of a regression, and how many")
    parser.add_argument("--depth", type=int, default=5, help="of sealed trees")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bank = Bank(Path(folder), Model(options.reveal, options.trees, options.depth))
        for bits in options.bits:
            with bank.published(bits) as seconds:
                bank.measured(bits, seconds, options.samples, options.connections)


@dataclass(frozen=True)
class Model:
    """What is published.  reveal: whether all know their weights; trees: none for a regression."""

    reveal: bool
    trees: int | None
    depth: int

    @property
    def job(self) -> dict[str, Any]:
        """What the job says of it."""
        if self.trees is None:
            return {"max_iter": PASSES, "reveal": ("guest", "hosts") if self.reveal else ()}
        return {"kind": TREES, "n_estimators": self.trees, "max_depth": self.depth}

    @property
    def permits(self) -> tuple[str, ...]:
        """What a party's file allows besides what a regression needs."""
        if self.trees is None:
            return ("guest-weights-to-guest", "host-weights-to-host") if self.reveal else ()
        return tuple(sorted({*starter_permits(TREES)} - {*starter_permits("logistic-regression")}))

    def __str__(self) -> str:
        if self.trees is not None:
            return f"{self.trees} sealed trees of depth {self.depth}"
        return f"weights {'known to their owners' if self.reveal else 'shared'}"


class Bank:
    """Three parties with a trained model."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.folder, self.model, self.demo = folder, model, credit_sim(ROWS)
        self.names = (self.demo.guest_name, HOST, ARBITER)
        lay_out(self.demo, HOST, Options("credit-sim", None, None, ROWS, KEY_BITS, PASSES, folder), folder)
        self.job = folder / "job.toml"
        self.job.write_text(job_text(self.demo, model))
        (self.port,), self.token = free_ports(1), run_seed().hex()
        for name in self.names:
            file = folder / name / "party.toml"
            text = file.read_text()
            for old in ("queries_per_partner_per_day = 10000", "queries_per_id_per_month = 10"):
                text = text.replace(old, old.partition(" = ")[0] + " = 1000000")
            permits = "".join(f'  "{permit}",\n' for permit in model.permits)
            text = text.replace("allow = [\n", f"allow = [\n{permits}", 1)
            text = text.replace("rows_per_label_number = 50", "rows_per_label_number = 1")
            section = SECTION.format(port=self.port) if name == self.demo.guest_name else "\n[node]\n"
            write_private(file, (text + section).encode())
        write_private(folder / self.demo.guest_name / "token", self.token.encode())
        runs = run_parties(self.names, folder, Console(stderr=True))
        self.models = {name: run / "model" for name, run in runs.items() if (run / "model").exists()}

    @contextlib.contextmanager
    def published(self, bits: int) -> Iterator[float]:
        """Nodes that answer; the seconds from the publication to that."""
        table = customers(self.demo, 2**bits)
        table.to_parquet(self.folder / HOST / f"{bits}.parquet")
        processes = [self.vfl("start", self.party(name), wait=False) for name in self.names]
        digest, began = "", time.monotonic()
        try:
            for name in self.names:
                words = [self.job, self.party(name), *(["--model", self.models[name]] if name in self.models else [])]
                words += ["--data", self.folder / HOST / f"{bits}.parquet"] if name == HOST else []
                digest = json.loads(self.vfl("publish", *words, "--json"))["published"]["job_digest"]
            state = Publications(self.folder / self.names[0] / "node")
            while (found := state.state(digest)) is None or found.doing != "answering":
                time.sleep(0.1)
            yield time.monotonic() - began
        finally:
            for name in self.names:
                self.vfl("withdraw", digest, self.party(name))
            locks = [self.folder / n / "node" / "online" / "processes" / f"{digest}.lock" for n in self.names]
            while any(alive(lock) for lock in locks):
                time.sleep(0.1)
            for process in processes:
                process.terminate()
                process.wait()

    def party(self, name: str) -> Path:
        return self.folder / name / "party.toml"

    def vfl(self, *words: object, wait: bool = True) -> Any:
        command = [sys.executable, "-m", "vfl", "node", *map(str, words)]
        if wait:
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout
        with (self.folder / "nodes.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def measured(self, bits: int, seconds: float, samples: int, connections: int) -> None:
        """Asks, and prints."""
        load = os.getloadavg()[0]
        queries = self.queries(samples)
        self.ask(queries[:20])  # connections are opened
        times, answers = self.ask(queries)
        shared, outcomes = queue.SimpleQueue[list[tuple[str, bytes]]](), list[tuple[list[float], int]]()
        for at in range(connections):
            shared.put(queries[at::connections])
        began = time.perf_counter()
        threads = [threading.Thread(target=lambda: outcomes.append(self.ask(shared.get()))) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = samples / (time.perf_counter() - began)
        at_once = [one for each, _ in outcomes for one in each]
        print(f"2^{bits} customers, {self.model}: published in {seconds:.0f} s", flush=True)
        print(f"  one by one: {told(times)}; {answers} of {samples} answered by the partners")
        right = sum(n for _, n in outcomes)
        print(f"  {connections} connections: {told(at_once)}; {rate:.0f} per second; {right} of {samples} answered")
        print(f"  load of {os.cpu_count()} CPUs: {load:.2f} before, {os.getloadavg()[0]:.2f} after", flush=True)

    def queries(self, samples: int) -> list[tuple[str, bytes]]:
        """Known and unknown customers by turns: what is due, and the body."""
        guest, key = self.demo.guest, self.demo.key
        own = [name for name in guest.columns if name not in (key, self.demo.label)]
        common = pair(guest, self.demo.hosts[HOST], key, self.demo.normalise)
        found = list[tuple[str, bytes]]()
        for at in range(samples):
            row = guest.iloc[common[at // 2 % len(common)]]
            name = str(row[key]) if at % 2 == 0 else f"{10**10 + 7 * at}"
            features = {column: None if pd.isna(row[column]) else row[column].item() for column in own}
            body = json.dumps({"id": name, "features": features}).encode()
            found.append(("known" if at % 2 == 0 else "unknown", body))
        return found

    def ask(self, queries: Sequence[tuple[str, bytes]]) -> tuple[list[float], int]:
        """Milliseconds of each, and how many the partners answered as is due."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        head, times, good = {"Authorization": f"Bearer {self.token}"}, list[float](), 0
        for sort, body in queries:
            began = time.perf_counter()
            connection.request("POST", "/v1/score", body, head)
            answer = connection.getresponse()
            data = answer.read()
            times.append(1e3 * (time.perf_counter() - began))
            score = json.loads(data)["score"] if answer.status == 200 else {}
            good += score.get("why", "") == (None if sort == "known" else "unknown")
        connection.close()
        return times, good


def told(times: Sequence[float]) -> str:
    half, most, last = np.percentile(times, [50, 99, 100])
    return f"p50 {half:.1f} ms, p99 {most:.1f} ms, longest {last:.1f} ms ({len(times)} samples)"


def customers(demo: Demo, rows: int) -> pd.DataFrame:
    """The host's table, and copies of its rows under ids that nobody has."""
    table = demo.hosts[HOST].drop_duplicates(demo.key)
    rng = np.random.default_rng(1)
    more = table.iloc[rng.integers(0, len(table), max(0, rows - len(table)))].copy()
    more[demo.key] = [str(5 * 10**11 + at) for at in range(len(more))]
    return pd.concat([table, more], ignore_index=True).iloc[:rows]


def pair(guest: pd.DataFrame, host: pd.DataFrame, key: str, rule: str) -> list[int]:
    """Rows of the guest's that the host has too."""
    ids = [list(normaliser(rule).many([str(value) for value in table[key]])) for table in (guest, host)]
    there = set(ids[1])
    return [row for row, value in enumerate(ids[0]) if value in there]


def job_text(demo: Demo, model: Model) -> str:
    return starter_job(
        name="online",
        guest=demo.guest_name,
        hosts=[HOST],
        arbiter=ARBITER,
        keys=[demo.key],
        normalise={demo.key: demo.normalise},
        min_intersection=100,
        key_bits=KEY_BITS,
        **model.job,
    )


def alive(lock: Path) -> bool:
    from vfl.node.processes import is_locked

    return lock.exists() and is_locked(lock)


if __name__ == "__main__":
    main()
