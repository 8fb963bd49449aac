"""What `vfl check` says of a job's time: the cost model with two times measured now, for this party's table."""

from __future__ import annotations

from dataclasses import replace

from protocols.glm.plan import rows_log2
from vfl.bench import cost
from vfl.bench.environment import cores
from vfl.bench.network import NETWORKS, Network
from vfl.bench.workload import Workload
from vfl.config import Job
from vfl.config.regressions import Regression
from vfl.kinds.regression import plan_of
from vfl.report import words


def workload(job: Job, rows: int, columns: int) -> Workload | None:
    """The job at its largest: all `rows` common to all, every party with as many columns as this one; None for a kind without a formula."""
    model, hosts = job.model, len(job.parties.hosts)
    if model.kind == "logistic-regression" and model.num_class == 2 and isinstance(model.max_iter, int):
        return Workload("logistic", rows, columns, columns * hosts, hosts, passes=model.max_iter, link=model.link)
    if model.kind == "boosted-trees":
        trees = model.n_estimators * model.num_class
        return Workload(
            "trees",
            rows,
            columns,
            columns * hosts,
            hosts,
            trees=trees,
            depth=model.max_depth,
            bins=model.max_bin,
            membership=model.membership,
        )
    return None


def times(job: Job, rows: int, columns: int) -> dict[Network, float] | None:
    """Seconds on each network, every party on a machine like this one; of a search every fold of every candidate, and the longest of these once more on all rows.
    Measures for about a second."""
    cv = job.search.cv if job.search is not None else 0
    if any(workload(one, rows, columns) is None for one in job.candidates):
        return None
    bits = job.crypto.key_bits
    machine = cost.Machine.measured(bits)

    def seconds(one: Job, network: Network, common: int) -> float:
        work = workload(one, common, columns)
        assert work is not None
        pieces = in_batches(work, _batches(one, common))
        return sum(sign * cost.seconds(w, bits, machine, network, cores()) for sign, w in pieces)

    def whole(network: Network) -> float:
        inside = max(1, rows * (cv - 1) // max(1, cv))
        folds = cv * sum(seconds(one, network, inside) for one in job.candidates) if cv else 0.0
        return max(seconds(one, network, rows) for one in job.candidates) + folds

    return {network: whole(network) for network in NETWORKS}


def in_batches(work: Workload, batches: int) -> list[tuple[int, Workload]]:
    """A regression's training in so many batches a pass as jobs of whole passes, to be added up with their signs: all but the training, and each batch as a table."""
    if batches == 1:
        return [(1, work)]
    batch = replace(work, rows=-(-work.rows // batches), passes=work.passes * batches)
    return [(1, replace(work, passes=0)), (1, batch), (-1, replace(batch, passes=0))]


def _batches(job: Job, rows: int) -> int:
    sgd = plan_of(job).sgd if isinstance(job.model, Regression) else None
    return 1 if sgd is None else sgd.batches(rows_log2(rows))


def _caveats(job: Job, rows: int) -> list[str]:
    """What the formula does not know of a job."""
    found = ["whole passes; of mini-batches it foretells too much where they are small"] if _batches(job, rows) > 1 else []
    if job.model.kind == "boosted-trees" and job.model.num_class > 1:
        found.append("each class by itself; where classes share ciphertexts it foretells too much")
    if job.model.kind == "boosted-trees" and job.model.continue_from is not None:
        found.append("the rounds that the model has already are counted, too")
    return found


def told(job: Job, rows: int, columns: int) -> str | None:
    """The estimate in words, with its error; None for a kind without a formula."""
    found, work = times(job, rows, columns), workload(job, rows, columns)
    if found is None or work is None:
        return None
    wrong = cost.fitted()["errors"][cost.variant(work)]
    told = "".join(f" ({caveat})" for caveat in _caveats(job, rows))
    by_network = ", ".join(f"{words.duration(seconds)} ({network.name})" for network, seconds in found.items())
    whole = f" for all {job.trainings} trainings" if job.search is not None else ""
    return (
        f"about {by_network}{whole}, if all {rows:,} rows are common and the others have such a machine and so many columns; "
        f"within {wrong['worst']:.0%} on {wrong['jobs']} {'job' if wrong['jobs'] == 1 else 'jobs'} that the formula was not fitted on{told}"
    )
