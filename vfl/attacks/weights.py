"""Attack 6: labels that a host's own weights memorise.

At the optimum X^T (y - p) = w / C: each weight is one equation in the labels.  A host that adds columns of noise, which
say nothing of the labels, chooses how many equations it is given.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from vfl.attacks.attack import Attack
from vfl.attacks.first_gradient import event
from vfl.attacks.received import Floats, statements
from vfl.attacks.referee import auc
from vfl.attacks.scene import Scene

PER_NUMBER = 50  # rows for each number computed from labels: the default of policy.rows_per_label_number
HALF = 0.5  # weights for each row that one model can have
SHARED = 0.2  # columns of noise for each row where weights stay shared, and no budget counts them


class NoiseColumns(Attack):
    number = 6
    name = "Labels from weights on columns of noise"
    who = "a host that follows the protocol and brings columns of noise"
    needs = "its own final weights"
    setting = "reveal of hosts (host-weights-to-host); policy.rows_per_label_number"
    sentence = "Could a partner bring meaningless columns, and read from its part of the model who defaulted?"
    measure = "the area under the ROC curve (AUC) of what the host makes of its part, against the training labels"
    chance = 0.5
    bound = 0.63
    reason = "one number for 50 labels explains 1/50 of them, an AUC of .58; .05 for the mean over seeds"
    succeeds = 0.9
    sizes = (2.0, 0.5, 0.2, 0.1)
    found = 0.2
    size_of = "weights that the host learns for each training row, in one model or in several"
    textbook_is = "the final weights of a host with one column for every two rows (Yang et al. 2019)"

    def unfit(self, scene: Scene) -> str:
        if scene.kind != "logistic-regression" or scene.asked.more.get("preprocess") is not None:
            return "made for logistic regressions without preprocessing: for others the budget counts in the same way"
        return "" if len(np.unique(scene.y)) == 2 else "the label has more than two values"

    def product(self, scene: Scene, seed: int) -> float:
        tables = scene.sample(seed)
        told = "hosts" in scene.asked.federation._reveal
        host, rng = scene.hosts[0], np.random.default_rng([seed, 6])
        rows = len(tables[host].ids)
        width = max(1, int(rows / PER_NUMBER if told else rows * SHARED))
        noise = pd.DataFrame(rng.choice([-1.0, 1.0], (rows, width)), columns=[f"n{k}" for k in range(width)])
        tables[host] = dataclasses.replace(tables[host], features=noise, schema=type(tables[host].schema)())
        run = scene.with_tables(tables)
        x, part = run.x(host), run.trained.fitted[host].part
        if told:
            return auc(run.y, guess(x, part.weights[0]))
        families = (own_shares(part), statements(run.entries(host), run.keys, width))
        return max(float(np.mean([auc(run.y, guess(x, w)) for w in said])) for said in families if said)

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        rows, rng = min(scene.rows, 400), np.random.default_rng([seed, 66])
        y = event(scene.y[rng.permutation(scene.rows)[:rows]])
        widths = [int(rows * min(size, HALF))] * max(1, round(size / HALF))
        models = [rng.choice([-1.0, 1.0], (rows, max(1, width))) for width in widths]
        return auc(y, guess(np.hstack(models), np.concatenate([optimum(x, y) for x in models])))

    def textbook(self, scene: Scene, seed: int) -> float:
        return self.planted(scene, seed, HALF)


def own_shares(part: object) -> list[Floats]:
    """The host's share of its weights, which is all that it has where they stay shared."""
    found = part.shares.latest  # type: ignore[attr-defined]
    return [line.view(np.int64).astype(np.float64) for line in found]


def guess(x: Floats, weights: Floats) -> Floats:
    """The shortest residuals that these weights can come from."""
    size = np.abs(weights).max()
    scaled = weights / size if size else weights
    if x.shape[1] < len(x):
        return np.asarray(x @ np.linalg.solve(x.T @ x + 1e-6 * np.eye(x.shape[1]), scaled))
    return np.asarray(np.linalg.lstsq(x.T, scaled, rcond=None)[0])


def optimum(x: Floats, y: Floats, penalty: float = 1.0, steps: int = 30) -> Floats:
    """The weights of a logistic regression with an L2 penalty, by Newton's method."""
    design, w = np.column_stack([x, np.ones(len(x))]), np.zeros(x.shape[1] + 1)
    ridge = penalty * np.r_[np.ones(x.shape[1]), 1e-6]
    for _ in range(steps):
        p = 1 / (1 + np.exp(-design @ w))
        step = np.linalg.solve((design.T * (p * (1 - p))) @ design + np.diag(ridge), design.T @ (y - p) - ridge * w)
        w = w + step * min(1.0, 4.0 / max(np.abs(design @ step).max(), 1e-9))
    return w[:-1]
