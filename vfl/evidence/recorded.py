"""What one party's folder of a run holds, read and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocols.errors import ConfigError, ModelError
from vfl.job import MembersJob
from vfl.job.alignment_job import agreement_in, alignment_permits
from vfl.job.meanings import resolved
from vfl.ledger import Signed, read_ledger, signatures, verify_ledger
from vfl.ledger.writing import Line
from vfl.report.aligning import as_result
from vfl.report.page import ALIGNMENT, REPORT, read_report
from vfl.report.schema import checked
from vfl.run.align import read_alignment
from vfl.storage.runs import refuse_prepared

LEDGER, SIGNATURES = "ledger.jsonl", "signatures.json"
AUDIT = ("audit.json", "audit.html")  # what vfl audit leaves in the folder of a run
FEW = 20  # rows: of a prediction of fewer, sizes and hashes in the ledger tell about single people


@dataclass(frozen=True)
class Recorded:
    """One run of this party.

    report: the content of report.json, or of alignment.json under the same names; ledger: the file, None where the run
    sent nothing; lines: its lines; signed: what partners signed, by their names; audit: the pages of `vfl audit`.
    """

    folder: Path
    report: Mapping[str, Any]
    ledger: bytes | None
    lines: tuple[Line, ...]
    signatures: bytes | None
    signed: Mapping[str, Signed]
    audit: Mapping[str, bytes]

    @property
    def audited(self) -> Mapping[str, Any]:
        """The content of audit.json; empty without one."""
        found: Mapping[str, Any] = json.loads(self.audit[AUDIT[0]]) if AUDIT[0] in self.audit else {}
        return found

    @property
    def purpose(self) -> str:
        """ "run", "predict" or "align"."""
        return str(self.report.get("purpose"))

    @property
    def party(self) -> str:
        return str(self.report.get("party"))

    @property
    def role(self) -> str:
        return str(self.report.get("role"))

    @property
    def started(self) -> str:
        return str(self.report.get("started"))

    @property
    def start(self) -> Line:
        """The first line of the ledger."""
        return self.lines[0] if self.lines else {}

    @property
    def end(self) -> Line:
        """The last line of the ledger."""
        return self.lines[-1] if self.lines else {}

    def partners(self) -> tuple[str, ...]:
        """Everybody who took part, by the report or else by the ledger, without this party."""
        parties = self.report.get("parties") or {}
        named = [parties.get("guest"), *parties.get("hosts", ()), *parties.get("members", ()), parties.get("arbiter")]
        met = [str(line.get("to") or line.get("from") or "") for line in self.lines]
        known = dict.fromkeys(
            name for name in (*named, *((self.report.get("alignment") or {}).get("rows") or {}), *met)
        )
        return tuple(str(name) for name in known if name and name != self.party)


def recorded(folder: Path) -> Recorded:
    """Reads the folder of a finished run.  Raises ConfigError, ModelError, LedgerBroken."""
    refuse_prepared(folder)
    report = _report(folder)
    path = folder / LEDGER
    ledger = _bytes(path)
    if ledger is None and (report.get("disclosure") or report.get("purpose") != "predict"):
        raise ConfigError(
            f"{path} is missing, and the run sent messages",
            remedy="Put the ledger of this run back: without it nobody can check what left",
        )
    lines = tuple(read_ledger(path)) if ledger is not None else ()
    if ledger is not None:
        found = verify_ledger(path)
        if (found.party, found.job_digest) != (report.get("party"), report.get("job_digest")):
            raise ConfigError(
                f"the report and the ledger in {folder} are of different runs", remedy="Name the unchanged folder"
            )
        _check_run(folder, report, lines[0])
    kept = folder / SIGNATURES
    signed = signatures(kept) if kept.exists() else {}
    audit = {name: data for name in AUDIT if (data := _bytes(folder / name)) is not None}
    made = Recorded(folder, report, ledger, lines, _bytes(kept), signed, audit)
    _check_rows(made)
    _check_audit(made)
    return made


def _check_run(folder: Path, report: Mapping[str, Any], start: Line) -> None:
    """Raises ConfigError for a report that is of another run of the same job, or does not say of which."""
    if "run" not in report and start.get("run"):
        raise ConfigError(
            f"the report in {folder} does not name its run, so that nothing shows that it is of the ledger next to it",
            remedy="An earlier release wrote it: pack it with that release, or run the job again",
        )
    if report.get("run") != start.get("run"):
        raise ConfigError(
            f"the report in {folder} is of another run of the same job than the ledger",
            remedy="Name the unchanged folder",
        )


def _report(folder: Path) -> dict[str, Any]:
    if (folder / ALIGNMENT).exists():
        return with_permits(as_result(read_alignment(folder)))
    if not (folder / REPORT).exists():
        raise ConfigError(
            f"{folder} holds no finished run", remedy="Name the folder of one: vfl runs PARTY.toml lists them"
        )
    report = read_report(folder)
    try:
        checked(report)
    except TypeError:
        raise ModelError(
            f"{folder / REPORT} is not what a run of this release wrote",
            remedy="Put the unchanged file back, or use the release that wrote it",
        ) from None
    return report


def with_permits(report: dict[str, Any]) -> dict[str, Any]:
    """The report of an alignment, with what its job reveals, where its folder holds the job."""
    if not report.get("job_file"):
        return report
    job = agreement_in("", report["job_file"], ALIGNMENT)
    needed = () if isinstance(job, MembersJob) else alignment_permits(job)
    return {**report, "permits": {name: resolved(name) for name in job.disclosure.allow if name in needed}}


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.exists() else None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror})", remedy="Check that this account may read it"
        ) from None


def _check_rows(run: Recorded) -> None:
    """Raises ConfigError for a prediction of a few people."""
    rows = (run.report.get("prediction") or {}).get("rows")
    if run.purpose == "predict" and run.role in ("guest", "member") and rows is not None and rows < FEW:
        raise ConfigError(
            f"this prediction is of fewer than {FEW} rows: sizes and hashes in its ledger tell about single people",
            remedy="Pack the run that trained the model, or a prediction of more rows",
        )


def received(run: Recorded) -> dict[tuple[str, str], tuple[int, int]]:
    """(messages, bytes) by sender and kind of message."""
    sums = dict[tuple[str, str], tuple[int, int]]()
    for line in run.lines:
        if line.get("type") == "received":
            count, size = sums.get(way := (str(line["from"]), str(line["message"])), (0, 0))
            sums[way] = count + 1, size + int(line["bytes"])
    return sums


def agreed(report: Mapping[str, Any]) -> bytes | None:
    """What the job's digest is the SHA-256 of; None where the report does not hold the job."""
    job = report.get("job_file")
    if not job:
        return None
    content = json.dumps(job, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    return b"vfl job\n" + content


def _check_audit(run: Recorded) -> None:
    """Raises ConfigError for an audit that cannot be read, or is of another job."""
    path = run.folder / AUDIT[0]
    try:
        content = run.audited
        about = content.get("about") or {}
        if AUDIT[0] in run.audit and (content["format"] != 1 or not {"about", "attacks", "checks"} <= content.keys()):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError(
            f"{path} is not what vfl audit of this release wrote", remedy="Make the audit again, or move its files away"
        ) from None
    if about.get("job_digest", run.report.get("job_digest")) != run.report.get("job_digest"):
        raise ConfigError(f"{path} is of another job", remedy="Move its files away, and audit this run")
    if about and about.get("run") != run.report.get("run"):
        raise ConfigError(f"{path} is of another run of this job", remedy="Move its files away, and audit this run")
