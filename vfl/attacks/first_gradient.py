"""Attack 4: lattice reduction on a first gradient.

At weights of zero every residual is 1/2 - y, so twice a party's first gradient of a batch is a sum of its rows with
signs of +1 and -1: a short vector of a lattice that its own columns span.
"""

from __future__ import annotations

import numpy as np

from vfl.attacks.attack import Attack
from vfl.attacks.lattice import reduced
from vfl.attacks.received import Floats, statements
from vfl.attacks.scene import Scene

ROWS, BATCHES, BITS = 12, 4, 14
ALIKE = 0.1  # chance that two rows of a batch are equal
LARGEST = 2.0**40  # of a gradient of so few rows, in units of 2^-BITS


class FirstGradient(Attack):
    number = 4
    name = "Labels from a first gradient, by lattice reduction"
    who = "each host alone"
    needs = "the exact first gradient of its own weights over a few rows"
    setting = "none: no gradient is ever opened"
    sentence = "Could a partner unpick a single early message into the yes or no of each customer in it?"
    measure = "the part of batches of 12 rows whose labels are all found"
    chance = 2.0**-ROWS
    bound = 0.01
    reason = "a guess finds one batch in 4,096; no vector that arrives is a gradient"
    succeeds = 0.9
    sizes = (14.0, 8.0, 6.0, 4.0, 3.0, 2.0)
    found = 2.0
    size_of = "the binary digits after the point of the gradient that is opened"
    textbook_is = "the first gradients of batches of 12 rows opened to the host, with 14 binary digits"

    def unfit(self, scene: Scene) -> str:
        if scene.kind.startswith("boosted"):
            return "trees have no weights"
        if len(np.unique(scene.y)) != 2:
            return "the label has more than two values"
        if alike(scene.x(scene.hosts[0])) > ALIKE:
            return f"cannot be judged on this table: of {ROWS} rows two often have equal values, so no control succeeds"
        return ""

    def product(self, scene: Scene, seed: int) -> float:
        run, found = scene.again(seed), list[bool]()
        for host in run.hosts:
            x = run.x(host)
            for k, vector in enumerate(statements(run.entries(host), run.keys, x.shape[1])[:BATCHES]):
                rows = slice(k * ROWS, (k + 1) * ROWS)
                found.append(recovered(x[rows], vector, run.y[rows], BITS))
        return float(np.mean(found)) if found else 0.0

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        run = scene.drawn(seed)
        x, found = run.x(run.hosts[0]), list[bool]()
        for k in range(BATCHES):
            rows = np.random.default_rng([seed, k]).choice(run.rows, ROWS, replace=False)
            gradient = x[rows].T @ (1 - 2 * event(run.y)[rows])
            found.append(recovered(x[rows], np.rint(gradient * 2**size), run.y[rows], int(size)))
        return float(np.mean(found))

    def textbook(self, scene: Scene, seed: int) -> float:
        return self.planted(scene, seed, BITS)


def alike(x: Floats) -> float:
    """How many pairs of equal rows a batch has, in the mean."""
    share = np.unique(x, axis=0, return_counts=True)[1] / len(x)
    return float((share**2 - share / len(x)).sum() * ROWS * (ROWS - 1) / 2)


def event(y: Floats) -> Floats:
    return np.asarray(y > y.mean(), np.float64)


def recovered(x: Floats, gradient: Floats, y: Floats, bits: int) -> bool:
    """Whether signs s with x^T s near `gradient`, in units of 2^-bits, are found, and are those of the labels."""
    if not np.abs(gradient).max() < LARGEST:
        return False
    units = np.rint(x * 2.0**bits)
    basis = np.zeros((len(x) + 1, len(x) + 1 + x.shape[1]), dtype=object)
    for i, row in enumerate(units):
        basis[i, i] = 1
        basis[i, len(x) + 1 :] = [int(v) for v in row]
    basis[-1, len(x)] = 1
    basis[-1, len(x) + 1 :] = [-int(v) for v in np.rint(gradient)]
    signs = 1 - 2 * event(y)
    for vector in reduced(basis):
        if abs(vector[len(x)]) == 1 and all(abs(v) == 1 for v in vector[: len(x)]):
            return bool((np.array([float(v) for v in vector[: len(x)]]) * float(vector[len(x)]) == signs).all())
    return False
