"""How far off the cost model of `vfl check` is: predicted and measured CPU seconds of the same trainings, in one run.

    python -m benchmarks.times [--cases NAME ..] [--repeat N]

All parties in this process, on one core; generated tables, all rows common.  The machine's two times are measured
before and after each training, and the better of each counts.  Printed: measured and predicted CPU seconds of all
parties, alignment and key included; of prepared iterations also of what `vfl prepare` does (what encryption adds, as
the same job in the clear is measured too).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd


class Case(NamedTuple):
    """One training.  preparation: as of a job file."""

    rows: int
    guest: int
    host: int
    bits: int
    passes: int
    preparation: str = "batched"


CASES = {
    "prepared": Case(4_000, 5, 18, 2048, 16),
    "wide": Case(4_000, 10, 50, 2048, 16),
    "3072": Case(4_000, 5, 18, 3072, 24),
    "blocks": Case(150_000, 2, 10, 2048, 10),
    "direct": Case(2_000, 5, 18, 2048, 5, "none"),
}


class Found(NamedTuple):
    """CPU seconds of all parties: whole trainings, and what encryption adds to them."""

    measured: float
    predicted: float
    ahead: float
    ahead_predicted: float

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds that it takes in this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def fitted(case: Case, data: tuple[pd.DataFrame, pd.DataFrame], cipher: Any) -> None:
    """Aligns and trains."""
    import vfl

    federation = vfl.Federation.local(
        data[0],
        {"host1": data[1]},
        on="id",
        label="label",
        cipher=cipher,
        convergence=False,
        preparation=case.preparation,
    )
    federation.fit(vfl.LogisticRegression(max_iter=case.passes))


def compared(case: Case) -> Found:
    """One case, measured and predicted."""
    from benchmarks.memory import tables
    from protocols.cipher import Identity, Paillier
    from vfl.cost import cost, prepared
    from vfl.cost.machine import Machine
    from vfl.models.plan import Plan
    from vfl.models.regression.chunks import chunks_of
    from vfl.models.regression.program import terms_of
    from vfl.models.regression.spec import LogisticRegression
    from vfl.models.workload import Workload

    frames = tables(case.rows, case.guest, case.host)
    data = frames["bank"], frames["telecom"]
    before = Machine.measured(case.bits)
    took = cpu(lambda: fitted(case, data, Paillier(case.bits)))
    clear = cpu(lambda: fitted(case, data, Identity(case.bits)))
    machine = before.faster(Machine.measured(case.bits))
    work = Workload("logistic", case.rows, case.guest, case.host, passes=case.passes)
    if case.preparation == "none":
        added = cost.predict(work, case.bits)["paced"] * machine.product_s
        return Found(took, cost.one_core_s(work, case.bits, machine), took - clear, added)
    terms = terms_of(Plan(LogisticRegression(max_iter=case.passes), prepared=True))
    chunks = chunks_of(terms, 2, case.rows, case.passes, case.bits)
    ahead, online = prepared.one_core_s(chunks, work, case.bits, machine)
    aligned = cost.one_core_s(Workload("alignment", case.rows), 0, machine)
    return Found(took, aligned + ahead + online, took - clear, ahead)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])  # before the core makes its threads
    for name in options.cases:
        case = CASES[name]
        for _ in range(options.repeat):
            found = compared(case)
            print(
                f"{name:>9} {case.rows:,} x ({case.guest} + {case.host}), {case.bits} bits, {case.passes} iterations: "
                f"{found.measured:.2f} CPU s, predicted {found.predicted:.2f} ({found.error:+.0%}); of it encryption "
                f"{found.ahead:.2f}, predicted {found.ahead_predicted:.2f}; load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
