"""What aligning ids costs, from CSV to aligned CSV: two `vfl align` processes over TLS on one core, beside
pip-installable peers on the same core.

Prints a table and writes `benchmarks/results/alignment.json`.  Ids are texts of 18 bytes, half of them common.  Seconds
are from reading the first table to the last file written, connecting included and starting Python not; up to 2^14 ids
the median of five runs, beyond that one run.  The peer keeps its lists in memory and tells one side only.  Run it with
`make bench-alignment`, or `python -m benchmarks.alignment --sizes 10 17 --no-peers`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
SIZES = range(10, 21, 2)
REPEATS, REPEATED_UP_TO = 5, 14
SLOW_UP_TO = 17  # the portable path and the peers: 2^20 would take minutes
JOB = """\
name = "bench"
version = 1
[parties]
guest = "bank"
hosts = ["telecom"]
[align]
keys = [["customer_id"]]
[disclosure]
allow = ["intersection-to-parties"]
"""


def machine() -> dict[str, object]:
    """Where this was measured."""
    lines = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": lines[0] if lines else "unknown",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": sys.version.split()[0],
    }


def ids(n: int) -> tuple[list[str], list[str]]:
    """Two lists of n ids, shuffled, half of them common."""
    rng = np.random.default_rng(n)
    lists = [[f"customer-{i:09d}" for i in rng.permutation(np.arange(first, first + n))] for first in (0, n // 2)]
    return lists[0], lists[1]


def lay_out(folder: Path, n: int) -> None:
    """Both parties' folders, tables and the job."""
    from vfl.demo.run import free_ports
    from vfl.job.setup import init_party, trust_peer

    (port,) = free_ports(1)
    (folder / "job.toml").write_text(JOB)
    for (name, role), own in zip((("bank", "guest"), ("telecom", "host")), ids(n), strict=True):
        init_party(folder / name, role, name)
        pd.DataFrame({"customer_id": own, "a": np.arange(n), "b": np.linspace(0, 1, n).round(6)}).to_csv(
            folder / name / "customers.csv", index=False
        )
        path = folder / name / "party.toml"
        path.write_text(re.sub(r"listen = .*", f'listen = "127.0.0.1:{port}"', path.read_text()))
    trust_peer(folder / "bank", folder / "telecom" / "identity" / "cert.pem")
    trust_peer(folder / "telecom", folder / "bank" / "identity" / "cert.pem", f"127.0.0.1:{port}")


def party(folder: Path, name: str) -> None:
    """One party's process: says that it is ready, waits for a line, aligns, and prints what that took."""
    from protocols.session import Observer
    from vfl.job import load_agreement, load_party
    from vfl.run.align import align, prepare

    print("ready", flush=True)
    sys.stdin.readline()
    start, cpu = time.perf_counter(), time.process_time()
    run, report = align(
        prepare(load_agreement(folder / "job.toml"), load_party(folder / name / "party.toml"), "csv"), Observer()
    )
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    phases = json.loads((run / "alignment.json").read_text())["phases"]
    assert report is not None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": cpu,
                "peak": peak,
                "sent": sum(p["bytes_sent"] for p in phases),
                "common": report.common,
            }
        ),
        flush=True,
    )


