"""Where a prediction's scores go: in the run's folder until all parties have theirs, then to the file of --out.

The run's folder says so in `moved.json` before they are moved.  So a process that dies between the two, or before the
run is over, resumes: it knows the file that it wrote itself from one that was there before.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from protocols.errors import ConfigError
from vfl.data.writing import WRITERS
from vfl.job import Job
from vfl.run.session import Ready
from vfl.storage.files import copy_private, sync_folder, write_private, written
from vfl.storage.run_store import unfinished

FILE = "moved.json"


class Moved(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """To which file scores were moved, and the SHA-256 of their content."""

    file: str
    sha256: str


def made_in(folder: Path) -> Path | None:
    """The file of scores in a run's folder; None where it was moved."""
    return next((path for suffix in WRITERS if (path := folder / f"scores{suffix}").exists()), None)


def move(folder: Path, out: Path) -> None:
    """Moves the scores to where they were asked for; does nothing where that is done.  Raises ConfigError."""
    made = made_in(folder)
    if made is None:
        return
    if made.suffix != out.suffix.lower():  # the run was begun with another --out
        raise ConfigError(f"the scores of this run are {made}", remedy=f"Give --out a name in {made.suffix}, or none")
    with written(out.parent):
        write_private(folder / FILE, msgspec.json.encode(_moved(out, made)) + b"\n")
        copy_private(made, out)
        sync_folder(out.parent)
        made.unlink()


def check_free(ready: Ready[Job], out: Path, *, fresh: bool = False) -> None:
    """Raises ConfigError where the file exists, unless the unfinished run of this job has moved its scores there.

    fresh: that run is given up.
    """
    if not out.exists():
        return
    job, party = ready.job, ready.party
    store = None if fresh else unfinished(party.run.directory, "predict", job.name, job.digest)
    try:
        own = store is not None and store.facts.input == ready.input_digest() and _is_moved(store.folder, out)
    finally:
        if store is not None:
            store.close()
    if not own:
        remedy = "Move it away, or give --out another name"
        raise ConfigError(f"{party.name}: {out} exists, and is not overwritten", remedy=remedy, party=party.name)


def _is_moved(folder: Path, out: Path) -> bool:
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Moved) == _moved(out, out)
    except (OSError, msgspec.MsgspecError):
        return False


def _moved(out: Path, content: Path) -> Moved:
    """content: a file that holds what `out` holds, or is going to."""
    with content.open("rb") as file:
        return Moved(str(out.resolve()), hashlib.file_digest(file, "sha256").hexdigest())
