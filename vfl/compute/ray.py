"""Workers as actors of a Ray cluster."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from protocols.errors import ComputeError
from protocols.randomness import run_seed
from protocols.workers.calls import Job
from vfl.compute.cell import Cell
from vfl.compute.engine import LOCAL, PLACE_SECONDS, TRIES, is_here, lost, must_answer, not_ready, too_few, unreachable
from vfl.compute.engine import without_release as without
from vfl.data.extras import needed

NAME = "Ray"
STORE_BYTES = 256 << 20  # of a local cluster's object store, where blocks lie on their way
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports to its makers otherwise
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # and prints what happened to workers among the command's own output
}
FREES = {"RAY_free_objects_batch_size": "1"}  # Ray frees what was passed 100 calls at a time: up to the whole store
OPEN_LINE = (
    "the line to the Ray cluster is not encrypted: set RAY_USE_TLS=1 and RAY_AUTH_MODE=token on all its machines, "
    "since whoever reaches its ports runs code there"
)


class RayEngine:
    """One actor for each worker.  Ray places them, and replaces one that died.

    A placement group reserves their CPUs first: so CPUs that others use are known from actors that are slow to start.
    """

    def __init__(self, address: str, count: int, key_file: str) -> None:
        os.environ |= QUIET
        if address == LOCAL:
            _prepare_local()
        self._ray = needed("ray", 'engine = "ray" in [compute]')
        self._address, self.count = address, count
        self.cautions: tuple[str, ...] = (
            () if is_here(address) or os.environ.get("RAY_USE_TLS") == "1" else (OPEN_LINE,)
        )
        self._ours = not self._ray.is_initialized()
        self._cells: list[Any] = []
        self._group: Any = None
        try:
            if self._ours:
                self._connect()
            has = int(self._ray.cluster_resources().get("CPU", 0))
            if has < count:
                raise too_few(NAME, count, has)
            actor = self._ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=TRIES - 1)(Cell)
            self._cells = [
                actor.options(scheduling_strategy=place).remote(worker, key_file)
                for worker, place in enumerate(self._reserved())
            ]
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address == LOCAL:
            options |= {"num_cpus": self.count, "include_dashboard": False, "object_store_memory": STORE_BYTES}
        else:
            must_answer(NAME, self._address)
        with _signals_kept():
            try:
                self._ray.init(address=self._address, **options)
            except Exception as error:  # of many types
                raise unreachable(NAME, self._address, type(error).__name__) from None

    def _reserved(self) -> list[Any]:
        """A place with one CPU for each worker.  Raises ComputeError where others use too many."""
        util = importlib.import_module("ray.util")
        self._group = util.placement_group([{"CPU": 1}] * self.count, strategy="SPREAD")
        if not self._group.wait(PLACE_SECONDS):
            raise too_few(NAME, self.count, int(self._ray.available_resources().get("CPU", 0)))
        return [
            util.scheduling_strategies.PlacementGroupSchedulingStrategy(self._group, number)
            for number in range(self.count)
        ]

    def greet(self, nonce: bytes) -> list[bytes]:
        """As `Engine.greet`."""
        calls = [cell.hello.remote(nonce) for cell in self._cells]
        ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=PLACE_SECONDS)
        if len(ready) < self.count:
            raise not_ready(NAME, self.count, len(ready))
        return [self._answer(call) for call in calls]

    def carry(self, run: bytes, jobs: Sequence[Job]) -> list[tuple[bytes, ...]]:
        """As `Engine.carry`."""
        calls = [self._cells[job.worker].call.remote(run, job.operation, job.arguments) for job in jobs]
        return [self._answer(call) for call in calls]

    def _answer(self, call: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(call)
        except errors.RayTaskError as error:  # raised by our code there: its text may hold data
            raise lost(NAME, type(error.cause).__name__) from None
        except errors.RayError as error:
            if any(name in str(error) for name in ("ModuleNotFoundError", "ImportError", "AttributeError")):
                raise without(NAME) from None
            raise lost(NAME, type(error).__name__) from None

    def close(self) -> None:
        """As `Engine.close`."""
        for cell in self._cells:
            with contextlib.suppress(Exception):
                self._ray.kill(cell)
        if self._group is not None:
            with contextlib.suppress(Exception):
                importlib.import_module("ray.util").remove_placement_group(self._group)
        if self._ours:
            self._ray.shutdown()


def _prepare_local() -> None:
    """The settings of a cluster of this command's own: what its processes free, and a new token in this process's
    environment, unless the environment has them.  Raises ComputeError where Ray was imported without a token."""
    for name, value in FREES.items():
        os.environ.setdefault(name, value)
    if os.environ.get("RAY_AUTH_MODE") == "token":
        return
    if "ray" in sys.modules:
        raise ComputeError(
            "Ray was imported in this process before it had a token, without which anybody on this machine could use "
            "its ports",
            remedy="Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH before anything imports ray",
        )
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": run_seed().hex()}  # Ray reads it when it is imported


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; here it stays this command's."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
