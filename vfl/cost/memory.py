"""How much memory a job takes: a party's own process, and each of its workers.  What `vfl check` says, and what a
cluster must have.

A process holds its libraries, its table unless another process has read it, and then whatever needs most: the
alignment, the training, or its report.
A training holds
    the party's columns as numbers and as integers;
    numbers for each row: pads of prepared iterations, or shares of who is at which node of a tree; long ones lie in a
    file of the run (vfl/storage/shelf.py), but for a block of rows;
    some vectors of ciphertexts of a block (protocols/parts.py); of open trees, at the hosts, one of all rows;
    tables of powers, which grow with use up to a limit, and the buckets or tables of a product with a matrix.
The constants below were measured (docs/benchmarks.md, "How much memory does a party need?").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from protocols import parts
from protocols.alignment.lists import CHUNK
from protocols.cipher.keys import HOLDER_MARGIN
from protocols.glm.slots import Slots
from protocols.workers.cluster import PLACED
from vfl.cost import layers, matrices, prepared
from vfl.cost.estimate import PASSES
from vfl.cost.powers import TABLE, cheapest, row_bytes
from vfl.job import Job
from vfl.job.agreement import Agreement, Matching
from vfl.job.plan import plan_of
from vfl.models.registry import kind_of
from vfl.models.trees.spec import BoostedTrees
from vfl.models.workload import Columns, NetworkWork, Workload
from vfl.storage.shelf import IN_MEMORY

Role = Literal["guest", "host", "arbiter"]
Work = Literal["run", "align", "predict"]
MIB = 1 << 20
WORST = 0.3  # by which what was measured is missed at most (tests/unit/vfl/cost/test_memory.py)

PROCESS = 170 * MIB  # of a worker of Ray that has done nothing; of Dask 110 MiB
LIBRARIES = 165 * MIB  # of a party's process that has done nothing
SCORED, SCORED_ROW = 40 * MIB, 1600  # what a prediction takes, and of it for each row: aligned, scored, reported
KEPT_SCORED_ROW = 180  # the same where the rows lie in the run's file: by what a driver took of 200,000
SERVED, SERVED_ROW = 15 * MIB, 480  # the same at an arbiter
REPORT = 105 * MIB  # what the guest's own measures and charts take
ROW = 120  # bytes of a row of a table besides its values: its id as text, and its place
VALUE = 8
CELL = 46  # bytes of a cell of a table that is only aligned: as a text
KEPT = 2  # copies of a value outside a training: as it was read, and of the rows that are common
HELD = 40  # bytes per row of a regression whose rows lie in the run's file: targets, positions, what passes
HELD_OF_TREES = 28  # the same of trees: by what a driver grew from 10^5 to 10^6 rows while it trained
USED = 5  # of a regression: standardised, as an integer, preconditioned, and what is between these
BINNED = 4  # of trees: as a code, as a bin, and what is between these

POINT = 400  # bytes of a point while it is hashed, multiplied and encoded
TAG = 16
MATCHING = 12  # copies of a tag while two lists are sorted and compared
SHARED_MATCHING = 8  # the same at a worker, with its ids
TAGS_MATCHING = 6  # the same without ids
READING = 80 * MIB  # what a worker takes that reads a table, some rows at a time

ENGINE = 95 * MIB  # what Ray or Dask take in the process of a party that has workers (the driver)
PASSING = 1.0  # vectors of a block's length that are on their way through it
PLACED_ROW = 24  # bytes of a row there, while workers match ids and while rows are put in order

VECTORS, OTHER_VECTORS = 10, 6  # of its portion of a block in a worker, at most: at the key's holder, and elsewhere
BUCKETS, MOST_BUCKETS = 1 / 16, 1 << 17  # of a column, for each row of a block; of a matrix, at most


class Vectors(NamedTuple):
    """By role: how many vectors stand at the same time."""

    guest: float
    host: float
    arbiter: float

    def of(self, role: Role) -> float:
        return float(getattr(self, role))


CROWDED = 1.5  # ciphertexts per row of a regression whose iterations are prepared: of residuals, and of predictors
REGRESSION, SEALED, OPEN = Vectors(6.0, 4.5, 8.5), Vectors(5.0, 5.0, 7.0), Vectors(7.0, 2.0, 0.0)  # of ciphertexts
NUMBER, LOOK_UP, COPIES = 16, 600, 2.5  # of a network: bytes of a number, of a look-up, and copies of both
NODES = Vectors(4.5, 0.0, 2.5)  # of numbers for each row of a block and leaf of a sealed tree


@dataclass(frozen=True)
class Size:
    """rows, columns: of the party's own table, to an arbiter of one that it can scale; common: rows that all have."""

    rows: int
    columns: int
    common: int


