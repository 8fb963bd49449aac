"""What every job file says, whatever it computes: who takes part, what is revealed, and the digest that all parties
compare before anything is sent.

The digest is the SHA-256 of the *parsed* content with every default filled in, written as JSON with sorted keys:
comments, formatting, line endings and spelling a default out do not change it; any value that changes the computation
does.  A release with another default gives another digest.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from protocols.session import Roles
from vfl.job.align import Align, Column
from vfl.job.permits import FORMER, PERMITS, REMOVED
from vfl.models.plan import Role
from vfl.schema.described import Values
from vfl.schema.section import Complaint, Section, check_name, choose, distinct, listed, shown

Name = Annotated[str, AfterValidator(check_name)]
_known = choose(tuple(PERMITS), REMOVED)
Permit = Annotated[
    str,
    BeforeValidator(lambda value: value if isinstance(value, str) and value in FORMER else _known(value)),
    Field(json_schema_extra={"enum": [*PERMITS, *FORMER]}),
]


def _permits(values: tuple[str, ...]) -> tuple[str, ...]:
    """In one order, as the order means nothing; a former name stands for what it is called now."""
    now = dict.fromkeys(name for value in distinct(values) for name in FORMER.get(value, (value,)))
    return tuple(sorted(now, key=list(PERMITS).index))


Permits = Annotated[tuple[Permit, ...], AfterValidator(_permits)]
Columns = Annotated[tuple[Column, ...], AfterValidator(distinct)]


def _version(value: object) -> object:
    if value == 1 and type(value) is int:
        return value
    raise Complaint(f"is {shown(value)}", "Expected 1, the version of the job file's format that this release reads")


Version = Annotated[Literal[1], BeforeValidator(_version)]


class Meeting(Section):
    """Who takes part, by name, and who meets whom."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """All parties."""

    @abstractmethod
    def role_of(self, name: str) -> Role | None:
        """The role of the party `name`; None if it takes no part."""

    @abstractmethod
    def peers_of(self, name: str) -> tuple[str, ...]:
        """Whom `name` talks to."""

    def pinned_by(self, name: str) -> tuple[str, ...]:
        """Whose certificates `name` needs."""
        return self.peers_of(name)

    @abstractmethod
    def dials(self, name: str) -> tuple[str, ...]:
        """Whose address `name` needs."""


class Parties(Meeting):
    """Who takes part, by name; hosts in the order that every party uses."""

    guest: Annotated[Name, Values('a name, such as guest = "bank"')] = Field(
        description="the party that holds the labels"
    )
    hosts: Annotated[
        tuple[Name, ...],
        AfterValidator(distinct),
        Values('a list of names, at least one, such as hosts = ["telecom"]'),
    ] = Field(min_length=1, description="the parties that hold features only; all parties use this order")
    arbiter: Annotated[Name, Values('a name, such as arbiter = "trustco"')] = Field(
        default="",
        exclude_if=lambda name: not name,
        description=(
            "the party that holds no data; required if the job needs it, and refused in a job that trains a model "
            "without its help"
        ),
    )

    @model_validator(mode="after")
    def _roles_apart(self) -> Parties:
        for role, name in (("guest", self.guest), ("arbiter", self.arbiter)):
            if name in self.hosts:
                raise Complaint(
                    f"names '{name}', who is the {role} too", "Give each role to a different party", "parties.hosts"
                )
        if self.guest == self.arbiter:
            raise Complaint(
                f"names '{self.guest}', who is the guest too", "Give each role to a different party", "parties.arbiter"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """guest, hosts, arbiter."""
        return (self.guest, *self.hosts, *self._arbiters)

    @property
    def _arbiters(self) -> tuple[str, ...]:
        return (self.arbiter,) if self.arbiter else ()

    def role_of(self, name: str) -> Role | None:
        """The role of the party `name`; None if it takes no part."""
        if name == self.guest:
            return "guest"
        return "host" if name in self.hosts else "arbiter" if name in self._arbiters else None

    def peers_of(self, name: str) -> tuple[str, ...]:
        """Whom `name` talks to: the guest and the arbiter to all, a host to these two and to no other host."""
        if self.role_of(name) == "host":
            return (self.guest, *self._arbiters)
        return tuple(n for n in self.names if n != name)

    def dials(self, name: str) -> tuple[str, ...]:
        """Whose address `name` needs: hosts dial the guest and the arbiter, the arbiter dials the guest, the guest
        nobody."""
        role = self.role_of(name)
        return (self.guest, *self._arbiters) if role == "host" else (self.guest,) if role == "arbiter" else ()


class Allowed(Section):
    """Everything that this job reveals."""

    allow: Annotated[Permits, Values('a list of permissions, such as allow = ["scores-to-guest"]')] = Field(
        default=(), description="everything that this job reveals"
    )


class Disclosure(Allowed):
    """The same, and how finely."""

    score_bits: int | None = Field(
        default=None,
        exclude_if=lambda bits: bits is None,
        ge=0,
        le=20,
        description="regressions and sealed trees: scores are rounded to multiples of 2^-score_bits before "
        "they are opened (trees for numbers: multiples of that times a power of two above the "
        "labels' spread); absent: 10",
    )


class Agreement(Section):
    """What every job file says, whatever it computes."""

    name: Annotated[
        str,
        AfterValidator(lambda v: check_name(v, 64)),
        Values('a name, 1 to 64 of a-z 0-9 -, such as "credit-risk-2026q4"'),
    ] = Field(description="the job's name, which is part of the digest")
    version: Annotated[Version, Values("1")] = Field(
        description="the version of the job file's format that this release reads"
    )
    parties: Meeting
    disclosure: Allowed = Field(default=Allowed(), description="a section [disclosure]")

    @property
    @abstractmethod
    def roles(self) -> Roles:
        """Who takes part, as programs take it."""

    @property
    def models_told(self) -> int:
        """Of how many models each party learns its part."""
        return 1

    @property
    def canonical(self) -> bytes:
        """The content as JSON: every default filled in, keys sorted, no white space; `job_from` reads it back."""
        return json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True
        ).encode()

    @property
    def digest(self) -> bytes:
        """32 bytes: SHA-256 of 'vfl job', a line feed and `canonical`; the same at every party."""
        return hashlib.sha256(b"vfl job\n" + self.canonical).digest()

    def check_permits(self, needed: tuple[str, ...]) -> None:
        """Raises Complaint unless the job allows what its own protocols need."""
        missing = [p for p in needed if p not in self.disclosure.allow]
        if missing:
            told = "; ".join(f"'{p}' ({PERMITS[p]})" for p in missing)
            quoted = [f'"{p}"' for p in missing]
            remedy = f"add {listed(quoted, 'and')}" if self.disclosure.allow else f"write allow = [{', '.join(quoted)}]"
            raise Complaint(
                f"lacks permissions that this job needs: {told}", f"If all parties agree, {remedy}", "disclosure.allow"
            )


class Matching(Agreement):
    """What a job file says whose parties hold other columns of the same customers."""

    parties: Parties = Field(description="a section [parties] that names the guest, the hosts and the arbiter")
    align: Align = Field(description='a section [align] with the key, such as keys = [["national_id"]]')

    @property
    def roles(self) -> Roles:
        return Roles(self.parties.guest, self.parties.hosts, self.parties.arbiter)
