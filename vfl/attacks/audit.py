"""`vfl.audit`: attacks a run in which one person holds all tables, with their truth for scoring."""

from __future__ import annotations

import datetime
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocols.errors import ConfigError
from vfl.api.align import size_noise
from vfl.api.federation import Federation
from vfl.api.members import Members
from vfl.attacks.alignments import record_alignment
from vfl.attacks.attack import SEEDS, Attack, Estimate, Tried
from vfl.attacks.averages import record_averaging
from vfl.attacks.registry import ATTACKS
from vfl.attacks.scene import Asked, Run, record
from vfl.models.averaging.spec import Averaging
from vfl.models.privacy import Privacy
from vfl.models.splitting import Split
from vfl.preprocessing import Preprocessing
from vfl.schema.arguments import flag, impossible, path, whole
from vfl.schema.section import type_of
from vfl.schema.spec import Spec
from vfl.screen import html
from vfl.screen.sentences import counted
from vfl.steps.alignment import AlignmentPlan
from vfl.storage.files import write_private, written
from vfl.version import __version__

FORMAT = 1
JSON, PAGE = "audit.json", "audit.html"
RESULTS = ("here", "bound", "control", "textbook")
CONTROLS = 5  # seeds of the control and of the textbook protocol
MINUTES = 10  # of an audit


