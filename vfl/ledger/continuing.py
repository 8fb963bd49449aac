"""Continues the ledger of an interrupted run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocols.errors import ConfigError
from vfl.ledger.reading import DIRECTIONS, Chain, LedgerBroken, decode_line
from vfl.ledger.writing import Approval, LedgerWriter, Written


def read_unfinished(path: Path, head: str, repeats: int = 0) -> tuple[Written, int]:
    """What the ledger of an interrupted run holds, and how many bytes of it: without a last line that was torn, and one
    that ended the run.

    head: the hash of a line that it must hold, "" for none: the last one that the run store knows of; repeats: as of
    `continued`.
    Raises LedgerBroken if it is not what a run wrote or lacks that line, ConfigError if it cannot be read.
    """
    written, chain, kept, whole = Written(repeats), Chain(path), 0, not head
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the ledger {path} of the interrupted run cannot be read ({error.strerror})",
            remedy="Put it back, or start all parties again with --fresh",
        ) from None
    for number, raw in enumerate(data.split(b"\n")[:-1], 1):
        line = decode_line(path, number, raw)
        if line.get("type") == "end":
            break
        chain.add(number, line)
        written.add(line)
        if (way := DIRECTIONS.get(line["type"])) and line["seq"]:
            written.hashes[way, line[way], line["seq"]] = line["sha256"]
        if line["type"] == "renewed":
            written.forget(line["peer"], line["sent"], line["received"])
        kept += len(raw) + 1
        whole = whole or chain.previous == head
    if not whole:
        raise LedgerBroken(
            f"the ledger {path} of the interrupted run lacks lines that this party had written: it was cut or "
            f"rewritten",
            remedy="Put the unchanged file back and find out who could write it, or start all parties again "
            "with --fresh",
        )
    return written, kept


def continued(
    path: Path,
    *,
    job: str,
    job_digest: bytes,
    party: str,
    sign: Callable[[bytes], bytes] | None,
    repeats: int = 0,
    head: str = "",
    approved_by: str | None = None,
    approval: Approval | None = None,
) -> LedgerWriter:
    """A writer that adds to the ledger at `path`: a last line that was torn, and one that ended the run, are cut off.

    repeats: how many steps this party does again, as the line that says that the run resumes tells; head: as of
    `read_unfinished`.
    Raises LedgerBroken if it is not what a run wrote or lacks a line, ConfigError if it cannot be read or written.
    """
    written, kept = read_unfinished(path, head, repeats)
    try:
        os.truncate(path, kept)
    except OSError as error:
        raise ConfigError(
            f"the ledger {path} cannot be written ({error.strerror})", remedy="Make room on the disk and start again"
        ) from None
    said: dict[str, Any] = {"job": job, "job_digest": job_digest, "party": party, "sign": sign}
    return LedgerWriter(path, **said, written=written, approved_by=approved_by, approval=approval)
