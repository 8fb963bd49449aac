"""Training in one process: what `Federation.fit` does, for every kind of model alike."""

from __future__ import annotations

import datetime
import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from protocols.cipher import Scheme
from protocols.errors import ConfigError
from protocols.local import run_local
from protocols.session import Roles, Session
from vfl.api.search import GridSearchCV
from vfl.data import Table
from vfl.models import label_privacy, own_columns
from vfl.models.averaging.spec import Averaging
from vfl.models.evaluation import Sampling, optimistic
from vfl.models.joint import Joint, Trained
from vfl.models.kind import Kind
from vfl.models.new_rows import Reader
from vfl.models.plan import Plan
from vfl.models.privacy import Privacy
from vfl.models.registry import KINDS, kind_of
from vfl.models.splitting import Split, reports
from vfl.preprocessing import Preprocessing
from vfl.schema.section import Complaint, listed, with_article
from vfl.schema.spec import Spec
from vfl.screen.warn import warn_user
from vfl.steps.search import Searched

S = TypeVar("S", bound=Spec)

RARE = 0.05  # of the rows, or a quarter of an even share: a class that has fewer may be no class


@dataclass(frozen=True)
class Request:
    """What `Federation.fit` was asked.  before: the model to which the training adds."""

    spec: Spec
    grid: GridSearchCV | None = None
    preprocess: Preprocessing | None = None
    split: Split | None = None
    privacy: Privacy | None = None
    before: Joint[Any, Any] | None = None


def fit(
    request: Request,
    tables: Mapping[str, Table],
    roles: Roles,
    scheme: Scheme,
    reader: Reader,
    *,
    label: str,
    agreed: Mapping[str, Any],
    watched: Mapping[str, Any],
) -> tuple[Any, Searched | None]:
    """Aligns, trains on the common rows that the split does not hold out, and returns the joint model and what a search
    found.

    As `train`.
    """
    trained, searched = train(request, tables, roles, scheme, reader, label=label, agreed=agreed, watched=watched)
    kind, fitted = trained.kind, trained.fitted
    for party, found in fitted.items():
        for sentence in kind.remarks(found):
            warnings.warn(f"{party}: {sentence}", UserWarning, stacklevel=4)
    for sentence in kind.notes(fitted[roles.guest]):
        from sklearn.exceptions import ConvergenceWarning  # takes a second to import

        warnings.warn(sentence, ConvergenceWarning, stacklevel=4)
    return kind.joint(trained.learned(reports(trained, reader.keys) if request.split else {})), searched


def train(
    request: Request,
    tables: Mapping[str, Table],
    roles: Roles,
    scheme: Scheme,
    reader: Reader,
    *,
    label: str,
    agreed: Mapping[str, Any],
    watched: Mapping[str, Any],
) -> tuple[Trained[Any], Searched | None]:
    """Aligns and trains; what every party has at the end, its rows included.

    reader: of tables of new rows; agreed: what plans take besides; watched: what else `run_local` takes.  Raises
    ConfigError, DataError, before anything is sent.
    """
    kind, split, steps = kind_of(request.spec), request.split, request.preprocess
    tables = readied(request, tables)
    own = tables[roles.guest]
    cautions = warned(request, roles.guest, tables)
    shared: dict[str, Any] = {**agreed, "keys": len(reader.keys), "preprocess": steps}
    shared |= {} if request.spec.shares_weights else {"reveal": ()}
    shared |= split.job() if split else {}
    specs = [request.spec] if request.grid is None else request.grid.candidates()
    plans = [_promised(request, Plan(by_table(one, own), **shared), len(roles.hosts)) for one in specs]
    search = None if request.grid is None else request.grid.search_of(plans, plans[0].spec.label)
    before = parts_before(request, kind, plans[0], roles, tables)
    drawn = Sampling(split.test, split.seed, split.cut_off) if split else Sampling()
    caution = caution_of(request, drawn)

    def program(role: Any, party: str) -> Callable[[Session], Any]:
        return lambda session: kind.train(role, session, tables.get(party), plans[0], search, before.get(party))

    started = datetime.datetime.now(datetime.UTC)
    programs = {party: program("guest" if party == roles.guest else "host", party) for party in roles.data_parties}
    programs[roles.arbiter] = program("arbiter", roles.arbiter)
    asked = repr((plans, search, [one.spec.model_dump() for one in plans])).encode()
    inputs = {party: hashlib.sha256(table.digest() + asked).digest() for party, table in tables.items()}
    results = run_local(roles, programs, scheme, inputs=inputs, **watched)
    fitted = {party: results[party] for party in roles.data_parties}
    searched: Searched | None = fitted[roles.guest].searched
    plan = plans[searched.best if searched else 0]
    trained = Trained(
        kind,
        plan,
        roles,
        fitted,
        results[roles.arbiter],
        scheme,
        reader,
        label,
        None if own.weight is None else str(own.weight.name),
        drawn,
        caution,
        started,
        cautions,
    )
    return trained, searched


def _promised(request: Request, plan: Plan[Any], hosts: int) -> Plan[Any]:
    """The plan with the noise that was asked for.  Raises ConfigError where the promise cannot be kept."""
    if request.privacy is None:
        return plan
    try:
        label_privacy.check(request.privacy, plan, searched=request.grid is not None)
        return label_privacy.with_noise(request.privacy, plan, hosts)
    except Complaint as complaint:
        name = str(complaint.key).rpartition(".")[2]
        advice = {
            "convergence-to-parties": "Federation.local(..., convergence=False)",
            "host-weights-to-host": "Federation.local without reveal of hosts",
        }
        ways = [way for permit, way in advice.items() if permit in plan.labels_told]
        remedy = f"{complaint.remedy}: {listed(ways, 'and')}" if ways else complaint.remedy
        raise ConfigError(f"Privacy: {name} {complaint.what}", remedy=remedy) from None


