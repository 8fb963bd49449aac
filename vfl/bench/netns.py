"""The networks for real: a network namespace for each party, packets delayed and throttled by the kernel, three
processes over mutual TLS.

Each time is shown together with what the replay of `vfl.cost.network` says of the same job on the same machine.  Needs
root, `ip` and `tc`; says so elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from protocols.cipher import Paillier
from protocols.errors import LocalProtocolError
from vfl.cost.jobs import run as metered
from vfl.cost.jobs import tables
from vfl.cost.network import NETWORKS, Network, play
from vfl.models.workload import Workload

ADDRESSES = {"guest": "10.78.0.1", "arbiter": "10.78.0.2", "host1": "10.78.0.3"}
PORT, KEY_BITS = 7443, 2048
WORK = Workload("logistic", 2000, passes=10)


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """A row a network, or why there is none."""
    for tool in ("ip", "tc"):
        if not shutil.which(tool):
            return {"skipped": f"there is no `{tool}` command"}
    try:
        with namespaces() as inside, tempfile.TemporaryDirectory() as name:
            lay_out(Path(name))
            throttle(inside, NETWORKS[0])  # before anything is measured: can this machine do it at all?
            events = {party: meter.events for party, meter in metered(WORK, Paillier(KEY_BITS)).meters.items()}
            rows = []
            for network in NETWORKS:
                throttle(inside, network)
                say(f"network namespaces: {network.name}")
                rows.append(
                    {
                        "network": network.name,
                        "measured_s": run(Path(name), inside),
                        "replayed_s": play(events, network),
                    }
                )
            return {"work": WORK.as_dict(), "key_bits": KEY_BITS, "rows": rows}
    except LocalProtocolError as error:
        return {"skipped": error.what}
    except subprocess.CalledProcessError:
        return {
            "skipped": "this account may not make network namespaces, or this kernel cannot delay packets (tc netem)"
        }


@contextlib.contextmanager
def namespaces() -> Iterator[dict[str, list[str]]]:
    """A namespace a party with a switch between; gives the command that runs another one inside."""
    mark = f"vflbench{os.getpid()}"
    names = {who: f"{mark}-{who}" for who in ("switch", *ADDRESSES)}
    try:
        for name in names.values():
            command("ip", "netns", "add", name)
            command("ip", "-n", name, "link", "set", "lo", "up")
        switch = names.pop("switch")
        command("ip", "-n", switch, "link", "add", "br0", "type", "bridge")
        command("ip", "-n", switch, "link", "set", "br0", "up")
        for who, name in names.items():
            command("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", who, "netns", switch)
            command("ip", "-n", switch, "link", "set", who, "master", "br0", "up")
            command("ip", "-n", name, "address", "add", f"{ADDRESSES[who]}/24", "dev", "eth0")
            command("ip", "-n", name, "link", "set", "eth0", "up")
        yield {who: ["ip", "netns", "exec", name] for who, name in names.items()}
    finally:
        for who in ("switch", *ADDRESSES):
            subprocess.run(["ip", "netns", "delete", f"{mark}-{who}"], capture_output=True, check=False)


def throttle(inside: dict[str, list[str]], network: Network) -> None:
    """Half the round trip and the rate on every party's way out."""
    shape = [
        "delay",
        f"{network.round_trip_s * 5e5:.0f}us",
        "rate",
        f"{network.bits_per_second:.0f}bit",
        "limit",
        "100000",
    ]
    for prefix in inside.values():
        command(*prefix, "tc", "qdisc", "replace", "dev", "eth0", "root", "netem", *shape)


def lay_out(folder: Path) -> None:
    """Three parties' folders as institutions have them, and the job."""
    from vfl.job.setup import init_party, trust_peer
    from vfl.job.starter import starter_job

    data = tables(WORK)
    frames = {"guest": data.guest, **data.hosts}
    for name, address in ADDRESSES.items():
        role: Any = name.rstrip("1")
        settings: dict[str, Any] = {"min_intersection": 1}
        settings |= {"listen": f"{address}:{PORT}"} if role != "host" else {}
        settings |= {"label": "label"} if role == "guest" else {}
        init_party(folder / name, role, name, **settings)
        if name in frames:
            frames[name].to_csv(folder / name / "customers.csv", index=False)
    for name in ADDRESSES:
        for peer, address in ADDRESSES.items():
            if peer != name:
                dials = (name, peer) in {("host1", "guest"), ("host1", "arbiter"), ("arbiter", "guest")}
                trust_peer(
                    folder / name, folder / peer / "identity" / "cert.pem", f"{address}:{PORT}" if dials else None
                )
    job = starter_job(
        name="bench",
        guest="guest",
        hosts=["host1"],
        arbiter="arbiter",
        keys=["id"],
        normalise={"id": "text"},
        min_intersection=1,
        test=0.0,
        key_bits=KEY_BITS,
        max_iter=WORK.passes,
    )
    (folder / "job.toml").write_text(job, encoding="utf-8")


def run(folder: Path, inside: dict[str, list[str]]) -> float:
    """Seconds of alignment and training at the guest; connecting is left out."""
    processes = {}
    for name, prefix in inside.items():
        ask = [
            sys.executable,
            "-m",
            "vfl",
            "run",
            "--progress",
            "none",
            str(folder / "job.toml"),
            str(folder / name / "party.toml"),
        ]
        processes[name] = subprocess.Popen([*prefix, *ask], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    outputs = {name: process.communicate() for name, process in processes.items()}
    failed = [errors for name, (_, errors) in outputs.items() if processes[name].returncode]
    if failed:
        raise LocalProtocolError(f"a party stopped: {failed[0].strip()}", remedy="Run the job by hand with vfl run")
    last = next(line for line in reversed(outputs["guest"][0].splitlines()) if line.startswith("report: "))
    report = json.loads(Path(last.removeprefix("report: ")).read_text(encoding="utf-8"))
    return float(sum(p["seconds"] for p in report["phases"] if p["name"] in ("align", "train")))


def command(*arguments: str) -> None:
    subprocess.run(arguments, check=True, capture_output=True)
