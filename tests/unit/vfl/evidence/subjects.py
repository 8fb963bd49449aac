"""Runs of every kind as pages see them, made without a run: what a report, a ledger and an audit say, and no more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.unit.vfl.evidence.conftest import METRICS, RUN, the_report
from tests.unit.vfl.report.conftest import frame, sent
from vfl.attacks.attack import Estimate, Tried
from vfl.attacks.audit import Audit
from vfl.attacks.registry import ATTACKS
from vfl.evidence.about import About
from vfl.evidence.blocks import Block, Page
from vfl.evidence.documents import documents
from vfl.evidence.figures import figures
from vfl.evidence.questions import answers
from vfl.evidence.recorded import AUDIT, Recorded
from vfl.evidence.spent import Budgets
from vfl.evidence.subject import Subject
from vfl.run.budget.used import Told, Used

ROLES = {"guest": "bank", "hosts": ["telecom"], "arbiter": "trustco"}
MODELS: dict[str, dict[str, Any]] = {
    "regression": {"kind": "logistic-regression", "link": "taylor", "weights_known": False},
    "scorecard": {"kind": "scorecard", "link": "exact", "max_n_prebins": 20, "max_n_bins": 10, "min_bin_rows": 50,
                  "min_bin_size": 0.05, "monotonic_trend": "auto"},
    "sealed": {"kind": "boosted-trees", "membership": "sealed", "max_bin": 32, "min_bin_rows": 10},
    "open": {"kind": "boosted-trees", "membership": "open", "max_bin": 32, "min_bin_rows": 10},
    "network": {"kind": "mlp-classifier", "hidden_layer_sizes": [4]},
}  # fmt: skip
SPLITS = [
    {"party": 0, "column": "age", "gain": None, "splits": 9},
    {"party": 1, "column": None, "gain": None, "splits": 7},
]


def trained(kind: str, *allow: str, **changes: Any) -> dict[str, Any]:
    """The guest's report of a training."""
    found, model = the_report(), MODELS[kind]
    job = found["job_file"] | {"model": model, "disclosure": {"allow": list(allow)}}
    shown = dict(model) | ({"importance": SPLITS} if "trees" in model["kind"] else {})
    return found | {"parties": ROLES, "model": shown, "job_file": job, "permits": dict.fromkeys(allow, "…")} | changes


def aligned() -> dict[str, Any]:
    """The guest's report of an alignment whose job names an arbiter that has nothing to do."""
    found, job = frame("guest", "bank"), {**the_report()["job_file"]}
    kept = {name: found[name] for name in ("format", "job", "started", "role", "party", "environment") if name in found}
    sizes = {"rows": {"bank": 30, "telecom": 40}, "intersection": 20}
    return kept | {"purpose": "align", "job_file": job, "alignment": sizes, "run": RUN.hex(), "disclosure": []}


def averaged(members: Sequence[str] = ("north", "south", "west"), **model: Any) -> dict[str, Any]:
    """The report of the first member."""
    found = frame("guest", members[0])
    parties = {"members": list(members), "arbiter": "trustco"}
    spec = {"kind": "averaging", "estimator": "logistic", "rounds": 5, "min_members": 3} | model
    job = {
        "version": 1, "name": "credit-risk", "parties": parties, "model": spec, "split": {"test": 0.25, "seed": 7},
        "table": {"columns": ["age", "limit"], "label": "default"}, "disclosure": {"allow": ["averages-to-parties"]},
    }  # fmt: skip
    weights = [
        {"column": "age", "coef": 0.5, "coef_raw": 0.0625},
        {"column": "limit", "coef": -0.25, "coef_raw": -0.001},
    ]
    return found | {
        "purpose": "run", "role": "member", "party": members[0], "parties": parties, "job_file": job,
        "run": RUN.hex(), "alignment": {}, "permits": {"averages-to-parties": "…"},
        "model": spec | {"intercept": 0.36, "coefficients": weights},
        "metrics": {"test": {"joint": METRICS, "guest_alone": METRICS}},
        "averaging": {"members": [{"member": name, "rounds": 5} for name in members], "rows": 30, "held_out": 10},
        "columns": [{"column": "age", "type": "number", "rows": 30, "missing": 0.0, "distinct": 30}],
        "disclosure": [sent("UnmaskingShares", "REVEALED", "trustco", "with those of the threshold: the sum", 8, 952)],
    }  # fmt: skip


def line(way: str, peer: str, message: str, size: int = 7) -> dict[str, Any]:
    """Of a ledger."""
    return {"type": "message" if way == "to" else "received", way: peer, "message": message, "bytes": size}


def subject(report: Mapping[str, Any], *lines: dict[str, Any], audit: Mapping[str, Any] | None = None) -> Subject:
    """What all pages are about."""
    start = {"type": "start", "run": RUN.hex(), "started_by": "batch", "approved_by": "Jane Doe"}
    ledger = (start, *lines, {"type": "end", "outcome": "done"})
    pages = {} if audit is None else {AUDIT[0]: json.dumps(audit).encode()}
    run = Recorded(Path("runs/x"), report, b"", ledger, None, {}, pages)
    return Subject(run, figures(report), About(), Budgets((), (), 0), {}, ())


def audit_of(
    *numbers: int, source: str = "a twin of this run", over: Sequence[int] = (), **texts: str
) -> dict[str, Any]:
    """The content of audit.json: these attacks, of which some found more than their bound; texts: of these."""
    found = list[Tried]()
    for attack in ATTACKS:
        if attack.number in numbers:
            value = attack.bound + (0.3 if attack.number in over else 0.0)
            result = Estimate(value, value, value, 5)
            control = Estimate(attack.succeeds, attack.succeeds, attack.succeeds, 5)
            found.append(Tried(attack, result, control, control, None, 5, texts if attack.number in over else {}))
    checks = [{"check": "a check", "found": "as the job says", "holds": True}]
    about = {"source": source, "run": RUN.hex(), "minutes": 10, "note": "The attacks ran on a twin."}
    return Audit(about, found, {}, checks).as_dict()


def spent(s: Subject, *limits: tuple[str, str, int, int], told: Sequence[Told] = (), policy: Any = None) -> Subject:
    """With budgets: name, partner, used, limit."""
    rows = tuple(Used(name, who, "labels 1", used, limit) for name, who, used, limit in limits)
    return replace(
        s, budgets=replace(s.budgets, limits=rows, partners=tuple(told), **({"policy": policy} if policy else {}))
    )


def answer(s: Subject, question: int) -> Block:
    return answers(s)[question - 1]


def page(s: Subject, name: str) -> Page:
    """One of the documents, by its file's first word."""
    return next(one for one in documents(s) if one.file.startswith(name))


def text(block: Block) -> str:
    """All that a block says but what the institution says."""
    grids = [
        (grid.caption, grid.reading, *grid.head, *(cell for row in grid.rows for cell in row)) for grid in block.grids
    ]
    facts = [cell for fact in block.facts for cell in fact]
    return "\n".join([block.lead, *facts, *block.points, *(cell for grid in grids for cell in grid)]).replace(
        "\u00a0", " "
    )
