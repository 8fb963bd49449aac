"""Attack 13: one person's label from losses, counts and verdicts.

A mean over all rows says little of one of them, unless somebody knows all others: then the label that is missing
follows from the mean.  Here the attacker knows every table and every label but one, and brings a column that is about
this person alone.  It trains both possible models by itself, and compares what it received with both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from vfl.attacks import textbook
from vfl.attacks.attack import Attack
from vfl.attacks.first_gradient import event
from vfl.attacks.gradients import own_of
from vfl.attacks.opened import opened
from vfl.attacks.received import Floats, fields, vectors
from vfl.attacks.scene import Scene
from vfl.data import Table

ROWS = 120  # of a training: the fewer, the more a label moves a mean
ALIKE = 0.01  # by how much a number differs, at most, between two trainings with the same labels
Told = Mapping[str, Sequence[float]]  # by party, message and field, the single numbers that came, in order


class OneRow(Attack):
    number = 13
    name = "One label from losses, counts and verdicts"
    who = "each host and the arbiter, even if it knows all tables and all other labels"
    needs = "a number that is computed from all rows, opened exactly"
    setting = "convergence-to-parties, tol, early_stopping: verdicts in place of losses"
    sentence = "Could somebody who knows everybody else's outcome work out one customer's from how training went?"
    measure = "the part of labels that are guessed right, of one row in each training"
    chance = 0.5
    bound = 0.6
    reason = (
        "nothing is opened but verdicts, each one of three answers; one label of 120 moves a mean by less than 1/120, "
        "so that at most one training in five ends at another verdict, and it tells the label"
    )
    succeeds = 0.95
    sizes = (20.0, 12.0, 9.0, 7.0, 5.0)
    found = 5.0
    size_of = "the binary digits after the point of mean losses that are opened in each of 80 steps"
    textbook_is = "the mean loss opened in each of 80 steps, with 20 binary digits after the point"

    def unfit(self, scene: Scene) -> str:
        if scene.kind.startswith("boosted"):
            return (
                "of open trees a host learns labels anyway (attack 9), of sealed ones the arbiter learns sums of all "
                "rows (bin-sums-to-arbiter): whoever knows all labels but one has the last from these"
            )
        if scene.kind == "scorecard" or scene.asked.more.get("preprocess"):
            return "made for models without bins by the label: events of bins are sums of all rows, and counted"
        if len(np.unique(scene.y)) != 2:
            return "the label has more than two values"
        if not len(numeric(scene.table(scene.hosts[0]))):
            return "the first host has no column of numbers"
        return f"fewer than {ROWS} rows" if scene.rows < ROWS else ""

    def product(self, scene: Scene, seed: int) -> float:
        rng = np.random.default_rng([seed, 13])
        tables, row = about_one(scene, rng)
        truth = int(rng.integers(2))
        runs = [scene.with_tables(with_label(scene, tables, row, label)) for label in (truth, 0, 1, 0)]
        if not told_by(scene, runs):
            return self.chance  # most often, so that the last training is seldom made
        runs.append(scene.with_tables(with_label(scene, tables, row, 1)))
        sure = [one if truth else 1 - one for one in told_by(scene, runs)]
        return float(np.mean(sure)) if sure else self.chance

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        run, rng = scene.drawn(seed), np.random.default_rng([seed, 131])
        x, _ = own_of(run, run.hosts[0])
        rows = rng.permutation(run.rows)[:ROWS]
        truth, y = int(rng.integers(2)), event(run.y)[rows]
        seen = list[Told]()
        for label in (truth, 0, 1, 0, 1):
            y[0] = label
            seen.append({"losses": np.round(losses(x[rows], y, seed) * 2**size).tolist()})
        return guessed(*seen) if truth else 1 - guessed(*seen)

    def textbook(self, scene: Scene, seed: int) -> float:
        return self.planted(scene, seed, 20.0)


def told_by(scene: Scene, runs: Sequence[Scene]) -> list[float]:
    """What hosts and arbiter take the label for, without those to whom nothing tells it."""
    found = [guessed(*(told(run, party) for run in runs)) for party in (*scene.hosts, scene.roles.arbiter)]
    return [one for one in found if one != OneRow.chance]


def about_one(scene: Scene, rng: np.random.Generator) -> tuple[dict[str, Table], bytes]:
    """ROWS common rows of all tables, in which a column of the first host is 1 for one row alone; its id."""
    sample = scene.sample(int(rng.integers(1 << 30)), ROWS)
    host = sample[scene.hosts[0]]
    at = int(rng.integers(len(host)))
    features = host.features.copy()
    features[numeric(host)[0]] = (np.arange(len(host)) == at).astype(np.float64)
    return sample | {scene.hosts[0]: dataclasses.replace(host, features=features)}, host.ids[at]


def numeric(table: Table) -> list[str]:
    """The columns of numbers."""
    return [str(name) for name in table.features.select_dtypes("number").columns]


def with_label(scene: Scene, tables: Mapping[str, Table], row: bytes, label: int) -> dict[str, Table]:
    """The tables with one row's label changed to this one."""
    own = tables[scene.guest]
    assert own.label is not None
    changed, values = own.label.copy(), np.unique(own.label)
    changed.iloc[list(own.ids).index(row)] = values[label]
    return dict(tables) | {scene.guest: dataclasses.replace(own, label=changed)}


