"""`party.toml`: what one party keeps to itself: its identity, whom it trusts, its table, its policy.

`cross_check` compares it with a job before anything is opened: who and where is a ConfigError, what the policy forbids
is DisclosureRefused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

from pydantic import Field, model_validator

from protocols.errors import ConfigError
from vfl.job.addresses import Address, File, Files, split_address
from vfl.job.agreement import Name
from vfl.job.compute import Compute
from vfl.job.node import Node
from vfl.job.policy import Policy
from vfl.job.table import Data
from vfl.models.plan import Role
from vfl.schema.described import Values
from vfl.schema.section import Complaint, Section, build, read_toml


class Identity(Section):
    """This party's own key pair."""

    key: Annotated[File, Values('a file, such as key = "identity/key.pem"')] = Field(
        description="the private key, which never leaves this machine"
    )
    certificate: Annotated[File, Values('a file, such as certificate = "identity/cert.pem"')] = Field(
        description="its certificate, which the peers pin"
    )


class Peer(Section):
    """One trusted party: its pinned certificates, and its address if this party dials it."""

    certificate: Annotated[Files, Values('a file, such as certificate = "peers/telecom.pem", or a list of files')] = (
        Field(
            min_length=1,
            description=(
                "the peer's pinned certificate, or both certificates while the peer renews it; each peer has its own"
            ),
        )
    )
    address: Annotated[Address | None, Values('an address and port, such as address = "10.0.0.3:7443"')] = Field(
        default=None,
        description="where to dial the peer: hosts dial the guest and the arbiter, the arbiter dials the guest, "
        "members dial the arbiter",
    )

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """(address, port), if there is one."""
        return split_address(self.address) if self.address else None

    def certificates(self) -> tuple[bytes, ...]:
        """What the files hold, any of which the peer may present."""
        return tuple(file.read_bytes() for file in self.certificate)


class Run(Section):
    """Where results go, and how long this party waits."""

    directory: Annotated[File, Values('a folder, such as directory = "runs"')] = Field(
        default=cast(Path, "runs"),
        validate_default=True,
        description="where results go",
    )
    message_seconds: int = Field(
        default=3600,
        ge=10,
        le=7 * 86_400,
        description=(
            "how long to wait, in seconds, for one message from a peer that is alive, which may compute for a long "
            "time; at the end of a run at least a day, while others evaluate and write; a dead peer is detected "
            "within seconds"
        ),
    )
    reconnect_seconds: int = Field(
        default=600,
        ge=0,
        le=7 * 86_400,
        description=(
            "how long to wait, in seconds, for a party that stops in the middle of a run; 0: this party stops at "
            "once too, and the run resumes when all give the command again"
        ),
    )
    transcript: bool = Field(
        default=False,
        description=(
            "whether to record what this party receives in the run's folder, for vfl audit; the file is as large as "
            "what was received, and secret"
        ),
    )


class Party(Section):
    """A whole party file; paths are absolute or start from the current folder after `load_party`."""

    name: Annotated[Name, Values('a name, such as name = "bank"')] = Field(description="this party's name in the job")
    role: Role = Field(description="as the job says")
    listen: Annotated[Address | None, Values('an address and port, such as listen = "0.0.0.0:7443"')] = Field(
        default=None,
        description=(
            "required at the guest and the arbiter: the address and port at which this party listens; hosts and "
            "members open no port"
        ),
    )
    identity: Identity = Field(description="a section [identity] with key and certificate")
    peers: dict[Name, Peer] = Field(
        default={}, description='a section [peers.NAME] for each peer, with certificate = "..."'
    )
    data: Data | None = Field(default=None, description="a section [data] with source")
    policy: Policy = Field(default=Policy(), description="a section [policy]")
    run: Run = Field(default=cast(Run, {}), validate_default=True, description="a section [run]")
    compute: Compute = Field(default=Compute(), description="a section [compute]")
    node: Node | None = Field(default=None, description="a section [node], for vfl node")

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """(address, port) to open, if any."""
        return split_address(self.listen) if self.listen else None

    @model_validator(mode="after")
    def _fits_role(self) -> Party:
        if self.role in ("host", "member") and self.listen is not None:
            whom = "the guest and the arbiter" if self.role == "host" else "the arbiter"
            raise Complaint(f"does nothing: a {self.role} opens no port, it dials {whom}", "Remove it", "listen")
        if self.role not in ("host", "member") and self.listen is None:
            raise Complaint(f"is missing: the others dial the {self.role}", 'Add listen = "0.0.0.0:7443"', "listen")
        if self.role == "arbiter" and self.data is not None:
            raise Complaint("is not for an arbiter, which holds no data", "Remove the section", "data")
        if self.role != "arbiter" and self.data is None:
            raise Complaint(
                f"is missing: a {self.role} brings a table", 'Add [data] with source = "customers.csv"', "data"
            )
        if self.role == "guest" and self.data is not None and self.data.label is None:
            raise Complaint("is missing: the guest holds the labels", 'Add label = "..."', "data.label")
        if self.role == "host" and self.data is not None:
            self.data.check_hosts()
        if self.role == "member" and self.data is not None:
            self.data.check_members()
        if self.compute.database is not None and (self.data is None or not self.data.is_database):
            raise Complaint("does nothing: source in [data] is no database", "Remove it", "compute.database")
        return self

    @model_validator(mode="after")
    def _knows_its_partners(self) -> Party:
        for name in self.policy.partners:
            if name not in self.peers:
                raise Complaint(
                    "is about no peer of this party",
                    f"Correct the name, or pin {name} with vfl trust",
                    f"policy.partners.{name}",
                )
        return self

    @model_validator(mode="after")
    def _pins_each_party_once(self) -> Party:
        if self.name in self.peers:
            raise Complaint("is this party itself", "Remove the section", f"peers.{self.name}")
        seen: dict[Path, str] = {self.identity.certificate: "this party"}
        for name, peer in self.peers.items():
            for file in peer.certificate:
                if file in seen:
                    raise Complaint(
                        f"is also the certificate of {seen[file]}",
                        "Pin each party to its own, and each file once",
                        f"peers.{name}.certificate",
                    )
                seen[file] = name
        return self


def load_party(path: str | Path) -> Party:
    """Reads and checks a party file; relative paths start from its folder.  Every error is a ConfigError."""
    text, document = read_toml(Path(path))
    if "role" not in document and ("parties" in document or "disclosure" in document):
        remedy = "Give the job file first, then the party file"
        raise ConfigError(f"{path} is a job file, not a party file", remedy=remedy)
    return build(Party, document, str(path), text=text, base=Path(path).resolve().parent)
