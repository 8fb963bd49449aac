"""Which common rows of a local federation are held out, and what they say of the model: as `[split]` and `[evaluation]`
of a job file."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field

from protocols.errors import ConfigError
from vfl.data import KeyLists
from vfl.models.evaluation import Evaluation
from vfl.models.fitted import Fitted
from vfl.models.joint import Trained
from vfl.models.results import Measuring, baseline, data_party_result, environment
from vfl.schema.declared import Declared
from vfl.schema.described import Values
from vfl.schema.section import Complaint, shown


def _day(value: object) -> object:
    """A date, a time stamp at midnight, or a text that is a date, as text: the digest of a job knows no dates."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = datetime.date.fromisoformat(value)
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, datetime.datetime) and value == value.replace(hour=0, minute=0, second=0, microsecond=0):
        value = value.date()
    if value is None or (isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)):
        return None if value is None else value.isoformat()
    raise Complaint(f"is {shown(value)}", "Expected a date, such as out_of_time = 2026-01-01")


class Split(Declared):
    """The common rows that are held out for evaluation.

    The draw depends on the ids and `seed` alone, so every party makes the same one. Of the rows before `out_of_time` the part `test`
    is held out too, 0.25 unless it is set; `test=0` holds out the later rows alone.

    Attributes
    ----------
    cut_off : str
        The day `out_of_time` in ISO 8601; empty where there is none.

    Notes
    -----
    What each party learns: with `out_of_time` hosts learn which of the common rows are on or after that day, by the guest's column
    `Federation.local(date=...)`, and no date. With `train` the guest also learns the scores of the training rows of regressions and
    scorecards.

    Cost: scoring the rows that are held out.

    Examples
    --------
    >>> model = fed.fit(vfl.LogisticRegression(link="taylor"), split=vfl.Split(test=0.25, seed=1))
    >>> sorted(model.reports_)
    ['guest', 'telecom']
    """  # noqa: E501

    test: float = Field(
        default=0.25, ge=0, le=0.9, description="the part of the common rows held out to evaluate the model"
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="another seed gives another split")
    out_of_time: Annotated[str | None, BeforeValidator(_day), Values("a date such as 2026-01-01")] = Field(
        default=None,
        exclude_if=lambda day: day is None,
        description="rows on or after this day, by the guest's column data.date, are held out too, as a "
        "separate part; hosts learn which of the common rows these are, but no date",
    )
    train: bool = Field(
        default=False,
        exclude=True,
        description="whether training rows are evaluated too; the guest then learns their scores",
    )

    def __init__(self, /, *positional: object, **params: Any) -> None:
        day = params.get("out_of_time")
        if isinstance(day, np.datetime64) and np.isnat(day):
            raise ConfigError("Split: out_of_time is NaT", remedy="Pass a date, or leave it out")
        super().__init__(*positional, **params)
        if not self.test and self.out_of_time is None:
            raise ConfigError(
                "Split: nothing is held out", remedy="Set test above 0, or out_of_time, or leave split out"
            )

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # a job may hold out nothing

    def __repr__(self) -> str:
        shown = super().__repr__()
        drawn = f"{type(self).__name__}(test={self.test:g}, "
        return shown if self.out_of_time is None or "test=" in shown else shown.replace("Split(", drawn, 1)

    @property
    def cut_off(self) -> str:
        """The date in ISO 8601; empty where there is none."""
        return self.out_of_time or ""

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
            **({"started": trained.started.isoformat(timespec="seconds")} if trained.started else {}),
            "model": {"kind": plan.spec.kind, **by.kind.summary(plan.spec)},
            "environment": environment(),
        }
        frame |= {"cautions": trained.cautions[party]} if trained.cautions.get(party) else {}
        told[party] = Evaluation(data_party_result(frame, by, fitted, baseline(by, fitted)))
    return told
