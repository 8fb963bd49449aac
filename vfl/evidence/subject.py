"""What all pages of a pack are about, and who is who in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vfl.evidence.about import About
from vfl.evidence.blocks import Facts
from vfl.evidence.recorded import Recorded
from vfl.evidence.spent import Budgets
from vfl.report import words

PURPOSES = {"run": "training of a model", "predict": "prediction of new rows", "align": "alignment of ids"}


@dataclass(frozen=True)
class Subject:
    """What all pages are about.  signers: by party, the fingerprint of whoever signed the ledger; differing: libraries
    of another release than in the run."""

    run: Recorded
    figures: Mapping[str, Any]
    about: About
    budgets: Budgets
    signers: Mapping[str, str]
    differing: tuple[str, ...]

    @property
    def names(self) -> dict[str, str]:
        """What the two models are called."""
        return words.model_names(self.run.report)

    @property
    def model(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.figures.get("model") or {}
        return found

    @property
    def kind(self) -> str:
        return str(self.model.get("kind") or "").replace("-", " ")


def who_is_who(run: Recorded) -> Facts:
    """The parties and their roles."""
    parties = run.report.get("parties") or (run.report.get("job_file") or {}).get("parties") or {}
    aligns = run.purpose == "align"
    found = [
        ("Guest" if aligns else "Guest, which holds the outcome", str(parties.get("guest") or "")),
        ("Hosts" if aligns else "Hosts, which hold further columns", words.joined(parties.get("hosts") or ())),
        ("Members with the same columns", words.joined(parties.get("members") or ())),
        ("Arbiter, which holds no data", str(parties.get("arbiter") or "")),
    ]
    if not parties:
        found.append(("Parties", words.joined((run.party, *run.partners()))))
    return tuple((name, text) for name, text in found if text)


def approvals(run: Recorded) -> Facts:
    """Who started and approved the run, by the ledger."""
    start, approval = run.start, run.start.get("approval") or {}
    found = [
        ("Started by the account", start.get("started_by")),
        ("Policy approved by", start.get("approved_by") or "policy.approved_by of the party file names nobody"),
        (
            "Job approved by",
            f"{approval.get('by')}, {approval.get('at')}, by {approval.get('how')}"
            if approval
            else "the ledger names nobody: whoever started the run named the job file. Only a node (`vfl node`) "
            "records approvals of single jobs",
        ),
        ("Ended with", run.end.get("outcome")),
    ]
    return tuple((name, str(text)) for name, text in found if text) if run.lines else ()


def signed_by(subject: Subject) -> Facts:
    """Whose signatures the pack holds."""
    run = subject.run
    found = [
        (f"{'Signed' if name == run.party else 'Ledger confirmed'} by {name}, certificate", mark)
        for name, mark in subject.signers.items()
    ]
    return (*found, *((f"What {name} confirmed", text) for name in _named(run) if (text := _confirmed(run, name))))


def _named(run: Recorded) -> tuple[str, ...]:
    """Every partner, met or only named by the job."""
    parties = (run.report.get("job_file") or {}).get("parties") or {}
    named = [
        *(parties.get("hosts") or ()),
        *(parties.get("members") or ()),
        parties.get("guest"),
        parties.get("arbiter"),
    ]
    return tuple(dict.fromkeys(name for name in (*run.partners(), *named) if name and name != run.party))


def _confirmed(run: Recorded, name: str) -> str:
    """How many of the messages between both a partner's signature covers, or why it covers none."""
    lines = [line for line in run.lines if name in (line.get("to"), line.get("from"))]
    if not run.lines:
        return ""
    if not lines:
        return f"nothing: {run.party} and {name} exchanged no message directly in this run"
    if name not in run.signed:
        return "nothing: this pack holds no signature of it"
    said = run.signed[name].statement
    covered, before = int(said["sent"]) + int(said["received"]), sum(line.get("seq") == 0 for line in lines)
    return (
        f"{covered:,} of the {len(lines):,} messages between both, by their hashes. The signature does not cover "
        f"{before:,} in which the parties agree where a run begins or resumes, and "
        f"{len(lines) - covered - before:,} after it was made, among them those that carry such signatures"
    )
