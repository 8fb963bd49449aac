"""Which models this party's node offers online: `online/` in the node's folder, which `vfl node publish` writes.

online/DIGEST.toml     the job
online/DIGEST.json     a Publication
online/DIGEST.state    a State, which the publication's process writes
online/DIGEST.sock     at the guest, where the process takes queries
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocols.errors import ConfigError
from vfl.job import Job, load_job
from vfl.storage.files import write_private, written

FOLDER = "online"
SETTLED = 10**9  # nanoseconds after which another change has another time
Doing = Literal["starting", "connecting", "publishing", "answering", "ended"]


class Publication(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A model that is offered.  model: the folder of this party's part, none at an arbiter that keeps no part; data:
    in the place of [data] source; asked: when it was last given, in seconds since 1970."""

    digest: str
    job: str
    model: str | None
    data: str | None
    by: str
    asked: float


class State(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What a publication's process does.  epoch: the name of the one that answers, hexadecimal; error: the last one,
    in words."""

    doing: Doing
    since: float
    epoch: str | None = None
    error: str | None = None


class Published(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A publication as the node reports it."""

    job: str
    job_digest: str
    by: str
    runs: Annotated[bool, Meta(description="whether its process lives")]
    doing: Annotated[str, Meta(description="starting, connecting, publishing, answering or ended")]
    epoch: Annotated[str | None, Meta(description="of the lists that answer")]
    error: Annotated[str | None, Meta(description="the last one, in words")]


class Publications:
    """Those in a node's folder.  Raises ConfigError where it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self._known: tuple[int, dict[str, str]] = (0, {})  # `names`, and when the folder had last changed
        with written(self.folder):
            for path in (folder, self.folder, self.folder / "processes"):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def job_file(self, digest: str) -> Path:
        return self.folder / f"{digest}.toml"

    def socket(self, digest: str) -> Path:
        return self.folder / f"{digest}.sock"

    def offer(self, job: Job, text: bytes, model: Path | None, data: str | None, by: str) -> Publication:
        """Makes a publication, or asks for a new epoch of one that there is."""
        digest, folder = job.digest.hex(), None if model is None else str(model.resolve())
        data = str(Path(data).resolve()) if data is not None and Path(data).exists() else data  # or an address
        one = Publication(digest=digest, job=job.name, model=folder, data=data, by=by, asked=time.time())
        with written(self.folder):
            write_private(self.job_file(digest), text)
            write_private(self._file(digest), msgspec.json.encode(one))
        return one

    def withdraw(self, digest: str) -> Publication:
        """The model is not offered any more.  Raises ConfigError where it is not."""
        one = self.get(digest)
        with written(self.folder):
            for path in (self._file(digest), self.job_file(digest)):
                path.unlink(missing_ok=True)
        return one

    def get(self, digest: str) -> Publication:
        """Raises ConfigError where there is none."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(self._file(digest).read_bytes(), type=Publication)
        raise ConfigError("this node publishes no model of this job", remedy="vfl node status lists what it publishes")

    def all(self) -> list[Publication]:
        """By name."""
        found = list[Publication]()
        for path in self.folder.glob("*.json"):
            with contextlib.suppress(ConfigError):
                found.append(self.get(path.stem))
        return sorted(found, key=lambda one: (one.job, one.digest))

    def names(self) -> dict[str, str]:
        """Of all, by digest the job's name; read again where the folder has changed, or just has: its clock is
        coarse."""
        changed = self.folder.stat().st_mtime_ns
        if changed != self._known[0]:
            found = {one.digest: one.job for one in self.all()}
            self._known = (changed if time.time_ns() - changed > SETTLED else 0, found)
        return self._known[1]

    def job(self, digest: str) -> Job:
        """The job as it was given.  Raises ConfigError, also where the file has changed since."""
        job = load_job(self.job_file(digest))
        if job.digest.hex() != digest:
            raise ConfigError(f"{self.job_file(digest)} has changed", remedy="Give vfl node publish again")
        return job

    def state(self, digest: str) -> State | None:
        """What its process last said; None where there was none."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((self.folder / f"{digest}.state").read_bytes(), type=State)
        return None

    def says(self, digest: str, doing: Doing, *, epoch: str | None = None, error: str | None = None) -> None:
        """Of the publication's process."""
        state = State(doing=doing, since=time.time(), epoch=epoch, error=error)
        with written(self.folder):
            write_private(self.folder / f"{digest}.state", msgspec.json.encode(state))

    def _file(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"


def published(publications: Publications, one: Publication, *, runs: bool) -> Published:
    """One, as the node reports it."""
    state = publications.state(one.digest)
    return Published(
        job=one.job,
        job_digest=one.digest,
        by=one.by,
        runs=runs,
        doing="starting" if state is None else state.doing if runs else "ended",
        epoch=state.epoch if state is not None and runs else None,
        error=None if state is None else state.error,
    )
