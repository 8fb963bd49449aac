"""What `vfl prepare` would leave on a party's disk, in words."""

from __future__ import annotations

from protocols.glm.stored_pads import bytes_of
from vfl.cost.estimate import COLUMNS, PASSES, ROWS, gram_of, workload
from vfl.job import Job
from vfl.job.plan import plan_of
from vfl.models.registry import kind_of
from vfl.report.words import size
from vfl.storage.pad_store import DAYS


def in_words(job: Job, table: tuple[int, int] | None) -> str:
    """table: rows and columns of this party's, None at the arbiter; "" where nothing of the job can be prepared
    ahead."""
    if not job.model.prepares or job.crypto.preparation == "none" or job.search is not None:
        return ""
    work = workload(job, *(table or (ROWS, COLUMNS)))
    if work is not None and gram_of(job, work) is not None:
        such = f"{COLUMNS} columns each" if table is None else "as many columns at the other"
        return f"with {such} vfl prepare has nothing to do: vfl run computes once what all iterations of this job take"
    rows = None if table is None else table[0]
    kind, plan, most = kind_of(job.model), plan_of(job), getattr(job.model, "passes", None)
    (first, *_) = kind.chunks(plan, 1 + len(job.parties.hosts), rows or ROWS, PASSES)
    bits = [first.z_bits] + ([first.g_bits] if rows is None else [])
    taken = size(bytes_of(rows or ROWS, bits) * (most or PASSES) * job.model.vectors)
    made = f"for every {PASSES} iterations" if most is None else f"for all {most:,} iterations"
    given = f"every {ROWS:,} common rows" if rows is None else "as many common rows as the table has"
    return f"vfl prepare can leave pads on this disk, {taken} {made} and {given}, which vfl run uses within {DAYS} days"
