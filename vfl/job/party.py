"""`party.toml`: what one party keeps to itself: its identity, whom it trusts, its table, its policy.

`cross_check` compares it with a job before anything is opened: who and where is a ConfigError, what the policy forbids
is DisclosureRefused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from protocols.errors import ConfigError
from vfl.data import Settings
from vfl.data.extras import needed
from vfl.data.places import local_path, named, place_of
from vfl.data.source import FILES
from vfl.job.file_form import FileForm
from vfl.job.job import Agreement, Column, Columns, Job, Name
from vfl.job.policy import Policy, policy_check
from vfl.models.plan import Role
from vfl.schema.described import Values
from vfl.schema.section import Complaint, Section, build, listed, read_toml, shown
from vfl.schema.table_options import TableSettings


def split_address(text: str) -> tuple[str, int]:
    """('10.0.0.3', 7443) of '10.0.0.3:7443'; an IPv6 address stands in [ ].  Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text)
    if not match or not 1 <= int(match[3]) <= 65535:
        raise Complaint(
            f"is {shown(text)}, which is not an address and a port",
            'Write it as "10.0.0.3:7443", "name.example:7443" or "[::1]:7443"',
        )
    return match[1] or match[2], int(match[3])


def _address(value: str) -> str:
    split_address(value)
    return value


def _resolve(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str) or not value or "\0" in value:
        return value if not isinstance(value, str) else None
    return ((info.context or {}).get("base") or Path()) / Path(value).expanduser()


def _source(value: str, info: ValidationInfo) -> str:
    """A path is made absolute from the file's folder, also inside an SQLite address; other addresses stay as they
    are."""
    if "://" not in value:
        return str(_resolve(value, info) or "")
    scheme, _, rest = value.partition("://")
    if scheme.split("+")[0] == "sqlite" and rest.startswith("/") and rest[1:2] not in ("", "/", ":"):
        path, mark, options = rest[1:].partition("?")
        return f"{scheme}:///{_resolve(path, info)}{mark}{options}"
    return value


SOURCES = (
    f"a file ({', '.join(FILES)}), a folder of files, the address of either "
    "(s3://, https://), or a database address with a query, such as source = "
    '"customers.parquet"'
)


def _resolve_all(value: object, info: ValidationInfo) -> object:
    given = (value,) if isinstance(value, str) else value
    return tuple(_resolve(one, info) for one in given) if isinstance(given, tuple) else given


Address = Annotated[str, AfterValidator(_address)]
Sign = Literal[-1, 0, 1]
File = Annotated[Path, BeforeValidator(_resolve)]
Files = Annotated[tuple[Path, ...], BeforeValidator(_resolve_all)]


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
        Field(min_length=1, description="the peer's pinned certificate, while it renews it both; each peer has its own")
    )
    address: Annotated[Address | None, Values('an address and port, such as address = "10.0.0.3:7443"')] = Field(
        default=None,
        description="where to dial the peer: hosts dial the guest and the arbiter, the arbiter dials the guest",
    )

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """(address, port), if there is one."""
        return split_address(self.address) if self.address else None

    def certificates(self) -> tuple[bytes, ...]:
        """What the files hold, any of which the peer may present."""
        return tuple(file.read_bytes() for file in self.certificate)


