"""The commented job files that `vfl job new` writes; each loads as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from protocols.errors import ConfigError
from vfl.data.keys import key_lists
from vfl.job.model import MODELS
from vfl.job.permits import AVERAGES, CONVERGENCE, DEALER, OF_TWO, PERMITS, WEIGHTS
from vfl.models.averaging.spec import Averaging
from vfl.models.registry import kind_of
from vfl.schema.section import build, listed
from vfl.schema.spec import Spec


def toml_of(value: str | Sequence[str]) -> str:
    """A text, or a list of texts, as TOML writes it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return "[" + ", ".join(toml_of(v) for v in value) + "]"


AVERAGING = str(Averaging.model_fields["kind"].default)


def starter_permits(kind: str, hosts: int = 1) -> tuple[str, ...]:
    """What a party's policy allows at first: what a job of this kind with one key and this number of hosts, or with
    three members or more, reveals.  Raises ConfigError: no such kind."""
    if kind == AVERAGING:
        return (AVERAGES,)
    model = _section(kind)
    return ("intersection-to-parties", *_of_several(model, hosts), *_verdict(model), *model.permits)


def _of_several(model: Spec, hosts: int) -> tuple[str, ...]:
    """The permissions that only jobs with several hosts need."""
    if hosts < 2:
        return ()
    return ("intersection-sizes-to-arbiter", *((DEALER,) if model.trusts_dealer else ()))


def _verdict(model: Spec) -> tuple[str, ...]:
    """The permission to learn whether weights have settled, of a model that has some."""
    return (CONVERGENCE,) if model.settles else ()


def _section(kind: str, **parameters: object) -> Spec:
    if kind not in MODELS:
        known = listed([repr(k) for k in (*MODELS, AVERAGING)])
        raise ConfigError(f"the kind {kind!r} is not known", remedy=f"Use {known}")
    return build(MODELS[kind], {"kind": kind, **parameters}, f"the {kind} job")


def permit_lines(permits: Sequence[str]) -> str:
    """A line of a list for each permission, under what it discloses."""
    return "".join(f"  # {PERMITS[p]}\n  {toml_of(p)},\n" for p in permits)


def _model_text(model: Spec) -> str:
    """The lines of [model]: what is spelt out, and what was set otherwise than by default."""
    kind, given = str(model.model_dump()["kind"]), model.model_dump(exclude={"kind"})
    lines = [f'kind = "{kind}"']
    for key, comment in kind_of(model).starter.items():
        lines += [f"# {comment}", f"{key} = {_value(given[key])}"]
    lines += [
        f"{key} = {_value(given[key])}"
        for key in given
        if key in model.model_fields_set and key not in kind_of(model).starter
    ]
    return "\n".join(lines)


def _value(value: object) -> str:
    if isinstance(value, str):
        return toml_of(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_of(str(k))} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return repr(value)


def starter_job(
    *,
    name: str = "credit-risk",
    guest: str = "bank",
    hosts: Sequence[str] = ("telecom",),
    arbiter: str = "trustco",
    keys: Sequence[str] | Sequence[Sequence[str]] = ("customer_id",),
    normalise: Mapping[str, str] | None = None,
    duplicates: str = "error",
    min_intersection: int = 100,
    test: float = 0.25,
    seed: int = 7,
    key_bits: int = 3072,
    preparation: str = "",
    score_bits: int = 10,
    kind: str = "logistic-regression",
    reveal: Sequence[str] = (),
    **parameters: object,
) -> str:
    """A commented job.toml; keys: the columns of the one key, or a list of those of each key, tried in order; arbiter:
    "" for none; preparation: "" for the default; reveal: whose final weights their owner learns, out of "guest" and
    "hosts"; parameters: of the kind.

    Raises ConfigError for parameters that are not the kind's.
    """
    lists = key_lists(keys)
    model = _section(kind, **parameters)
    way = f"preparation = {toml_of(preparation)}\n" if preparation else ""
    work = model.ARBITER if model.needs_arbiter else "compares blinded ids"
    who = f"# the arbiter {work} and has no data.\n" if arbiter else ""
    named = f"arbiter = {toml_of(arbiter)}\n" if arbiter else ""
    return f"""\
# The job is the same file at every party.  The parties compare its digest before anything is sent.
name = {toml_of(name)}
version = 1  # of this file's format

[parties]
# Each name is pinned to a certificate in every party file.  The guest holds the labels, hosts hold features only,
{who}guest = {toml_of(guest)}
hosts = {toml_of(list(hosts))}
{named}
{_align(lists, normalise or {}, duplicates, min_intersection)}
[split]
# The part of the common rows held out to evaluate the model, chosen by the seed.
test = {float(test)!r}
seed = {seed}
# Rows on or after a day (data.date of the guest) can be a separate part; also allow "out-of-time-rows-to-hosts" below.
# out_of_time = 2026-01-01

[model]
{_model_text(model)}

[crypto]
# 3072 or 4096; 2048 gives a warning.
key_bits = {key_bits}
{way}
{_disclosure(model, len(lists), len(hosts), reveal, score_bits)}"""


