"""What `vfl check` says of a job's time: the cost model with two times measured now, for this party's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from protocols.glm.gram_layout import Layout
from protocols.glm.slots import Slots
from vfl.cost import cost, gram, layers, prepared
from vfl.cost.jobs import OTHERS
from vfl.cost.machine import Machine, cores
from vfl.cost.network import NETWORKS, Network
from vfl.job import Job
from vfl.job.agreement import Matching
from vfl.job.plan import plan_of
from vfl.models.registry import kind_of
from vfl.models.workload import Columns, NetworkWork, Workload
from vfl.report import words

ROWS, COLUMNS, PASSES = (
    10_000,
    20,
    100,
)  # a table, to the arbiter, which has none; passes, to those who cannot tell how many are planned


def workload(job: Job, rows: int, columns: int, passes: int | None = None) -> Workload | None:
    """The job at its largest: all `rows` common to all, every data party with as many columns as this one; passes:
    planned ones, where the job leaves them to that.

    None: there is no estimate for its kind."""
    hosts, trained = len(job.parties.hosts), max(1, round(rows * (1 - job.split.test)))
    width = Columns(columns, (columns or COLUMNS) * hosts, hosts)
    return kind_of(job.model).workload(plan_of(job), trained, width, passes or PASSES)


def chunks_of(job: Job, work: Workload) -> Sequence[Slots]:
    """The chunks of prepared iterations, if the job has any."""
    return kind_of(job.model).chunks(plan_of(job), 1 + work.hosts, work.rows, work.passes)


def gram_of(job: Job, work: Workload) -> Layout | None:
    """The layout of shares of Gram matrices, if the job's training takes them."""
    return kind_of(job.model).gram(plan_of(job), work)


def may_be_less(job: Job) -> bool:
    """Whether the training may end early, use a part of rows or columns, or have a part of its rounds already."""
    return bool(job.split.cut_off) or any(kind_of(one.model).may_be_less(plan_of(one)) for one in job.candidates)


def times(job: Job, rows: int, columns: int, passes: int | None = None, workers: int = 0) -> dict[Network, float]:
    """Seconds on each network: of the alignment by every key, and of the training; of a search, of every fold of every
    candidate, and the longest of these once more on all rows.  Measures for about a second.

    Every party has a machine like this one, or as many `workers` of its speed."""
    bits, cv = job.crypto.key_bits, job.search.cv if job.search is not None else 0
    threads = workers or cores()
    machine, inside = Machine.measured(bits), max(1, rows * (cv - 1) // max(1, cv))

    def training(one: Job, network: Network, common: int) -> float:
        work = workload(one, common, columns, passes)
        assert work is not None
        if isinstance(work, NetworkWork):
            return layers.seconds(work, bits, machine, network, threads)
        if layout := gram_of(one, work):
            return gram.seconds(layout, work, bits, machine, network, threads)
        batches = kind_of(one.model).batches(plan_of(one), work.rows)
        if chunks := chunks_of(one, work):
            return prepared.seconds(chunks, work, bits, machine, network, threads, batches)
        parts = in_batches(work, batches)
        return sum(sign * cost.part_seconds(part, bits, machine, network, threads) for sign, part in parts)

    return {
        network: _alignment_seconds(job, rows, machine, network, threads)
        + cv * sum(training(one, network, inside) for one in job.candidates if cv)
        + max(training(one, network, rows) for one in job.candidates)
        for network in NETWORKS
    }


def _alignment_seconds(job: Matching, ids: int, machine: Machine, network: Network, threads: int) -> float:
    """By every key, if each data party has as many ids."""
    work = Workload("alignment", round(ids / (1 + OTHERS)), hosts=len(job.parties.hosts))
    return len(job.align.keys) * cost.part_seconds(work, 0, machine, network, threads)


def in_batches(work: Workload, batches: int) -> list[tuple[int, Workload]]:
    """A regression's training with `batches` per epoch as jobs over whole tables, to be added up with their signs: all
    but the training, and each batch as a table."""
    if batches == 1:
        return [(1, work)]
    batch = replace(work, rows=-(-work.rows // batches), passes=work.passes * batches)
    return [(1, replace(work, passes=0)), (1, batch), (-1, replace(batch, passes=0))]


def in_words(job: Job, table: tuple[int, int] | None, passes: int | None = None, workers: int = 0) -> str:
    """The estimate in words, with its error.

    table: rows and columns of this party's; None at the arbiter, which gets the estimate for a table that it can scale.
    passes: those planned by this party's labels, if it can tell; workers: of this party's cluster.
    """
    rows, columns = table or (ROWS, COLUMNS)
    such = _such(workers)
    given = f"for every {ROWS:,} common rows, if each data party has {COLUMNS} columns and {such}"
    if table is not None:
        given = (
            f"if all {rows:,} rows are common and the others have {such} and "
            f"{'as many' if columns else COLUMNS} columns"
        )
    work = workload(job, rows, columns)
    if work is None:
        return f"no estimate: the cost model does not know {job.model.kind}"
    unplanned = passes is None and any(getattr(one.model, "max_iter", None) == "auto" for one in job.candidates)
    whole = f" for all {job.trainings} trainings" if job.search is not None else ""
    caveats = "".join(
        f" ({caveat})"
        for caveat in dict.fromkeys(c for one in job.candidates for c in kind_of(one.model).caveats(plan_of(one), rows))
    )
    found = _listed(times(job, rows, columns, passes, workers))
    return (
        f"{'at most' if may_be_less(job) else 'about'} "
        f"{found}{whole}{f' every {PASSES} iterations' if unplanned else ''}, "
        f"{given}; "
        f"{_error(work, shares=gram_of(job, work) is not None, prepares=bool(chunks_of(job, work)))}{caveats}"
    )


def alignment_in_words(job: Matching, ids: int | None, workers: int = 0) -> str:
    """The estimate of a job that aligns and trains nothing; ids: how many this party has, None at the arbiter."""
    machine, such, threads = Machine.measured(0), _such(workers), workers or cores()
    given = f"for every {ROWS:,} ids of each data party, if all have {such}"
    if ids is not None:
        given = f"if the others have as many ids as this party ({ids:,}), all of them common, and {such}"
    found = {network: _alignment_seconds(job, ids or ROWS, machine, network, threads) for network in NETWORKS}
    return f"about {_listed(found)}, {given}; {_error(Workload('alignment', ROWS))}"


def _such(workers: int) -> str:
    return f"{workers} workers as fast as this machine's cores" if workers else "such a machine"


def _listed(found: Mapping[Network, float]) -> str:
    return ", ".join(f"{words.duration(seconds)} ({network.name})" for network, seconds in found.items())


def _error(work: Workload, *, shares: bool = False, prepares: bool = False) -> str:
    if shares:
        return (
            "products modulo n^2 and bytes of iterations on shares of Gram matrices are predicted within "
            f"{prepared.WORST:.0%}"
        )
    if isinstance(work, NetworkWork):
        return f"products modulo n^2 and bytes of networks are predicted within {layers.WORST:.0%}"
    if prepares:
        return f"products modulo n^2 and bytes of prepared iterations are predicted within {prepared.WORST:.0%}"
    wrong = cost.fitted()["errors"][cost.variant(work)]
    jobs = f"{wrong['jobs']} {'job' if wrong['jobs'] == 1 else 'jobs'}"
    return f"CPU seconds of {jobs} that the formula was not fitted on were predicted within {wrong['worst']:.0%}"
