"""What a run's ledger says: for `vfl ledger show`, and for the board of a node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from protocols.errors import ConfigError
from vfl.ledger import LedgerBroken, read_ledger, summarise, verify_ledger
from vfl.ledger.writing import Line
from vfl.report.words import class_of
from vfl.screen.result import Result

Number: TypeAlias = Annotated[int, Meta(ge=0)]
LEARNT = {"public": "what the job says", "blinded": "nothing: random numbers", "sealed": "nothing: it has no key"}


class Kind(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All messages of one kind that left for one peer."""

    to: str
    message: str
    disclosure: str
    learns: str
    count: Number
    bytes: Number


class Sent(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    time: str
    to: str
    message: str
    disclosure: str
    sha256: str
    bytes: Number


class Received(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    peer: str
    messages: Number
    bytes: Number


class LedgerShow(Result, tag="ledger show"):
    party: str
    job: str
    job_digest: str
    started: str
    started_by: Annotated[str | None, Meta(description="the account of the operating system; null for an old ledger")]
    approved_by: Annotated[str | None, Meta(description="policy.approved_by when the run began")]
    job_approved: Annotated[
        str | None, Meta(description="who let vfl node start the job, when and how; null for another command")
    ]
    ended: str | None
    outcome: Annotated[
        str | None, Meta(description="done, prepared or an error's code; null for a ledger that was never closed")
    ]
    fault: Annotated[str | None, Meta(description="why not to rely on it; null if it is sound or was never closed")]
    messages: Number
    bytes: Number
    kinds: list[Kind]
    received: list[Received]
    resumed: Annotated[list[str], Meta(description="when the run resumed, after an interruption or vfl prepare")]
    queries: Annotated[dict[str, Number], Meta(description="by partner, how many online queries there were")]
    each: Annotated[list[Sent] | None, Meta(description="every message, with --messages")] = None


def ledger_path(run: Path) -> Path:
    """The ledger of a run's folder; a ledger's own path is fine too."""
    return run / "ledger.jsonl" if run.is_dir() else run


def own_ledger(run: Path) -> Path:
    """As `ledger_path`.  Raises ConfigError where the folder has none."""
    path = ledger_path(run)
    if run.is_dir() and not path.exists():
        raise ConfigError(
            f"{run} holds no ledger",
            remedy="It is no run's folder, or a prediction of a member, which sends nothing. vfl runs PARTY.toml lists "
            "the runs of a party",
        )
    return path


def ledger_shown(run: Path, messages: bool) -> LedgerShow:
    """What left and came in this run, in sum and, if asked, message by message.  Raises ConfigError, LedgerBroken."""
    path = own_ledger(run)
    lines = list(read_ledger(path))
    kinds = {line.get("type") for line in lines}
    if "start" not in kinds:
        raise ConfigError(f"{path} is no ledger", remedy="Name a run's folder, or the ledger.jsonl in it")
    start, sent = lines[0], [line for line in lines if line.get("type") == "message"]
    end = lines[-1] if "end" in kinds else {}
    return LedgerShow(
        party=str(start.get("party")),
        job=str(start.get("job")),
        job_digest=str(start.get("job_digest")),
        started=str(start.get("time")),
        started_by=_text(start.get("started_by")),
        approved_by=_text(start.get("approved_by")),
        job_approved=_job_approved(start.get("approval")),
        ended=_text(end.get("time")),
        outcome=_text(end.get("outcome")),
        fault=fault(path),
        messages=len(sent),
        bytes=sum(int(line["bytes"]) for line in sent),
        kinds=[_kind(row) for row in summarise(lines)],
        received=_received(lines),
        resumed=[str(line["time"]) for line in lines if line.get("type") == "resumed"],
        queries=_queries(lines),
        each=[_sent(line) for line in sent] if messages else None,
    )


def _job_approved(found: object) -> str | None:
    """Who let this party's node start the job, when and how."""
    return f"{found.get('by')}, {found.get('at')}, by {found.get('how')}" if isinstance(found, dict) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _kind(row: Line) -> Kind:
    learns = str(LEARNT.get(class_of(row), row["learns"]))
    return Kind(to=row["to"], message=row["message"], disclosure=class_of(row), learns=learns, count=row["count"], bytes=row["bytes"])  # fmt: skip  # noqa: E501


def _sent(line: Line) -> Sent:
    what = {name: str(line[name]) for name in ("time", "to", "message", "sha256")}
    return Sent(disclosure=class_of(line), bytes=int(line["bytes"]), **what)


def _received(lines: Sequence[Line]) -> list[Received]:
    sizes = dict[str, list[int]]()
    for line in lines:
        if line.get("type") == "received":
            sizes.setdefault(str(line["from"]), []).append(int(line["bytes"]))
    return [Received(peer=peer, messages=len(each), bytes=sum(each)) for peer, each in sizes.items()]


def _queries(lines: Sequence[Line]) -> dict[str, int]:
    found = dict[str, int]()
    for line in lines:
        if line.get("type") == "queries":
            for partner, count in line["partners"].items():
                found[partner] = found.get(partner, 0) + count
    return found


def fault(path: Path) -> str | None:
    """What is wrong with a ledger that was closed; None if it is sound, or of a run that never came to its end."""
    if not any(line.get("type") == "end" for line in read_ledger(path)):
        return None
    try:
        verify_ledger(path)
    except LedgerBroken as error:
        return str(error)
    return None
