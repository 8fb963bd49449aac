"""Writes docs/privacy-results.md: the audit's attacks on three public tables, for every kind of model that has textbook
protocols, and the smallest planted leak that each attack finds.

    VFL_TEST_DATA=FOLDER python -m benchmarks.privacy

Every step is kept in benchmarks/results/privacy.json: remove that file to measure all of it again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import vfl
from vfl.attacks.attack import SEEDS, Tried
from vfl.attacks.audit import one_thread, tried_on
from vfl.attacks.page import figure, interval
from vfl.attacks.registry import ATTACKS
from vfl.attacks.scene import Asked, Scene, record
from vfl.schema.spec import Spec

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULT = ROOT / "docs" / "privacy-results.md", ROOT / "benchmarks" / "results" / "privacy.json"
ROWS = 4000  # of UCI credit
MODELS: dict[str, tuple[Spec, dict[str, Any]]] = {
    "logistic regression": (vfl.LogisticRegression(), {}),
    "sealed trees": (vfl.BoostedTrees(n_estimators=10), {}),
    "scorecard": (vfl.Scorecard(), {"reveal": ["guest"]}),
}
Tables = tuple[pd.DataFrame, pd.DataFrame, str]


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
    """Generated: 800 rows, three columns of the guest and four 0/1 columns of a host."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(800, 2))
    x = causes @ rng.normal(size=(2, 3)) + rng.normal(size=(800, 3))
    bits = (causes @ rng.normal(size=(2, 4)) + rng.normal(size=(800, 4)) > 0).astype(int)
    y = (x.sum(axis=1) + bits.sum(axis=1) + rng.logistic(size=800) > 2).astype(int)
    guest = pd.DataFrame(x, columns=["age", "limit", "terms"]).assign(id=range(800), y=y)
    return guest, pd.DataFrame(bits, columns=list("abcd")).assign(id=range(800)), "y"


TABLES = {"breast cancer": breast, "UCI credit, 4,000 rows": credit, "generated, 0/1 columns": answers}


def scene_of(tables: Tables, model: str) -> Scene:
    """A run with the job's own keys."""
    guest, host, label = tables
    estimator, more = MODELS[model]
    federation = vfl.Federation.local(guest, {"partner": host}, on="id", label=label, **more)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return record(Asked(federation, estimator))


PAIRS = [  # the order of measurement
    *[(table, "logistic regression") for table in TABLES],
    *[(table, model) for model in list(MODELS)[1:] for table in TABLES],
]
LONG = (16,)  # attacks whose planted leaks need a training each: their smallest leak is left to the slow tests


def measure(folder: Path, seeds: int, done: dict[str, Any]) -> None:
    """By table and model, each attack's results, and the smallest leak that each finds; every step is kept in `done`
    and on disk, and not measured again."""
    for name, model in PAIRS:
        if model in done["results"].get(name, {}):
            continue
        started, lines, scene = time.monotonic(), dict[str, Any](), scene_of(TABLES[name](folder), model)
        for attack in ATTACKS:
            why = attack.unfit(scene)
            lines[str(attack.number)] = {"untried": why} if why else line(tried_on(scene, attack, seeds))
        done["results"].setdefault(name, {})[model] = lines
        keep(done)
        print(f"{name}, {model}: {time.monotonic() - started:.0f} s", file=sys.stderr)
        if (name, model) == ("breast cancer", "logistic regression") and not done["smallest"]:
            short = [attack for attack in ATTACKS if attack.number not in LONG]
            done["smallest"] = {str(attack.number): attack.smallest(scene, SEEDS) for attack in short}
            keep(done)
            print(f"smallest leaks: {time.monotonic() - started:.0f} s", file=sys.stderr)


def keep(done: dict[str, Any]) -> None:
    RESULT.write_text(json.dumps(done, indent=1) + "\n")


def line(tried: Tried) -> dict[str, Any]:
    results = {name: getattr(tried, name).as_dict() for name in ("product", "control", "textbook")}
    return results | {"holds": tried.holds}


