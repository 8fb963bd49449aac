"""How much anything that was received says of a secret: by how much a prediction of the secret gets better with it, on
rows whose secret the attacker has not seen.

The attacker is granted the secret of the other rows.  There it fits to numbers what its own columns leave open: to the
few that explain most of it, chosen in one half of the rows and fitted in the other one, so that what fits by chance
among many is not believed; or to all of them at once, where each says little.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Fitted = Callable[[Floats, Floats, Floats], Floats]  # of lines, what they are fitted to, and the lines of other rows
CHOSEN, CHUNK, FOLDS = 15, 4096, 4


def by_few(lines: Floats, rest: Floats, others: Floats) -> Floats:
    """What the numbers of other rows say, by the lines that say most of `rest`; each half chooses for the other one."""
    from sklearn.linear_model import RidgeCV

    found, even = np.zeros(others.shape[1]), np.arange(len(rest)) % 2 == 0
    for half in (even, ~even):
        chosen = believed(lines[:, half], rest[half])
        both = np.hstack([lines[chosen], others[chosen]]).T  # together: a line can be the same number in one of them
        both = (both - both.mean(axis=0)) / np.maximum(both.std(axis=0), 1e-300)
        fitted = RidgeCV(np.logspace(-1, 7, 9)).fit(both[: len(rest)][~half], rest[~half])
        found += fitted.predict(both[len(rest) :]) / 2
    return found


def by_all(lines: Floats, rest: Floats, others: Floats) -> Floats:
    """What the numbers of other rows say, by all lines at once."""
    from sklearn.linear_model import RidgeCV

    scale = max(float(np.sqrt((lines**2).sum() / len(rest))), 1e-300)
    fitted = RidgeCV(np.logspace(-3, 5, 17)).fit(lines.T / scale, rest)
    return np.asarray(fitted.predict(others.T / scale))


def added(lines: Floats, known: Floats, truth: Floats, fitted: Fitted = by_few) -> float:
    """The part that `lines` (k, rows) explain of the variance of `truth` (rows,) which the attacker's own columns
    `known` (rows, columns) leave open."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold

    rows = len(truth)
    if not len(lines):
        return 0.0
    before, after = np.zeros(rows), np.zeros(rows)
    for fit, test in KFold(FOLDS, shuffle=True, random_state=0).split(truth):
        model = RidgeCV(np.logspace(-2, 4, 7)).fit(known[fit], truth[fit])
        rest = truth[fit] - model.predict(known[fit])
        before[test] = model.predict(known[test])
        after[test] = before[test] + fitted(lines[:, fit], rest, lines[:, test])
    wrong = [float(((truth - found) ** 2).sum()) for found in (before, after)]
    return 1 - wrong[1] / wrong[0] if wrong[0] else 0.0


def believed(lines: Floats, rest: Floats) -> NDArray[np.int64]:
    """The lines that say most of `rest`: those that correlate more than the best of as many lines of noise would, or
    where there is none, the first CHOSEN.  Together with lines that fit by chance, one that tells something would count
    for less."""
    count, rows = lines.shape
    strength = np.concatenate([np.abs(correlations(lines[k : k + CHUNK], rest)) for k in range(0, count, CHUNK)])
    best = np.argsort(-strength)[:CHOSEN]
    sure = strength[best] > np.sqrt(2 * np.log(max(2, count)) / rows)
    return np.asarray(best[sure] if sure.any() else best)


def correlation(found: Floats, truth: Floats) -> float:
    """0 where one of them does not vary."""
    if found.std() == 0 or truth.std() == 0:
        return 0.0
    return float(np.corrcoef(found, truth)[0, 1])


def correlations(lines: Floats, rest: Floats) -> Floats:
    """(k,) of each line with `rest`."""
    x = lines - lines.mean(axis=1, keepdims=True)
    scale = np.linalg.norm(x, axis=1) * np.linalg.norm(rest - rest.mean())
    return np.asarray(x @ (rest - rest.mean()) / np.maximum(scale, 1e-300))


def auc(truth: Floats, score: Floats) -> float:
    """The area under the ROC curve, ties halved; .5 where one class is absent."""
    from scipy.stats import rankdata

    events = truth > truth.mean()
    few = int(events.sum())
    if few in (0, len(truth)):
        return 0.5
    return float((rankdata(score)[events].sum() - few * (few + 1) / 2) / (few * (len(truth) - few)))
