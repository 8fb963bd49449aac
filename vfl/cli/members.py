"""What `vfl check` and `model show` say of an averaging of members."""

from __future__ import annotations

import datetime
from pathlib import Path

from vfl.cli.results import Check, Memory, ModelShow
from vfl.compute.memory import memory_left, resident
from vfl.cost.memory import LIBRARIES, REPORT, VALUE
from vfl.job import MembersJob, Party, cautions
from vfl.job.policy import bounds_told
from vfl.job.shown import averaged, disclosed_by
from vfl.models.averaging import files
from vfl.models.averaging.joint import AveragedModel
from vfl.report.words import number, size
from vfl.run.budget.runs import month
from vfl.run.members.ready import MemberReady, prepare
from vfl.run.members.sums import MemberBudget
from vfl.run.readiness import ready_to_connect
from vfl.screen.shown import Cell, Heading, Shown, Table

WORK = 4  # arrays of the table's size that local training holds at once


def checked(job: MembersJob, party: Party) -> tuple[Check, MemberReady]:
    """Every check that can be made alone.  Raises the error that `vfl run` would raise."""
    ready = prepare(job, party)
    told = cautions(job, party) + list(ready.cautions) + ready_to_connect(ready, "run")
    now = datetime.datetime.now(datetime.UTC)
    bounds = bounds_told(job, party) + MemberBudget(job, party, ready.own).explained(month(now))
    memory = _memory(ready)
    facts = averaged(job) | _of_table(ready) | _cost(job, ready)
    facts |= {"memory": f"about {size(memory.needs)}, of {size(memory.left)} that this process can get"}
    check = Check(
        job=job.name,
        job_digest=job.digest.hex(),
        party=party.name,
        role=party.role,
        facts=facts,
        disclosed=disclosed_by(job),
        bounds=bounds,
        cautions=told,
        memory=memory,
        met=[],
    )
    return check, ready


def _of_table(ready: MemberReady) -> dict[str, str]:
    if ready.own is None:
        return {}
    rows, held = len(ready.own.labels), int(ready.own.held.sum())
    return {"own table": f"{number(rows)} rows: {number(rows - held)} to train on, {number(held)} held out"}


def _cost(job: MembersJob, ready: MemberReady) -> dict[str, str]:
    """Bytes, by the lengths of messages."""
    cost = job.model.cost(len(job.parties.members), len(job.table.columns), job.privacy, len(job.measures))
    aggregates = ready.party.role == "arbiter"
    sent = cost.aggregator_bytes if aggregates else cost.member_bytes
    return {"traffic": f"{number(cost.sums)} sums, {size(sent)} sent and received by this party, if nobody drops out"}


def _memory(ready: MemberReady) -> Memory:
    """Of this process: its libraries, its table and local training, and its report."""
    rows, columns = ready.size
    needs = LIBRARIES + (REPORT if rows else 0) + VALUE * rows * (columns + 1) * WORK
    return Memory(needs=needs, least=needs, left=resident() + memory_left())


def model_shown(folder: Path) -> ModelShow:
    """An averaged model.  Raises ModelError."""
    saved, model = files.named(folder), files.load(folder)
    members = [str(name) for name in model.by_member_.index]
    return ModelShow(
        party=members[0] if len(members) == 1 else "all members",
        kind=saved.kind,
        model_id=saved.model_id,
        job_digest=saved.job_digest,
        part=_shown(model),
    )


def _shown(model: AveragedModel) -> Shown:
    spec, last = model.estimator, model.rounds_.iloc[-1]
    of_all = f" with {number(int(last['rows']))} rows" if "rows" in last else ""
    facts = {
        "estimator": spec.estimator,
        "rounds": f"{number(len(model.rounds_))}, the last one of {int(last['members'])} members{of_all}",
        "intercept": number(model.intercept_),
    }
    if (spent := model.privacy_) is not None:
        facts["privacy"] = f"epsilon = {number(spent.epsilon)}, delta = {spent.delta:g}, for each {spent.unit}"
    tables = []
    if spec.estimator != "mlp":
        scale = model.scaling.label_deviation / model.scaling.deviation
        named = zip(model.feature_names_in_, model.coef_, model.coef_ * scale, strict=True)
        rows: list[list[Cell]] = [
            [n, float(c), float(raw)] for n, c, raw in sorted(named, key=lambda one: -abs(one[1]))
        ]
        heads = [Heading("column"), Heading("coef", "+.4f"), Heading("coef_raw", "+.4g")]
        tables = [Table(heads, rows)]
    notes = ["All members have this model; coef is per standard deviation of all members' rows."]
    return Shown(facts=facts, tables=tables, notes=notes)