def page(found: dict[str, Any]) -> str:
    """The whole page."""
    return "\n".join([*introduction(found), *sizes(found["smallest"]), *results(found["results"])]) + "\n"


INTRODUCTION = """# What the audit finds on public tables

Written by `VFL_TEST_DATA=FOLDER python -m benchmarks.privacy`; do not edit it. `vfl.audit(federation, estimator)` makes
the same attacks on any tables that are in one place ([ADR 31](adr/0031-audit.md)). Each run has the default settings
and keys of 3,072 bits. Repetitions use at most 400 rows and short keys. A bound is an absolute number that was fixed
before the run; the control is the same attack on a twin in which a leak is planted; the textbook column is the same
attack on the published protocol. In brackets are 95% intervals of the mean over SEEDS seeds.
"""


def introduction(found: dict[str, Any]) -> Iterator[str]:
    yield INTRODUCTION.replace("SEEDS", str(found["seeds"]))
    missing = [f"{table} ({model})" for table, model in PAIRS if model not in found["results"].get(table, {})]
    if missing:
        yield textwrap.fill(f"Not measured yet: {', '.join(missing)}.", 120)
        yield ""


def sizes(smallest: dict[str, float | None]) -> Iterator[str]:
    """What each attack is, and the smallest leak that it finds."""
    yield "## The attacks"
    yield ""
    yield "| attack | who | result and bound | smallest leak found at each of 20 seeds (breast cancer) |"
    yield "|---|---|---|---|"
    for attack in ATTACKS:
        found = smallest.get(str(attack.number))
        none = "none at every seed" if str(attack.number) in smallest else "not measured"
        what = f"{figure(found) if found is not None else none}: {attack.size_of}"
        told = f"{attack.measure}; at most {figure(attack.bound)}, since {attack.reason}"
        yield f"| {attack.number} {attack.name} | {attack.who} | {told} | {what} |"
    yield ""


def results(tables: dict[str, Any]) -> Iterator[str]:
    """A table for each table and model."""
    by_number = {str(attack.number): attack for attack in ATTACKS}
    for name, models in tables.items():
        yield f"## {name[0].upper()}{name[1:]}"
        yield ""
        for model, lines in models.items():
            yield f"### {model[0].upper()}{model[1:]}"
            yield ""
            yield "| attack | here | bound | control | textbook | |"
            yield "|---|---|---|---|---|---|"
            for number, one in lines.items():
                attack = by_number[number]
                if "untried" in one:
                    continue
                here = f"{figure(one['product']['mean'])}" + (
                    f" ({interval(one['product'])})" if interval(one["product"]) else ""
                )
                rest = " | ".join(figure(one[key]["mean"]) for key in ("control", "textbook"))
                blind = one["control"]["mean"] < attack.succeeds
                verdict = (
                    "holds" if one["holds"] else "control failed: says nothing" if blind else "**above the bound**"
                )
                yield f"| {number} {attack.name} | {here} | {figure(attack.bound)} | {rest} | {verdict} |"
            yield ""
            if lines.get("11", {}).get("holds") is False:
                yield "`vfl run` refuses such a host unless the job allows `few-columns`; one process does not."
                yield ""
            for number, one in lines.items():
                if "untried" in one:
                    yield f"- Not tried: {number} {by_number[number].name}: {one['untried']}."
            yield ""


def main() -> None:
    """Measures what is not in the result file yet, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--page", action="store_true", help="only write the page again")
    given = parser.parse_args()
    empty: dict[str, Any] = {"seeds": given.seeds, "results": {}, "smallest": {}}
    done = json.loads(RESULT.read_text()) if RESULT.exists() else empty
    if not given.page:
        folder = os.environ.get("VFL_TEST_DATA")
        if not folder:
            raise SystemExit("VFL_TEST_DATA names no folder of public tables")
        with one_thread():
            measure(Path(folder), int(done["seeds"]), done)
    PAGE.write_text(page(done))


if __name__ == "__main__":
    main()
