"""What a host makes of a regression's transcript: nothing beyond its own columns; and where gradients or residuals are
opened, the labels."""

from __future__ import annotations

import numpy as np
import pytest

from protocols import glm
from protocols.cipher import CipherVec, DecryptionKey, Paillier
from protocols.glm.block import Block
from protocols.glm.links import Link
from protocols.glm.sealed_link import EdgeShare
from protocols.glm.stopping import Verdict
from protocols.glm.training import Residual
from tests.harness import TOY, Escrow, Sent
from tests.promises.attacks.families import FAMILIES, problem
from tests.promises.attacks.host_view import Matrix, View, gain, record

PASSES, BATCH = 10, 50


@pytest.mark.parametrize("family", FAMILIES)
def test_least_squares_over_what_the_host_received_adds_nothing(family: str) -> None:
    link, blocks, y = problem(family)
    view, _ = record(blocks, y, link, PASSES, TOY)
    assert view.columns().shape[1] >= 3 * PASSES  # the residuals of each pass are among what is tried
    own, added = gain(view)
    assert own > 0.03
    assert added < 0.02


@pytest.mark.parametrize("family", [pytest.param("exact", marks=pytest.mark.slow), "linear"])
def test_verdicts_on_the_loss_add_nothing(family: str) -> None:
    link, blocks, y = problem(family)
    view, _ = record(blocks, y, link, PASSES, Paillier(1024), ends=glm.Stopping(1e-5, 2))
    assert {s.kind for s in view.received} >= {Verdict, Residual}
    assert view.columns().shape[1] >= 3 * 5
    assert gain(view)[1] < 0.02


SGD = glm.Sgd(64)  # 8 batches of 50 rows


@pytest.mark.slow
@pytest.mark.parametrize("family", ["exact", "taylor"])
def test_least_squares_over_what_came_in_batches_adds_nothing(family: str) -> None:
    link, blocks, y = problem(family)
    view, _ = record(blocks, y, link, PASSES, TOY, sgd=SGD)
    assert view.columns().shape[1] >= 3 * PASSES  # the residuals of each pass are put together from its batches
    assert gain(view)[1] < 0.02


@pytest.mark.slow
def test_planted_opened_gradients_of_the_batches_themselves_give_the_labels_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What stands between a host and the labels is that nobody opens a batch's gradient; that its rows change each pass
    does not help."""
    link, blocks, y = problem("taylor")
    scheme, honest, opened = Escrow(TOY), Block.slope, list[tuple[Matrix, Matrix]]()

    def leak(self: Block, residual: CipherVec) -> CipherVec:
        if self.width == blocks[1].shape[1]:
            opened.append((self.x / 2.0**14, open_numbers(scheme.keys[0], residual.t_matmul(self.x)) / 2.0**14))
        return honest(self, residual)

    monkeypatch.setattr(Block, "slope", leak)
    view, _ = record(blocks, y, link, PASSES, scheme, sgd=SGD)
    for rows, (x, gradient) in zip([rows for one in view.order for rows in one], opened, strict=True):
        whole = np.zeros((x.shape[1], len(y)))
        whole[:, rows] = x.T
        view.opened.append((whole, gradient))
    assert gain(view)[1] > 0.2


def textbook(monkeypatch: pytest.MonkeyPatch, link: Link, blocks: list[Matrix], y: Matrix) -> View:
    """Trains as the textbook does: in each pass the host is given its gradients of newly shuffled batches in the
    clear."""
    scheme, honest, rng = Escrow(TOY), Block.slope, np.random.default_rng(1)
    opened: list[tuple[Matrix, Matrix]] = []

    def leak(self: Block, residual: CipherVec) -> CipherVec:
        if self.width == blocks[1].shape[1]:
            (key,) = scheme.keys
            for batch in np.array_split(rng.permutation(len(y)), len(y) // BATCH):
                x = np.zeros_like(self.x)
                x[batch] = self.x[batch]
                opened.append((x.T / 2.0**14, open_numbers(key, residual.t_matmul(x)) / 2.0**14))
        return honest(self, residual)

    monkeypatch.setattr(Block, "slope", leak)
    view, _ = record(blocks, y, link, PASSES, scheme)
    view.opened = opened
    return view


def open_numbers(key: DecryptionKey, values: CipherVec) -> Matrix:
    return np.array([float(v) for v in key.open(values, key.public.plain_bits).to_ints()])


@pytest.mark.parametrize(
    "family", ["taylor", *(pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES if f != "taylor")]
)
def test_planted_opened_gradients_give_the_labels_away(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, added = gain(textbook(monkeypatch, *problem(family)))
    assert added > 0.2


def test_planted_residuals_without_encryption_give_the_labels_away() -> None:
    """The attack tries what stands for a row: one residual in the clear is enough."""
    link, blocks, y = problem("exact")
    view, _ = record(blocks, y, link, PASSES, TOY)
    honest = view.columns
    view.columns = lambda: np.column_stack([honest(), np.random.default_rng(2).normal(size=len(y)) / 4 - y])  # type: ignore[method-assign]
    assert gain(view)[1] > 0.5


def shape(transcript: list[Sent], receiver: str) -> list[tuple[str, str, int]]:
    """Everything about what `receiver` got but the bytes: sender, kind and size, by sender in the order of sending.

    A single uniform number is now and then a byte shorter, whatever it is a share of: its size is left out.
    """
    sizes = (
        (s.sender, s.kind.kind, 0 if s.kind is EdgeShare else len(s.data)) for s in transcript if s.receiver == receiver
    )
    return sorted(sizes, key=lambda s: s[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_other_labels_give_a_transcript_of_the_same_shape(family: str) -> None:
    link, blocks, y = problem(family)
    other = np.where(np.arange(len(y)) % 7 > 0, y.min(), y.max())  # another rate, another dependence
    first, second = (record(blocks, labels, link, 3, TOY)[1] for labels in (y, other))
    for receiver in ("host", "arbiter"):
        assert shape(first, receiver) == shape(second, receiver) != []


def test_planted_size_that_follows_the_labels_is_noticed() -> None:
    link, blocks, y = problem("taylor")
    _, transcript = record(blocks, y, link, 3, TOY)
    events = [
        Sent(s.sender, s.receiver, s.kind, s.data[: int(y.sum())]) if s.kind is Residual else s for s in transcript
    ]
    assert shape(transcript, "host") != shape(events, "host")
    assert shape(transcript, "arbiter") == shape(events, "arbiter")
