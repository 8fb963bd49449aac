"""What each command answers with --json: docs/commands.schema.json is written from these declarations (`make docs`)."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from vfl.job.shown import JobShow, Reveals
from vfl.node.online.publications import Published
from vfl.node.telling import NodeJob
from vfl.report.schema import Report
from vfl.report.schema.whole import Disclosed, Phase
from vfl.run.budget.shown import Budget
from vfl.run.ledger_shown import LedgerShow
from vfl.screen.result import Result
from vfl.screen.shown import Shown
from vfl.storage.runs import Listed

Text = dict[str, str]
Number: TypeAlias = Annotated[int, Meta(ge=0)]
Content: TypeAlias = dict[str, Any]


class Part(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of what stands within a result."""


class Demo(Result, tag="demo"):
    folder: str
    reports: Annotated[Text, Meta(description="by party, the file of its report")]
    page: str
    boards: Annotated[
        Text | None, Meta(description="with --board, by party, the address of its board; it signs in whoever has it")
    ] = None


class Init(Result, tag="init"):
    party_file: str
    certificate: str
    fingerprint: str


class Trust(Result, tag="trust"):
    peer: str
    fingerprint: str
    pinned: Annotated[Number, Meta(description="how many certificates of this peer are accepted now")]
    already: Annotated[bool, Meta(description="whether this one was pinned before: nothing has changed")] = False


class Renew(Result, tag="renew"):
    certificate: str
    fingerprint: str
    ends: Annotated[str, Meta(description="the day on which the new certificate expires")]
    kept: Annotated[str, Meta(description="the folder of the former files")]


class Memory(Part):
    """Bytes of this party's own process, predicted but for the last."""

    needs: Annotated[
        Number, Meta(description="if all rows of this table are common, at the arbiter if 10,000 rows are")
    ]
    least: Annotated[Number, Meta(description="if no more rows are common than the job asks for")]
    left: Annotated[Number, Meta(description="what the process has and can still get here")]


class Check(Result, tag="check"):
    job: str
    job_digest: str
    party: str
    role: str
    facts: Annotated[Text, Meta(description="what the job does, and what this party brings, by topic")]
    disclosed: Reveals
    bounds: Annotated[list[str], Meta(description="what this party's policy bounds, a sentence each")]
    cautions: list[str]
    memory: Annotated[Memory | None, Meta(description="of this party's own process; workers: see `facts`")]
    met: Annotated[list[str], Meta(description="with --connect, the peers that were met")]


class Align(Result, tag="align"):
    folder: str
    report: str
    rows: Annotated[dict[str, Number] | None, Meta(description="by party; null at the arbiter")]
    common: Number | None
    by_key: dict[str, Number]


class Prepare(Result, tag="prepare"):
    folder: str
    iterations: Annotated[Number, Meta(description="of each model, prepared at all parties")]
    bytes: Annotated[Number, Meta(description="what the pads take on this disk")]
    valid_until: Annotated[str | None, Meta(description="ISO 8601; null where no pads are stored")]


class Run(Result, tag="run"):
    folder: str
    report: str
    model: Annotated[str | None, Meta(description="this party's part; null where it keeps none")] = None


class Predict(Result, tag="predict"):
    folder: str
    report: str
    cautions: list[str]
    scores: Annotated[str | None, Meta(description="at the guest, the file of the scores")] = None
    rows: Annotated[Number | None, Meta(description="at the guest, of the new table")] = None
    scored: Number | None = None


class Drift(Part):
    """How far a column, or the score, has moved since the training."""

    column: str
    psi: float | None
    expected: Annotated[float | None, Meta(description="the mean for as many rows of one population")]
    mark: Annotated[str | None, Meta(description="stable, watch, shifted; null without a row")]
    rows: Number
    missing_before: float | None
    missing: float | None


class Monitor(Result, tag="monitor"):
    columns: list[Drift]
    score: Drift | None
    score_of: Annotated[
        str | None, Meta(description="with whose score it is compared: train, test or out_of_time; null if not known")
    ]
    cautions: Annotated[list[str], Meta(description="what deserves a word in this table, or in the scores")]


class Runs(Result, tag="runs"):
    runs: Annotated[list[Listed], Meta(description="the oldest first")]


class MatchedKey(Part):
    columns: list[str]
    matched: Number


class AlignmentReport(Part):
    """The content of alignment.json; `rows` to `file` are null at the arbiter."""

    format: int
    job: str
    job_digest: str
    party: str
    role: str
    started: str
    phases: list[Phase]
    disclosure: list[Disclosed]
    run: Annotated[str | None, Meta(description="the run of its ledger, in hex")] = None
    rows: dict[str, Number] | None = None
    common: Number | None = None
    match_rate: dict[str, float] | None = None
    by_key: list[MatchedKey] | None = None
    repeated: Number | None = None
    file: str | None = None
    peak_memory: Number | None = None
    resumed: bool = False
    job_file: Annotated[dict[str, Any] | None, Meta(description="the job, with every default filled in")] = None
    environment: Annotated[dict[str, Any] | None, Meta(description="as in report.json; null in earlier files")] = None


