"""Goes on in the ledger of a run that was interrupted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from protocols.errors import ConfigError
from vfl.ledger.reading import DIRECTIONS, Chain, decode_line
from vfl.ledger.writing import LedgerWriter, Written


def continued(
    path: Path, *, job: str, job_digest: bytes, party: str, sign: Callable[[bytes], bytes] | None, repeats: int = 0
) -> LedgerWriter:
    """A writer that adds to the ledger at `path`: a last line that was torn, and one that ended the run, are cut off.

    repeats: how many steps this party does again, as the line that says that the run goes on tells.
    Raises LedgerBroken if it is not what a run wrote, ConfigError if it cannot be read or written.
    """
    written, chain, kept = Written(repeats), Chain(path), 0
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the ledger {path} of the interrupted run cannot be read ({error.strerror})",
            remedy="Put it back, or start all parties anew with --fresh",
        ) from None
    for number, raw in enumerate(data.split(b"\n")[:-1], 1):
        line = decode_line(path, number, raw)
        if line.get("type") == "end":
            break
        chain.add(number, line)
        written.add(line)
        if (way := DIRECTIONS.get(line["type"])) and line["seq"]:
            written.hashes[way, line[way], line["seq"]] = line["sha256"]
        kept += len(raw) + 1
    try:
        os.truncate(path, kept)
    except OSError as error:
        raise ConfigError(
            f"the ledger {path} cannot be written ({error.strerror})", remedy="Make room on the disk and start again"
        ) from None
    return LedgerWriter(path, job=job, job_digest=job_digest, party=party, sign=sign, written=written)
