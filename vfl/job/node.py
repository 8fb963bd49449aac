"""`[node]` of a party file: how this party's `vfl node` works.

It is no part of a job: each party decides for itself, and no partner learns it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, Field, model_validator

from vfl.job.addresses import Address, File, split_address
from vfl.job.agreement import Name
from vfl.job.partners import DIGESTS, Digests
from vfl.schema.described import Values
from vfl.schema.section import Complaint, Section, distinct

RoleName = Literal["read", "approve", "score"]


class Access(Section):
    """One user of the local face, a person or a program: known by a token, or by a certificate."""

    token: Annotated[File | None, Values('a file, such as token = "tokens/jane"')] = Field(
        default=None,
        description="a file of this account alone (mode 0600) that holds the user's token, at least 32 characters",
    )
    certificate: Annotated[File | None, Values('a file, such as certificate = "http/jane.pem"')] = Field(
        default=None,
        description="in place of a token: the certificate that the user's program or browser shows (mutual TLS)",
    )
    roles: Annotated[
        Annotated[tuple[RoleName, ...], AfterValidator(distinct)], Values('a list, such as roles = ["read"]')
    ] = Field(
        min_length=1,
        description='"read": the board, jobs, runs with their events, reports and ledgers, budgets and metrics; '
        '"approve": to approve and cancel jobs; "score": to ask for the score of a customer',
    )

    @model_validator(mode="after")
    def _is_known_by_one(self) -> Access:
        if (self.token is None) == (self.certificate is None):
            is_now = "has neither token nor certificate" if self.token is None else "has a token and a certificate"
            raise Complaint(is_now, "Name one of them; a second one is a user of its own", "node.http.access")
        return self


class Http(Section):
    """The local face of the node: HTTP for people and programs of this party, not for partners."""

    listen: Annotated[Address, Values('an address and port, such as listen = "127.0.0.1:7480"')] = Field(
        default="127.0.0.1:7480",
        description="where the node answers; an address that other machines reach needs certificate and key",
    )
    certificate: Annotated[File | None, Values('a file, such as certificate = "http/cert.pem"')] = Field(
        default=None, description="for TLS: the certificate that browsers and programs of this party trust"
    )
    key: Annotated[File | None, Values('a file, such as key = "http/key.pem"')] = Field(
        default=None, description="for TLS: the key of that certificate"
    )
    access: dict[Name, Access] = Field(default={}, description="a section [node.http.access.NAME] for each user")

    @model_validator(mode="after")
    def _is_encrypted_elsewhere(self) -> Http:
        if (self.certificate is None) != (self.key is None):
            lacks = "certificate" if self.certificate is None else "key"
            raise Complaint("is missing: TLS needs a certificate and its key", "Name both files", f"node.http.{lacks}")
        if self.certificate is None and not is_loopback(self.listen):
            raise Complaint(
                "is reached by other machines, and has no TLS",
                'Add certificate and key, or write listen = "127.0.0.1:7480"',
                "node.http.listen",
            )
        pinned = [name for name, one in self.access.items() if one.certificate is not None]
        if pinned and self.certificate is None:
            raise Complaint(
                "is the certificate of a user, and the node has no TLS to ask for it",
                "Add node.http.certificate and node.http.key, or give the user a token",
                f"node.http.access.{pinned[0]}.certificate",
            )
        return self


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Online(Section):
    """At the guest, how the node answers the queries of this party's systems (`POST /v1/score`)."""

    seconds: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="how long partners may take; then the score is of this party's own columns, and marked partial",
    )
    per_second: float = Field(
        default=50.0, gt=0, le=100_000, description="the number of queries per second, on average; others are refused"
    )
    burst: int = Field(default=100, ge=1, le=100_000, description="the number of queries at once")
    epoch_hours: float = Field(
        default=24.0, gt=0, le=8760, description="after how many hours the hosts publish their customers again"
    )


class Node(Section):
    """One process that runs all jobs of this party behind one port."""

    directory: Annotated[File, Values('a folder, such as directory = "node"')] = Field(
        default=cast(Path, "node"),
        validate_default=True,
        description="where the node keeps its inbox, its list of jobs and the logs of their processes",
    )
    approved: Annotated[Digests, Values(DIGESTS)] = Field(
        default=(),
        description="these jobs, and these predictions by the digest that vfl node predict prints, start without "
        "vfl node approve; all others wait for it",
    )
    jobs_at_once: int = Field(
        default=4, ge=1, le=64, description="the number of jobs that run at once; further ones wait"
    )
    patience_hours: int = Field(
        default=168,
        ge=1,
        le=8760,
        description="how long an approved job is started again and again, in hours, while its partners are absent or "
        "its process was killed",
    )
    http: Http | None = Field(default=None, description="a section [node.http]")
    online: Online = Field(default=Online(), description="a section [node.online]")
