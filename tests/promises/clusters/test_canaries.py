"""An engine's object store, spill files, logs and scheduler hold no id, scalar or key."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator

import numpy as np
import pytest

from protocols.workers.calls import Job
from protocols.workers.seal import Seal
from tests.promises.clusters.clusters import KEY, Cluster, children, name
from vfl.compute.opening import opened

PAGE = os.sysconf("SC_PAGE_SIZE")
ROWS = 40_000  # so that a call is too long to travel inside a message of the engine
IDS = b"".join(b"CANARY-%06d" % i for i in range(ROWS))
SCALAR = b"canaryscalar".ljust(31, b"s") + bytes(1)
SECRETS = (b"CANARY-0", SCALAR, KEY, KEY.hex().encode())


def memory(pid: int) -> Iterator[bytes]:
    """All that a process has in memory, and shares with others: neighbouring pages together."""
    with (
        open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps,
        open(f"/proc/{pid}/pagemap", "rb") as pages,
        open(f"/proc/{pid}/mem", "rb") as held,
    ):
        for line in maps:
            start, end, kind = re.match(r"(\w+)-(\w+) (\S+)", line).groups()  # type: ignore[union-attr]
            first, last = int(start, 16) // PAGE, int(end, 16) // PAGE
            if not kind.startswith("rw"):
                continue
            pages.seek(8 * first)
            there = (
                np.frombuffer(pages.read(8 * (last - first)), np.uint64) >> np.uint64(62) > 0
            )  # in memory or swapped
            edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]])))
            for a, b in edges.reshape(-1, 2).tolist():
                try:
                    held.seek((first + a) * PAGE)
                    yield held.read((b - a) * PAGE)
                except OSError:  # a device, or not there any more
                    continue


def found_in(pids: list[int], secrets: tuple[bytes, ...]) -> set[bytes]:
    return {s for pid in pids for block in memory(pid) for s in secrets if s in block}


def machinery(cluster: Cluster) -> list[int]:
    """Of Ray the process that has the object store and the one that has the tables, of Dask the scheduler's."""
    if cluster.engine == "dask":
        return [cluster.pid]
    return [pid for pid in children(cluster.pid) if "/raylet " in name(pid) or "/gcs_server " in name(pid)]


def test_machinery_holds_no_secret(cluster: Cluster) -> None:
    """Its processes other than the workers, and all files that it writes; a worker's memory holds the key, which is
    what a trust domain means."""
    ends = np.arange(ROWS + 1) * 13
    with opened(cluster.compute(2)) as pool:
        assert pool is not None
        seal, values = Seal(KEY, b"a run with canaries"), (IDS, ends, b"domain", SCALAR)
        jobs = [Job(worker, "blind", seal.call(worker, "blind", values, ())) for worker in (0, 1)]
        answers = pool.workers(b"a run with canaries").call(jobs)
        _, (blinded,) = seal.open_answer(*jobs[0], answers[0])
        pids = machinery(cluster)
        assert len(pids) == (2 if cluster.engine == "ray" else 1)
        assert found_in(pids, (*SECRETS, blinded[:64])) == set()
        worker = json.loads(pool.engine.greet(b"")[0])["pid"]
        assert any(KEY in block for block in memory(worker))  # the positive controls
        if cluster.engine == "ray":
            assert found_in(pids, (answers[0][1][:64],)), "the object store was not searched"
    for file in (one for one in cluster.folder.rglob("*") if one.is_file() and one != cluster.key):
        content = file.read_bytes()
        assert not [s for s in SECRETS if s in content], file


def test_secrets_that_are_not_sealed_are_found_in_store_and_spill_files(cluster: Cluster) -> None:
    """The planted fault, and what calls consist of."""
    if cluster.engine == "dask":
        pytest.skip("Dask has no store: calls go to workers directly")
    import ray

    with opened(cluster.compute(1)):
        sealed, *_ = Seal(KEY, b"run").call(0, "blind", (20 * IDS, np.zeros(1, np.int64), b"", SCALAR), ())
        for content, expected in ((20 * IDS, {b"CANARY-0"}), (sealed, set[bytes]())):
            held = [ray.put(content) for _ in range(10)]  # 104 MB, and the store has 80
            spilt = [file.read_bytes() for file in cluster.folder.rglob("ray_spilled_objects*/*")]
            assert spilt
            assert {s for s in SECRETS for one in spilt if s in one} == expected
            if expected:
                assert found_in(machinery(cluster), SECRETS) == expected
            del held
            while list(cluster.folder.rglob("ray_spilled_objects*/*")):
                time.sleep(0.05)
