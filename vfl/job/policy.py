"""The section [policy] of a party file: what this party agrees to at most, whatever a job
asks for.

`[policy.at_least]` and `[policy.at_most]` bound the job's own parameters under their own names; the budgets bound what
many runs disclose together (`vfl.run.budget`).  All of them are on by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from protocols.errors import DataError, DisclosureRefused
from vfl.job.agreement import Agreement, Matching, Name, Permits
from vfl.job.job import Job
from vfl.job.members_job import MembersJob
from vfl.job.partners import DIGESTS, Digests, Partner, partners_check, rules_told
from vfl.job.permits import PERMITS
from vfl.preprocessing.binned import as_binned
from vfl.schema.described import Described, Values
from vfl.schema.section import Complaint, Section

if TYPE_CHECKING:
    import pandas as pd

    from vfl.job.party import Party

MOST = 1_000_000  # of a budget
ROWS = 2**31
FEW_COLUMNS = 3
ROWS_PER_COMBINATION = 4  # vfl/attacks/binary_columns.py finds 0/1 columns where there are as many or more


class AtLeast(Section):
    """Floors: a job with a smaller value is refused."""

    min_bin_rows: int = Field(
        default=10,
        ge=1,
        le=MOST,
        description="the minimum number of rows in each bin that is counted for another party",
    )
    key_bits: int = Field(default=2048, ge=2048, le=4096, description="the shortest key")
    min_members: int = Field(
        default=2,
        ge=2,
        le=4096,
        description="the fewest members that a sum of averaging involves; of two members the permission "
        "updates-to-other-member is needed too",
    )
    min_intersection: int = Field(
        default=100,
        ge=1,
        le=ROWS,
        description="the minimum number of common rows (earlier releases: policy.min_intersection, still read)",
    )


class AtMost(Section):
    """Ceilings: a job with a larger value is refused."""

    gradient_bits: int = Field(default=12, ge=3, le=16, description="the maximum number of bits of a gradient")
    weight_bits: int = Field(
        default=12,
        ge=4,
        le=24,
        description="the maximum number of fractional bits of a revealed weight",
    )
    score_bits: int = Field(
        default=12,
        ge=0,
        le=20,
        description="the maximum number of fractional bits of an opened score",
    )
    rounds: int = Field(default=1000, ge=1, le=100_000, description="the maximum number of rounds of averaging")
    n_estimators: int = Field(default=1000, ge=1, le=10_000, description="the maximum number of rounds of trees")
    num_class: int = Field(default=20, ge=1, le=1000, description="the maximum number of classes")
    candidates: int = Field(default=50, ge=1, le=10_000, description="the maximum number of candidates of a search")
    columns: int = Field(
        default=1000,
        ge=1,
        le=2**16,
        description="the maximum number of columns of this party or a partner",
    )


class Policy(Section):
    """What this party agrees to at most, whatever a job asks for."""

    allow: Annotated[Permits, Values('a list of permissions, such as allow = ["scores-to-guest"]')] = Field(
        default=(), description="jobs that reveal anything else are refused"
    )
    runs_per_partner_per_month: int = Field(
        default=20,
        ge=0,
        le=MOST,
        description="the number of trainings and alignments with each other party in a calendar month",
    )
    predictions_per_partner_per_month: int = Field(
        default=200,
        ge=0,
        le=MOST,
        description="the number of batches scored with each other party in a calendar month",
    )
    models_per_label: int = Field(
        default=20,
        ge=1,
        le=MOST,
        description="at the guest: the number of models of the same labels trained with each other party",
    )
    rows_per_label_number: int = Field(
        default=50,
        ge=1,
        le=MOST,
        description="at the guest: the minimum number of training rows for each number computed from labels "
        "that hosts learn",
    )
    score_vectors: int | None = Field(
        default=None,
        ge=1,
        le=MOST,
        description="at a host: the number of score vectors of the same columns that are opened to the guest; "
        "absent: half as many as columns of many values, fewer where they correlate, at least 1",
    )
    min_predict_rows: int = Field(
        default=1,
        ge=1,
        le=ROWS,
        description="jobs with a smaller predict.min_rows are refused: in a small batch a host learns whom "
        "the guest scores",
    )
    scores_per_row: int = Field(
        default=1,
        ge=1,
        le=MOST,
        description="at a host: how often a model scores the same row for the guest in a calendar month; a network, as "
        "long as it exists",
    )
    queries_per_partner_per_day: int = Field(
        default=10_000,
        ge=0,
        le=MOST,
        description="online scores: how many customers are asked about in a day (UTC), with each other party; known or "
        "not; a host refuses more, and a guest asks no more",
    )
    queries_per_id_per_month: int = Field(
        default=10,
        ge=1,
        le=MOST,
        description="at the guest, online scores: how often the same customer is asked about in a calendar month",
    )
    epsilon: float = Field(
        default=10.0,
        ge=0,
        le=1e6,
        description="what runs with [privacy] may cost together, with each other party: for one row of the same "
        "columns, and at the guest for one label",
    )
    delta: float = Field(default=1e-5, gt=0, le=1e-3, description="the delta for which policy.epsilon is computed")
    sums_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="averaging: for how many days opened sums are compared with those of later runs; absent: for good",
    )
    min_changed_rows: int = Field(
        default=50,
        ge=1,
        le=ROWS,
        description="averaging: the minimum number of own training rows, and of those held out, that tables of "
        "several runs differ by, unless they are the same: the sums of both runs tell the sum of the rows that changed",
    )
    max_partner_rows: int | None = Field(
        default=None,
        ge=1,
        le=ROWS,
        description=(
            "the maximum length of a partner's list of ids; a longer list is refused at its first chunk; absent: 5 "
            "times as long as this party's own list, in a prediction as its training list or its new list, whichever "
            "is longer (an arbiter has no limit unless it sets one)"
        ),
    )
    approved_by: Annotated[str | None, Values('a text, such as approved_by = "Jane Doe, 2026-11-30"')] = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="who is responsible for this policy; the ledger of each run records it",
    )
    jobs: Annotated[Digests | None, Values(DIGESTS)] = Field(default=None, description="all other jobs are refused")
    partners: dict[Name, Partner] = Field(
        default={}, description="a section [policy.partners.NAME] for each partner with rules of its own"
    )
    at_least: AtLeast = Field(default=AtLeast(), description="a section [policy.at_least]")
    at_most: AtMost = Field(default=AtMost(), description="a section [policy.at_most]")

    @model_validator(mode="before")
    @classmethod
    def _moved(cls, given: Any) -> Any:
        """`policy.min_intersection`, as earlier releases have it, is `policy.at_least.min_intersection`."""
        if not isinstance(given, dict) or "min_intersection" not in given:
            return given
        floors = given.get("at_least", {})
        if not isinstance(floors, dict):
            return given
        if "min_intersection" in floors:
            raise Complaint(
                "is given twice, also as policy.at_least.min_intersection",
                "Keep policy.at_least.min_intersection",
                "policy.min_intersection",
            )
        rest = {key: value for key, value in given.items() if key != "min_intersection"}
        return rest | {"at_least": {**floors, "min_intersection": given["min_intersection"]}}


# what a party that refuses tells the others: the name of what is in the way, never a value
DECLARED = frozenset(
    [
        *PERMITS,
        "data.columns",
        *(f"policy.{name}" for name in Policy.model_fields),
        *(f"policy.at_least.{name}" for name in AtLeast.model_fields),
        *(f"policy.at_most.{name}" for name in AtMost.model_fields),
        *(f"policy.partners.{name}" for name in Partner.model_fields),
    ]
)
MOST_BITS = 12  # of gradients whose number the job leaves to the number of rows


def values(job: Agreement, name: str) -> Iterator[tuple[str, int]]:
    """(dotted key, value) wherever the job sets the parameter `name` of a floor or ceiling; of a search for each
    candidate."""
    if name == "min_intersection" and isinstance(job, Matching):
        yield "align.min_intersection", job.align.min_intersection
    if isinstance(job, MembersJob) and name in ("min_members", "rounds"):
        yield f"model.{name}", getattr(job.model, name)
    if not isinstance(job, Job):
        return
    if name == "key_bits":
        yield "crypto.key_bits", job.crypto.key_bits
    elif name == "score_bits" and job.disclosure.score_bits is not None:
        yield "disclosure.score_bits", job.disclosure.score_bits
    elif name == "candidates" and job.search is not None:
        yield "the number of candidates of search.param_grid", len(job.candidates)
    for one in job.candidates:
        if name in type(one.model).model_fields and name not in ("score_bits", "key_bits"):  # those of other tables
            value = getattr(one.model, name)
            yield f"model.{name}", MOST_BITS if value is None else value
    if name == "min_bin_rows" and job.preprocess is not None and job.preprocess.bins_by_label:
        yield "preprocess.min_bin_rows", job.preprocess.min_bin_rows


def policy_check(job: Agreement, party: Party) -> None:
    """Raises DisclosureRefused where the job breaks a floor or a ceiling, or allows what the policy does not."""
    for section, word, floor in (("at_least", "or more", True), ("at_most", "or less", False)):
        bounds: dict[str, int] = getattr(party.policy, section).model_dump()
        for name, bound in bounds.items():
            for key, value in values(job, name):
                if value < bound if floor else value > bound:
                    raise DisclosureRefused(
                        f"{party.name}: the job's {key} is {value}, this party's policy.{section}.{name} is {bound}",
                        remedy=f"Agree on a job with {name} of {bound} {word}, or, if the person responsible for "
                        f"this party's data agrees,"
                        f" change policy.{section}.{name}",
                        party=party.name,
                        about=f"policy.{section}.{name}",
                    )
    if isinstance(job, Job) and job.predict.min_rows < party.policy.min_predict_rows:
        least = party.policy.min_predict_rows
        raise DisclosureRefused(
            f"{party.name}: the job's predict.min_rows is {job.predict.min_rows}, this party's policy.min_predict_rows "
            f"is {least}",
            remedy=f"Agree on a job with [predict] min_rows of {least} or more, or, if the person responsible for this "
            f"party's data agrees, change policy.min_predict_rows",
            party=party.name,
            about="policy.min_predict_rows",
        )
    outside = [p for p in job.disclosure.allow if p not in party.policy.allow]
    if outside:
        told = "; ".join(f"'{p}': {PERMITS[p]}" for p in outside)
        raise DisclosureRefused(
            f"{party.name}: the job allows what this party's policy.allow does not: {told}",
            remedy="Remove it from the job at every party, or, if the person responsible for this party's data "
            "agrees, add it to policy.allow",
            party=party.name,
            about=outside[0],
        )
    partners_check(job, party)


def bounds_told(job: Agreement, party: Party) -> list[str]:
    """A sentence for each rule, floor and ceiling that bounds something in this job."""
    policy, told = party.policy, rules_told(job, party)
    for section, word in ((policy.at_least, "or more"), (policy.at_most, "or less")):
        for name, field in type(section).model_fields.items():
            what = Described.of(field).meaning
            bound, found = getattr(section, name), dict(values(job, name))
            told += [f"{key} is {value}; this party accepts {bound} {word}: {what}" for key, value in found.items()]
    if isinstance(job, Job):
        told.append(
            f"predict.min_rows is {job.predict.min_rows}; this party accepts {policy.min_predict_rows} or more: in a "
            f"small batch a host learns whom the guest scores"
        )
    return told


def few_columns_check(job: Job, party: Party, columns: int) -> None:
    """Raises DisclosureRefused at a host whose columns are so few that scores name their values, unless the job allows
    it."""
    if party.role == "host" and columns < FEW_COLUMNS and "few-columns" not in job.disclosure.allow:
        raise DisclosureRefused(
            f"{party.name}: this party brings {columns} {'column' if columns == 1 else 'columns'}, and the "
            f"job does not allow 'few-columns':"
            f" {PERMITS['few-columns']}",
            remedy=f"Bring {FEW_COLUMNS} columns or more, or, if the person responsible for this party's data "
            f"agrees, let the job and policy.allow"
            " list 'few-columns'",
            party=party.name,
            about="few-columns",
        )


def few_values_check(job: Job, party: Party, features: pd.DataFrame) -> None:
    """Raises DisclosureRefused at a host whose rows take so few combinations of values that one score of each row tells
    which rows have the same, and with 0/1 columns the columns themselves, unless the job allows it; of columns that
    the job bins, the bins count."""
    if party.role != "host" or "few-columns" in job.disclosure.allow:
        return
    binned = as_binned(features, job.preprocess)
    combinations, what = len(binned.drop_duplicates()), "values" if binned is features else "bins"
    if combinations * ROWS_PER_COMBINATION <= len(features):
        raise DisclosureRefused(
            f"{party.name}: the columns of this party take only {combinations:,} combinations of {what} in "
            f"{len(features):,} rows, and the job does not allow 'few-columns': {PERMITS['few-columns']}",
            remedy=f"Bring a column with many {what}, or, if the person responsible for this party's data agrees, let "
            "the job and policy.allow list 'few-columns'",
            party=party.name,
            about="few-columns",
        )


def rows_check(job: Matching, party: Party, rows: int) -> None:
    """Raises DataError where this party has fewer rows with an id of their own than must be common to all."""
    least = job.align.min_intersection
    if rows < least:
        raise DataError(
            f"{party.name}: {rows:,} rows of this party's table have an id of their own, and the job wants at least "
            f"{least:,} common ones (align.min_intersection)",
            remedy="Check data.source and the key columns, or agree on a lower align.min_intersection",
            party=party.name,
        )


def columns_check(party: Party, whose: str, columns: int) -> None:
    """Raises DisclosureRefused where `whose` table (this party's own or a partner's) has more columns than
    policy.at_most.columns."""
    most = party.policy.at_most.columns
    if columns > most:
        raise DisclosureRefused(
            f"{party.name}: {whose} brings {columns} columns, this party's policy.at_most.columns is {most}",
            remedy="Use fewer columns (data.columns), or, if the person responsible for this party's data "
            "agrees, raise policy.at_most.columns",
            party=party.name,
            about="policy.at_most.columns",
        )
