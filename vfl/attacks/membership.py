"""Attack 15: membership of the training set, from scores (LiRA: Carlini et al., 2022).

Whoever learns scores of persons and their outcomes, and can train models of the same kind on similar rows, compares a
person's score with what models say that were trained without this person.
"""

from __future__ import annotations

import numpy as np

from vfl.attacks.attack import Attack
from vfl.attacks.first_gradient import event
from vfl.attacks.gradients import own_of
from vfl.attacks.received import Floats
from vfl.attacks.referee import auc
from vfl.attacks.scene import ROWS, Scene
from vfl.attacks.weights import optimum
from vfl.models.splitting import Split

SHADOWS = 8
ROWS_PER_COLUMN = 6  # for which the bound is made
LIMIT = 30.0  # of a predictor


class Membership(Attack):
    number = 15
    name = "Membership of the training set, from scores"
    who = "whoever sees scores and outcomes, such as a buyer of the scores"
    needs = "joint scores of persons, their outcomes, and similar rows for shadow models"
    setting = "model.C and the number of training rows per column"
    sentence = "Could somebody who sees our scores tell who was in the data that the model was trained on?"
    measure = "the area under the ROC curve (AUC) of the attack's score, members against others"
    chance = 0.5
    bound = 0.6
    reason = (
        "a penalised model with at least six training rows per column memorises little; .6 is far below what "
        "overfitting gives"
    )
    succeeds = 0.65
    sizes = (1.0, 0.5, 0.3)
    found = 1.0
    size_of = "columns of noise for each training row of a model without a penalty"
    textbook_is = "the same model, trained in one place: a federated model equals it"

    def unfit(self, scene: Scene) -> str:
        if scene.kind != "logistic-regression" or scene.asked.more.get("preprocess"):
            return "made for logistic regressions without preprocessing"
        if len(np.unique(scene.y)) != 2:
            return "the label has more than two values"
        columns = own_of(scene, scene.guest)[0].shape[1]
        if min(scene.rows, ROWS) // 2 < ROWS_PER_COLUMN * columns:
            return f"fewer than {ROWS_PER_COLUMN} training rows per column in the attack, for which there is no bound"
        return ""

    def product(self, scene: Scene, seed: int) -> float:
        run = scene.with_tables(scene.sample(seed), reveal=("guest", "hosts"), split=Split(test=0.5, seed=seed))
        fitted = run.trained.fitted
        parties = (run.guest, *run.hosts)
        blocks = [fitted[p].part.standardiser.transform(fitted[p].aligned.features, p) for p in parties]
        weights = np.concatenate(
            [fitted[p].part.weights[0][: b.shape[1]] for p, b in zip(parties, blocks, strict=True)]
        )
        own = fitted[run.guest].part.weights[0]
        x = np.hstack(blocks)
        z = x @ weights + (own[-1] if len(own) > blocks[0].shape[1] else 0.0)
        y = event(fitted[run.guest].aligned.label.to_numpy(np.float64))
        return told_apart(x, y, z, ~fitted[run.guest].held_out, 1.0, seed)

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        rng, rows = np.random.default_rng([seed, 15]), 200
        x = rng.normal(size=(rows, max(1, int(size * rows / 2))))
        y = np.asarray(rng.random(rows) < 0.5, np.float64)
        inside = np.zeros(rows, dtype=np.bool_)
        inside[rng.permutation(rows)[: rows // 2]] = True
        return told_apart(x, y, scores(x, y, inside, 1e-3), inside, 1e-3, seed)

    def textbook(self, scene: Scene, seed: int) -> float:
        run = scene.drawn(seed)
        x, y = own_of(run, run.guest)[0], event(run.y)
        inside = np.random.default_rng([seed, 16]).random(len(y)) < 0.5
        return told_apart(x, y, scores(x, y, inside, 1.0), inside, 1.0, seed)


def scores(x: Floats, y: Floats, inside: np.ndarray, penalty: float) -> Floats:
    """Of all rows by a model of those inside."""
    return x @ optimum(x[inside], y[inside], penalty)


def told_apart(x: Floats, y: Floats, z: Floats, inside: np.ndarray, penalty: float, seed: int) -> float:
    """AUC of how much better a row's outcome fits its score than those of shadow models without the row."""
    rng, sign = np.random.default_rng([seed, 17]), 2 * y - 1
    without: list[list[float]] = [[] for _ in y]
    for _ in range(SHADOWS):
        chosen = rng.random(len(y)) < 0.5
        shadow = np.clip(scores(x, y, chosen, penalty), -LIMIT, LIMIT)
        for row in np.flatnonzero(~chosen):
            without[row].append(float(sign[row] * shadow[row]))
    usual = np.array([np.mean(values) if values else 0.0 for values in without])
    spread = np.array([np.std(values) if len(values) > 1 else 1.0 for values in without])
    fits = (np.clip(z, -LIMIT, LIMIT) * sign - usual) / (spread + spread.mean() + 1e-6)
    return auc(inside.astype(np.float64), fits)
