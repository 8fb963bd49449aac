"""The loop of `vfl node`: takes jobs from the inbox, starts what is approved, and finds again what runs.

Nothing that must survive is kept here: jobs and decisions are in the table, runs in their stores, and the processes
live on by themselves.  So a node that was killed is started again, and continues.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from protocols.errors import ConfigError, ListenFailed, VFLError
from vfl.data.extras import needed
from vfl.job import Party, load_party
from vfl.job.node import Node
from vfl.node.calls import Calls
from vfl.node.inbox import Inbox
from vfl.node.online import keeper
from vfl.node.processes import End, Processes, command_of, locked
from vfl.node.router import Router
from vfl.node.table import Entry, JobTable, State
from vfl.transport.peers import open_listener

log = logging.getLogger("vfl.node")
LOCK = "node.lock"
EVERY = 0.5  # seconds between two rounds over inbox, table and processes
LISTEN_SECONDS = 10.0  # for another process to leave the port
LONGEST_PAUSE = 600.0  # seconds between the end of a job's process and the next one


def node_of(party: Party) -> Node:
    """The section [node] of a party file.  Raises ConfigError."""
    if party.node is None:
        raise ConfigError(f"the party file of {party.name} has no section [node]", remedy="Add a line [node] to it")
    return party.node


def pause(tries: int) -> float:
    """Seconds until a job is started again, after this number of processes that have ended."""
    return float(min(LONGEST_PAUSE, 2.0 ** min(tries, 10)))


class Service:
    """One node; `run` until it is stopped.  Raises ConfigError where another one runs in the same folder.

    command: what starts the process of a job.
    """

    def __init__(
        self,
        party_file: Path,
        *,
        command: list[str] | None = None,
    ) -> None:
        self.party = load_party(party_file)
        self.node = node_of(self.party)
        self.face: Callable[[Service], AbstractAsyncContextManager[None]] | None = None  # serves the local port
        self.table = JobTable(self.node.directory)
        self._lock = locked(self.node.directory / LOCK)
        if self._lock is None:
            raise ConfigError(
                f"another node of {self.party.name} runs in {self.node.directory}", remedy="Stop it first"
            )
        self.inbox = Inbox(self.table, self.party)
        self.processes = Processes(self.node.directory, command or command_of(party_file.resolve()))
        self.online = keeper.Keeper(self.node.directory, keeper.command_of(party_file.resolve()))
        self.router: Router | None = None
        self.started = time.time()
        self.calls = Calls(self.party, self.table)
        self._stopped: set[str] = set()  # what was asked to end, and still lives

    def leave(self) -> None:
        """Another node may run in the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; processes of jobs live on."""
        async with self._open_port(), self.face(self) if self.face else contextlib.nullcontext():
            while not stop.is_set():
                try:
                    await asyncio.to_thread(self.round)
                except VFLError as error:  # such as a full disk: what runs, and who calls, is not concerned
                    log.error("%s", error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), EVERY)

    @contextlib.asynccontextmanager
    async def _open_port(self) -> AsyncIterator[None]:
        """The port between parties, which a host does not have."""
        if self.party.listen is None:
            yield
            return
        deadline = time.monotonic() + LISTEN_SECONDS
        while True:
            try:
                listener = open_listener(self.party.listen)
                break
            except ListenFailed:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)
        self.router = Router(listener, self.node.directory, self.calls.heard)
        try:
            yield
        finally:
            self.router.close()

    # -- one round

    def round(self) -> None:
        """Takes, starts, stops and ends what there is to be."""
        for entry in self.inbox.take():
            log.info("the job %s came, digest %s: %s", entry.name, entry.digest, entry.state)
        self.calls.write()
        entries = self.table.entries()
        for entry in entries:
            if entry.state in ("running", "cancelling"):
                self._watch(entry)
        entries = self.table.entries()
        busy = {entry.session for entry in entries if entry.state in ("running", "cancelling")}
        due = [entry for entry in entries if entry.state == "approved" and entry.due <= time.time()]
        for entry in sorted(due, key=lambda one: one.due):
            if len(busy) < self.node.jobs_at_once and entry.session not in busy:
                busy.add(entry.session)
                self._start(entry)
        self.online.round()
        self.calls.compare_with(entries)

    def _start(self, entry: Entry) -> None:
        if entry.approval is not None and self.table.move(entry.digest, "approved", "running"):
            self.processes.start(entry.digest)
            log.info("the job %s runs, approved by %s", entry.name, entry.approved_by)

    def _watch(self, entry: Entry) -> None:
        if self.processes.lives(entry.digest):
            if entry.state == "cancelling" and entry.digest not in self._stopped:
                self._stopped.add(entry.digest)
                self.processes.stop(entry.digest)
            return
        self._stopped.discard(entry.digest)
        end = self.processes.end(entry.digest)
        after: State = "done"
        told: dict[str, object] = {
            "code": None,
            "message": None,
        }  # an earlier try's error is none of a job that is done
        if end.exit != 0:
            told = {"code": end.code, "message": end.message}
            after = "cancelled" if entry.state == "cancelling" else "approved" if self._again(entry, end) else "failed"
        if after == "approved":
            told |= {"tries": entry.tries + 1, "due": time.time() + pause(entry.tries)}
        if self.table.move(entry.digest, entry.state, after, **told):
            log.info("the process of the job %s ended (exit code %d): %s", entry.name, end.exit, after)

    def _again(self, entry: Entry, end: End) -> bool:
        patience = 3600 * self.node.patience_hours
        return end.again and entry.resumes and time.time() < (entry.approved_time or 0) + patience


def with_face(service: Service) -> Service:
    """The same, with the local face that its party file asks for.  Raises ConfigError, also where the extra lacks."""
    if (http := service.node.http) is not None:
        for library in ("fastapi", "uvicorn", "prometheus_client"):
            needed(library, "[node.http]")
        from vfl.node.http.server import face

        service.face = functools.partial(face, http=http)
    return service


def serve(service: Service) -> None:
    """Runs a node until SIGTERM or Ctrl-C."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await service.run(stop)

    asyncio.run(main())
