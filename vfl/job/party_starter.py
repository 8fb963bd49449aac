"""The commented party files that `vfl init` writes, each of which loads as it is, and their sections of peers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from protocols.errors import ConfigError
from vfl.job.permits import PERMITS
from vfl.job.policy import AtLeast, AtMost, Policy
from vfl.job.starter import AVERAGING, permit_lines, starter_permits, toml_of
from vfl.models.plan import Role
from vfl.schema.section import Complaint, build, check_name
from vfl.schema.toml import parse_toml

BUDGETS: dict[str, tuple[tuple[Role, ...], str]] = {
    "runs_per_partner_per_month": (
        ("guest", "host", "arbiter", "member"),
        "Maximum number of trainings and alignments with each other party per month.",
    ),
    "predictions_per_partner_per_month": (
        ("guest", "host", "arbiter"),
        "Maximum number of batches scored with each other party per month.",
    ),
    "models_per_label": (
        ("guest", "member"),
        "Maximum number of models of the same labels trained with each other party.",
    ),
    "rows_per_label_number": (
        ("guest",),
        "Minimum number of training rows for each number computed from labels that hosts learn (weights, "
        "fine bins of scorecards).",
    ),
    "min_predict_rows": (
        ("guest", "host", "arbiter"),
        "Jobs with a smaller [predict] min_rows are refused: in a small batch a host learns whom the guest scores.",
    ),
    "scores_per_row": (
        ("host",),
        "Maximum number of times that a model scores the same row per month (a network: at all).",
    ),
    "score_vectors": (
        ("host",),
        "Maximum number of score vectors of the same columns; by default half as many as columns of "
        "many values, fewer where they correlate.",
    ),
    "queries_per_partner_per_day": (
        ("guest", "host"),
        "Maximum number of customers asked about online per day, with each other party.",
    ),
    "queries_per_id_per_month": (("guest",), "Maximum number of online queries about the same customer per month."),
    "epsilon": (
        ("guest", "member", "arbiter"),
        "Maximum epsilon that runs with [privacy] cost together, for one row of the same columns, or one label.",
    ),
    "delta": (("guest", "member", "arbiter"), "The delta for which it is computed."),
    "sums_days": (
        ("member",),
        "For how many days opened sums are compared with those of later runs; by default for good.",
    ),
    "min_changed_rows": (
        ("member",),
        "Minimum number of own training rows that tables of several runs differ by, unless they are the same.",
    ),
    "max_partner_rows": (
        ("guest", "host"),
        "Maximum number of rows of a partner's list; by default 5 times as many as this party's own.",
    ),
}

EXAMPLES = {
    "score_vectors": 5,
    "sums_days": 730,
    "max_partner_rows": 1_000_000,
}  # of what depends on the table by default


def _budgets(role: Role, policy: Policy) -> str:
    """The keys of [policy] that bound what many runs disclose together."""
    text = ""
    for key, (roles, comment) in BUDGETS.items():
        value = getattr(policy, key)
        if role in roles:
            text += f"# {comment}\n" + (f"# {key} = {EXAMPLES[key]}\n" if value is None else f"{key} = {value}\n")
    return text


def _bounds(policy: Policy) -> str:
    """The sections of floors and ceilings, each at its value."""
    text = ""
    for name, word, section in (("at_least", "smaller", policy.at_least), ("at_most", "larger", policy.at_most)):
        text += (
            f"\n# Jobs with a {word} value of one of these parameters are refused (this binds honest partners "
            f"only).\n[policy.{name}]\n"
        )
        text += "".join(f"{key} = {value}\n" for key, value in section.model_dump().items())
    return text


def _policy(given: Mapping[str, int]) -> Policy:
    """The default policy with some keys, floors and ceilings set, each by its own name.  Raises ConfigError."""
    nested = {
        name: {k: v for k, v in given.items() if k in section.model_fields}
        for name, section in (("at_least", AtLeast), ("at_most", AtMost))
    }
    rest = {k: v for k, v in given.items() if not any(k in inner for inner in nested.values())}
    return build(Policy, {**rest, **nested}, "the policy")


def starter_party(
    role: Role,
    name: str,
    *,
    listen: str = "0.0.0.0:7443",
    source: str = "customers.csv",
    query: str | None = None,
    label: str = "default",
    columns: Sequence[str] | None = None,
    min_intersection: int = 100,
    allow: Sequence[str] | None = None,
    kind: str | None = None,
    hosts: int = 1,
    policy: Mapping[str, int] | None = None,
    directory: str = "runs",
) -> str:
    """A commented party.toml for `role`, with no peer yet (`with_peer` adds one); without `allow` its policy allows
    what jobs of `kind` with this number of `hosts` reveal.

    policy: other keys of [policy], [policy.at_least] and [policy.at_most] than the defaults, by name.  kind: None for
    "averaging" of a member, and "logistic-regression" of all others.

    Raises ConfigError: not a name, no such kind, a kind that has no such role.
    """
    kind = kind or (AVERAGING if role == "member" else "logistic-regression")
    if role != "arbiter" and (kind == AVERAGING) != (role == "member"):
        raise ConfigError(
            f"a job of the kind {kind!r} has no {role}",
            remedy=f"Members take part in jobs of the kind {AVERAGING!r} alone, guests and hosts in all others",
        )
    allow, bounded = (
        starter_permits(kind, hosts) if allow is None else allow,
        _policy({"min_intersection": min_intersection} | dict(policy or {})),
    )
    port = (
        f"# The other parties dial this address; open it in the firewall.\nlisten = {toml_of(listen)}\n"
        if role not in ("host", "member")
        else ""
    )
    given = label if role == "guest" else None
    data = "" if role == "arbiter" else _data(source, query, given, columns, matched=role != "member")
    others = [p for p in PERMITS if p not in allow]
    more = f"# Other permissions: {', '.join(others)} (what each discloses: docs/leakage.md).\n" if others else ""
    return f"""\
