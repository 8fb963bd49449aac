"""What a worker process runs, the driver's end of it, and workers in this process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from protocols._native import InvalidBytes, Overflow
from protocols.errors import ComputeError
from protocols.workers.calls import Answer, Call, Changed, Forgotten, Job, Operation, State, Workers
from protocols.workers.seal import Seal, Sealed, Unsealed
from protocols.workers.table import OPERATIONS

DONE, FORGOTTEN, INVALID, BEYOND, CHANGED = range(5)  # how a job ended


def execute(state: State, operation: str, arguments: Sealed, table: Mapping[str, Operation] = OPERATIONS) -> Sealed:
    """What a worker process does with a job.  A job that nobody with this party's secret sealed for this run and
    worker is not executed: the answer is empty, and the driver says so.  table: all that it knows."""
    try:
        values, ciphers = state.seal.open_call(state.worker, operation, arguments)
    except Unsealed:
        return ()
    status, answer = DONE, Answer()
    try:
        answer = table[operation](state, values, ciphers)
    except Forgotten:
        status = FORGOTTEN
    except InvalidBytes:
        status = INVALID
    except Overflow:
        status = BEYOND
    except Changed:
        status = CHANGED
    return state.seal.answer(state.worker, operation, arguments, (status, *answer.values), answer.ciphers)


class Caller:
    """The driver's end: seals calls, has them carried, opens the answers."""

    def __init__(self, workers: Workers, seal: Seal) -> None:
        self._workers, self._seal = workers, seal

    def __repr__(self) -> str:
        return f"<Caller of {self.count} workers>"

    @property
    def count(self) -> int:
        return self._workers.count

    def call(self, calls: Sequence[Call]) -> list[Answer]:
        """The answers, in order.  Raises Forgotten where a worker has lost what a call needs, InvalidBytes and
        Overflow as the operations do, ComputeError."""
        jobs = [Job(c.worker, c.operation, self._seal.call(*c)) for c in calls]
        opened = [self._opened(job, sealed) for job, sealed in zip(jobs, self._workers.call(jobs), strict=True)]
        for job, (status, _) in zip(jobs, opened, strict=True):
            if status == CHANGED:
                raise ComputeError(
                    f"worker {job.worker} has computed another result than before from the same numbers",
                    remedy="Nothing was drawn for it. Give every worker the same release, check its memory, and let "
                    "nobody write to the table that it reads",
                )
        for status, raised in ((INVALID, InvalidBytes("not valid")), (BEYOND, Overflow("beyond the head-room"))):
            if any(found == status for found, _ in opened):
                raise raised
        lost = {job.worker for job, (status, _) in zip(jobs, opened, strict=True) if status == FORGOTTEN}
        if lost:
            raise Forgotten(*sorted(lost))
        return [answer for _, answer in opened]

    def _opened(self, job: Job, sealed: Sealed) -> tuple[int, Answer]:
        try:
            (status, *values), ciphers = self._seal.open_answer(job.worker, job.operation, job.arguments, sealed)
        except Unsealed:
            raise ComputeError(
                f"worker {job.worker} and this process do not understand each other's bytes",
                remedy="Give every worker the same secret file and the same release as this process",
            ) from None
        return status, Answer(tuple(values), tuple(ciphers))


class Inline:
    """Workers in this process: for tests, and for one machine."""

    def __init__(self, count: int, seal: Seal) -> None:
        if count < 1:
            raise ComputeError("there must be at least one worker", found=count)
        self._seal = seal
        self._states = [State(k, seal) for k in range(count)]
        self._locks = [threading.Lock() for _ in range(count)]

    @property
    def count(self) -> int:
        return len(self._states)

    def call(self, jobs: Sequence[Job]) -> list[Sealed]:
        """One job after the other."""
        return [self._run(job) for job in jobs]

    def replace(self, worker: int) -> None:
        """Another, empty worker takes the place of this one, as when a process dies."""
        with self._locks[worker]:
            self._states[worker] = State(worker, self._seal)

    def _run(self, job: Job) -> Sealed:
        with self._locks[job.worker]:
            return execute(self._states[job.worker], job.operation, job.arguments)
