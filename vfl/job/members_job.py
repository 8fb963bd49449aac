"""A job file of members, which hold the same columns of different customers and average a model: [parties] with members
and an aggregator, [table], [model] of kind "averaging"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator

from protocols.session import Roles
from vfl.job.agreement import Agreement, Columns, Meeting, Name
from vfl.job.align import Column
from vfl.job.permits import AVERAGES, OF_TWO
from vfl.models.averaging.held_out import OPENED
from vfl.models.averaging.private import Noise, fits
from vfl.models.averaging.spec import Averaging
from vfl.models.plan import Role
from vfl.models.privacy import Privacy
from vfl.models.splitting import Split
from vfl.schema.described import Values
from vfl.schema.section import Complaint, Section, distinct, shown


class MemberParties(Meeting):
    """Members in the order that every party uses, and who adds up what they send."""

    members: Annotated[
        tuple[Name, ...],
        AfterValidator(distinct),
        Values('a list of names, at least two, such as members = ["bank-a", "bank-b", "bank-c"]'),
    ] = Field(
        min_length=2,
        description="the parties that hold the same columns of different customers; all parties use this order",
    )
    arbiter: Annotated[Name, Values('a name, such as arbiter = "trustco"')] = Field(
        description="the aggregator: the party that holds no data, and adds up what the members send"
    )

    @model_validator(mode="after")
    def _roles_apart(self) -> MemberParties:
        if self.arbiter in self.members:
            raise Complaint(
                f"names '{self.arbiter}', who is the arbiter too",
                "Give each role to a different party",
                "parties.members",
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Members, arbiter."""
        return (*self.members, self.arbiter)

    def role_of(self, name: str) -> Role | None:
        return "member" if name in self.members else "arbiter" if name == self.arbiter else None

    def peers_of(self, name: str) -> tuple[str, ...]:
        """A member talks to the arbiter alone."""
        return self.members if name == self.arbiter else (self.arbiter,)

    def pinned_by(self, name: str) -> tuple[str, ...]:
        """A member knows the other members' signatures by their certificates."""
        return tuple(one for one in self.names if one != name) if name in self.members else self.members

    def dials(self, name: str) -> tuple[str, ...]:
        """Members dial the arbiter, which dials nobody."""
        return (self.arbiter,) if name in self.members else ()


class SameTable(Section):
    """What all members' tables hold."""

    label: Annotated[Column, Values('a column, such as label = "default"')] = Field(
        description="the column to predict, of the same name at all members: 0 and 1, numbers or counts, as the "
        "estimator needs them"
    )
    columns: Annotated[Columns, Values('a list of columns, such as columns = ["limit", "age"]')] = Field(
        min_length=1, description="the features, which all members hold as numbers under these names"
    )

    @model_validator(mode="after")
    def _label_apart(self) -> SameTable:
        if self.label in self.columns:
            raise Complaint(f"names {shown(self.label)}, which is the label", "Remove it", "table.columns")
        return self


class MembersJob(Agreement):
    """A whole job file of members."""

    parties: MemberParties = Field(description="a section [parties] that names the members and the arbiter")
    table: SameTable = Field(description="a section [table] that names the label and the columns")
    split: Split = Field(default=Split(), description="a section [split]")
    model: Averaging = Field(description='a section [model] with kind = "averaging"')
    privacy: Privacy | None = Field(
        default=None, exclude_if=lambda privacy: privacy is None, description="a section [privacy]: noise on all sums"
    )

    @field_validator("split", mode="before")
    @classmethod
    def _draws_alone(cls, value: object) -> object:
        for key in ("out_of_time", "train"):
            if isinstance(value, Mapping) and key in value:
                raise Complaint("is not a key of a job of members", "Remove it", f"split.{key}")
        return value

    @model_validator(mode="after")
    def _allows_itself(self) -> MembersJob:
        count, least = len(self.parties.members), self.model.min_members
        if least == 2 and count > 2:
            raise Complaint(
                f"is 2, and this job has {count} members",
                "Use 3 or more: from a sum of two members each reads the other's numbers",
                "model.min_members",
            )
        if count < least:
            more = f"Name {least} or more"
            two = "; two members need model.min_members = 2, and read each other's updates" if count == 2 else ""
            raise Complaint(f"names {count}, and model.min_members is {least}", f"{more}{two}", "parties.members")
        self.model.unit(count)
        if self.privacy is not None:
            fits(self.privacy, self.model, count, (*self.table.columns, self.table.label))
        self.check_permits(self.permits)
        return self

    @property
    def permits(self) -> tuple[str, ...]:
        """What its protocols reveal."""
        return (AVERAGES, OF_TWO) if len(self.parties.members) == 2 else (AVERAGES,)

    @property
    def measures(self) -> tuple[str, ...]:
        """Whose means over members are opened at the end: none where no rows are held out, or where sums carry
        noise, as these would not."""
        return OPENED[self.model.label] if self.split.test and self.privacy is None else ()

    @property
    def noise(self) -> Noise | None:
        """On all sums.  Raises ConfigError where dp-accounting is missing, or no noise is enough."""
        if self.privacy is None:
            return None
        terms = self.model.terms(self.parties.members)
        return Noise.of(self.privacy, self.model, terms, (*self.table.columns, self.table.label))

    @property
    def roles(self) -> Roles:
        return Roles.averaging(self.parties.members, self.parties.arbiter)


def is_of_members(document: Mapping[str, Any]) -> bool:
    """Whether a parsed job file is one of members."""
    parties, model = document.get("parties"), document.get("model")
    named = isinstance(parties, Mapping) and "members" in parties
    return named or (isinstance(model, Mapping) and model.get("kind") == "averaging")
