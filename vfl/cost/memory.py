"""How much memory a party's workers need for a job: what `vfl check` says, and what a cluster must have."""

from __future__ import annotations

from protocols import parts
from protocols.alignment.lists import CHUNK
from protocols.workers.cluster import PLACED
from vfl.job import Job
from vfl.job.job import Agreement

PROCESS = 170 << 20  # bytes of a worker of Ray that has done nothing; of Dask 110 MiB
POINT = 400  # bytes of a point while it is hashed, multiplied and encoded
TAG = 16
MATCHING = 12  # copies of a tag while two lists are sorted and compared
VECTORS = 10  # of a block's length, at most, that stand at the same time: measured at the holder of the key
WIDTH = 1.3  # of a ciphertext in memory, to its bytes


def worker_bytes(job: Agreement, rows: int, columns: int, workers: int) -> int:
    """Of one of `workers`, for a table of this size, if every partner's list is as long and all rows are common."""
    share = -(-rows // workers)
    return PROCESS + max(_aligning(rows, share), _training(job, share, columns) if isinstance(job, Job) else 0)


def _aligning(rows: int, share: int) -> int:
    return POINT * min(rows, CHUNK) + 2 * TAG * MATCHING * share


def _training(job: Job, share: int, columns: int) -> int:
    """Vectors of a block, the table as integers, and of open trees the gradients of all rows."""
    ciphertext = int(WIDTH * 2 * job.crypto.key_bits / 8)
    whole = share * ciphertext if any(getattr(one.model, "membership", "") == "open" for one in job.candidates) else 0
    return VECTORS * ciphertext * min(share, parts.ROWS) + min(8 * share * columns, PLACED) + whole