def starter_members_job(
    *,
    name: str = "credit-risk",
    members: Sequence[str] = ("bank-a", "bank-b", "bank-c"),
    arbiter: str = "trustco",
    label: str = "default",
    columns: Sequence[str] = ("age", "limit"),
    test: float = 0.25,
    seed: int = 7,
    **parameters: object,
) -> str:
    """A commented job.toml of members; parameters: of `Averaging`; of two members with the permission that they need.

    Raises ConfigError for parameters that it has not.
    """
    two = {"min_members": 2} if len(members) == 2 else {}
    model = build(Averaging, {"kind": AVERAGING, **two, **parameters}, "the averaging job")
    spelt = {"estimator": '"logistic", "linear", "poisson" or "mlp"', "rounds": "how often updates are averaged"}
    lines = [f"# {comment}\n{key} = {_value(getattr(model, key))}" for key, comment in spelt.items()]
    set_ = [key for key in model.parameters() if key in model.model_fields_set and key not in spelt]
    lines += [f"{key} = {_value(getattr(model, key))}" for key in set_]
    permits = (AVERAGES, OF_TWO) if len(members) == 2 else (AVERAGES,)
    return f"""\
# The job is the same file at every party.  The parties compare its digest before anything is sent.
name = {toml_of(name)}
version = 1  # of this file's format

[parties]
# Members hold the same columns of different customers.  Each name is pinned to a certificate in every party file.
members = {toml_of(list(members))}
# The aggregator has no data: it adds up what the members send, and sees only sums.
arbiter = {toml_of(arbiter)}

[table]
# The columns that all members hold under these names, as numbers without gaps.
label = {toml_of(label)}
columns = {toml_of(list(columns))}

[split]
# The part of its own rows that each member holds out to evaluate the model, drawn by the seed.
test = {float(test)!r}
seed = {seed}

[model]
kind = {toml_of(AVERAGING)}
{chr(10).join(lines)}

[disclosure]
# Everything that is revealed; each party's policy must also allow it.
allow = [
{permit_lines(permits)}]
"""


def _align(lists: Sequence[Sequence[str]], normalise: Mapping[str, str], duplicates: str, min_intersection: int) -> str:
    """The section [align]."""
    rules = dict.fromkeys((column for key in lists for column in key), "text") | dict(normalise)
    return f"""\
[align]
# Keys of one or more columns each, tried in this order.  normalise says how each column is compared: "text", "digits", "integer", "exact",
# "email", "date" (ISO), "date:%d/%m/%Y" (ISO or this), "e164:GB" (telephone numbers as written in that country).
keys = [{", ".join(toml_of(list(key)) for key in lists)}]
normalise = {{ {", ".join(f"{toml_of(c)} = {toml_of(r)}" for c, r in rules.items())} }}
# "error", or "first" to keep the first row of an id.
duplicates = {toml_of(duplicates)}
# The run stops if fewer rows than this are common to all parties (predictions have [predict] min_rows, 1 by default).
min_intersection = {min_intersection}
"""  # noqa: E501


def _disclosure(model: Spec, keys: int, hosts: int, reveal: Sequence[str], score_bits: int) -> str:
    """The section [disclosure] of a job with this number of keys and hosts."""
    permits = [
        "intersection-to-parties",
        *(p for who, p in zip(("guest", "hosts"), WEIGHTS, strict=True) if who in reveal),
        *_verdict(model),
        *model.permits,
    ]
    permits += ["matched-keys-to-parties"] if keys > 1 else []
    permits += _of_several(model, hosts)
    rest = [p for p in WEIGHTS if p not in permits] if model.shares_weights else []
    text = "[disclosure]\n# Everything that is revealed; each party's policy must also allow it.\n"
    if rest:
        text += (
            f"# Final weights stay shared with the arbiter. To reveal them to their owner, also allow "
            f"{listed(list(map(toml_of, rest)))}.\n"
        )
    text += f"allow = [\n{permit_lines(permits)}]\n"
    if model.opens_on_grid:
        text += (
            "# Scores are opened with an error of half of 2^-score_bits per host, which is always the same for a row.\n"
        )
        text += f"score_bits = {score_bits}\n"
    return text
