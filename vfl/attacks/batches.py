"""Attack 5: label inference from the gradient of a small batch (arXiv 2112.05409).

With at most as many rows as the host has columns, a batch's gradient determines the residual of each row, and its sign
is the label.
"""

from __future__ import annotations

import numpy as np

from vfl.attacks.attack import Attack
from vfl.attacks.gradients import opened_to
from vfl.attacks.received import Floats, statements
from vfl.attacks.referee import auc
from vfl.attacks.scene import Scene

BATCHES = 40  # on which a vector is tried
FITS = 1e-4  # of a vector's length: what rows that explain it, fewer than columns, leave of it by rounding
LEAST = 8  # vectors that fit: of 200 vectors and 40 batches one does by chance, and 8 with a probability of 1e-6


class SmallBatches(Attack):
    number = 5
    name = "Labels from the gradients of small batches"
    who = "each host alone"
    needs = "the gradient of a batch with at most as many rows as the host has columns"
    setting = "none: no gradient of a batch is ever opened"
    sentence = (
        "Could a partner work out each customer's outcome when training goes through a handful of rows at a time?"
    )
    measure = "the area under the ROC curve (AUC) of residuals that are solved for, against the labels"
    chance = 0.5
    bound = 0.55
    reason = "nothing that arrives depends on labels; .05 is at least four standard errors of a mean over 20 runs"
    succeeds = 0.95
    sizes = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05)
    found = 1.0
    size_of = "the part of the opened gradient's standard deviation that is signal, the rest is noise"
    textbook_is = "gradients of such batches opened to the host"

    def unfit(self, scene: Scene) -> str:
        if scene.kind.startswith("boosted"):
            return "trees have no batches"
        return "" if len(np.unique(scene.y)) == 2 else "the label has more than two values"

    def product(self, scene: Scene, seed: int) -> float:
        run, found = scene.again(seed), list[float]()
        for host in run.hosts:
            x = run.x(host)
            batch = max(1, x.shape[1] - 1)
            said = [vector for vector in statements(run.entries(host), run.keys, x.shape[1]) if vector.any()]
            places = [np.arange(k * batch, (k + 1) * batch) for k in range(min(BATCHES, run.rows // batch))]
            # each vector is tried on every batch, as nobody says whose gradient it might be
            both = [(rows, vector) for vector in said for rows in places if misfit(x[rows], vector) < FITS]
            if len(both) >= LEAST:
                found.append(inferred(x, run.y, [rows for rows, _ in both], [vector for _, vector in both]))
        return max(found, default=self.chance)

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        run = scene.drawn(seed)
        host, rng = run.hosts[0], np.random.default_rng([seed, 5])
        x = run.x(host)
        opened = opened_to(run, host, seed, max(1, x.shape[1] - 1))
        noise = np.sqrt(1 - size**2)
        said = [size * g + noise * rng.normal(size=len(g)) * g.std() for g in (one.gradient for one in opened)]
        return inferred(x, run.y, [one.rows for one in opened], said)

    def textbook(self, scene: Scene, seed: int) -> float:
        return self.planted(scene, seed, 1.0)


def misfit(x: Floats, gradient: Floats) -> float:
    """How much of a vector no residuals of these rows explain."""
    said = gradient / np.abs(gradient).max()
    left = said - x.T @ np.linalg.lstsq(x.T, said, rcond=1e-6)[0]
    return float(np.linalg.norm(left) / np.linalg.norm(said))


def inferred(x: Floats, y: Floats, places: list[np.ndarray], said: list[Floats]) -> float:
    """AUC over all batches, of what each one's gradient makes of its rows."""
    truth, score = list[Floats](), list[Floats]()
    for rows, gradient in zip(places, said, strict=False):
        size = np.abs(gradient).max()
        residual = np.linalg.lstsq(x[rows].T, gradient / size if size else gradient, rcond=1e-6)[0]
        truth.append(y[rows])
        score.append(-residual / max(np.abs(residual).max(), 1e-300))
    return auc(np.concatenate(truth), np.concatenate(score))
