"""Attack 3: least squares on a host's gradients (residue reconstruction, arXiv 2205.04166).

A gradient of a batch B is a linear statement X_B^T d_B about the residuals d, which hold the labels.  Many batches give
as many equations as there are rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vfl.attacks import textbook
from vfl.attacks.attack import Attack
from vfl.attacks.received import Floats, per_row, statements
from vfl.attacks.referee import added
from vfl.attacks.scene import Rows, Scene

LEAST = 200  # training rows: with 120 and a host of three columns the control was .02 in one twin of three


class HostGradients(Attack):
    number = 3
    name = "Labels from a host's gradients, by least squares"
    who = "each host alone"
    needs = "gradients of the host's own weights, or any number per row that depends on labels"
    setting = "none: no gradient is ever opened"
    sentence = "Could a partner work out who defaulted from the training messages that it was sent?"
    measure = (
        "the part of the labels' variance beyond its own columns that the host explains, on rows that it has not seen"
    )
    chance = 0.0
    bound = 0.02
    reason = "nothing that arrives depends on labels; uniform numbers explain nothing on rows that were not seen"
    succeeds = 0.08
    sizes = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
    found = 0.5
    size_of = "the part of the textbook's 80 batches whose gradient is opened to the host"
    textbook_is = "gradients of batches opened to the host (Yang et al. 2019)"

    def unfit(self, scene: Scene) -> str:
        if scene.rows < LEAST:
            return f"with {scene.rows} rows, fewer than {LEAST}, what fits by chance can hide even opened gradients"
        return "all labels are equal" if len(np.unique(scene.y)) < 2 else ""

    def product(self, scene: Scene, seed: int) -> float:
        run = scene.again(seed)
        return max(added(received_lines(run, host), run.x(host), run.y) for host in run.hosts)

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        run = scene.again(seed)
        host = run.hosts[0]
        opened = opened_to(run, host, seed)
        lines = received_lines(run, host)
        few = opened[: max(1, round(size * len(opened)))]
        return added(np.vstack([lines, solved(few, run.x(host))]), run.x(host), run.y)

    def textbook(self, scene: Scene, seed: int) -> float:
        run = scene.drawn(seed)
        host = run.hosts[0]
        return added(solved(opened_to(run, host, seed), run.x(host)), run.x(host), run.y)


def received_lines(run: Scene, host: str) -> Floats:
    """Everything that stands for rows, and what least squares makes of everything that stands for weights."""
    entries, x = run.entries(host), run.x(host)
    lines = per_row(entries, run.keys, run.rows)
    said = statements(entries, run.keys, x.shape[1])
    return np.vstack([lines, *(np.linalg.lstsq(x.T, g / np.abs(g).max(), rcond=1e-8)[0] for g in said if g.any())])


def own_of(run: Scene | Rows, party: str) -> tuple[Floats, NDArray[np.bool_]]:
    """All columns, and which of them are a party's."""
    parties = (run.guest, *run.hosts)
    blocks = [run.x(one) for one in parties]
    own = np.concatenate([np.full(x.shape[1], one == party) for one, x in zip(parties, blocks, strict=True)])
    return np.hstack(blocks), own


def opened_to(run: Scene | Rows, party: str, seed: int, batch: int = textbook.BATCH) -> list[textbook.Opened]:
    """What the textbook protocol shows to a party."""
    x, own = own_of(run, party)
    return textbook.regression(x, run.y, own, seed, batch)[0]


def solved(opened: Sequence[textbook.Opened], x: Floats) -> Floats:
    """(1, rows) the shortest residuals that give all these gradients."""
    equations = np.zeros((len(opened) * x.shape[1], len(x)))
    for k, one in enumerate(opened):
        equations[k * x.shape[1] : (k + 1) * x.shape[1], one.rows] = x[one.rows].T
    right = np.concatenate([one.gradient for one in opened])
    return np.asarray(np.linalg.lstsq(equations, right, rcond=1e-6)[0][None])
