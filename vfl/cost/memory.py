"""How much memory a party's workers need for a job: what `vfl check` says, and what a cluster must have."""

from __future__ import annotations

from protocols.alignment.lists import CHUNK
from vfl.job.job import Agreement

PROCESS = 170 << 20  # bytes of a worker that has done nothing
POINT = 400  # bytes of a point while it is hashed, multiplied and encoded
TAG = 16
MATCHING = 12  # copies of a tag while two lists are sorted and compared


def worker_bytes(job: Agreement, rows: int, columns: int, workers: int) -> int:
    """Of one of `workers`, for a table of this size, if every partner's list is as long."""
    piece, share = min(rows, CHUNK), -(-rows // workers)
    return PROCESS + POINT * piece + 2 * TAG * MATCHING * share
