"""`vfl demo --board`: the demo's three institutions with a node each: one job is done, one runs, one waits for a click.

The nodes are processes of their own, with the inbox, approvals and boards of any node.  What this does by itself, a
person would do: it copies job files into inboxes, and lists in the party files which of them are approved.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from protocols.errors import VFLError
from protocols.randomness import run_seed
from vfl.data.extras import needed
from vfl.demo.datasets import Demo
from vfl.demo.run import ARBITER, Options, free_ports, fresh_folder, job_text, lay_out, load, one_host, shown
from vfl.job import load_job
from vfl.screen.console import Console
from vfl.screen.errors import stoppable
from vfl.screen.events import Event
from vfl.storage.files import write_private
from vfl.storage.runs import RESULTS, folders

USER = "you"
START_SECONDS, RUN_SECONDS, STOP_SECONDS = 60.0, 3600.0, 30.0
LONG, LONGER = 1000, 20  # iterations of the job that runs, at least, and times those of the first one
NODE = """
[node]
approved = {approved}

[node.http]
listen = "{listen}"

[node.http.access.{user}]
token = "node/token"
roles = ["read", "approve"]
"""


@dataclasses.dataclass(frozen=True)
class Node:
    """One party's node.  address: of its board."""

    name: str
    folder: Path
    listen: str
    token: str
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """Of the board; what follows the # signs in, and never leaves the browser's machine."""
        return f"http://{self.listen}/#key={self.token}"

    def ask(self, method: str, path: str) -> Any:
        """Raises OSError."""
        connection = http.client.HTTPConnection(self.listen, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, headers={"Authorization": f"Bearer {self.token}"})
            return json.loads(connection.getresponse().read())

    def withdraw(self) -> None:
        """Cancels all jobs, and withdraws the models that somebody has published meanwhile.  Raises OSError."""
        for path in sorted((self.folder / "node" / "online").glob("*.json")):
            command = [sys.executable, "-m", "vfl", "node", "withdraw", path.stem, str(self.folder / "party.toml")]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        for job in self.ask("GET", "/v1/jobs")["jobs"]:
            self.ask("POST", f"/v1/jobs/{job['digest']}/cancel")

    def lives(self) -> list[Path]:
        """The locks of those processes of its jobs and models that live."""
        return [lock for lock in sorted((self.folder / "node").rglob("processes/*.lock")) if _is_held(lock)]

    def submit(self, job: Path) -> None:
        """Puts a copy into the inbox."""
        (self.folder / "node" / "inbox" / job.name).write_bytes(job.read_bytes())

    def done(self) -> list[Path]:
        """The folders of runs with results."""
        every = folders(self.folder / "runs")
        return [folder for folder in every if any((folder / name).exists() for name in RESULTS)]


def run_board(options: Options, console: Console, shown: Callable[[list[Node], Path], None]) -> None:
    """Until Ctrl-C; shown: is called with the nodes, the guest's first, once a job is done, one runs and one waits.
    Raises VFLError."""
    for library in ("fastapi", "uvicorn", "prometheus_client"):
        needed(library, "vfl demo --board")
    demo = load(options)
    host = one_host(demo)
    folder = fresh_folder(options.folder)
    console.print(f"[bold]{demo.title}[/]\n{demo.sentence}\n", highlight=False)
    lay_out(demo, host, options, folder)
    first, second, third = _jobs(demo, host, options, folder)
    names = (demo.guest_name, host, ARBITER)
    console.print(f"Three nodes on this machine: {', '.join(names)}. The first job runs:", highlight=False)
    with stoppable(console), _nodes(names, folder, (first, second, third)) as nodes:
        for node in nodes:
            node.submit(first)
        _watch(nodes, console)
        for node in nodes:
            node.submit(second)
            node.submit(third)
        _until(lambda: _states(nodes[0]) == ["done", "running", "waiting"], nodes, START_SECONDS)
        shown(nodes, folder)
        with contextlib.suppress(KeyboardInterrupt):
            while all(node.process.poll() is None for node in nodes):
                time.sleep(0.5)
        console.print("\nThe nodes are being stopped.", highlight=False)


def print_board(nodes: list[Node], console: Console, *, opens: bool) -> None:
    """The addresses; and opens the guest's in a browser, where there is one."""
    guest, *others = nodes
    console.print("\nOne job is done, one runs, one waits for you. The boards:", highlight=False)
    for node in (guest, *others):
        console.print(f"  {node.name}: {node.address}", highlight=False, soft_wrap=True)
    console.print(
        f"Approve the job that waits at {guest.name}: its partners have. Ctrl-C ends the demo.", highlight=False
    )
    if opens and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(guest.address)


