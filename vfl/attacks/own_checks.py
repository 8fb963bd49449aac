"""What the transcript of a party's own run shows without any ground truth."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protocols.message import REVEALED
from vfl.attacks.forensics import marks, residues
from vfl.attacks.received import kinds, moduli, vectors
from vfl.job.agreement import Agreement
from vfl.ledger import read_ledger
from vfl.taps.transcript import Transcript

LEDGER = "ledger.jsonl"
Check = dict[str, Any]


def named(report: Mapping[str, Any]) -> dict[str, Any]:
    """Which run of whom an audit is of, by report.json or alignment.json."""
    return {name: report.get(name) for name in ("job", "job_digest", "run", "party", "role")}


def checked(folder: Path, transcript: Transcript, job: Agreement) -> list[Check]:
    """What the transcript shows without any ground truth."""
    return [listed(folder, transcript), declared(transcript, job), in_clear(transcript, job), marked(transcript)]


def listed(folder: Path, transcript: Transcript) -> Check:
    """Whether transcript and ledger are about the same messages."""
    lines = list(read_ledger(folder / LEDGER))
    theirs = [line["sha256"] for line in lines if line["type"] == "received"]
    ours = [hashlib.sha256(entry.data).hexdigest() for entry in transcript.received()]
    sent = sum(line["bytes"] for line in lines if line["type"] == "message")
    whole = ours == theirs and sent == sum(n for (way, _), n in transcript.totals().items() if way == "to")
    size = sum(n for (way, _), n in transcript.totals().items() if way == "from")
    found = (
        f"{len(ours):,} messages received, {size:,} bytes, by their hashes; {sent:,} bytes sent, by their number"
        if whole
        else f"{len(ours):,} messages here, {len(theirs):,} in the ledger"
    )
    return {
        "check": "The transcript holds the received messages of the ledger, and counts the sent bytes alike",
        "found": found,
        "holds": whole,
    }


def declared(transcript: Transcript, job: Agreement) -> Check:
    """Whether all that was revealed needed a permission that the job lists."""
    known = kinds()
    unknown = sorted({e.message for e in transcript.received() if e.message not in known})
    revealed = {e.message for e in transcript.received() if e.message in known and _reveals(e.message)}
    beyond = sorted(m for m in revealed if known[m].permit not in job.disclosure.allow)
    permitted = ", ".join(f"{message} ({known[message].permit})" for message in sorted(revealed))
    found = ", ".join([*unknown, *beyond]) or f"received, and permitted: {permitted or 'nothing that reveals anything'}"
    holds = not unknown and not beyond
    return {"check": "Every message is declared, and the job permits what it reveals", "found": found, "holds": holds}


def in_clear(transcript: Transcript, job: Agreement) -> Check:
    """What attacks 3, 4, 5 and 14 need: numbers in the clear, one for each of several rows or weights."""
    keys, found = moduli(transcript.received()), dict[str, str]()
    for entry in transcript.received():
        if entry.message in kinds() and _reveals(entry.message) and max(map(len, vectors(entry, keys)), default=0) > 1:
            found[entry.message] = kinds()[entry.message].permit or ""
    holds = all(permit in job.disclosure.allow for permit in found.values())
    names = ", ".join(f"{message} ({permit})" for message, permit in sorted(found.items()))
    return {
        "check": "No unpacked numbers in the clear, for several rows, weights or ids, but those that the job permits",
        "found": names or "none",
        "holds": holds,
    }


def marked(transcript: Transcript) -> Check:
    """Attack 12 on the transcript itself."""
    entries = transcript.received()
    seen = residues(entries, moduli(entries))
    found = marks(seen)
    return {
        "check": "No ciphertext betrays what is in it, or what it was made from (as attack 12 tests)",
        "found": f"{found} of {len(seen)} ciphertexts under keys of other parties"
        if seen
        else "no ciphertext under a public key was received",
        "holds": found == 0,
    }


def _reveals(message: str) -> bool:
    return kinds()[message].disclosure >= REVEALED
