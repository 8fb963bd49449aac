"""Attack 17: labels that a host reads from the events of its own bins.

The events of a bin are one equation in the labels of the bin's rows.  A host that brings columns of noise chooses how
many equations it gets, and which rows are in them.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from vfl.attacks.attack import Attack
from vfl.attacks.first_gradient import event
from vfl.attacks.received import Floats
from vfl.attacks.referee import auc
from vfl.attacks.scene import Scene
from vfl.data.schema import Schema
from vfl.job.policy import Policy

MOST_BINS, FEWEST = 20, 5  # of a column, the default of max_n_prebins, and the fewest that leave something to merge
BINS = 20  # of a planted column


class BinEvents(Attack):
    number = 17
    name = "Labels from the events of bins"
    who = "a host that follows the protocol and brings columns of noise"
    needs = "how many events its own bins hold, hence their weights of evidence"
    setting = (
        "policy.rows_per_label_number (the attack is made with the default, 50, whatever a party allows); [privacy]"
    )
    sentence = "Could a partner bring meaningless columns, and read from the statistics of their bins who defaulted?"
    measure = "the area under the ROC curve (AUC) of what the host makes of its bins, against the training labels"
    chance = 0.5
    bound = 0.63
    reason = (
        "with one number for 50 labels, the default that the attack is made with, 1/50 of them is explained, an AUC of "
        ".58; .05 for the mean over seeds.  Where a party allows more numbers, more is explained"
    )
    succeeds = 0.9
    sizes = (0.5, 0.25, 0.1)
    found = 0.1
    size_of = "numbers of events that the host learns for each training row"
    textbook_is = "the events of all fine bins of as many columns as the host likes: one number for two rows"

    def unfit(self, scene: Scene) -> str:
        if scene.kind != "scorecard":
            return "made for scorecards: no other default opens events of bins"
        return "too few rows" if scene.rows < FEWEST * Policy().rows_per_label_number else ""

    def product(self, scene: Scene, seed: int) -> float:
        tables, host, rng = scene.sample(seed), scene.hosts[0], np.random.default_rng([seed, 17])
        rows = len(tables[host])
        numbers = rows // Policy().rows_per_label_number
        bins = min(MOST_BINS, numbers + 1)
        noise = pd.DataFrame(rng.normal(size=(rows, max(1, numbers // (bins - 1))))).add_prefix("n")
        schema = Schema(dict.fromkeys(noise.columns, "number"))
        tables[host] = dataclasses.replace(tables[host], features=noise, schema=schema)
        most = {"max_n_prebins": bins, "max_n_bins": bins, "min_bin_rows": rows // bins, "min_bin_size": 0.0}
        spec = scene.asked.estimator.model_copy(update={**most, "monotonic_trend": "none"})  # which tells most
        run = scene.with_tables(tables, estimator=spec)
        part = run.trained.fitted[host].part
        woe = part.standardised(run.table(host).features)  # the larger, the fewer events
        return auc(run.y, -np.asarray(woe.sum(axis=1)))

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        rows, rng = min(scene.rows, 400), np.random.default_rng([seed, 171])
        y = event(scene.y[rng.permutation(scene.rows)[:rows]])
        columns = max(1, round(size * rows / (BINS - 1)))
        inside = np.vstack([one_column(rng, rows) for _ in range(columns)])
        return auc(y, shortest(inside, inside @ y, float(y.mean())))

    def textbook(self, scene: Scene, seed: int) -> float:
        return self.planted(scene, seed, 0.5)


def one_column(rng: np.random.Generator, rows: int) -> Floats:
    """(bins, rows) which rows are in each bin of a column of noise."""
    return np.asarray(rng.permutation(np.arange(rows) * BINS // rows) == np.arange(BINS)[:, None], np.float64)


def shortest(inside: Floats, events: Floats, rate: float) -> Floats:
    """Labels nearest to the base rate that have these events in these bins."""
    rest = events - rate * inside.sum(axis=1)
    return np.asarray(np.linalg.lstsq(inside, rest, rcond=1e-9)[0])