def no_estimator(given: object) -> ConfigError:
    """The error of what is no estimator of this package; others have classes of the same names."""
    kind = given if isinstance(given, type) else type(given)
    own = {one.spec.__name__ for one in KINDS.values()} | {GridSearchCV.__name__}
    source = kind.__module__.partition(".")[0]
    what = f"the class {kind.__name__}" if isinstance(given, type) else with_article(kind.__name__)
    what += "" if source in ("builtins", "vfl") else f" of {source}"
    name = kind.__name__ if kind.__name__ in own else ""
    if kind is Averaging:
        remedy = (
            "Averaging is for members with the same columns: vfl.Members.local(tables, label=...).fit(vfl.Averaging())"
        )
        return ConfigError(f"fit takes an estimator, not {what}", remedy=remedy)
    remedy = f"Use vfl.{name}(...)" if name else "Pass an estimator of vfl, such as vfl.LogisticRegression()"
    return ConfigError(f"fit takes an estimator, not {what}", remedy=remedy)


def readied(request: Request, tables: Mapping[str, Table]) -> dict[str, Table]:
    """The tables as the model takes them.  Raises DataError where one does not fit it."""
    spec, steps = request.spec, request.preprocess
    texts = (steps is not None and steps.takes_texts) or spec.takes_texts
    missing = (steps is not None and steps.takes_missing) or spec.takes_missing
    told = spec.with_columns(tables)
    found = {party: table.for_model(spec.reads, missing=missing, texts=texts) for party, table in told.items()}
    for table in found.values():
        spec.check_table(table)
    return found


def warned(request: Request, guest: str, tables: Mapping[str, Table]) -> dict[str, list[str]]:
    """By party, what deserves a word in its own table; warns of all of it."""
    spec, steps = request.spec, request.preprocess
    told = {party: own_columns.cautions(table, spec, steps) for party, table in tables.items()}
    told[guest] += filter(None, [unrequested_classes(spec, tables[guest])])
    for party, sentences in told.items():
        for sentence in sentences:
            warn_user(f"{party}: {sentence}")
    return told


def unrequested_classes(spec: Spec, own: Table) -> str:
    """What to say where the label has more than two values, which nobody asked for, and one of them is rare: a typing
    error, a code for "unknown", or another column; else empty."""
    classes, weights = own.classes or (), getattr(spec, "class_weight", None)
    named = isinstance(weights, Mapping) and len(weights) == len(classes)
    if own.label is None or spec.reads != "multiclass" or spec.label == "multiclass" or len(classes) < 3 or named:
        return ""
    rarest, rows = int(own.label.value_counts().min()), len(own.label)
    if rarest >= rows * min(RARE, 1 / (4 * len(classes))):
        return ""
    return (
        f"label column '{own.label.name}' has {len(classes)} values, so {len(classes)} classes are trained; the rarest "
        f"has {rarest:,} of {rows:,} rows: is this the label?"
    )


def by_table(spec: S, own: Table) -> S:
    """With what the guest's table says: how many classes there are, and whether rows have weights.  Raises
    ConfigError."""
    changes: dict[str, Any] = {}
    exposed = bool(getattr(spec, "exposed", False))
    if exposed and own.weight is None:
        raise ConfigError(
            f"{type(spec).__name__}: exposure = True needs exposures",
            remedy="Name their column: Federation.local(sample_weight=...)",
        )
    if "sample_weight" in type(spec).model_fields:
        changes["sample_weight"] = own.weight is not None and not exposed
    elif own.weight is not None:
        raise ConfigError(
            f"a {type(spec).__name__} takes no weights of rows", remedy="Make the federation without sample_weight"
        )
    if "num_class" in type(spec).model_fields and spec.reads == "multiclass":
        changes["num_class"] = len(own.classes or ())
    changed = spec.with_(**changes)
    try:
        changed.check_file()
    except Complaint as complaint:
        key = (complaint.key or "").removeprefix("model.")
        raise ConfigError(f"{type(spec).__name__}: {key} {complaint.what}", remedy=complaint.remedy) from None
    return changed


def parts_before(
    request: Request, kind: Kind[Any, Any], plan: Plan[Any], roles: Roles, tables: Mapping[str, Table]
) -> dict[str, Any]:
    """By party, its part of the model that is continued.  Raises ConfigError, DataError unless the plan can continue
    them."""
    model = request.before
    if model is None:
        return {}
    if tuple(model.parts) != roles.data_parties:
        raise ConfigError(
            "the model to continue has other parties, or its hosts in another order",
            expected=", ".join(model.parts),
            found=", ".join(roles.data_parties),
            remedy="Give the same tables under the same names, in the same order",
        )
    for party, part in model.parts.items():
        kind.check_continues(plan, roles, part, tables[party])
    return {**model.parts, roles.arbiter: model.kept}


def caution_of(request: Request, drawn: Sampling) -> str:
    """What is to be said of measures of a continued model; a warning where there is anything."""
    if request.before is None or request.split is None:
        return ""
    caution = optimistic(drawn, request.before.drawn) or request.before.caution
    if caution:
        warnings.warn(caution, UserWarning, stacklevel=5)
    return caution
