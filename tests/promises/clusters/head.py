"""A small cluster as a process of its own: `python head.py ray|dask WORKERS` prints its address and ends with its
standard input.  Imports nothing of ours, so that its workers can have another release."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile


def ray_head(workers: int) -> None:
    import ray

    with tempfile.TemporaryDirectory(prefix="vflray") as folder:
        context = ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=80 << 20,
            _temp_dir=folder,
        )
        print(json.dumps([context.address_info["gcs_address"], folder]), flush=True)
        sys.stdin.read()
        ray.shutdown()


def dask_head(workers: int) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", memory_limit=0
    ) as cluster:
        print(json.dumps([cluster.scheduler_address, os.getcwd()]), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    {"ray": ray_head, "dask": dask_head}[sys.argv[1]](int(sys.argv[2]))
