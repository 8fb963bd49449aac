"""A party of an averaging that has passed every check that it can make alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from vfl.api.departures import caution
from vfl.job import Party, check_files, cross_check
from vfl.job.members_job import MembersJob
from vfl.job.partners import own_columns_check
from vfl.job.policy import columns_check
from vfl.run.members.sums import MemberBudget
from vfl.run.members.tables import OwnTable, read
from vfl.run.session import Ready
from vfl.schema.section import listed
from vfl.transport.identity import Identity


@dataclass(frozen=True)
class MemberReady(Ready[MembersJob]):
    """A member with its table, or the aggregator, which has none."""

    own: OwnTable | None = field(default=None, kw_only=True)

    @property
    def may_leave(self) -> tuple[str, ...]:
        return self.job.parties.members if self.party.role == "arbiter" else ()

    @property
    def size(self) -> tuple[int, int]:
        return (0, 0) if self.own is None else self.own.features.shape

    def input_digest(self) -> bytes:
        return hashlib.sha256(self.job.digest + (self.own.digest() if self.own else b"")).digest()

    @property
    def inputs_told(self) -> dict[str, str]:
        """What report.json says of what the run was given."""
        return {} if self.own is None else {"own table": self.own.digest().hex()}


def prepare(job: MembersJob, party: Party) -> MemberReady:
    """Checks files, policy, table and budgets.  Raises ConfigError, DisclosureRefused, DataError."""
    cross_check(job, party)
    check_files(party)
    identity = Identity.load(party.identity.key, party.identity.certificate, party.name)
    columns_check(party, party.name, len(job.table.columns))
    own, told = None, list[str]()
    if party.data is not None:
        own_columns_check(job, party, job.table.columns)
        own = read(job, party, party.data)
        told += own.cautions(party.data)
    told += filter(None, [caution(job.model, len(job.parties.members))])
    if gone := MemberBudget(job, party, own).check():
        told.append(
            f"with sums of earlier runs, no sum of this run may have all members: {listed(gone, 'and')} or others are "
            "left out of each"
        )
    return MemberReady(job, party, identity, None, own=own, cautions=tuple(told))