def own_bytes(
    job: Matching, role: Role, size: Size, work: Work = "run", *, workers: bool = False, away: bool = False
) -> int:
    """Of this party's process, if its partners' lists are as long as its own.  workers: whether it has some, which hold
    what is long; away: whether these have read its ids, and it holds no table."""
    hosts, trains = len(job.parties.hosts), work == "run" and isinstance(job, Job)
    value = KEPT * VALUE if trains or work == "predict" else CELL
    table = 0 if role == "arbiter" or (away and not trains) else size.rows * (ROW + value * size.columns)
    if workers and role != "arbiter" and trains and isinstance(job, Job) and _lies_in_blocks(job):
        table = (HELD_OF_TREES if isinstance(job.model, BoostedTrees) else HELD) * size.rows
    aligning = 0 if role == "arbiter" and hosts == 1 else _aligning(size.rows, size.rows * hosts)
    if workers and hosts == len(job.align.keys) == 1 and role != "arbiter":
        aligning = PLACED_ROW * size.rows
    needs = [aligning]
    if work == "predict":
        fixed, row = (SERVED, SERVED_ROW) if role == "arbiter" else (SCORED, SCORED_ROW)
        if workers and role != "arbiter" and isinstance(job, Job) and kind_of(job.model).scores_in_blocks:
            table, fixed, row = 0, 0, KEPT_SCORED_ROW
        needs.append(fixed + row * size.common)
    if trains and isinstance(job, Job):
        each = (_trained(one, role, size, workers=workers) for one in job.candidates)
        needs += [REPORT if role == "guest" else 0, *each]
    return LIBRARIES + (ENGINE if workers else 0) + table + max(needs)


def _lies_in_blocks(job: Job) -> bool:
    """Whether a process holds no column of the job's table, if it has workers: another one has read it."""
    only = job.candidates[0]
    kind, plan = kind_of(only.model), plan_of(only)
    return len(job.candidates) == 1 and kind.in_blocks(plan)


