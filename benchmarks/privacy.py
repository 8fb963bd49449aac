"""Writes docs/privacy-results.md: the audit's attacks on three public tables, for every kind of run, and the smallest
planted leak that each attack finds.

    VFL_TEST_DATA=FOLDER python -m benchmarks.privacy [--minutes M]

Every step is kept in benchmarks/results/privacy.json with the commit that it was made with: remove that file to measure
all of it again.  With --minutes no step begins after that time, and the next call goes on from there.  With --again
TABLE KIND the results of one section are measured again; --page only writes the page.  --bits N trains with keys of
another length than those of the job, and the sections that it measures say so: the messages are the same ones.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import vfl
from protocols.cipher import Paillier, Scheme
from vfl.attacks.attack import SEEDS, Attack, Tried
from vfl.attacks.audit import attacked, one_thread, recorded
from vfl.attacks.page import figure, interval
from vfl.attacks.registry import ATTACKS
from vfl.attacks.scene import SHORT, Run, Scene
from vfl.screen.sentences import listed

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULT = ROOT / "docs" / "privacy-results.md", ROOT / "benchmarks" / "results" / "privacy.json"
ROWS = 4000  # of UCI credit
BITS = 3072  # of the job's own keys
FEW = 5  # seeds of trainings
Tables = tuple[pd.DataFrame, pd.DataFrame, str]
Step = Callable[[Attack, Any, tuple[str, str], dict[str, Any]], None]


def breast(folder: Path) -> Tables:
    guest, host = (pd.read_csv(folder / f"breast_hetero_{party}.csv") for party in ("guest", "host"))
    return guest, host, "y"


def credit(folder: Path) -> Tables:
    """The first 4,000 rows: limit, sex, education, marriage and age at the guest, the history at the host."""
    whole = pd.read_csv(folder / "uci_credit_card.csv").head(ROWS)
    label = next(name for name in whole.columns if name.lower().startswith("default"))
    key = whole.columns[0]
    whole = whole.rename(columns={label: "y", key: "id"})
    own = ["id", "LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"]
    return whole[[*own, "y"]], whole.drop(columns=[*own[1:], "y"]), "y"


def answers(folder: Path) -> Tables:
    """Generated: 800 rows, three columns of the guest; of a host four 0/1 columns and one of many values."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(800, 2))
    x = causes @ rng.normal(size=(2, 3)) + rng.normal(size=(800, 3))
    bits = (causes @ rng.normal(size=(2, 4)) + rng.normal(size=(800, 4)) > 0).astype(int)
    usage = causes.sum(axis=1) + rng.normal(size=800)
    y = (x.sum(axis=1) + bits.sum(axis=1) + usage + rng.logistic(size=800) > 2).astype(int)
    guest = pd.DataFrame(x, columns=["age", "limit", "terms"]).assign(id=range(800), y=y)
    return guest, pd.DataFrame(bits, columns=list("abcd")).assign(usage=usage, id=range(800)), "y"


TABLES = {"breast cancer": breast, "generated, 0/1 columns": answers, "UCI credit, 4,000 rows": credit}


def parties(tables: Tables, **more: Any) -> vfl.Federation:
    guest, host, label = tables
    return vfl.Federation.local(guest, {"partner": host}, on="id", label=label, **more)