def told(run: Scene, party: str) -> Told:
    """Every single number that a party received or could open."""
    found = dict[str, list[float]]()
    for entry in run.entries(party):
        numbers = [float(value) for _, _, value in fields(entry) if isinstance(value, int)]
        both = [*vectors(entry, run.keys), *opened(entry, party, run.made)]
        numbers += [float(vector[0]) for vector in both if len(vector) == 1]
        for k, number in enumerate(numbers):
            found.setdefault(f"{entry.peer} {entry.message} {k}", []).append(number)
    return found


def guessed(seen: Told, zero: Told, one: Told, again: Told, last: Told | None = None) -> float:
    """0 or 1: the label of the training that is more like what was seen; 1/2 where both do.  again, last: another
    training with label 0, and with label 1, which show what the label alone decides.  What the label decides is also
    like what was seen, in the training with the same label.  One random number in fifty is like another one, so that
    one in a thousand passes the first two, and one in fifty thousand all three."""
    far = [0, 0]
    for name in zero.keys() | one.keys() | again.keys():
        to_zero, to_one = (apart(seen.get(name, ()), other.get(name, ())) for other in (zero, one))
        random = [apart(zero.get(name, ()), again.get(name, ())), min(to_zero, to_one)]
        random += [] if last is None else [apart(one.get(name, ()), last.get(name, ()))]
        if max(random) > ALIKE:
            continue
        far[0] += to_zero > to_one
        far[1] += to_one > to_zero
    return 0.5 if far[0] == far[1] else float(far[0] > far[1])


def apart(first: Sequence[float], second: Sequence[float]) -> float:
    """The part by which two series differ; 2 where one is longer."""
    if len(first) != len(second):
        return 2.0
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    size = float(np.abs(a).sum() + np.abs(b).sum())
    return float(np.abs(a - b).sum() / size) if size else 0.0


def losses(x: Floats, y: Floats, seed: int) -> Floats:
    """The mean loss before each step of the textbook protocol."""
    found, w = list[float](), np.zeros(x.shape[1])
    every = np.ones(x.shape[1], dtype=np.bool_)
    for one in textbook.regression(x, y, every, seed)[0]:
        z = x @ w
        found.append(float(np.mean(np.logaddexp(0, z) - y * z)))
        w = w - textbook.RATE * (one.gradient / len(one.rows) + textbook.PENALTY * w)
    return np.array(found)
