"""Attacks on what the guest of boosted trees received: it puts a host's unnamed columns back together from directions,
from sums, or from anything that it holds.

Directions order the rows: the sets that go left at the splits of one column are nested, or nearly.  `ordered` finds
groups of nested sets, then where each row lies and which column and cut each set stands for, in turns (an EM over
unnamed columns).  Sums are equations in the 0/1 vectors of bins, with coefficients that the attacker knows: `solved`.
`gain` is the referee: by how much anything improves on the attacker's own columns, with four fifths of the rows' truth
to learn from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.stats import rankdata
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bits = NDArray[np.bool_]
Fact = tuple[Ints, Bits]  # some rows, and which of them go left
Measure = Callable[[Floats, Floats], float]
GRID, WRONG, SEEDS, TOGETHER = 32, 0.02, 150, 60
CHOSEN, CHUNK = 100, 4096


def correlation(found: Floats, truth: Floats) -> float:
    return float(np.corrcoef(found, truth)[0, 1])


def ordered(facts: Sequence[Fact], rows: int, columns: int, turns: int = 25) -> Floats:
    """(columns, rows): where each row lies in each of the unnamed columns that `facts` are directions of."""
    column, cut, upright = started(facts, rows, columns)
    number = np.repeat(np.arange(len(facts)), [len(r) for r, _ in facts])
    where, left = np.concatenate([r for r, _ in facts]), np.concatenate([b for _, b in facts])
    shape = (len(facts), rows)
    lefts, rights = (csr_matrix((np.ones(int(m.sum())), (number[m], where[m])), shape=shape) for m in (left, ~left))
    grid, place = np.arange(GRID), np.zeros((columns, rows))
    for _ in range(turns):
        log = np.zeros((columns, rows, GRID))
        for c in range(columns):
            mine = np.flatnonzero(column == c)
            agree = (grid < cut[mine, None]) == upright[mine, None]
            yes, no = (np.where(a, np.log(1 - WRONG), np.log(WRONG)) for a in (agree, ~agree))
            log[c] = lefts[mine].T @ yes + rights[mine].T @ no
        chance = np.exp(log - log.max(axis=2, keepdims=True))
        chance /= chance.sum(axis=2, keepdims=True)
        place = np.array([(rankdata(line) - 0.5) / rows * GRID for line in chance @ grid])
        below = np.cumsum(chance, axis=2)[:, :, :-1]
        inside, outside = np.log(np.clip(below, WRONG, 1)), np.log(np.clip(1 - below, WRONG, 1))
        fits = np.stack(
            [
                lefts @ a + rights @ b
                for c in range(columns)
                for a, b in ((inside[c], outside[c]), (outside[c], inside[c]))
            ]
        )
        best = fits.transpose(1, 0, 2).reshape(len(facts), -1).argmax(axis=1)
        kind, cut = best // (GRID - 1), best % (GRID - 1) + 1
        column, upright = kind // 2, kind % 2 == 0
    return place


def started(facts: Sequence[Fact], rows: int, columns: int) -> tuple[Ints, Ints, Bits]:
    """A first guess of each fact's column (-1: none), cut and sense: among the largest facts, those whose sets are
    nested go together."""
    big = sorted(range(len(facts)), key=lambda f: -len(facts[f][0]))[:SEEDS]
    known = np.full((len(big), rows), np.nan)
    for k, f in enumerate(big):
        known[k, facts[f][0]] = facts[f][1]
    near = np.array([[nested(a, b) for b in known] for a in known])
    groups = list[list[int]]()
    for k in range(len(big)):
        fit = [(float(np.mean(near[k, g])), i) for i, g in enumerate(groups) if (near[k, g] > -5).all()]
        best = max([f for f in fit if f[0] > 0], default=None)
        if best:
            groups[best[1]].append(k)
        elif len(groups) < 3 * columns:
            groups.append([k])
    groups.sort(key=lambda g: -sum(int((~np.isnan(known[k])).sum()) for k in g))
    column, cut, upright = (
        np.full(len(facts), -1),
        np.zeros(len(facts), dtype=np.int64),
        np.ones(len(facts), dtype=np.bool_),
    )
    for c, group in enumerate(groups[:columns]):
        for k in group:
            a, b = (known[j][~np.isnan(known[group[0]]) & ~np.isnan(known[k])] for j in (group[0], k))
            same = (a * b).sum() * ((1 - a) * (1 - b)).sum() >= (a * (1 - b)).sum() * ((1 - a) * b).sum()
            share = np.nanmean(known[k])
            column[big[k]], upright[big[k]] = c, same
            cut[big[k]] = int(np.clip(round((share if same else 1 - share) * GRID), 1, GRID - 1))
    return column, cut, upright


def nested(a: Floats, b: Floats) -> float:
    """How surprising it is that one of the four combinations of two facts is empty; -5 where none is."""
    both = ~np.isnan(a) & ~np.isnan(b)
    if both.sum() < TOGETHER:
        return 0.0
    x, y = a[both], b[both]
    found = np.array([(x * y).sum(), (x * (1 - y)).sum(), ((1 - x) * y).sum(), ((1 - x) * (1 - y)).sum()])
    sides = [(x.sum(), y.sum()), (x.sum(), (1 - y).sum()), ((1 - x).sum(), y.sum()), ((1 - x).sum(), (1 - y).sum())]
    expected = np.array([p * q for p, q in sides]) / both.sum()
    k = int(np.argmin(found / np.maximum(expected, 1e-9)))
    return float(expected[k]) if found[k] == 0 and expected[k] > 4 else (-5.0 if found.min() > 0 else 0.0)


def matched(place: Floats, bins: Ints) -> Floats:
    """(columns,) correlation of each column with the estimate that it is matched with, best first."""
    count = bins.shape[1]
    c = np.nan_to_num(np.abs(np.corrcoef(np.vstack([place, bins.T]))[: len(place), len(place) :]))
    a, b = linear_sum_assignment(-c)
    assert len(a) == min(count, len(place))
    return np.sort(c[a, b])[::-1]


@threadpool_limits.wrap(limits=1)
def solved(coefficients: Floats, sums: Floats, share: Floats) -> Floats:
    """(boundaries, rows) the shortest vectors near `share` (boundaries,) that give the sums (boundaries, equations)
    with the coefficients (equations, rows)."""
    scale = np.linalg.norm(coefficients, axis=1) + 1e-9
    a, s = coefficients / scale[:, None], sums / scale
    rest = s - share[:, None] * a.sum(axis=1)
    return share[:, None] + rest @ np.linalg.pinv(a.T, rcond=1e-9)


def own(x: Floats, y: Floats) -> Floats:
    """What the guest has anyway, to predict a column from: its columns, their squares and products with the label."""
    x, y = (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean())[:, None] / y.std()
    return np.hstack([x, x**2, y, x * y])


@threadpool_limits.wrap(limits=1)  # many small products: threads only get in each other's way
def gain(lines: Bits, known: Floats, truth: Floats, measure: Measure = correlation, folds: int = 3) -> Floats:
    """(columns,) by how much a prediction of `truth` (rows, columns) gets better when `lines` (features, rows) are
    added to what is known, on rows whose truth the attacker has not seen.  It is granted the truth of the others: there
    it chooses the features that explain best what `known` leaves open, and fits them."""
    rows, found = len(truth), (np.zeros(truth.shape), np.zeros(truth.shape))
    for fit, test in KFold(folds, shuffle=True, random_state=0).split(truth):
        model = RidgeCV(np.logspace(-2, 4, 13)).fit(known[fit], truth[fit])
        rest = truth[fit] - model.predict(known[fit]).reshape(len(fit), -1)
        found[0][test] = found[1][test] = model.predict(known[test]).reshape(rows - len(fit), -1)
        half = (
            np.arange(len(fit)) % 2 == 0
        )  # one half chooses, the other fits: else what is chosen among many fits by chance
        strength = np.abs(
            np.vstack([explained(lines[k : k + CHUNK, fit[half]], rest[half]) for k in range(0, len(lines), CHUNK)])
        )
        for column in range(truth.shape[1]):
            best = np.argsort(-strength[:, column])[:CHOSEN]
            chosen = lines[best].T.astype(np.float64) - 0.5
            fitted = RidgeCV(np.logspace(-1, 7, 17)).fit(chosen[fit[~half]], rest[~half, column])
            found[1][test, column] += fitted.predict(chosen[test])
    return np.array(
        [measure(found[1][:, k], truth[:, k]) - measure(found[0][:, k], truth[:, k]) for k in range(truth.shape[1])]
    )


def explained(lines: Bits, rest: Floats) -> Floats:
    """(features, columns) correlations."""
    x = lines.astype(np.float32)
    x -= x.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(x, axis=1, keepdims=True) * np.linalg.norm(rest - rest.mean(axis=0), axis=0)
    return np.asarray(x @ (rest - rest.mean(axis=0)).astype(np.float32)) / np.maximum(norm, 1e-9)