@dataclass(frozen=True)
class Audit:
    """What the attacks did to a run.

    Attributes
    ----------
    about : dict
        Which run: model, rows, columns by party, seeds, when, by which version.
    tried : sequence of Tried
        One per attack: its result, the control's, the textbook protocol's.
    untried : dict of str
        By an attack's number and name, why it says nothing about this run.
    checks : sequence of dict
        Of a party's own run, what its transcript shows without any ground truth: `check`, `found`, `holds`.
    """

    about: Mapping[str, Any]
    tried: Sequence[Tried]
    untried: Mapping[str, str] = field(default_factory=dict)
    checks: Sequence[Mapping[str, Any]] = ()

    @property
    def holds(self) -> bool:
        """Whether every attack stays at or under its bound, every control succeeds, and every check holds; False where
        there was none of them."""
        found = [*(one.holds for one in self.tried), *(bool(check["holds"]) for check in self.checks)]
        return bool(found) and all(found)

    def as_dict(self) -> dict[str, Any]:
        """The content of audit.json."""
        return {
            "format": FORMAT,
            "about": dict(self.about),
            "holds": self.holds,
            "checks": [dict(check) for check in self.checks],
            "attacks": [one.as_dict() for one in self.tried],
            "untried": dict(self.untried),
        }

    def save(self, folder: str | Path) -> Path:
        """Writes audit.json and audit.html, readable by this account only; the path of the page.  Raises ConfigError if
        they cannot be written."""
        from vfl.attacks.page import render

        content, where = self.as_dict(), path("folder", folder)
        with written(where, "Name a folder in which this account may make files, with room for them"):
            where.mkdir(parents=True, exist_ok=True)
            write_private(where / JSON, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
            write_private(where / PAGE, render(content).encode())
        return where / PAGE

    def __repr__(self) -> str:
        lines = [f"  {check['check']}: {'holds' if check['holds'] else 'FAILS'}" for check in self.checks]
        for one in self.tried:
            verdict, *found = _told(one)
            each = ", ".join(f"{name} {value}" for name, value in zip(RESULTS, found, strict=True))
            lines.append(f"  {one.attack.number} {one.attack.name}: {verdict}; {each}")
        left = [f"  {counted(len(self.untried), 'attack')} not tried: untried says why"] * bool(self.untried)
        return "\n".join([f"Audit of {self.about['source']}: {self._said()}", *lines, *left])

    def _repr_html_(self) -> str:
        """An attack per row, with its verdict and results."""
        lines = [(f"{one.attack.number} {one.attack.name}", *_told(one)) for one in self.tried]
        parts = [html.table(("attack", "verdict", *RESULTS), lines, numbers=len(RESULTS))] * bool(lines)
        return html.card(f"Audit of {self.about['source']}", self._said(), *parts)

    def _said(self) -> str:
        verdict = "holds" if self.holds else "does not hold" if self.tried or self.checks else "nothing was tried"
        return f"{self.about['kind']} on {counted(int(self.about['rows']), 'row')}, {verdict}"


def _told(one: Tried) -> tuple[str, ...]:
    """The verdict on an attack, and its results."""
    found = (one.product.mean, one.attack.bound, one.control.mean, one.textbook.mean)
    return "holds" if one.holds else "FAILS", *(f"{value:z.3f}" for value in found)


def audit(
    federation: Federation | Members,
    estimator: Spec | Averaging | None = None,
    *,
    preprocess: Preprocessing | None = None,
    split: Split | None = None,
    privacy: Privacy | None = None,
    cardinality_only: bool = False,
    seeds: int = SEEDS,
    attacks: Sequence[int] | None = None,
    minutes: int = MINUTES,
) -> Audit:
    """Trains as `Federation.fit` does, and attacks what each party received.

    Every attack is repeated where random numbers matter, has a control that must succeed on a twin in which a leak is
    planted, and is made on the textbook protocol with the same data too.

    Parameters
    ----------
    federation : Federation or Members
        All tables, in one process: only there is ground truth to score an attack by.
    estimator : Spec or Averaging, default None
        What is trained; of a federation, with None ids are aligned, and nothing is trained.
    preprocess : Preprocessing, default None
        As `Federation.fit`.
    split : Split, default None
        As `Federation.fit`.
    privacy : Privacy, default None
        As `Federation.fit`; without an estimator as `vfl.align`.
    cardinality_only : bool, default False
        Without an estimator, whether the alignment opens the size alone.
    seeds : int, default 20
        The number of repetitions of an attack whose result depends on random numbers; at least 5 are made.
    attacks : sequence of int, default None
        The numbers of the attacks to try; None is all of them.
    minutes : int, default 10
        When this time has passed, an attack is repeated no more than 5 times; the page says how often it was.

    Returns
    -------
    Audit
        Its `holds` says whether every bound was kept and every control succeeded; `save(folder)` writes the page.

    Raises
    ------
    ConfigError
        What is asked is not possible.

    Notes
    -----
    What each party learns is said at each estimator; the audit sends nothing more. Repetitions use at most 400 rows and short keys: with
    fewer unknowns an attacker has it easier, and random numbers are attacked, not the length of a key. Cost: a training, and about a second
    per attack and repetition.

    Examples
    --------
    >>> found = vfl.audit(fed, vfl.LogisticRegression(link="taylor", max_iter=5), seeds=2, attacks=[5])
    >>> found.holds
    True
    """  # noqa: E501
    if not isinstance(federation, Federation | Members):
        remedy = "Make one with vfl.Federation.local(...) or vfl.Members.local(...)"
        raise ConfigError(f"federation is {type_of(federation)}", remedy=remedy)
    repeated, until = whole("seeds", seeds, 2), time.monotonic() + 60 * whole("minutes", minutes, 1)
    known = {attack.number: attack for attack in ATTACKS}
    chosen = list(known) if attacks is None else list(attacks) if isinstance(attacks, Iterable) else []
    if not chosen or not set(chosen) <= known.keys():
        raise impossible("attacks", attacks, f"attacks are some of {', '.join(map(str, known))}")
    asked = {"preprocess": preprocess, "split": split, "cardinality_only": cardinality_only or None}
    flag("cardinality_only", cardinality_only)
    with one_thread():
        scene = recorded(federation, estimator, privacy, {name: v for name, v in asked.items() if v is not None})
        tried, untried = attacked(scene, repeated, [known[number] for number in chosen], until)
    return Audit(about_of(scene, repeated, "this run", minutes), tried, untried)


def recorded(
    federation: Federation | Members, estimator: object, privacy: Privacy | None, asked: dict[str, Any]
) -> Run:
    """The run that is asked for; asked: what of it not every kind takes.  Raises ConfigError."""
    if isinstance(federation, Members):
        only(asked, "an averaging")
        return record_averaging(federation, estimator, privacy)  # type: ignore[arg-type]  # which checks it
    if estimator is None:
        only(asked, "an alignment", "cardinality_only")
        sizes = bool(asked)
        keys = {party: table.keys for party, table in federation._tables.items()}
        plan = AlignmentPlan(keys=len(keys[federation.roles.guest]), size_only=sizes, noise=size_noise(privacy, sizes))
        return record_alignment(federation.roles, keys, plan)
    only(asked, "a training", "preprocess", "split")
    return record(Asked(federation, estimator, {**asked, "privacy": privacy}))  # type: ignore[arg-type]  # as above


def only(asked: Mapping[str, Any], what: str, *names: str) -> None:
    """Raises ConfigError for what this kind of run does not take."""
    for name in asked:
        if name not in names:
            raise ConfigError(f"{what} takes no {name}", remedy=f"Leave out {name}, or audit another kind of run")


def attacked(
    scene: Run, seeds: int, attacks: Sequence[Attack] = ATTACKS, until: float = math.inf
) -> tuple[list[Tried], dict[str, str]]:
    """Every attack that fits, and why the others do not.  until: when repetitions end, on the monotonic clock; what is
    left of the time is shared by the attacks that are left."""
    why = {attack.number: attack.untried(scene) for attack in attacks}
    fitting, tried = [attack for attack in attacks if not why[attack.number]], list[Tried]()
    for left, attack in zip(range(len(fitting), 0, -1), fitting, strict=True):
        now = time.monotonic()
        tried.append(tried_on(scene, attack, seeds, now + (until - now) / left))
    return tried, {f"{one.number} {one.name}": why[one.number] for one in attacks if why[one.number]}


def tried_on(scene: Any, attack: Attack, seeds: int, until: float = math.inf) -> Tried:
    """One attack on a run that it fits: the run, the control and the textbook protocol."""
    control = Estimate.of([attack.planted(scene, seed, attack.sizes[0]) for seed in range(CONTROLS)])
    textbook = Estimate.of([attack.textbook(scene, seed) for seed in range(CONTROLS)])
    product = attack.over(scene, seeds, until)
    return Tried(attack, product, control, textbook, attack.found, attack.repetitions(seeds), attack.texts(scene))


def about_of(scene: Run, seeds: int, source: str, minutes: int = MINUTES) -> dict[str, Any]:
    """Which run, for whoever reads the page."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "source": source,
        "kind": scene.kind,
        "rows": scene.rows,
        "columns": scene.columns,
        "seeds": seeds,
        "minutes": minutes,
        "made": now,
        "version": __version__,
    }


def one_thread() -> Any:
    """Small products: threads only get in each other's way."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(limits=1)