class ReportShown(Result, tag="report"):
    folder: str
    page: str
    report: Annotated[Report | None, Meta(description="the content of report.json; null for an alignment")]
    alignment: Annotated[AlignmentReport | None, Meta(description="the content of alignment.json, of an alignment")]


class JobNew(Result, tag="job new"):
    job: str


class JobDigest(Result, tag="job digest"):
    job_digest: str


class LedgerVerify(Result, tag="ledger verify"):
    party: str
    job: str
    job_digest: str
    outcome: str
    messages: Number
    bytes: Number
    signed: Annotated[bool, Meta(description="whether the signature was checked, against --certificate")]


class Pair(Part):
    sender: str
    receiver: str
    messages: Number
    underway: Number


class LedgerReconcile(Result, tag="ledger reconcile"):
    pairs: list[Pair]
    signed: Annotated[dict[str, str | None], Meta(description="by party, the fingerprint that signed them at the end")]


class ModelShow(Result, tag="model show"):
    party: str
    kind: str
    model_id: str
    job_digest: str
    part: Shown


class Purge(Result, tag="purge"):
    erased: Annotated[Text, Meta(description="by path, what was erased, or would be erased with --yes")]
    kept: Annotated[Text, Meta(description="by path or kind of place, why it stays")]
    prepared: Annotated[Text, Meta(description="by folder, which of these runs vfl run could still train")]
    done: Annotated[bool, Meta(description="whether it was erased (--yes)")]


class AuditCheck(Part):
    check: str
    found: str
    holds: bool


class AuditAttack(Part):
    number: Number
    name: str
    result: float
    low: Annotated[float, Meta(description="the lower end of the 95% interval of the result")]
    high: Annotated[float, Meta(description="its upper end")]
    repetitions: Annotated[Number, Meta(description="how often the attack was made")]
    asked: Annotated[Number, Meta(description="how often it was to be made; --minutes may have ended it before")]
    bound: Annotated[float, Meta(description="the largest result that this product may give, fixed before the run")]
    control: Annotated[float, Meta(description="the same attack on a twin in which a leak is planted")]
    textbook: Annotated[float, Meta(description="the same attack on the textbook protocol")]
    verdict: Annotated[str, Meta(description="in words: whether it holds, or else why not")]
    holds: bool


class Audit(Result, tag="audit"):
    """audit.json in the run's folder holds all of it."""

    page: str
    holds: bool
    checks: Annotated[list[AuditCheck], Meta(description="what the transcript shows without any ground truth")]
    attacks: Annotated[list[AuditAttack], Meta(description="on a twin with the shapes of the run")]
    untried: Annotated[Text, Meta(description="by attack, why it says nothing about this run")]


class Support(Result, tag="support"):
    file: str
    holds: list[str]


class EvidencePack(Result, tag="evidence pack"):
    file: str
    sha256: Annotated[str, Meta(description="of the whole file; the same run gives the same")]
    certificate: Annotated[str, Meta(description="the fingerprint of the certificate whose key signed it")]
    files: Annotated[list[str], Meta(description="what it holds")]
    open: Annotated[list[str], Meta(description="the fields of evidence.toml that nobody filled in")]


class EvidenceVerify(Result, tag="evidence verify"):
    party: str
    job: str
    job_digest: str
    purpose: Annotated[str, Meta(description="run, predict or align")]
    certificate: Annotated[str, Meta(description="the fingerprint of the certificate in the pack")]
    trusted: Annotated[bool, Meta(description="whether it was compared with that of --certificate")]
    files: Number
    messages: Annotated[Number, Meta(description="that left, by the ledger in the pack")]
    partners: Annotated[Text, Meta(description="by partner that signed the ledger, the fingerprint of its certificate")]
    open: Annotated[list[str], Meta(description="the fields that the institution did not fill in")]


class NodeStart(Result, tag="node start"):
    """Printed when the node begins, not at its end."""

    party: str
    folder: Annotated[str, Meta(description="where its inbox is, and its list of jobs")]
    listen: Annotated[str | None, Meta(description="where partners call; null at a host, which opens no port")]
    http: Annotated[str | None, Meta(description="where people and programs of this party call")]


class NodeSubmit(Result, tag="node submit"):
    job: NodeJob


class NodePredict(Result, tag="node predict"):
    job: NodeJob


class NodeStatus(Result, tag="node status"):
    party: str
    folder: str
    runs: Annotated[bool, Meta(description="whether the node runs")]
    jobs: Annotated[list[NodeJob], Meta(description="the latest change first")]
    online: Annotated[list[Published], Meta(description="the models that are published for online scores")]


class NodePublish(Result, tag="node publish"):
    published: Published


class NodeWithdraw(Result, tag="node withdraw"):
    job: str
    job_digest: str


class NodeApprove(Result, tag="node approve"):
    job: NodeJob


class NodeCancel(Result, tag="node cancel"):
    job: NodeJob


class Bench(Result, tag="bench"):
    folder: str
    overhead: Annotated[Content, Meta(description="of overhead.json")]


SHARED = (Budget, JobShow, LedgerShow)  # declared where a node shows them too
RESULTS: dict[str, type[Result]] = {
    str(one.__struct_config__.tag): one
    for one in sorted(Result.__subclasses__(), key=lambda one: str(one.__struct_config__.tag))
}
