"""Whether a party can take part in a job: its files can be read, and what they say fits the job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from protocols.errors import ConfigError, DisclosureRefused
from vfl.data.extras import needed
from vfl.data.places import local_path, named, place_of
from vfl.job.agreement import Agreement, Matching
from vfl.job.job import Job
from vfl.job.members_job import MembersJob
from vfl.job.party import Party
from vfl.job.policy import policy_check
from vfl.job.table import Data
from vfl.models.plan import Role
from vfl.schema.section import listed, shown


def check_files(party: Party) -> None:
    """ConfigError unless every file that the party names can be read; a database is not tried."""
    files = [("identity.key", party.identity.key), ("identity.certificate", party.identity.certificate)]
    files += [(f"peers.{name}.certificate", file) for name, peer in party.peers.items() for file in peer.certificate]
    if party.data is not None and not party.data.is_database:
        files += _source_files(party.data.source)
    for key, file in files:
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            whose = (
                "vfl init makes"
                if key.startswith("identity")
                else "vfl trust adds"
                if key.startswith("peers")
                else "This key names"
            )
            raise ConfigError(
                f"{party.name}: {key}: {_file(file)} cannot be read ({error.strerror})",
                remedy=f"{whose} it; check the path",
                party=party.name,
            ) from None


def _file(file: Path) -> str:
    return f"the file {file}" if named(file) == str(file) else named(file)


def _source_files(source: str) -> list[tuple[str, Path]]:
    """The file to try of a source that is no database: of a folder, and of files elsewhere, none."""
    if place_of(source) == "files":
        needed("fsspec", "data.source")
        return []
    path = local_path(source)
    return [] if path.is_dir() else [("data.source", path)]


def cross_check(job: Agreement, party: Party) -> None:
    """Whether this party can and will take part in this job.

    Raises ConfigError: name or role not the job's, peers missing, an address missing, key columns used
    as something else; DisclosureRefused: the job breaks a floor or ceiling of the policy, or allows what it does not.
    """
    role, me = job.parties.role_of(party.name), party.name

    def wrong(what: str, remedy: str) -> ConfigError:
        return ConfigError(f"{me}: {what}", remedy=remedy, party=me)

    if role is None:
        raise wrong(
            f"the job '{job.name}' has no party of this name, it has {listed(job.parties.names, 'and')}",
            "Correct name in the party file, or [parties] in the job file at every party",
        )
    if role != party.role:
        raise wrong(
            f"role is {shown(party.role)}, the job '{job.name}' says {shown(role)}", "Make both files say the same"
        )
    expected = job.parties.pinned_by(me)
    missing = [p for p in expected if p not in party.peers]
    if missing:
        does = "talks to" if missing[0] in job.parties.peers_of(me) else "checks the signatures of"
        of = [p for p in expected if (p in job.parties.peers_of(me)) == (does == "talks to")]
        raise wrong(
            f"peers.{missing[0]} is missing: {'an' if role == 'arbiter' else 'a'} {role} {does} {listed(of, 'and')}",
            f"Run vfl trust with {missing[0]}'s certificate",
        )
    for name in job.parties.dials(me):
        if party.peers[name].address is None:
            raise wrong(
                f"peers.{name}.address is missing: a {role} dials {name}",
                'Add address = "ADDRESS:PORT", as that party listens',
            )
    if party.data is not None and isinstance(job, Matching):
        for what, remedy in _unfit(job, party.role, party.data):
            raise wrong(what, remedy)
    if party.data is not None and isinstance(job, MembersJob):
        _withheld(job, party, party.data)
    policy_check(job, party)


def _withheld(job: MembersJob, party: Party, data: Data) -> None:
    """Raises DisclosureRefused for a column of the job that the party file withholds."""
    used = (*job.table.columns, job.table.label)
    outside = [c for c in job.table.columns if data.columns is not None and c not in data.columns]
    for key, names in (("columns", outside), ("exclude", [c for c in used if c in data.exclude])):
        if names:
            does = "does not list" if key == "columns" else "lists"
            raise DisclosureRefused(
                f"{party.name}: the job uses {listed([shown(c) for c in names], 'and')}, which data.{key} {does}",
                remedy=f"Agree on a job without it, or, if the person responsible for this party's data agrees, change "
                f"data.{key}",
                party=party.name,
                about="data.columns",
            )


def _unfit(job: Matching, role: Role, data: Data) -> Iterator[tuple[str, str]]:
    """What of [data] does not fit the job, and the remedy."""
    uses = {"label": (data.label,), "weight": (data.weight,), "date": (data.date,), "columns": data.columns or ()}
    uses |= {"categories": data.categories or (), "types": tuple(data.types), "exclude": data.exclude}
    uses |= {"monotone_constraints": tuple(data.monotone_constraints)}
    for key in data.id_columns:
        if key not in job.align.columns:
            known = listed([shown(column) for column in job.align.columns], "and")
            yield (
                f"data.id_columns names {shown(key)}, which is no key column of the job",
                f"Its key columns are {known}",
            )
    for column in (data.id_columns.get(key, key) for key in job.align.columns):
        for used in (name for name, columns in uses.items() if column in columns):
            yield f"data.{used} names {shown(column)}, which is a key column of the job", f"Remove it from data.{used}"
    weighted = next(
        (name for name in ("sample_weight", "exposure") if getattr(getattr(job, "model", None), name, False)), None
    )
    if weighted and role == "guest" and data.weight is None:
        what = "row weights" if weighted == "sample_weight" else "exposures"
        yield f"data.weight is missing: the job has model.{weighted}", f"Name the column of {what} in [data]"
    if data.monotone_constraints and getattr(getattr(job, "model", None), "monotone_constraints", None) is False:
        yield (
            "data.monotone_constraints is set, and the job's model has no monotone_constraints: the constraints "
            "would have no effect",
            "Agree on model.monotone_constraints = true, or remove it",
        )
    if isinstance(job, Job) and job.split.out_of_time and role == "guest" and data.date is None:
        yield (
            "data.date is missing: the job has split.out_of_time",
            'Name the column of dates in [data], such as date = "opened"',
        )