class Data(TableSettings, FileForm):
    """This party's table."""

    source: Annotated[
        str,
        AfterValidator(_source),
        Values(SOURCES),
    ] = Field(
        repr=False,
        min_length=1,
        description="where the table is",
    )
    query: Annotated[str | None, Values('a text, such as query = "SELECT * FROM customers"')] = Field(
        default=None,
        repr=False,
        min_length=1,
        description="the SQL query; required with a database address, refused with a file",
    )
    label: Annotated[Column | None, Values('a column, such as label = "default"')] = Field(
        default=None,
        description="at the guest, required: the column of the label, whose larger value is the event if "
        "there are two; numbers, counts or several values if the job's model predicts these",
    )
    event: Annotated[str | int | float | None, Values('a value, such as event = "bad"')] = Field(
        default=None,
        repr=False,
        description="at the guest: of a label of two values, the one whose probability is modelled; absent: "
        "the larger, of texts the later one in the alphabet, with a caution unless these are such "
        "as no and yes",
    )
    weight: Annotated[Column | None, Values('a column, such as weight = "policy_years"')] = Field(
        default=None,
        description="at the guest: the column of row weights, or of exposures, above 0, for jobs with "
        "model.sample_weight or model.exposure; never a feature",
    )
    date: Annotated[Column | None, Values('a column, such as date = "opened"')] = Field(
        default=None,
        description="at the guest: the column of dates (dates, time stamps, or texts in ISO 8601, such as "
        "2026-01-31), for jobs with split.out_of_time; never a feature, and its values never "
        "leave this party",
    )
    columns: Annotated[Columns | None, Values('a list of columns, such as columns = ["limit", "age"]')] = Field(
        default=None,
        description="the feature columns that jobs may use, in this order, [] (at the guest) for none; "
        "absent: all but keys, label, weight and date",
    )
    categories: Annotated[Columns | None, Values('a list of columns, such as categories = ["branch"]')] = Field(
        default=None,
        description="feature columns of numbers that are codes (1 to 9 for a branch), treated as texts, one "
        'category per code; only for jobs whose model accepts texts; the same as "category" in '
        "data.types",
    )
    monotone_constraints: Annotated[
        dict[Column, Sign], Values("1, -1 or 0 by column, such as { income = 1, age = -1 }")
    ] = Field(
        default={},
        description="for jobs with model.monotone_constraints: the feature columns with which predictions may move "
        "only one way: with 1 they never fall when the column rises, with -1 they never rise; not for "
        "categories",
    )

    def check_hosts(self) -> None:
        """Raises Complaint for what only a guest has."""
        if self.label is not None:
            raise Complaint("is not for a host: only the guest holds labels", "Remove it", "data.label")
        if self.event is not None:
            raise Complaint("is not for a host: only the guest holds labels", "Remove it", "data.event")
        if self.weight is not None:
            raise Complaint("is not for a host: only the guest weighs rows", "Remove it", "data.weight")
        if self.date is not None:
            raise Complaint("is not for a host: only the guest's dates divide the rows", "Remove it", "data.date")
        if self.columns == ():
            raise Complaint(
                "is empty: a host without a column adds nothing",
                "Name one, or remove the key to use all",
                "data.columns",
            )

    def settings(self, *, in_python: bool = False) -> Settings:
        """As the table is read with it."""
        own = super().settings(in_python=in_python)
        own = replace(own, types={**own.types, **dict.fromkeys(self.categories or (), "category")})
        return replace(own, event=self.event, monotone=self.monotone_constraints)

    @property
    def is_database(self) -> bool:
        """Whether `source` is a database address."""
        return place_of(self.source) == "database"

    @model_validator(mode="after")
    def _fits(self) -> Data:
        if self.is_database and self.query is None:
            raise Complaint("is missing: the source is a database address", 'Add query = "SELECT ..."', "data.query")
        if not self.is_database and self.query is not None:
            raise Complaint(
                "does nothing: the source is a file", "Remove it, or give a database address as source", "data.query"
            )
        self.check_form(self.source, is_database=self.is_database)
        self._features_fit()
        if self.weight is not None and self.weight == self.label:
            raise Complaint(f"is {shown(self.weight)}, which is the label", "Name another column", "data.weight")
        for what, name in (("label", self.label), ("weight", self.weight)):
            if self.date is not None and self.date == name:
                raise Complaint(f"is {shown(self.date)}, which is the {what}", "Name another column", "data.date")
        return self

    def _features_fit(self) -> None:
        """Raises Complaint for keys about features that do not fit the others."""
        features = {
            "columns": self.columns,
            "categories": self.categories,
            "types": self.types,
            "exclude": self.exclude,
            "monotone_constraints": self.monotone_constraints,
        }
        for what, name in (("label", self.label), ("weight", self.weight), ("date", self.date)):
            for key, columns in features.items():
                if name is not None and name in (columns or ()):
                    raise Complaint(f"names {shown(name)}, which is the {what}", f"Remove it from {key}", f"data.{key}")
        if self.columns is not None and self.exclude:
            raise Complaint(
                "does nothing: columns lists the features", "Remove exclude, or remove columns", "data.exclude"
            )
        for key in ("categories", "types", "monotone_constraints"):
            for name in features[key] or ():
                if self.columns is not None and name not in self.columns:
                    raise Complaint(
                        f"names {shown(name)}, which is not in columns",
                        "Add it there, or remove it here",
                        f"data.{key}",
                    )
                if name in self.exclude:
                    raise Complaint(f"names {shown(name)}, which exclude lists too", "Remove one", f"data.{key}")
        codes = [*(self.categories or ()), *(name for name, kind in self.types.items() if kind == "category")]
        if named := [name for name, sign in self.monotone_constraints.items() if sign and name in codes]:
            raise Complaint(
                f"names {shown(named[0])}, which holds categories: they have no order",
                "Remove it",
                "data.monotone_constraints",
            )
        if both := [name for name in self.categories or () if self.types.get(name) == "number"]:
            raise Complaint(
                f"says that {shown(both[0])} is a number, and categories lists it", "Remove one", "data.types"
            )


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
        description="how long to wait, in seconds, for one message from a peer that is alive, because it may "
        "compute for a long time; a dead peer is detected within seconds",
    )
    reconnect_seconds: int = Field(
        default=600,
        ge=0,
        le=7 * 86_400,
        description="how long, in seconds, this party waits for a party that stops in the middle of a run; 0: "
        "it stops at once, and the run resumes when all give the command again",
    )


