"""`policy.jobs`, `policy.approved_by` and `[policy.partners.NAME]`: which jobs, and with whom, a party agrees to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from protocols.errors import DisclosureRefused
from vfl.job.agreement import Agreement, Columns, Permits
from vfl.job.job import Job
from vfl.job.permits import PERMITS
from vfl.schema.described import Values
from vfl.schema.section import Section, distinct, listed, shown

if TYPE_CHECKING:
    from vfl.job.party import Party

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Digests = Annotated[tuple[Digest, ...], AfterValidator(distinct)]
DIGESTS = "a list of digests, as vfl job digest prints them"
AGREES = "if the person responsible for this party's data agrees"


class Partner(Section):
    """What this party agrees to in jobs in which one other party takes part, besides what it agrees to at all."""

    allow: Annotated[Permits | None, Values('a list of permissions, such as allow = ["scores-to-guest"]')] = Field(
        default=None, description="with this partner, jobs that reveal anything else are refused"
    )
    columns: Annotated[Columns | None, Values('a list of columns, such as columns = ["limit", "age"]')] = Field(
        default=None,
        description="with this partner, runs are refused in which any other feature column of this party takes part",
    )
    key_bits: int | None = Field(
        default=None, ge=2048, le=4096, description="with this partner, jobs with a shorter key are refused"
    )
    jobs: Annotated[Digests | None, Values(DIGESTS)] = Field(
        default=None, description="with this partner, all other jobs are refused"
    )


def partners_of(job: Agreement, party: Party) -> Iterator[tuple[str, Partner]]:
    """The rules for those that take part in the job."""
    return ((name, rule) for name, rule in party.policy.partners.items() if name in job.parties.names)


def partners_check(job: Agreement, party: Party) -> None:
    """Raises DisclosureRefused for a job that is not one of those agreed on, and for what is not agreed with a
    partner."""
    _digest_check(job, party, party.policy.jobs, "policy.jobs", "policy.jobs")
    for name, rule in partners_of(job, party):
        where = f"policy.partners.{name}"
        _digest_check(job, party, rule.jobs, f"{where}.jobs", "policy.partners.jobs")
        outside = [p for p in job.disclosure.allow if rule.allow is not None and p not in rule.allow]
        if outside:
            told = "; ".join(f"'{p}': {PERMITS[p]}" for p in outside)
            raise _refused(
                party,
                f"the job allows what this party's {where}.allow does not: {told}",
                f"Remove it from the job at every party, or, {AGREES}, add it to {where}.allow",
                outside[0],
            )
        bits = job.crypto.key_bits if isinstance(job, Job) else None
        if rule.key_bits is not None and bits is not None and bits < rule.key_bits:
            raise _refused(
                party,
                f"the job's crypto.key_bits is {bits}, this party's {where}.key_bits is {rule.key_bits}",
                f"Agree on a job with key_bits of {rule.key_bits} or more, or, {AGREES}, change {where}.key_bits",
                "policy.partners.key_bits",
            )


def own_columns_check(job: Agreement, party: Party, columns: Sequence[str]) -> None:
    """Raises DisclosureRefused where this party would bring feature columns that a partner may not work with."""
    for name, rule in partners_of(job, party):
        outside = [c for c in columns if rule.columns is not None and c not in rule.columns]
        if outside:
            few = listed([shown(c) for c in outside[:8]], "and") + (" and others" if len(outside) > 8 else "")
            raise _refused(
                party,
                f"{few} would take part in a job with {name}, and policy.partners.{name}.columns does not list it",
                f"List in data.columns only what {name} may work with, or, {AGREES}, add it to "
                f"policy.partners.{name}.columns",
                "policy.partners.columns",
            )


def rules_told(job: Agreement, party: Party) -> list[str]:
    """A sentence for each rule about jobs and partners that this job keeps."""
    policy, told = party.policy, list[str]()
    if policy.approved_by:
        told.append(f"approved by {policy.approved_by}, as the ledger of each run says")
    if policy.jobs is not None:
        told.append(f"policy.jobs lists {len(policy.jobs)}, this job among them; all others are refused")
    for name, rule in partners_of(job, party):
        set_ = [key for key, value in rule.model_dump().items() if value is not None]
        told.append(f"policy.partners.{name} bounds jobs with {name} by {listed(set_, 'and')}; this job keeps to it")
    return told


def _digest_check(job: Agreement, party: Party, agreed: Sequence[str] | None, where: str, about: str) -> None:
    digest = job.digest.hex()
    if agreed is not None and digest not in agreed:
        raise _refused(
            party,
            f"the job's digest {digest} is not in this party's {where}",
            f"Give the job that was agreed on; or read this one (vfl job show), and, {AGREES}, add its digest there",
            about,
        )


def _refused(party: Party, what: str, remedy: str, about: str) -> DisclosureRefused:
    return DisclosureRefused(f"{party.name}: {what}", remedy=remedy, party=party.name, about=about)
