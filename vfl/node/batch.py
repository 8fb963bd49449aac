"""A prediction as a node is given it: a job, and the files that this party brings to it.

A training is approved by the digest of its job.  A prediction of the same job needs a name of its own, and what this
party's approver says yes to is this party's model, table and file of scores too: the digest is of all of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from protocols.errors import ConfigError
from vfl.data.places import local_path, place_of
from vfl.job import Agreement


@dataclass(frozen=True)
class Batch:
    """What a party brings to a prediction, as whole paths.  model: its model folder, None at an arbiter that keeps no
    part; data: in the place of [data] source; out: at the guest, the file for the scores."""

    model: str | None
    data: str | None
    out: str | None

    @classmethod
    def of(cls, model: Path | None, data: str | None, out: Path | None) -> Batch:
        """As `vfl node predict` is given them.  Raises ConfigError for a table at an address, which may hold a
        password: the node shows its approver what it is going to read."""
        if data is not None and place_of(data) != "here":
            raise ConfigError(
                "--data is an address, and a node keeps and shows what is given to it",
                remedy="Write the address as [data] source of the party file, and leave --data out",
            )
        table = None if data is None else local_path(data)
        return cls(*(None if path is None else str(path.absolute()) for path in (model, table, out)))

    @property
    def folder(self) -> Path | None:
        """Of the model."""
        return None if self.model is None else Path(self.model)

    @property
    def file(self) -> Path | None:
        """For the scores."""
        return None if self.out is None else Path(self.out)


def digest_of(job: Agreement, batch: Batch | None) -> str:
    """What is approved: the digest of the job; of a prediction one that also says what this party brings to it."""
    if batch is None:
        return job.digest.hex()
    own = msgspec.json.encode([batch.model, batch.data, batch.out])
    return hashlib.sha256(b"vfl node predict\n" + job.digest + own).hexdigest()