def ours(n: int, backend: str, core: int) -> dict[str, Any]:
    """One run of both parties on one core."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, n)
        environment = {**os.environ, "VFL_NATIVE_BACKEND": backend, "PYTHONPATH": str(ROOT)}
        command = ["taskset", "-c", str(core), sys.executable, "-m", "benchmarks.alignment", "--party", str(folder)]
        started = [
            subprocess.Popen(
                [*command, p], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for p in ("bank", "telecom")
        ]
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        results = [json.loads(out) for out in communicate(started)]
    assert all(r["common"] == n // 2 for r in results)
    return {
        "seconds": max(r["seconds"] for r in results),
        "cpu_seconds": sum(r["cpu"] for r in results),
        "bytes": sum(r["sent"] for r in results),
        "peak_bytes": max(r["peak"] for r in results),
    }


def communicate(started: list[subprocess.Popen[str]]) -> list[str]:
    """Lets all go, and returns what each printed."""
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate()[0] for process in started]
    assert not any(process.returncode for process in started)
    return outputs


def openmined(n: int, folder: Path) -> None:
    """OpenMined's ECDH-PSI, both sides in this process, the client alone learns; prints what it took."""
    import private_set_intersection.python as psi

    mine, theirs = ids(n)
    for name, own in (("client", mine), ("server", theirs)):
        pd.DataFrame({"customer_id": own, "a": np.arange(n)}).to_csv(folder / f"{name}.csv", index=False)
    start, cpu = time.perf_counter(), time.process_time()
    frames = [pd.read_csv(folder / f"{name}.csv", dtype={"customer_id": str}) for name in ("client", "server")]
    lists = [frame["customer_id"].tolist() for frame in frames]
    client, server = psi.client.CreateWithNewKey(True), psi.server.CreateWithNewKey(True)
    setup = server.CreateSetupMessage(0.0, n, lists[1], psi.DataStructure.RAW)
    request = client.CreateRequest(lists[0])
    response = server.ProcessRequest(request)
    sent = sum(len(m.SerializeToString()) for m in (setup, request, response))
    rows = client.GetIntersection(setup, response)
    frames[0].iloc[sorted(rows)].to_csv(folder / "aligned.csv", index=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert len(rows) == n // 2
    found = {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "bytes": sent,
        "peak_bytes": peak,
    }
    print(json.dumps(found), flush=True)


def peer(n: int, core: int) -> dict[str, Any]:
    """One run of the peer on one core, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "taskset",
            "-c",
            str(core),
            sys.executable,
            "-m",
            "benchmarks.alignment",
            "--openmined",
            str(n),
            folder,
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def nanoseconds(backend: str, core: int) -> float:
    """A scalar product on one core, the median of five vectors."""
    code = (
        "import time, statistics as s; from protocols.ristretto import PointVec; from protocols.randomness "
        "import Seed\n"
        "p = PointVec.hash_to_group([b'%d' % i for i in range(8192)], b'bench'); k = Seed('x', "
        "bytes(range(32))).scalar(); t = []\n"
        "for _ in range(5):\n    a = time.process_time(); p * k; t.append((time.process_time() - a) / 8192 * 1e9)\n"
        "print(s.median(t))"
    )
    environment = {**os.environ, "VFL_NATIVE_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = ["taskset", "-c", str(core), sys.executable, "-c", code]
    return float(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout)


def middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure."""
    return {key: round(median(run[key] for run in runs), 3) for key in runs[0]}


def why_no_peer() -> str:
    """Why OpenMined's library does not run here; empty if it does."""
    try:
        import private_set_intersection.python  # noqa: F401
    except ImportError as error:
        return f"openmined.psi cannot be imported ({type(error).__name__}): pip install openmined.psi"
    return ""


def measure(sizes: list[int], with_peers: bool, core: int) -> list[dict[str, Any]]:
    """All rows."""
    from protocols._native import backend

    backends = list(dict.fromkeys((backend(), "serial")))
    products = {b: round(nanoseconds(b, core)) for b in backends}
    rows: list[dict[str, Any]] = []
    skipped = why_no_peer()

    def add(who: str, log2: int, run: Any, **more: Any) -> None:
        found = middle([run() for _ in range(REPEATS if log2 <= REPEATED_UP_TO else 1)])
        rows.append({"who": who, "ids": 2**log2, **found, **more})
        print(
            f"{who:<14} 2^{log2:<3} {found['seconds']:>9.2f} s  cpu {found['cpu_seconds']:>8.2f} s  "
            f"{found['bytes'] / 1e6:>8.2f} MB  peak {found['peak_bytes'] / 2**20:>7.0f} MiB",
            flush=True,
        )

    for log2 in sizes:
        for b in backends:
            if b != "serial" or log2 <= SLOW_UP_TO:
                add(f"vfl {b}", log2, lambda b=b, n=2**log2: ours(n, b, core), ns_a_product=products[b])
        if with_peers and log2 <= SLOW_UP_TO and not skipped:
            add("openmined psi", log2, lambda n=2**log2: peer(n, core))
    if skipped:
        rows.append({"who": "openmined psi", "skipped": skipped})
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="logarithms to base 2")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "alignment.json")
    parser.add_argument("--party", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--openmined", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.party:
        party(Path(options.party[0]), options.party[1])
    elif options.openmined:
        openmined(int(options.openmined[0]), Path(options.openmined[1]))
    else:
        where = machine()
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()
        rows = measure(options.sizes, not options.no_peers, options.core)
        options.output.parent.mkdir(exist_ok=True)
        options.output.write_text(
            json.dumps({"machine": where, "commit": commit or "unknown", "rows": rows}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
