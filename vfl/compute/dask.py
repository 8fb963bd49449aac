"""Workers as actors of a Dask cluster."""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from protocols.workers.calls import Job
from vfl.compute.cell import Cell
from vfl.compute.engine import LOCAL, PLACE_SECONDS, TRIES, is_here, lost, must_answer, not_ready, too_few, unreachable
from vfl.compute.engine import without_release as without
from vfl.data.extras import needed

NAME = "Dask"
OPEN_LINE = (
    "the line to the Dask cluster is not encrypted: start its scheduler and workers with TLS and write tls:// in "
    "address, since whoever reaches its ports runs code there"
)
NAMES = "distributed."
CONNECT_SECONDS = 20
IN_MEMORY = {"distributed.worker.memory.target": False, "distributed.worker.memory.spill": False}


class DaskEngine:
    """One actor for each worker, on a Dask worker of its own; another takes the place of one that died."""

    def __init__(self, address: str, count: int, key_file: str) -> None:
        self._dask = needed("distributed", 'engine = "dask" in [compute]')
        self._address, self.count, self._key_file = address, count, key_file
        self.cautions: tuple[str, ...] = () if is_here(address) or address.startswith("tls://") else (OPEN_LINE,)
        self._lock, self._threads = threading.Lock(), ThreadPoolExecutor(count, "vfl workers")
        self._opened: list[Any] = []  # what is to be closed, in this order
        self._cells: dict[int, tuple[str, Any]] = {}  # by worker, with the address of the Dask worker
        self._dead = set[str]()  # Dask workers: a new one has another address
        try:
            self._client = self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> Any:
        for name in ("distributed", *(name for name in logging.root.manager.loggerDict if name.startswith(NAMES))):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters, this engine says itself
        if self._address != LOCAL:
            must_answer(NAME, self._address)
        try:
            where = self._local() if self._address == LOCAL else self._address
            client = self._dask.Client(where, timeout=CONNECT_SECONDS, direct_to_workers=True)
        except Exception as error:  # of many types
            raise unreachable(NAME, self._address, type(error).__name__) from None
        self._opened.insert(0, client)
        if (has := len(client.scheduler_info(n_workers=-1)["workers"])) < self.count:
            raise too_few(NAME, self.count, has)
        return client

    def _local(self) -> Any:
        """A cluster of this command's own."""
        importlib.import_module("dask").config.set(IN_MEMORY)  # comes with distributed
        found = self._dask.LocalCluster(
            n_workers=self.count,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        self._opened.append(found)
        return found

    def greet(self, nonce: bytes) -> list[bytes]:
        """As `Engine.greet`."""
        return list(self._threads.map(lambda worker: self._ask(worker, "hello", nonce), range(self.count)))

    def carry(self, run: bytes, jobs: Sequence[Job]) -> list[tuple[bytes, ...]]:
        """As `Engine.carry`."""
        queues, answers = defaultdict[int, list[int]](list), dict[int, tuple[bytes, ...]]()
        for number, job in enumerate(jobs):
            queues[job.worker].append(number)

        def work(numbers: list[int]) -> None:
            for number in numbers:
                job = jobs[number]
                answers[number] = self._ask(job.worker, "call", run, job.operation, job.arguments)

        list(self._threads.map(work, queues.values()))
        return [answers[number] for number in range(len(jobs))]

    def _ask(self, worker: int, name: str, *arguments: Any) -> Any:
        """What a worker answers; if it dies, another one in its place."""
        for _ in range(TRIES):
            cell = self._cell(worker)
            try:
                return getattr(cell, name)(*arguments).result()
            except Exception as error:  # of many types: its process is gone, since a cell raises nothing
                failed = type(error).__name__
                with self._lock:
                    if worker in self._cells and self._cells[worker][1] is cell:  # no other thread has replaced it
                        self._dead.add(self._cells.pop(worker)[0])
        raise lost(NAME, failed)

    def _cell(self, worker: int) -> Any:
        with self._lock:
            if worker not in self._cells:
                place = self._free()
                self._cells[worker] = (place, self._made(worker, place))
            return self._cells[worker][1]

    def _free(self) -> str:
        """A Dask worker without a cell of this party."""
        deadline = time.monotonic() + PLACE_SECONDS
        while True:
            if self._client.status != "running":
                raise lost(NAME, "no scheduler")
            there: set[str] = set(self._client.scheduler_info(n_workers=-1)["workers"])
            alive = there - self._dead
            if free := alive - {place for place, _ in self._cells.values()}:
                return min(free)
            if time.monotonic() > deadline:
                raise too_few(NAME, self.count, len(alive))
            time.sleep(0.1)

    def _made(self, worker: int, place: str) -> Any:
        try:
            made = self._client.submit(Cell, worker, self._key_file, actor=True, pure=False, workers=[place])
            return made.result(timeout=PLACE_SECONDS)
        except (ImportError, AttributeError):
            raise without(NAME) from None
        except TimeoutError:
            raise not_ready(NAME, self.count, len(self._cells)) from None
        except Exception as error:  # of many types; a scheduler that cannot import a cell says so in words
            if "deserialization" in str(error):
                raise without(NAME) from None
            raise lost(NAME, type(error).__name__) from None

    def close(self) -> None:
        """As `Engine.close`."""
        self._cells.clear()
        for one in self._opened:
            with contextlib.suppress(Exception):
                one.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