class Party(Section):
    """A whole party file; paths are absolute or start from the current folder after `load_party`."""

    name: Annotated[Name, Values('a name, such as name = "bank"')] = Field(description="this party's name in the job")
    role: Role = Field(description="as the job says")
    listen: Annotated[Address | None, Values('an address and port, such as listen = "0.0.0.0:7443"')] = Field(
        default=None, description="at the guest and the arbiter, required: own address and port; a host opens no port"
    )
    identity: Identity = Field(description="a section [identity] with key and certificate")
    peers: dict[Name, Peer] = Field(
        default={}, description='a section [peers.NAME] for each peer, with certificate = "..."'
    )
    data: Data | None = Field(default=None, description="a section [data] with source")
    policy: Policy = Field(default=Policy(), description="a section [policy]")
    run: Run = Field(default=cast(Run, {}), validate_default=True, description="a section [run]")

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """(address, port) to open, if any."""
        return split_address(self.listen) if self.listen else None

    @model_validator(mode="after")
    def _fits_role(self) -> Party:
        if self.role == "host" and self.listen is not None:
            raise Complaint(
                "does nothing: a host opens no port, it dials the guest and the arbiter", "Remove it", "listen"
            )
        if self.role != "host" and self.listen is None:
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
    expected = job.parties.peers_of(me)
    missing = [p for p in expected if p not in party.peers]
    if missing:
        raise wrong(
            f"peers.{missing[0]} is missing: a {role} talks to {listed(expected, 'and')}",
            f"Run vfl trust with {missing[0]}'s certificate",
        )
    for name in job.parties.dials(me):
        if party.peers[name].address is None:
            raise wrong(
                f"peers.{name}.address is missing: a {role} dials {name}",
                'Add address = "ADDRESS:PORT", as that party listens',
            )
    if party.data is not None:
        for what, remedy in _unfit(job, party.role, party.data):
            raise wrong(what, remedy)
    policy_check(job, party)


def _unfit(job: Agreement, role: Role, data: Data) -> Iterator[tuple[str, str]]:
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
            "data.monotone_constraints is set, and the job's model has no monotone_constraints: nobody keeps them",
            "Agree on model.monotone_constraints = true, or remove it",
        )
    if isinstance(job, Job) and job.split.out_of_time and role == "guest" and data.date is None:
        yield (
            "data.date is missing: the job has split.out_of_time",
            'Name the column of dates in [data], such as date = "opened"',
        )
