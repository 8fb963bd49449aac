"""Which rows a round leaves out is the guest's secret: with what the arbiter could work out from a public sample as the
control."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from protocols.boosting import gradients
from protocols.boosting.params import Params
from protocols.cipher import Identity
from tests.promises.attacks.trees.arbiter_view import watching
from tests.unit.protocols.boosting.samples import drawn_from
from tests.unit.protocols.boosting.world import bin_blocks, train

ROWS, ROUNDS, COLUMNS = 300, 60, 6


def told(*, public: bool) -> float:
    """AUC of the arbiter's guess which rows, in their secret order, lie in the first bin of a host's column, from sums
    and the sample that the job's seed gives."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(ROWS, 1 + COLUMNS))
    p = Params(objective="reg:squarederror", n_estimators=ROUNDS, max_depth=1, max_bin=20, subsample=0.8)
    sample = np.array([p.sampled(k, np.zeros(ROWS, dtype=np.bool_)) for k in range(ROUNDS)])
    blocks, honest, rounds = bin_blocks([x[:, :1], x[:, 1:]], p), gradients.guest, iter(sample)
    with watching() as view, pytest.MonkeyPatch.context() as patch:
        if public:  # planted: a sample that the arbiter can draw too
            patch.setattr(gradients, "guest", lambda *args: honest(*args[:-1], next(rounds)))
        trained = train(blocks, x.sum(axis=1), p, Identity(), randomness=drawn_from(1, 1))
    assert trained.opened.order is not None
    bins, candidates = blocks[1].bins[trained.opened.order], blocks[1].candidates(range(COLUMNS))
    sums = np.array([h[0] for _, _, h in view.sums(1, "host1", 0)], dtype=np.float64)
    centred = (sample - sample.mean(axis=0)).T
    found = []
    for f in range(COLUMNS):
        line = sums[:, np.flatnonzero((candidates.feature == f) & (candidates.cut == 0))[0]]
        found.append(roc_auc_score(bins[:, f] == 0, centred @ (line - line.mean())))
    print(f"public={public}: AUC {np.round(found, 3)}")
    return float(np.mean(found))


def test_the_arbiter_tells_bins_from_a_public_sample_and_not_from_the_guests() -> None:
    assert told(public=False) < 0.55
    assert told(public=True) > 0.8
