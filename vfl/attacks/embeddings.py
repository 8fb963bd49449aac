"""Attack 14: labels from the gradients of embeddings, by direction and length (arXiv 2102.08504), and a host's columns
from its embeddings (inversion by known rows; URVFL, NDSS 2025, makes a model of them).

In split learning a host sends each row's embedding and receives its gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vfl.attacks.attack import Attack
from vfl.attacks.first_gradient import event
from vfl.attacks.received import Floats, texts, vectors
from vfl.attacks.referee import added
from vfl.attacks.scene import Scene
from vfl.taps.transcript import Entry

UNITS, STEPS, RATE, MOST = 4, 40, 1.0, 64  # of the split network; units of an embedding that is looked for
DIRECTIONS = 3
Matrices = Sequence[Floats]  # (rows, units) each


class Embeddings(Attack):
    number = 14
    name = "Labels and columns from embeddings of a network"
    who = "each host alone for labels, the guest alone for a host's columns"
    needs = "the gradient of each row's embedding at a host; a host's embeddings at the guest"
    setting = "none: no embedding, gradient or weight of a network is ever opened"
    sentence = (
        "Could partners read outcomes or each other's data from what the parts of a joint network pass to each other?"
    )
    measure = (
        "the part of the labels (by a host) or of a host's column (by the guest) beyond own columns that is explained, "
        "on rows that were not seen; the larger"
    )
    chance = 0.0
    bound = 0.03
    reason = "every number of a row that arrives is uniform; the best of several columns is a little above 0 by chance"
    succeeds = 0.15
    sizes = (1.0, 0.5, 0.3, 0.2, 0.1)
    found = 0.5
    size_of = "the part of the opened gradients' standard deviation that is signal, the rest is noise"
    textbook_is = "a split network of four units, with gradients opened to the host and embeddings to the guest"

    def unfit(self, scene: Scene) -> str:
        if not scene.kind.startswith("mlp"):
            return "a model that is no network has no embeddings"
        return "the label has more than two values" if len(np.unique(scene.y)) != 2 else ""

    def product(self, scene: Scene, seed: int) -> float:
        run = scene.again(seed)
        known, found = np.column_stack([run.x(run.guest), run.y]), [0.0]
        at_guest = lines(matrices(run.entries(run.guest), run), run.y)
        for host in run.hosts:
            found.append(added(lines(matrices(run.entries(host), run), run.y), run.x(host), run.y))
            found += [added(at_guest, known, column) for column in run.x(host).T]
        return max(found)

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        run, rng = scene.drawn(seed), np.random.default_rng([seed, 14])
        own, theirs = run.x(run.guest), run.x(run.hosts[0])
        gradients, embeddings = split(own, theirs, event(run.y), rng)
        noise = np.sqrt(1 - size**2)
        said = [size * one + noise * rng.normal(size=one.shape) * one.std() for one in (gradients, embeddings)]
        known = np.column_stack([own, run.y])
        labels = added(lines(said[:1], run.y), theirs, run.y)
        return max(labels, *(added(lines(said[1:], run.y), known, column) for column in theirs.T))

    def textbook(self, scene: Scene, seed: int) -> float:
        return self.planted(scene, seed, 1.0)


def split(own: Floats, theirs: Floats, y: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The last gradients (rows, units) at the host, and its last embeddings (rows, units) at the guest."""
    w, u = (rng.normal(size=(x.shape[1], UNITS)) / np.sqrt(x.shape[1]) for x in (theirs, own))
    v, rows = rng.normal(size=UNITS) / 2, len(y)
    gradients = np.zeros((rows, UNITS))
    for _ in range(STEPS):
        a = np.tanh(theirs @ w + own @ u)
        d = 1 / (1 + np.exp(-(a @ v))) - y
        gradients = d[:, None] * v * (1 - a**2)
        v = v - RATE * a.T @ d / rows
        w, u = w - RATE * theirs.T @ gradients / rows, u - RATE * own.T @ gradients / rows
    return gradients, np.asarray(theirs @ w)


def matrices(entries: Sequence[Entry], run: Scene) -> list[Floats]:
    """Every field with several numbers for each row."""
    found = list[Floats]()
    for entry in entries:
        numbers = [*vectors(entry, run.keys), *words(entry)]
        for vector in numbers:
            each, rest = divmod(len(vector), run.rows)
            if not rest and 0 < each <= MOST:
                found += [vector.reshape(run.rows, each), vector.reshape(each, run.rows).T]
    return found


def words(entry: Entry) -> Iterator[Floats]:
    """Fields of bytes as numbers of 64 bits."""
    for text in texts(entry):
        if text and len(text) % 8 == 0:
            yield np.frombuffer(text, "<i8").astype(np.float64)


def lines(said: Matrices, y: Floats) -> Floats:
    """(lines, rows) of each matrix its entries, its first directions, the lengths of its rows, and their products with
    the row of one known event."""
    found = list[Floats]()
    for one in said:
        scaled = one / max(np.abs(one).max(), 1e-300)
        found += [*scaled.T, np.linalg.norm(scaled, axis=1), scaled @ scaled[int(np.argmax(y))]]
        found += [*np.linalg.svd(scaled - scaled.mean(axis=0), full_matrices=False)[0][:, :DIRECTIONS].T]
    kept = [line for line in found if line.max() > line.min()]
    return np.array(kept) if kept else np.zeros((0, len(y)))
