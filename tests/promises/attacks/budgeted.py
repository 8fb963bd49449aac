"""Regressions whose parties count what they disclose, in one process: what an attack on several of them starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.cipher import Identity, Scheme
from protocols.local import run_local
from protocols.session import Roles
from vfl.data import Table, table_from_frame
from vfl.job import Party, load_party
from vfl.job.setup import init_party
from vfl.models.regression import program as glm
from vfl.run.budget import Budget, Opened, spread_of

Floats = NDArray[np.float64]
ROLES = Roles("bank", ("telecom",), "trustco")


@dataclass
class Budgeted:
    """The same institutions over many runs.  folder: of their budgets; None: nobody counts (the control)."""

    folder: Path | None
    runs: int = 0

    def party(self, name: str) -> Party:
        assert self.folder is not None
        if not (self.folder / name).exists():
            init_party(self.folder / name, "guest" if name == "bank" else "host", name)
        party = load_party(self.folder / name / "party.toml")
        party.run.directory.mkdir(exist_ok=True)
        return party

    def train(
        self, guest: Table, host: Table, job: Any, scheme: Scheme | None = None, module: Any = glm
    ) -> dict[str, Any]:
        """What each party has at the end of a run with a name of its own; module: the programs of the job's kind.
        Raises DisclosureRefused where one of them has disclosed enough."""
        self.runs += 1
        tables, name = {"bank": guest, "telecom": host}, self.runs.to_bytes(16, "big")
        allowances = {}
        if self.folder is not None:
            for party, table in tables.items():
                opened = Opened(0, tuple(map(str, table.features.columns)), spread=spread_of(table.features))
                budget = Budget(
                    self.party(party), "run", table, opened=opened if party == "telecom" else None, guest="bank"
                )
                budget.check(["telecom" if party == "bank" else "bank"])
                allowances[party] = budget.allowance(name)
        programs: dict[str, Any] = {
            "bank": partial(module.guest, table=guest, plan=job),
            "telecom": partial(module.host, table=host, plan=job),
            "trustco": partial(module.arbiter, plan=job),
        }
        inputs = {party: table.digest() + name for party, table in tables.items()}
        return run_local(ROLES, programs, scheme or Identity(), inputs=inputs, allowances=allowances)


def table(party: str, x: Floats, label: Floats | None = None) -> Table:
    """Rows c0, c1, ... with columns x0, x1, ..., and `y` where there is a label: classes where it holds few values."""
    frame = pd.DataFrame(x, columns=[f"x{k}" for k in range(x.shape[1])]).assign(id=[f"c{k}" for k in range(len(x))])
    objective: Any = "numeric" if label is not None and len(np.unique(label)) > 20 else "multiclass"
    return table_from_frame(
        frame if label is None else frame.assign(y=label),
        party=party,
        keys=["id"],
        normalise={"id": "text"},
        duplicates="error",
        label=None if label is None else "y",
        columns=None,
        objective=objective,
    )