def overlapping(tables: Tables) -> Tables:
    """Each party lacks a tenth of its rows: an alignment has something to find."""
    guest, host, label = tables
    return guest.iloc[len(guest) // 10 :], host.iloc[: -(len(host) // 10)], label


def members(tables: Tables) -> vfl.Members:
    """The rows that both have, with all columns, cut among four institutions."""
    guest, host, label = tables
    whole = guest.merge(host, on="id").drop(columns="id")
    return vfl.Members.local({f"member-{k}": whole.iloc[k::4] for k in range(4)}, label=label)


@dataclass(frozen=True)
class Kind:
    """A kind of run.  estimator: None of an alignment; reveal: of its federation; seeds: of an attack, fewer where
    each is a training (docs/adr/0049-repetitions.md says how many are enough)."""

    estimator: Any = None
    seeds: int = FEW
    asked: Mapping[str, Any] = field(default_factory=dict)
    reveal: Sequence[str] = ()

    def run(self, tables: Tables, cipher: Scheme | None = None) -> Run:
        """Without a cipher with the job's own keys."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(self.estimator, vfl.Averaging):
                return recorded(members(tables), self.estimator, None, {})
            tables = overlapping(tables) if self.estimator is None else tables
            return recorded(parties(tables, reveal=self.reveal, cipher=cipher), self.estimator, None, dict(self.asked))


KINDS = {
    "alignment": Kind(seeds=SEEDS),
    "alignment of the size alone": Kind(seeds=SEEDS, asked={"cardinality_only": True}),
    "averaging of four members": Kind(vfl.Averaging(rounds=10), seeds=SEEDS),
    "logistic regression": Kind(vfl.LogisticRegression()),
    "open trees": Kind(vfl.BoostedTrees(n_estimators=10, membership="open")),
    "scorecard": Kind(vfl.Scorecard(), reveal=("guest",)),
    "sealed trees": Kind(vfl.BoostedTrees(n_estimators=10)),
    "network": Kind(vfl.MLPClassifier(max_iter=20)),
}


def measure(
    folder: Path, done: dict[str, Any], until: float, again: Sequence[tuple[str, str]], bits: int | None
) -> None:
    """Every step that is not in `done` yet: all results, then the smallest leaks.  until: when no further one begins,
    on the monotonic clock; again: sections of which results of other code are measured again; bits: of the keys, None
    is the job's own."""
    for step, cipher in ((result, Paillier(bits) if bits else None), (smallest, SHORT)):
        for name, kind in itertools.product(TABLES, KINDS):
            scene: Run | None = None
            lines = done["results"].setdefault(name, {}).setdefault(kind, {})
            valid = current(lines) if (name, kind) in again else lines
            for attack in waiting(step, valid if step is result else lines, done["smallest"]):
                if time.monotonic() > until:
                    return
                started, scene = time.monotonic(), scene or KINDS[kind].run(TABLES[name](folder), cipher)
                step(attack, scene, (name, kind), done)
                RESULT.write_text(json.dumps(done, indent=1) + "\n")
                told = f"{step.__name__} of {attack.number}, {kind}, {name}: {time.monotonic() - started:.0f} s"
                print(told, file=sys.stderr, flush=True)


def current(lines: Mapping[str, Any]) -> dict[str, Any]:
    """The results that were measured with this code."""
    return {number: one for number, one in lines.items() if one.get("code") == code()}


@cache
def code() -> str:
    """The commit that is checked out, and when it was made, in UTC."""
    command = ["git", "log", "-1", "--format=%h of %cd", "--date=format-local:%Y-%m-%d %H:%M"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"TZ": "UTC"}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def waiting(step: Step, lines: Mapping[str, Any], found: Mapping[str, Any]) -> list[Attack]:
    """The attacks of which this step is missing."""
    if step is result:
        return [attack for attack in ATTACKS if str(attack.number) not in lines]
    tried = [attack for attack in ATTACKS if "untried" not in lines[str(attack.number)]]
    return [attack for attack in tried if str(attack.number) not in found]


def result(attack: Attack, scene: Any, of: tuple[str, str], done: dict[str, Any]) -> None:
    """What it finds on a run of this table and kind, or why it says nothing about it."""
    name, kind = of
    tried, untried = attacked(scene, KINDS[kind].seeds, [attack])
    found = line(tried[0]) if tried else {"untried": next(iter(untried.values()))}
    keys = {"bits": bits} if (bits := key_bits(scene)) else {}
    done["results"][name][kind][str(attack.number)] = found | {"code": code()} | keys


def key_bits(run: Run) -> int:
    """Of the keys that a training has made; 0 where it made none."""
    moduli = run.keys.values() if isinstance(run, Scene) else ()
    return max((modulus.bit_length() for modulus in moduli), default=0)


def smallest(attack: Attack, scene: Any, of: tuple[str, str], done: dict[str, Any]) -> None:
    """The smallest leak that it finds, on the first run that it fits."""
    found = {"table": of[0], "kind": of[1], "size": attack.smallest(scene, SEEDS), "code": code()}
    done["smallest"][str(attack.number)] = found


def line(tried: Tried) -> dict[str, Any]:
    results = {name: getattr(tried, name).as_dict() for name in ("product", "control", "textbook")}
    return results | {"holds": tried.holds}


def page(found: dict[str, Any]) -> str:
    """The whole page."""
    return "\n".join([*introduction(found), *sizes(found["smallest"]), *results(found["results"])]) + "\n"


INTRODUCTION = """# What the audit finds on public tables

Written by `VFL_TEST_DATA=FOLDER python -m benchmarks.privacy`; do not edit it. `vfl.audit(federation, estimator)` makes
the same attacks on any tables that are in one place ([ADR 31](adr/0031-audit.md)). Each run has the default settings
and keys of 3,072 bits, unless its section names another length. But there are 10 trees, 20 epochs of a network, and 10
rounds of an averaging. Repetitions use at most 400 rows and short keys, and so does the search for the smallest leak. A
bound is an absolute number that was fixed before the run; the control is the same attack on a twin in which a leak is
planted; the textbook column is the same attack on the published protocol. In brackets are 95% intervals of the mean
over the seeds that the section names; where it names none, nothing random decides. In alignments each party lacks a
tenth of its rows. The host of the generated table has four 0/1 columns and one of many values. Without the latter,
attack 11 reads the others, and so `vfl run` refuses such a host unless the job allows `few-columns`
([threat model](threat-model.md)).

Each section names the commit of its results. Those before 2026-12-01 13:03 have the factors of ciphertexts before
[ADR 48](adr/0048-covered-randomness.md) and [51](adr/0051-one-factor.md), attack 13 as it was before
[ADR 49](adr/0049-repetitions.md), and three repetitions where the section says so. The factors make ciphertexts random,
and change no number that is opened. Alignments and most attacks on the regression of breast cancer were measured before
and after these changes, and agree: each interval overlaps with the one before.
"""


def introduction(found: dict[str, Any]) -> Iterator[str]:
    yield INTRODUCTION
    for table in TABLES:
        lines = {kind: found["results"].get(table, {}).get(kind, {}) for kind in KINDS}
        if missing := [kind for kind, known in lines.items() if len(known) < len(ATTACKS)]:
            yield textwrap.fill(f"Not measured yet, or not every attack, on {table}: {', '.join(missing)}.", 120)
            yield ""


def sizes(smallest: dict[str, Any]) -> Iterator[str]:
    """What each attack is, and the smallest leak that it finds."""
    yield "## The attacks"
    yield ""
    yield f"| attack | who | result and bound | setting | smallest leak at each of {SEEDS} seeds (and where) |"
    yield "|---|---|---|---|---|"
    for attack in ATTACKS:
        found = smallest.get(str(attack.number))
        if found is None:
            what = "not measured"
        else:
            size = "none at every seed" if found["size"] is None else figure(found["size"])
            what = f"{size} ({found['table']}, {found['kind']}): {attack.size_of}"
        told = f"{attack.measure}; at most {figure(attack.bound)}, since {attack.reason}"
        yield f"| {attack.number} {attack.name} | {attack.who} | {told} | {attack.setting} | {what} |"
    yield ""


def results(tables: dict[str, Any]) -> Iterator[str]:
    """A table for each table and kind of run."""
    for name, kinds in ((name, tables[name]) for name in TABLES if name in tables):
        yield f"## {name[0].upper()}{name[1:]}"
        yield ""
        for kind in (kind for kind in KINDS if kind in kinds):
            seeds = repetitions(kinds[kind])
            yield f"### {kind[0].upper()}{kind[1:]}{f' ({seeds} seeds)' if seeds > 1 else ''}"
            yield ""
            yield from section(kind, kinds[kind])
            yield ""
            yield textwrap.fill(measured_with(kinds[kind]), 120)
            yield ""


def repetitions(lines: dict[str, Any]) -> int:
    """How often an attack was made whose result random numbers decide."""
    return max((int(one["product"]["seeds"]) for one in lines.values() if "product" in one), default=0)


def measured_with(lines: dict[str, Any]) -> str:
    """The commits that the results of a section were measured with."""
    commits = dict[str, list[int]]()
    for number, one in sorted(lines.items(), key=lambda each: int(each[0])):
        if "product" in one:
            keys = f", keys of {one['bits']:,} bits" if one.get("bits", BITS) != BITS else ""
            commits.setdefault(one["code"] + keys, []).append(int(number))
    if len(commits) == 1:
        return f"Measured with commit {next(iter(commits))}."
    each = (f"{commit} ({', '.join(map(str, numbers))})" for commit, numbers in commits.items())
    return f"Measured with commits {listed(list(each), 'and')}."


def section(kind: str, lines: dict[str, Any]) -> Iterator[str]:
    """Of one table and kind of run."""
    lines = dict(sorted(lines.items(), key=lambda one: int(one[0])))
    by_number = {str(attack.number): attack for attack in ATTACKS}
    yield "| attack | here | bound | control | textbook | |"
    yield "|---|---|---|---|---|---|"
    for number, one in lines.items():
        if "untried" not in one:
            yield row(by_number[number], one)
    yield ""
    above = [number for number, one in lines.items() if one.get("holds") is False and not blind(by_number[number], one)]
    if kind == "open trees" and above:
        yield 'What `membership = "open"` opens needs the permissions that the settings name. Sealed is the default.'
        yield ""
    untried = dict[str, list[str]]()
    for number, one in lines.items():
        if "untried" in one:
            untried.setdefault(one["untried"], []).append(number)
    for why, numbers in untried.items():
        yield textwrap.fill(f"- Not tried: {', '.join(numbers)}, since {why}.", 120, subsequent_indent="  ")


def row(attack: Attack, one: dict[str, Any]) -> str:
    here = figure(one["product"]["mean"]) + (f" ({interval(one['product'])})" if interval(one["product"]) else "")
    rest = " | ".join(figure(one[key]["mean"]) for key in ("control", "textbook"))
    failed = "control failed: says nothing" if blind(attack, one) else "**above the bound**"
    return (
        f"| {attack.number} {attack.name} | {here} | {figure(attack.bound)} | {rest} | "
        f"{'holds' if one['holds'] else failed} |"
    )


def blind(attack: Attack, one: dict[str, Any]) -> bool:
    """Whether the control failed."""
    return bool(one["control"]["mean"] < attack.succeeds)


def main() -> None:
    """Measures what is not in the result file yet, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no step begins after this time")
    told = "a section, whose results of other code are measured again: --again TABLE KIND"
    parser.add_argument("--again", nargs=2, action="append", default=[], metavar=("TABLE", "KIND"), help=told)
    parser.add_argument("--bits", type=int, help="length of the keys of trainings; by default that of the job")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    given = parser.parse_args()
    again = [(table, kind) for table, kind in given.again]
    if unknown := [one for one in again if one[0] not in TABLES or one[1] not in KINDS]:
        parser.error(f"no section {unknown[0]}; tables are {', '.join(TABLES)}; kinds are {', '.join(KINDS)}")
    done = json.loads(RESULT.read_text()) if RESULT.exists() else {"results": {}, "smallest": {}}
    if not given.page:
        folder = os.environ.get("VFL_TEST_DATA")
        if not folder:
            raise SystemExit("VFL_TEST_DATA names no folder of public tables")
        with one_thread():
            measure(Path(folder), done, time.monotonic() + 60 * given.minutes, again, given.bits)
    PAGE.write_text(page(done))


if __name__ == "__main__":
    main()
