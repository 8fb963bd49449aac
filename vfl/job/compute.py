"""`[compute]` of a party file: on which engine this party works, with how many workers.

It is no part of a job: each party decides for itself, and no partner learns it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from vfl.job.align import Column
from vfl.job.table import resolved
from vfl.schema.described import Values
from vfl.schema.section import Complaint, Section, shown

LOCAL = "local"
MOST_WORKERS = 1024
_PLACE = re.compile(r"(?:(?:tcp|tls)://)?(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})")


def split_place(text: str) -> tuple[str, int]:
    """(host, port) of "10.0.0.5:6379" or "tls://10.0.0.5:8786"."""
    match = _PLACE.fullmatch(text)
    if not match or not 1 <= int(match[3]) <= 65535:
        raise Complaint(
            f"is {shown(text)}, which is no address of a cluster",
            'Write "local", "10.0.0.5:6379" (Ray), "tcp://10.0.0.5:8786" or "tls://10.0.0.5:8786" (Dask)',
        )
    return match[1] or match[2], int(match[3])


def _place(text: str) -> str:
    if text != LOCAL:
        split_place(text)
    return text


class Compute(Section):
    """Where this party computes."""

    engine: Literal["inline", "ray", "dask"] = Field(
        default="inline",
        description="what carries this party's own work: this process alone, or a Ray or Dask cluster (see cluster.md)",
    )
    address: Annotated[
        Annotated[str, AfterValidator(_place)],
        Values('"local", or an address, such as address = "10.0.0.5:6379"'),
    ] = Field(
        default=LOCAL,
        description="where the cluster is; local: one on this machine, started and ended with each command",
    )
    workers: int = Field(
        default=0,
        ge=0,
        le=MOST_WORKERS,
        description="how many workers to use, a process with one thread each; required with ray and dask. Results do "
        "not depend on it",
    )
    key: Annotated[
        Annotated[Path, BeforeValidator(resolved)] | None, Values('a file, such as key = "/run/secrets/compute.key"')
    ] = Field(
        default=None,
        description="a file with 64 hexadecimal digits, at the same path on every machine of the cluster: the key "
        "that seals what this party and its workers tell each other; required with ray and dask",
    )

    database: Annotated[
        Annotated[Path, BeforeValidator(resolved)] | None,
        Values('a file, such as database = "/run/secrets/database.url"'),
    ] = Field(
        default=None,
        description="of a database: a file that holds its address as workers reach it, with the password if it has "
        "one, at the same path on every machine; an alignment's workers then read the ids themselves",
    )
    split_by: Annotated[Column | None, Values('a column, such as split_by = "customer_id"')] = Field(
        default=None,
        description="with database: the column of the query, of whole numbers or texts without gaps, by whose ranges "
        "workers share the rows; one with an index",
    )

    @model_validator(mode="after")
    def _fits_engine(self) -> Compute:
        if self.engine == "inline":
            for name in ("address", "workers", "key", "database", "split_by"):
                if getattr(self, name) != Compute.model_fields[name].default:
                    raise Complaint(
                        "does nothing without a cluster", 'Remove it, or add engine = "ray"', f"compute.{name}"
                    )
            return self
        if not self.workers:
            raise Complaint(f"is missing or 0, and {self.engine} needs some", "Write workers = 2", "compute.workers")
        if self.key is None:
            raise Complaint(
                "is missing: it seals calls to workers",
                "Make one in the party file's folder with (umask 077 && openssl rand -hex 32 > compute.key), and add "
                'key = "compute.key"',
                "compute.key",
            )
        for name, other in (("database", "split_by"), ("split_by", "database")):
            if getattr(self, name) is not None and getattr(self, other) is None:
                raise Complaint(f"does nothing without {other}", f"Add {other}, or remove it", f"compute.{name}")
        if self.engine == "ray" and "://" in self.address:
            raise Complaint("has a scheme, which Ray does not use", 'Write "10.0.0.5:6379"', "compute.address")
        if self.engine == "dask" and self.address != LOCAL and "://" not in self.address:
            raise Complaint("has no scheme", 'Write "tls://10.0.0.5:8786" or "tcp://10.0.0.5:8786"', "compute.address")
        return self
