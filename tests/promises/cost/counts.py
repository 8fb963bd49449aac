"""What fixed small jobs cost, counted: products modulo n^2 and points by party, messages and bytes by link and kind.
No seconds, so no noise.

    python -m tests.promises.cost.counts            prints what differs from counts.json
    python -m tests.promises.cost.counts --write    writes counts.json anew: the diff then says what a change costs

Secrets are fixed, there is one thread, and the core's portable backend computes, so that every count is the same in
every run on every machine.  A faster backend shares a vector among its lanes, and so multiplies a little more: its
counts are at most some percent larger.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from tests.places import ROOT

FILE = Path(__file__).with_name("counts.json")
COMMAND = "make counts, or python -m tests.promises.cost.counts --write"
BACKEND = "serial"


DIRECT = ", direct"  # how the name of a job ends whose iterations are not prepared
GRAM = ", shares of Gram matrices"  # of one that takes them, small as it is
NETWORK = "network, two layers in mini-batches"


def jobs() -> dict[str, Any]:
    """Workloads by name, each with its part of everything: every kind of model, both links, mini-batches, both profiles
    of trees, one host and two; iterations that are prepared and those that are not."""
    from vfl.models.workload import Workload

    small = {"rows": 80, "guest_columns": 2, "host_columns": 3}
    return {
        "logistic exact, one host": Workload("logistic", passes=5, **small),
        f"logistic exact, one host{DIRECT}": Workload("logistic", passes=5, **small),
        "logistic in mini-batches": Workload("logistic", passes=5, **small),
        "logistic taylor, two hosts": Workload("logistic", passes=5, link="taylor", hosts=2, **small),
        "linear": Workload("linear", passes=5, **small),
        f"linear{GRAM}": Workload("linear", passes=12, **small),
        "poisson, weighted rows": Workload("poisson", passes=5, weighted=True, **small),
        f"poisson, weighted rows{DIRECT}": Workload("poisson", passes=5, weighted=True, **small),
        NETWORK: Workload("logistic", **small),
        "logistic taylor, three classes": Workload("logistic", passes=5, link="taylor", classes=3, **small),
        "scorecard": Workload("scorecard", passes=5, link="taylor", **(small | {"rows": 160})),
        "trees sealed": Workload("trees", trees=1, depth=2, bins=8, **small),
        "trees open, two hosts": Workload("trees", trees=1, depth=3, bins=8, membership="open", hosts=2, **small),
    }


class Nonces(threading.local):
    """1, 2, .. in each party's thread."""

    used = 0

    def next(self) -> bytes:
        self.used += 1
        return self.used.to_bytes(32, "little")


def count(only: str = "") -> dict[str, Any]:
    """Runs the jobs whose name begins with `only` in this process."""
    from protocols.cipher import Paillier
    from protocols.glm import ahead, attempts
    from protocols.glm.gram_layout import Layout
    from protocols.ristretto import PointVec
    from vfl.cost.jobs import run
    from vfl.models.network.spec import MLPClassifier
    from vfl.models.regression.spec import LogisticRegression

    pays = Layout.pays
    points, inner = Counter[str](), PointVec.__mul__

    def counted(this: PointVec, scalar: bytes) -> PointVec:
        points["all"] += len(this)
        return inner(this, scalar)

    PointVec.__mul__ = counted  # type: ignore[method-assign]
    attempts.run_seed = ahead.run_seed = Nonces().next  # of attempts, which no other randomness decides
    found = {}
    for name, work in ((n, w) for n, w in jobs().items() if n.startswith(only)):
        points.clear()
        spec = {
            "logistic in mini-batches": LogisticRegression(max_iter=5, solver="sgd", batch_size=32),
            NETWORK: MLPClassifier(hidden_layer_sizes=(3, 2), max_iter=2, batch_size=40),
        }.get(name)
        way = "none" if name.endswith(DIRECT) else "gram" if name.endswith(GRAM) else None
        Layout.pays = (lambda self, plan: self.fits) if name.endswith(GRAM) else pays  # type: ignore[method-assign]
        meters = run(work, Paillier(2048), repeatable=True, spec=spec, preparation=way).meters
        links: dict[str, list[int]] = {}
        for party, meter in meters.items():
            for event in meter.events:
                if event.what == "send":
                    entry = links.setdefault(f"{party} -> {event.peer}: {event.kind}", [0, 0])
                    entry[0] += 1
                    entry[1] += event.size
        products = {p: sum(e.products for e in m.events) for p, m in meters.items()}
        found[name] = {"products": products, "points": points["all"], "messages and bytes": dict(sorted(links.items()))}
    return found


def fresh(only: str = "", planted: str = "") -> dict[str, Any]:
    """`count` in a process of its own with one thread; `planted`: code that is run first."""
    code = f"{planted}\nimport json; from tests.promises.cost.counts import count; print(json.dumps(count({only!r})))"
    environment = os.environ | {"RAYON_NUM_THREADS": "1", "VFL_NATIVE_BACKEND": BACKEND}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def expected(only: str = "") -> dict[str, Any]:
    """What counts.json says."""
    jobs = json.loads(FILE.read_text())
    return {name: job for name, job in jobs.items() if name.startswith(only)}


def differences(found: Any, wanted: Any, where: str = "") -> list[str]:
    """One line for each count that is another."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = dict.fromkeys((*wanted, *found))
        return [
            line for n in names for line in differences(found.get(n), wanted.get(n), f"{where}, {n}" if where else n)
        ]
    return [] if found == wanted else [f"{where}: {found}, expected {wanted}"]


def main() -> None:
    if sys.argv[1:] != ["--write"]:
        print("\n".join(differences(fresh(), expected())) or "as expected")
        return
    text = re.sub(
        r"\[\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2]", json.dumps(fresh(), indent=1)
    )  # a message's two counts on one line
    FILE.write_text(text + "\n")


if __name__ == "__main__":
    main()