def _trained(job: Job, role: Role, size: Size, *, workers: bool) -> int:
    """The training of one candidate."""
    hosts, plan, kind, bits = len(job.parties.hosts), plan_of(job), kind_of(job.model), job.crypto.key_bits
    rows = max(1, round(size.common * (1 - job.split.test)))
    work = kind.workload(plan, rows, Columns(size.columns, size.columns * hosts, hosts), PASSES)
    if work is None:
        return 0
    if work.kind == "trees":
        return _trees(work, role, bits, size.columns, in_blocks=workers and _lies_in_blocks(job), workers=workers)
    if isinstance(work, NetworkWork):
        return _network(work, role, bits, size.columns, round(size.common * job.split.test), workers=workers)
    chunks = kind.chunks(plan, 1 + hosts, rows, work.passes)
    batch = -(-rows // kind.batches(plan, rows))
    held = min(rows, parts.ROWS) if workers and _lies_in_blocks(job) else rows
    return _regression(chunks, role, bits, (rows, size.columns), batch, held=held, workers=workers)


def _regression(
    chunks: Sequence[Slots],
    role: Role,
    bits: int,
    shape: tuple[int, int],
    batch: int,
    used: int = 0,
    *,
    held: int | None = None,
    workers: bool,
) -> int:
    """chunks: of prepared iterations, if there are any; shape: rows and columns; batch: rows of a mini-batch, or all;
    used: rows that tables of powers are used for, where they are more; held: rows whose columns are held at a time."""
    rows, columns = shape
    found = (PASSING if workers else REGRESSION.of(role)) * row_bytes(bits) * min(batch, parts.ROWS)
    if chunks:
        z, g = (VALUE * -(-bits // 64) * rows for bits in (chunks[0].z_bits, chunks[0].g_bits))
        pads = min(z, IN_MEMORY) + (g if role == "arbiter" else 0)
        found += max(one.passes for one in chunks) * pads
    if role != "arbiter":
        found += USED * VALUE * columns * (rows if held is None else held)
    if workers:
        return int(found)
    if role == "arbiter":
        return int(found) + _powers(role, bits, max(batch, used))
    buckets, uses = _buckets(bits, columns, batch), max(batch, used)
    if chunks:
        buckets, uses = max(buckets, _windows(chunks[0], bits, columns, batch)), chunks[0].packs(uses)
    return int(found) + buckets + _powers(role, bits, uses)


def _network(work: NetworkWork, role: Role, bits: int, columns: int, scored: int, *, workers: bool) -> int:
    """Pads of all units and epochs of a chunk stand for every batch. Tables of powers grow over all of them, and stay
    while the guest reports. All else is of one batch, or of a block of look-ups for rows that are scored."""
    plan = layers.plan_of(work, bits)
    batch, units = plan.batch_rows[1], max(work.terms.hidden)
    slots = replace(plan.slots[0], passes=work.terms.units * plan.together)
    step = plan.scheme(1)
    numbers = sum(k * n for k, n in step.shapes.values()) + sum(one.size(step.shapes) for one in step.products)
    looked_up = LOOK_UP * min(parts.ROWS, units * max(batch, scored))
    found = COPIES * (NUMBER * numbers * min(batch, parts.ROWS) + looked_up) + (REPORT if role == "guest" else 0)
    found += COPIES * NUMBER * work.terms.units * work.held_out  # sums of all of these at once
    more = (
        max(1 / one.rows + one.groups for one in plan.slots) / CROWDED - 1
    )  # a batch's ciphertexts than a regression's
    vectors = PASSING if workers else REGRESSION.of(role)
    found += max(0.0, more) * vectors * row_bytes(bits) * min(batch, parts.ROWS)
    rows = work.rows + work.held_out
    return int(found) + _regression([slots], role, bits, (rows, columns), batch, rows, workers=workers)


def _trees(work: Workload, role: Role, bits: int, columns: int, *, in_blocks: bool, workers: bool) -> int:
    """in_blocks: whether no column is held."""
    sealed, ciphertext = work.membership == "sealed", row_bytes(bits)
    vectors = PASSING if workers else (SEALED if sealed else OPEN).of(role)
    found = vectors * ciphertext * min(work.rows, parts.ROWS)
    encrypts = work.rows if role == holder(sealed) else 0
    if sealed:
        rows = min(work.rows, parts.ROWS)  # the others lie in the run's file
        found += NODES.of(role) * VALUE * max(1, work.classes - 1) * (rows << work.depth)
    elif role == "host" and not workers:
        found += ciphertext * work.rows
        encrypts = (columns * work.bins) << work.depth  # sums of each node, with a fresh factor
    if role != "arbiter":
        found += columns * (work.bins * ciphertext + (0 if in_blocks else BINNED * VALUE * work.rows))
    return int(found) + (_powers(role, bits, encrypts) if encrypts and not workers else 0)


def holder(sealed: bool) -> Role:
    """Who encrypts rows of trees."""
    return "arbiter" if sealed else "guest"


def _buckets(bits: int, columns: int, rows: int) -> int:
    """While a block of residuals is multiplied with the columns."""
    return int(min(MOST_BUCKETS, BUCKETS * columns * min(rows, parts.ROWS))) * row_bytes(bits)


def _windows(slots: Slots, bits: int, columns: int, rows: int) -> int:
    """Tables that a block of rows is multiplied with, while pads of predictors are made."""
    packs = min(slots.packs(rows), parts.ROWS)
    return matrices.cheapest(prepared.columns(slots, columns), packs).rows * row_bytes(bits)


def _powers(role: Role, bits: int, uses: int) -> int:
    """Tables of powers: of the holder of the key modulo two primes; of others for what they compute.  Hosts of the runs
    that the constants were fitted to had a shorter one besides, which stands for the table that covers all units."""
    if role == "arbiter":
        return 2 * _table(bits // 4, uses, row_bytes(bits) // 2)
    each = [bits + HOLDER_MARGIN, *([bits // 2] if role == "host" else [])]
    return sum(_table(exponent, uses, row_bytes(bits)) for exponent in each)


def _table(exponent: int, uses: int, element: int) -> int:
    """Bytes of the table that is the cheapest for this number of powers."""
    return cheapest(exponent, uses, TABLE // element).rows * element


def worker_bytes(
    job: Agreement, rows: int, columns: int, workers: int, role: Role | None = None, *, reads: bool = True
) -> int:
    """Of one of `workers`, for a table of this size, if every partner's list is as long and all rows are common.
    role: of this party, by default that of the key's holder, which needs the most; reads: whether the workers read
    ids."""
    share = -(-rows // workers)
    trains = _shared(job, rows, columns, workers, role) if isinstance(job, Job) else 0
    copies, reading = (SHARED_MATCHING, READING) if reads else (TAGS_MATCHING, 0)
    return PROCESS + max(reading + _aligning(rows, share, copies), trains)


def _aligning(rows: int, matched: int, copies: int = MATCHING) -> int:
    return POINT * min(rows, CHUNK) + 2 * TAG * copies * matched


def _shared(job: Job, rows: int, columns: int, workers: int, role: Role | None) -> int:
    """A worker's vectors of its portion of a block, its part of the table as integers, tables of powers (an arbiter's,
    which are small, are among its vectors), and of open trees, at hosts, the gradients of its rows."""
    bits, share = job.crypto.key_bits, -(-rows // workers)
    is_open = any(getattr(one.model, "membership", "") == "open" for one in job.candidates)
    trees = all(isinstance(one.model, BoostedTrees) for one in job.candidates)
    vectors = VECTORS if role in (None, holder(not is_open)) else OTHER_VECTORS
    found = vectors * row_bytes(bits) * -(-min(rows, parts.ROWS) // workers) + min(8 * share * columns, PLACED)
    if role in ("guest", "host") and (not trees or role == holder(not is_open)):
        found += _powers(role, bits, share)
    return found + (share * row_bytes(bits) if is_open and role in (None, "host") else 0)
