"""Attacks on split networks: labels from the gradients that a host receives, columns from the embeddings that the guest
receives, and a host that completes the guest's part of the model with few labels.

Sources: Li et al., Label Leakage and Protection in Two-party Split Learning (ICLR 2022), directions of gradients; Fu et
al., Label Inference Attacks Against Vertical Federated Learning (USENIX Security 2022), model completion; He et al.,
Model Inversion Attacks Against Collaborative Inference (ACSAC 2019), by known rows.
The control is a split network with opened embeddings, which exists in this file only.  In a sealed network a party that
runs the same extractors on everything in the clear that it received learns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score

from protocols.cipher import Identity, Keyring
from protocols.network.plan import Terms
from tests.harness import Recording, Sent
from tests.unit.protocols.network.networks import run

Floats = NDArray[np.float64]
ROWS, UNITS, KNOWN, LABELS = 240, 4, 40, 24
TERMS = Terms((UNITS,), "tanh", "logistic", 4, ROWS, 1.0)
HONEST = Identity(1024)  # a cipher that hides nothing: what stays hidden is under one-time pads


@dataclass(frozen=True)
class Seen:
    """What a split network opens, or what stands in its place.  gradients: at the host, of each row's embedding;
    embeddings (rows, units): at the guest in the last step; own: as the host computes them from its own part."""

    gradients: Floats
    embeddings: Floats
    own: Floats


def data() -> tuple[list[Floats], Floats]:
    """The host's twenty columns, of which two matter, and the guest's two."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(ROWS, 22))
    y = (2 * x[:, 2] - 2 * x[:, 3] + x[:, 0] + 0.5 * rng.logistic(size=ROWS) > 0).astype(float)
    return [x[:, :2], x[:, 2:]], y


@pytest.fixture(scope="module")
def split() -> Seen:
    """The control: forty steps of split learning in the clear."""
    (guest, host), y = data()
    rng = np.random.default_rng(5)
    w, u, v = rng.normal(size=(20, UNITS)) / 5, rng.normal(size=(2, UNITS)) / 5, rng.normal(size=UNITS) / 2
    gradients = np.zeros((ROWS, UNITS))
    for _ in range(40):
        a = np.tanh(host @ w + guest @ u)
        d = 1 / (1 + np.exp(-(a @ v))) - y
        gradients = d[:, np.newaxis] * v * (1 - a**2)  # sent to the host
        v = v - 1.0 * a.T @ d / ROWS
        w, u = w - 2.0 * host.T @ gradients / ROWS, u - 2.0 * guest.T @ gradients / ROWS
    return Seen(gradients, host @ w, host @ w)


@pytest.fixture(scope="module")
def sealed() -> Seen:
    """The same extractors' input of a sealed training: residuals under pads, predictors under pads, a share of the
    weights."""
    blocks, y = data()
    transcript = list[Sent]()
    found = run(blocks, y, TERMS, HONEST, taps={p: [Recording(p, transcript)] for p in ("guest", "host1", "arbiter")})

    def last(kind: str, receiver: str) -> Floats:
        sent = [s for s in transcript if s.kind.kind == kind and s.receiver == receiver][-1]
        values = np.array([float(v) for v in sent.message(Keyring()).values.to_ints()])  # type: ignore[attr-defined]
        return values.reshape(UNITS, ROWS).T / np.abs(values).max()

    share = found["host1"].shares.latest.view(np.int64) / 2.0**63
    return Seen(last("ResidualLessPad", "host1"), last("PaddedPredictor", "guest"), blocks[1] @ share.T)


def labels_by_direction(seen: Seen) -> float:
    """AUC of the first direction in which gradients differ."""
    return either(np.linalg.svd(seen.gradients - seen.gradients.mean(axis=0))[0][:, 0])


def labels_by_length(seen: Seen) -> float:
    """AUC of the lengths of gradients times the side of one known row."""
    known = seen.gradients[np.argmax(data()[1])]
    return either(seen.gradients @ known)


def either(score: Floats) -> float:
    auc = float(roc_auc_score(data()[1], score))
    return max(auc, 1 - auc)


def columns_by_inversion(seen: Seen) -> float:
    """R^2 of the direction of the host's columns that the first embedding is of, from some known rows."""
    (_, host), _ = data()
    target = host[:, 0] - host[:, 1]
    model = LinearRegression().fit(seen.embeddings[:KNOWN], target[:KNOWN])
    return float(model.score(seen.embeddings[KNOWN:], target[KNOWN:]))


def labels_by_completion(seen: Seen) -> float:
    """AUC of a head that the host fits on its own embeddings of few labelled rows."""
    _, y = data()
    head = LogisticRegression(C=10.0).fit(seen.own[:LABELS], y[:LABELS])
    return float(roc_auc_score(y[LABELS:], head.decision_function(seen.own[LABELS:])))


def test_they_succeed_on_a_split_network(split: Seen) -> None:
    assert labels_by_direction(split) > 0.95
    assert labels_by_length(split) > 0.95
    assert columns_by_inversion(split) > 0.8
    assert labels_by_completion(split) > 0.85


def test_they_have_no_input_in_a_sealed_network(sealed: Seen) -> None:
    """Chance is .5, with a standard deviation of .04 over 240 rows.  A head on a host's own columns, which it may mix
    as it likes, has .78 without any network."""
    _, host = data()[0]
    alone = labels_by_completion(Seen(host, host, host))
    assert labels_by_direction(sealed) < 0.65
    assert labels_by_length(sealed) < 0.65
    assert columns_by_inversion(sealed) < 0.1
    assert labels_by_completion(sealed) < alone + 0.05 < 0.85
