"""Counts, which no other work on the machine disturbs: what mini-batches cost beside whole passes, and trees that share
ciphertexts beside trees apart.

    python -m benchmarks.counted [batches] [classes]

Products modulo n^2 and bytes of all parties under 2048 bits; of mini-batches messages, too.  Minutes: the largest round
of classes apart is 42 million products.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any
from unittest.mock import patch

import numpy as np

import vfl
from protocols.binning.quantile import Binner
from protocols.boosting import blocks, open, sealed_arbiter, sealed_guest, sealed_host
from protocols.boosting.ensemble import Rounds
from protocols.boosting.packing import Packing, shared_by
from protocols.boosting.params import Params
from protocols.cipher import Paillier
from protocols.local import run_local
from protocols.session import Roles, Session
from vfl.cost.jobs import tables
from vfl.cost.meter import Counted, Event, Meter
from vfl.models.workload import Workload

BITS, CLASSES = 2048, 4
PASSES = {"none": 5, "batched": 17}  # epochs: of prepared ones a chunk
BATCHES = (None, 1024, 256, 64)
ROUNDS = (
    ("sealed", 846, 9),
    ("sealed", 10_000, 10),
    ("sealed", 30_000, 13),
    ("open", 846, 9),
)  # rows, columns of the host


def of_training(meters: dict[str, Meter]) -> list[Event]:
    return [event for meter in meters.values() for event in meter.events if event.phase == "train"]


def products(events: list[Event]) -> int:
    return sum(event.products for event in events)


def sent(events: list[Event]) -> list[int]:
    return [event.size for event in events if event.what == "send"]


def batches() -> Iterator[str]:
    """A regression of 2,048 rows and 5 + 18 columns, direct and prepared: the training alone, a row and pass."""
    data = tables(Workload("logistic", 2048))
    for (preparation, passes), size in product(PASSES.items(), BATCHES):
        solver: dict[str, Any] = {} if size is None else {"solver": "sgd", "batch_size": size}
        meters = {party: Meter() for party in ("guest", *data.hosts, "arbiter")}
        federation = vfl.Federation.local(
            data.guest,
            data.hosts,
            on="id",
            label="label",
            cipher=Counted(Paillier(BITS)),
            convergence=False,
            preparation=preparation,
        )
        federation.fit(
            vfl.LogisticRegression(max_iter=passes, **solver),
            taps={p: [m] for p, m in meters.items()},
            observers=meters,
        )
        events = of_training(meters)
        each = 2048 * passes
        yield (
            f"{preparation}, {'all rows' if size is None else size}: {products(events) / each:.0f} products and "
            f"{sum(sent(events)) / each:.0f} bytes per row and epoch, "
            f"{len(sent(events)) / passes:.0f} messages per epoch"
        )


def classes() -> Iterator[str]:
    """One round of trees of depth 5 with 32 bins: as the layout decides, and each class with ciphertexts of its own; of
    open trees also with as many classes in one as fit."""
    for membership, rows, columns in ROUNDS:
        decided = one_round(membership, rows, columns)
        if membership == "sealed":
            with patch.object(blocks, "MOST_TOGETHER", 1):
                alone = one_round(membership, rows, columns)
            yield f"{membership}, {rows:,} x {columns}: apart {alone}, as decided {decided}"
            continue
        for name, layout in (("apart", apart), ("shared", together)):
            with patch.object(open, "shared_by", layout):
                yield (
                    f"{membership}, {rows:,} x {columns}: {name} {one_round(membership, rows, columns)}, as "
                    f"decided {decided}"
                )


def apart(one: Packing, *_: Any, **__: Any) -> Packing:
    return one


def together(one: Packing, all_classes: int, *_: Any, **__: Any) -> Packing:
    """As many classes in a ciphertext as fit: what is cheapest where additions are all that counts."""
    return shared_by(one, all_classes, 10**6, 0, added=True)


def one_round(membership: str, rows: int, columns: int) -> str:
    """What it takes."""
    p = Params(
        n_estimators=1, max_depth=5, max_bin=32, objective="multi:softprob", num_class=CLASSES, membership=membership
    )  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 5 + columns))
    score = x @ rng.normal(size=x.shape[1]) + rng.logistic(size=rows)
    y = np.digitize(score, np.quantile(score, [0.25, 0.5, 0.75])).astype(np.float64)
    own, theirs = (
        Binner.fit(part, p.max_bin, least).transform(part)
        for part, least in ((x[:, :5], 1), (x[:, 5:], p.min_bin_rows))
    )
    roles = Roles("guest", ("host",), "arbiter")

    def in_phase(role: Callable[[Session], Any]) -> Callable[[Session], Any]:
        def program(session: Session) -> Any:
            with session.phase("train"):
                return role(session)

        return program

    sealed = membership == "sealed"
    programs = {
        "guest": lambda s: (
            sealed_guest.guest(s, own, p, y, bytes(16)) if sealed else open.guest(s, own, p, Rounds(p, y), bytes(16))
        ),
        "host": lambda s: sealed_host.host(s, theirs, p) if sealed else open.host(s, theirs, p),
        "arbiter": lambda s: sealed_arbiter.arbiter(s, p) if sealed else None,
    }
    meters = {party: Meter() for party in roles.all}
    taps = {party: [meter] for party, meter in meters.items()}
    run_local(
        roles,
        {party: in_phase(role) for party, role in programs.items()},
        Counted(Paillier(BITS)),
        taps=taps,
        observers=meters,
    )
    events = of_training(meters)
    return f"{products(events) / 1e6:.1f} M products, {sum(sent(events)) / 1e6:.1f} MB"


def main() -> None:
    chosen = {"batches": batches, "classes": classes}
    for name in sys.argv[1:] or chosen:
        for line in chosen[name]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
