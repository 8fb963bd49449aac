"""Attack 7: a host's columns from products that are known (Weng et al., arXiv 2011.09290).

A predictor is a row times weights.  Who knows predictors and weights of as many iterations as a host has columns solves
for the row.  In the textbook protocol the arbiter opens every gradient, and so knows the weights, and the guest has the
encrypted predictors that the arbiter can open.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vfl.attacks import textbook
from vfl.attacks.attack import Attack
from vfl.attacks.gradients import own_of
from vfl.attacks.opened import opened
from vfl.attacks.received import Floats, vectors
from vfl.attacks.referee import correlation
from vfl.attacks.scene import Scene

WAYS = 64  # lines of a field that stand for rows
PAIRS = 2000  # families of weights and of predictors that are tried with each other
SCALE = 1e-9  # of the largest factor: what is smaller is rounding


class ReverseProducts(Attack):
    number = 7
    name = "A host's columns from products of the arbiter and the guest"
    who = "arbiter and guest together, with the arbiter's key"
    needs = "a host's predictors, and its weights or gradients, of several iterations"
    setting = "none: weights and gradients exist as two shares, of the host and of the arbiter"
    sentence = "If the bank and the arbiter conspired, could they compute a partner's data about each customer?"
    measure = "the squared correlation of a host's column with what is solved for, the mean over its columns"
    chance = 0.0
    bound = 0.05
    reason = (
        "a column that is solved for from uniform numbers explains 1/400 of the true one; the best of many solutions a "
        "little more.  That the two know the columns up to an invertible map is declared"
    )
    succeeds = 0.9
    sizes = (80.0, 40.0, 20.0, 10.0)
    found = 10.0
    size_of = "the iterations whose weights and predictors the two know"
    textbook_is = "gradients that the arbiter opens, and predictors that it opens for the guest (Yang et al. 2019)"

    def unfit(self, scene: Scene) -> str:
        return "trees have no weights" if scene.kind.startswith("boosted") else ""

    def product(self, scene: Scene, seed: int) -> float:
        run, found = scene.again(seed), [0.0]
        families = list(told(run))
        for host in run.hosts:
            x = run.x(host)
            weights = [w for w in (lines(family, x.shape[1]) for family in families) if len(w) > 1]
            predictors = [z for family in families for z in by_row(family, len(x)) if len(z) > 1]
            pairs = [(w, z) for w in weights for z in predictors][:PAIRS]
            found += [explained(w, z, x) for w, z in pairs]
        return max(found)

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        run = scene.drawn(seed)
        x, own = own_of(run, run.hosts[0])
        w = np.zeros(int(own.sum()))
        known = list[Floats]()
        for one in textbook.regression(x, run.y, own, seed)[0][: int(size)]:
            w = w - textbook.RATE * (one.gradient / len(one.rows) + textbook.PENALTY * w)
            known.append(w)
        return explained(np.array(known), np.array(known) @ x[:, own].T, x[:, own])

    def textbook(self, scene: Scene, seed: int) -> float:
        return self.planted(scene, seed, 80.0)


def told(run: Scene) -> Iterator[list[Floats]]:
    """Everything of one field of one kind of message, in the order in which it came to arbiter or guest."""
    families = dict[tuple[str, str, str], list[Floats]]()
    for party in (run.guest, run.roles.arbiter):
        for entry in run.entries(party):
            for k, vector in enumerate(vectors(entry, run.keys)):
                families.setdefault((party, entry.peer, f"{entry.message} {k}"), []).append(vector)
            for vector in opened(entry, party, run.made):
                families.setdefault((party, entry.peer, f"{entry.message} opened"), []).append(vector)
    yield from families.values()


def lines(family: list[Floats], length: int) -> Floats:
    """(iterations, length) of a family whose members have this length."""
    return np.array([vector for vector in family if len(vector) == length]).reshape(-1, length)


def by_row(family: list[Floats], rows: int) -> Iterator[Floats]:
    """(iterations, rows) of a family whose members have a number, or several, for each row."""
    fits = [vector for vector in family if len(vector) and len(vector) % rows == 0 and len(vector) // rows <= WAYS]
    for each in sorted({len(vector) // rows for vector in fits}):
        same = np.array([vector for vector in fits if len(vector) == each * rows])
        yield same.reshape(-1, rows)
        if each > 1:
            yield same.reshape(-1, rows, each).transpose(0, 2, 1).reshape(-1, rows)


def explained(weights: Floats, predictors: Floats, x: Floats) -> float:
    """Of columns that give these predictors with these weights."""
    count = min(len(weights), len(predictors))
    scaled = [part[:count] / max(np.abs(part[:count]).max(), 1e-300) for part in (weights, predictors)]
    found = np.linalg.lstsq(scaled[0], scaled[1], rcond=SCALE)[0]
    return float(np.mean([correlation(a, b) ** 2 for a, b in zip(found, x.T, strict=True)]))
