"""Which common rows of a local federation are held out, and what they say of the model: as `[split]` and `[evaluation]` of a job file."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protocols.errors import ConfigError
from vfl.data import KeyLists
from vfl.models.evaluation import Evaluation
from vfl.models.fitted import Fitted
from vfl.models.joint import Trained
from vfl.models.results import Measuring, baseline, data_party_result, environment
from vfl.schema.parameters import Parameters, number, whole


@dataclass(frozen=True, repr=False)
class Split(Parameters):
    """The common rows that are held out for evaluation.

    test: the part that is held out, from 0 to 0.9; it is drawn by `seed` from the ids, so every party makes the same draw.
    out_of_time: a day; rows on or after it, by the guest's column `Federation.local(date=...)`, are a separate part.  Hosts learn which of the common rows
    these are, and no date.
    train: training rows are evaluated too; for regressions and scorecards the guest then also learns their scores.
    """

    test: float = 0.25
    seed: int = 0
    out_of_time: str | datetime.date | None = None
    train: bool = False

    def __post_init__(self) -> None:
        self.check(
            (
                ("test", number(self.test, 0, 0.9), "a number from 0 to 0.9"),
                ("seed", whole(self.seed, 0, 2**63 - 1), "a whole number from 0 to 2^63 - 1"),
                ("train", isinstance(self.train, bool), "True or False"),
            )
        )
        if not self.test and self.out_of_time is None:
            raise ConfigError("Split: nothing is held out", remedy="Set test above 0, or out_of_time, or leave split out")
        _ = self.cut_off

    @property
    def cut_off(self) -> str:
        """out_of_time in ISO 8601; empty where there is none."""
        try:
            day = datetime.date.fromisoformat(self.out_of_time) if isinstance(self.out_of_time, str) else self.out_of_time
        except ValueError:
            day = datetime.datetime.max  # no day
        if day is None:
            return ""
        if not isinstance(day, datetime.date) or isinstance(day, datetime.datetime):
            raise ConfigError(f"Split: out_of_time = {self.out_of_time!r} is not possible", remedy='It is a day, such as "2026-01-01"')
        return day.isoformat()

    def job(self) -> dict[str, Any]:
        """As the programs take it."""
        return {"test": self.test, "seed": self.seed, "out_of_time": self.cut_off, "measure_train": self.train}


def reports(trained: Trained[Any], keys: KeyLists) -> dict[str, Evaluation]:
    """By party, what its report of a run with a `Split` would say."""
    roles, plan = trained.roles, trained.plan
    found: Mapping[str, Fitted] = trained.fitted
    by = Measuring(trained.kind, plan, plan.spec.label, roles, plan.split_seed, keys)
    told = {}
    for party in roles.data_parties:
        fitted = found[party]
        frame: dict[str, Any] = {
            "format": 1,
            "purpose": "run",
            "job": "local federation",
            "job_digest": "none: made in one process",
            "role": "guest" if party == roles.guest else "host",
            "party": party,
            "parties": {"guest": roles.guest, "hosts": list(roles.hosts), "arbiter": roles.arbiter},
            "outcome": by.outcome,
            "model": {"kind": plan.spec.kind, **{k: v for k, v in plan.spec.get_params().items() if k != "key_bits"}},
            "environment": environment(),
        }
        told[party] = Evaluation(data_party_result(frame, by, fitted, baseline(by, fitted)))
    return told
