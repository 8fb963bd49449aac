"""Ray and Dask carry calls: the same answers as in this process, also where workers die."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from protocols.ristretto import PointVec
from protocols.workers.calls import Call
from protocols.workers.run import Caller, Inline
from protocols.workers.seal import Seal
from tests.promises.clusters.clusters import KEY, Cluster
from vfl.compute.engine import is_here
from vfl.compute.opening import Pool, opened

RUN = b"one run"
SEAL = Seal(KEY, RUN)
IDS = b"".join(b"%09d" % i for i in range(60_000))
SCALAR = bytes([3]) + bytes(31)


@pytest.fixture(scope="module")
def pool(cluster: Cluster) -> Iterator[Pool]:
    with opened(cluster.compute(3)) as found:
        assert found is not None
        yield found


def blind(rows: int, worker: int) -> Call:
    return Call(worker, "blind", (IDS[: 9 * rows], np.arange(rows + 1) * 9, b"domain", SCALAR))


def pids(pool: Pool) -> list[int]:
    return [json.loads(answer)["pid"] for answer in pool.engine.greet(b"nonce")]


def test_answers_are_those_of_this_process_in_their_order(pool: Pool) -> None:
    calls = [blind(1 + number % 7, number % 3) for number in range(12)]
    assert pool.caller(RUN).call(calls) == Caller(Inline(3, SEAL), SEAL).call(calls)
    assert len(set(pids(pool))) == pool.count == 3


def threads(pid: int) -> list[str]:
    """Names of the core's threads in a process."""
    found = (task / "comm" for task in Path(f"/proc/{pid}/task").iterdir())
    return [name for name in (one.read_text() for one in found) if name.startswith("vfl-")]


def test_each_worker_is_one_process_with_one_thread(pool: Pool) -> None:
    calls = [blind(50, worker) for worker in range(3)]
    pool.caller(RUN).call(calls)
    assert [len(threads(pid)) for pid in pids(pool)] == [1, 1, 1]
    Caller(Inline(3, SEAL), SEAL).call(calls)  # the positive control: this process uses all cores
    assert len(set(threads(os.getpid()))) == len(os.sched_getaffinity(0))


def test_a_line_that_is_not_encrypted_is_named(cluster: Cluster, pool: Pool) -> None:
    """Ray's address is not on the loopback, where no cable can be read."""
    told = pool.engine.cautions
    assert [("RAY_USE_TLS=1" in one, "is not encrypted" in one) for one in told] == [(True, True)] * (
        0 if is_here(cluster.address) else 1
    )
    assert is_here(cluster.address) == (cluster.engine == "dask")


def test_a_worker_that_dies_between_calls_is_replaced(pool: Pool) -> None:
    caller, before = pool.caller(RUN), pids(pool)
    expected = caller.call([blind(50, worker) for worker in range(3)])
    os.kill(before[1], signal.SIGKILL)
    assert caller.call([blind(50, worker) for worker in range(3)]) == expected
    after = pids(pool)
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] != before[1]


def test_a_worker_that_dies_within_a_call_is_replaced(pool: Pool) -> None:
    caller, before = pool.caller(RUN), pids(pool)
    timer = threading.Timer(0.15, os.kill, (before[0], signal.SIGKILL))
    timer.start()
    (found,) = caller.call([blind(60_000, 0)])
    timer.join()
    assert pids(pool)[0] != before[0], "it was killed too late"
    expected = PointVec.hash_to_group([IDS[9 * i : 9 * i + 9] for i in range(60_000)], b"domain") * SCALAR
    assert found.ciphers == (expected.to_bytes(),)