# This party's own file. It is private and never sent.  Paths are relative to this file.
name = {toml_of(_name(name))}
role = {toml_of(role)}
{port}
[identity]
# Created by vfl init; the key never leaves this machine.
key = "identity/key.pem"
certificate = "identity/cert.pem"

{data}[policy]
# What this party agrees to at most, whatever a job asks for.  Jobs that reveal anything else are refused.
# Who is responsible for it, which the ledger of each run records; and the digests of the only jobs accepted (vfl job digest).
# approved_by = "Jane Doe, 2026-11-30"
# jobs = ["..."]
{more}allow = [
{permit_lines(allow)}]
{_budgets(role, bounded)}{_bounds(bounded)}
[run]
directory = {toml_of(directory)}
# How long to wait for one message of a peer that is alive.
message_seconds = 3600

{_peers(role)}"""  # noqa: E501


def _peers(role: Role) -> str:
    """The comment on [peers]: an address for whom this party dials."""
    who = {
        "guest": "The guest dials nobody: the others need its address.",
        "host": "A host dials the guest and the arbiter, and needs their addresses.",
        "arbiter": "The arbiter dials the guest, and needs its address; members dial the arbiter.",
        "member": "A member dials the arbiter, and needs its address; of the other members only the certificates.",
    }[role]
    name = {"guest": "telecom", "member": "trustco"}.get(role, "bank")
    lines = [
        f"vfl trust adds a section for each peer.  {who}",
        f"  [peers.{name}]",
        f'  certificate = "peers/{name}.pem"',
    ]
    lines += [] if role == "guest" else ['  address = "10.0.0.1:7443"']
    return "".join(f"# {line}\n" for line in lines)


def _data(
    source: str, query: str | None, label: str | None, columns: Sequence[str] | None, *, matched: bool = True
) -> str:
    """The section [data]; label: the guest's; matched: whether ids are."""
    data = "[data]\n"
    data += "# A file or a folder of files (.csv, .tsv, .parquet, .feather, .arrow),\n"
    data += '# or a database, such as "sqlite:///bank.db" with a query.\n'
    data += f"source = {toml_of(source)}\n"
    data += f"query = {toml_of(query)}\n" if query else ""
    if label is not None:
        data += f"# The column to predict; with two values the larger one is the event.\nlabel = {toml_of(label)}\n"
        data += '# A column of dates, for jobs with out_of_time; the dates never leave this party.\n# date = "opened"\n'
    keys = "all except keys and label" if matched else "all"
    data += f"# The columns that jobs may use (by default {keys}), or those that they may not use.\n"
    data += '# columns = ["limit", "age"]\n' if columns is None else f"columns = {toml_of(list(columns))}\n"
    data += '# exclude = ["row"]\n'
    if not matched:
        return data + "\n"
    data += "# Columns whose type is not clear, and texts that mean a missing value.\n"
    data += '# types = { branch = "category", income = "number" }\n# missing = ["-"]\n'
    data += "# The name of a key column in this table, if the job uses another name.\n"
    return data + '# id_columns = { id = "KUNDENNR" }\n\n'


def with_pins(text: str, name: str, certificates: Sequence[str]) -> str:
    """The party file `text` with these files as the pins of the peer `name`, which has a section already.

    Raises ConfigError where the line `certificate = ...` of that section is not one that can be changed.
    """
    section = re.search(rf"^\[peers\.{re.escape(name)}\][ \t]*(?:#[^\n]*)?$", text, re.MULTILINE)
    rest = text[section.end() :] if section else ""
    body = rest[: found.start()] if (found := re.search(r"^\s*\[[^\[\]]+\]", rest, re.MULTILINE)) else rest
    line = re.search(r"^certificate[ \t]*=[^\n]*$", body, re.MULTILINE)
    if section is None or line is None:
        raise ConfigError(
            f"the line certificate = ... of [peers.{name}] was not found",
            remedy="Write the list of files there by hand, as docs/file-formats.md shows it",
        )
    pins = toml_of(certificates[0] if len(certificates) == 1 else certificates)
    start = section.end()
    return f"{text[:start]}{body[: line.start()]}certificate = {pins}{body[line.end() :]}{rest[len(body) :]}"


def with_peer(text: str, name: str, certificate: str, address: str | None = None) -> str:
    """The party file `text` with a section [peers.NAME] added at its end.

    Raises ConfigError if there is one already, if `name` is not a name or `text` no TOML.
    """
    peers = parse_toml(text, "the party file").get("peers", {})
    if _name(name) in peers:
        raise ConfigError(
            f"the party file already has [peers.{name}]",
            remedy="Change its address there by hand. If the peer renews its certificate, give --add (both are "
            "accepted) or --replace",
        )
    line = f"address = {toml_of(address)}\n" if address else ""
    return text.rstrip("\n") + f"\n\n[peers.{name}]\ncertificate = {toml_of(certificate)}\n{line}"


def _name(name: str) -> str:
    try:
        return check_name(name)
    except Complaint as complaint:
        raise ConfigError(f"the party's name {complaint.what}", remedy=complaint.remedy) from None