def _jobs(demo: Demo, host: str, options: Options, folder: Path) -> tuple[Path, Path, Path]:
    """The demo's own job; a long one; and one that nobody at the guest has approved."""
    longer = dataclasses.replace(options, passes=max(LONG, LONGER * options.passes))
    # without the check for convergence it makes all its iterations
    texts = {
        "job.toml": job_text(demo, host, options),
        "long.toml": job_text(demo, host, longer, name=f"demo-{demo.name}-long").replace(
            '  "convergence-to-parties",\n', ""
        ),
        "next.toml": job_text(demo, host, options, name=f"demo-{demo.name}-next", seed=8),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    first, second, third = (folder / name for name in texts)
    return first, second, third


@contextlib.contextmanager
def _nodes(names: tuple[str, ...], folder: Path, jobs: tuple[Path, ...]) -> Iterator[list[Node]]:
    """A node per party; at the end none of them and none of their jobs runs any more.  Raises VFLError."""
    digests = [load_job(job).digest.hex() for job in jobs]
    nodes = list[Node]()
    try:
        for number, (name, port) in enumerate(zip(names, free_ports(len(names)), strict=True)):
            approved = json.dumps(digests[:2] if number == 0 else digests)
            nodes.append(_start(name, folder / name, f"127.0.0.1:{port}", approved))
        _until(lambda: all(_answers(node) for node in nodes), nodes, START_SECONDS)
        yield nodes
    finally:
        _stop(nodes)


def _start(name: str, folder: Path, listen: str, approved: str) -> Node:
    file, token = folder / "party.toml", run_seed().hex()
    (folder / "node").mkdir(mode=0o700)
    write_private(folder / "node" / "token", token.encode())
    text = file.read_text(encoding="utf-8") + NODE.format(approved=approved, listen=listen, user=USER)
    write_private(file, text.encode())
    with (folder / "node" / "node.log").open("wb") as log:
        command = [sys.executable, "-m", "vfl", "node", "start", str(file)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )  # so that Ctrl-C reaches this process alone, which stops the jobs first
    return Node(name, folder, listen, token, process)


def _stop(nodes: list[Node]) -> None:
    """Withdraws all approvals and published models, ends the nodes, and waits until no process of theirs lives, also
    where a node has ended before."""
    try:
        for node in nodes:
            with contextlib.suppress(OSError, VFLError):
                node.withdraw()
        with contextlib.suppress(VFLError):
            _until(lambda: not any(node.lives() for node in nodes), nodes, STOP_SECONDS)
    finally:
        for node in nodes:
            node.process.terminate()
        for node in nodes:
            node.process.wait()
        for lock in (lock for node in nodes for lock in node.lives()):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(lock.read_text()), signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while any(node.lives() for node in nodes) and time.monotonic() < deadline:
            time.sleep(0.1)


def _is_held(lock: Path) -> bool:
    """Whether a process lives that holds this lock to its end."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _answers(node: Node) -> bool:
    try:
        return bool(node.ask("GET", "/healthz")["ok"])
    except OSError:
        return False


def _states(node: Node) -> list[str]:
    return sorted(job["state"] for job in node.ask("GET", "/v1/jobs")["jobs"])


def _until(true: Callable[[], bool], nodes: list[Node], seconds: float) -> None:
    """Waits.  Raises VFLError where a node has ended, a job has failed, or it takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        for node in nodes:
            if node.process.poll() is not None:
                raise VFLError(f"the node of {node.name} has ended", remedy=f"Read {node.folder / 'node' / 'node.log'}")
        if time.monotonic() > deadline:
            raise VFLError("the demo did not come about in time", remedy="Read node/node.log in the parties' folders")
        time.sleep(0.2)


def _watch(nodes: list[Node], console: Console) -> None:
    """Shows the progress of the first job until it is done at all parties.  Raises VFLError."""
    guest, read = nodes[0], 0
    with shown(console) as watch:

        def done() -> bool:
            nonlocal read
            for path in sorted((guest.folder / "runs").glob("*/events.jsonl")):
                lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
                whole = [line for line in lines if line.endswith("\n")]
                for line in whole[read:]:
                    watch.event(msgspec.json.decode(line, type=Event))
                read = len(whole)
            for job in guest.ask("GET", "/v1/jobs")["jobs"]:
                if job["state"] == "failed":
                    raise VFLError(f"the demo did not finish: {job['message']}", remedy="Correct what it says")
            return all(len(node.done()) == 1 for node in nodes)

        _until(done, nodes, RUN_SECONDS)
