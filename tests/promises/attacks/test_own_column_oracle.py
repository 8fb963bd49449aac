"""A guest that scores the same rows with other values of its own columns: the differences are its own weights, and what
is left of a score is the hosts' part.

Weights stay shared with the arbiter; `scores_per_row` stops the second scoring of a row.  It does not stop statistics
over rows that are scored once (docs/threat-model.md): that is measured here too.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
import vfl.models.joint
import vfl.models.regression.joint
from protocols.cipher import Identity
from protocols.errors import DisclosureRefused
from protocols.local import run_local
from tests.parts import keys_of
from tests.plans import planned
from tests.promises.attacks.budgeted import ROLES, Budgeted, Floats, table
from vfl.job import Party
from vfl.models.regression import program
from vfl.models.regression.spec import LogisticRegression
from vfl.models.shared_weights import SharedWeights
from vfl.run.budget import Budget

COLUMNS = ["a", "b", "c"]


def frames(rows: int) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The guest's columns lie close to the hosts', so that a regression on them as they are does not tell the two parts
    of a score apart."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(rows, 4))
    own = x[:, :3] + 0.5 * rng.normal(size=(rows, 3))
    y = (own @ [0.8, -0.6, 0.4] + x @ [0.7, 0.6, -0.8, 0.5] + rng.logistic(size=rows) > 0).astype(int)
    ids = [f"c{k}" for k in range(rows)]
    host = pd.DataFrame(x, columns=list("pqrs")).assign(id=ids)
    return pd.DataFrame(own, columns=COLUMNS).assign(id=ids, y=y), {"telecom": host}


def trained(guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> vfl.models.regression.joint.FederatedModel:
    federation = vfl.Federation.local(
        guest=guest, hosts=hosts, on="id", label="y", cipher=Identity(), convergence=False
    )
    return federation.fit(vfl.LogisticRegression(max_iter=20, link="taylor"))


def scores(
    model: vfl.models.regression.joint.FederatedModel, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]
) -> Floats:
    return np.asarray(model.decision_function(guest.drop(columns="y"), hosts))


def hosts_part(model: vfl.models.regression.joint.FederatedModel, hosts: Mapping[str, pd.DataFrame]) -> Floats:
    """The truth, from both shares of the host's weights, which no party has."""
    part, arbiters = model.parts["telecom"], model.shared_weights
    assert arbiters is not None
    weights = (part.shares.latest + arbiters.shares["telecom"].latest).view(np.int64)[0] / 2.0**24
    return np.asarray(part.standardiser.transform(hosts["telecom"].drop(columns="id"), "telecom") @ weights)


def r2(guess: Floats, truth: Floats) -> float:
    return float(np.corrcoef(guess, truth)[0, 1] ** 2)


def regressed(found: Floats, own: Floats) -> Floats:
    """What is left of scores after a least-squares fit on the guest's columns."""
    a = np.column_stack([np.ones(len(own)), own])
    return np.asarray(found - a @ np.linalg.lstsq(a, found, rcond=None)[0])


def oracle(
    model: vfl.models.regression.joint.FederatedModel, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]
) -> Floats:
    """The attack: one more scoring per own column, each moved by one."""
    first, left = scores(model, guest, hosts), guest[COLUMNS].to_numpy()
    weights = [float(np.mean(scores(model, guest.assign(**{c: guest[c] + 1}), hosts) - first)) for c in COLUMNS]
    return np.asarray(first - left @ weights)


def counting(party: Party, runs: itertools.count[int]) -> Any:
    """Predictions of a host that counts, each of its own name."""

    def run(*arguments: Any, **options: Any) -> Any:
        allowance = Budget(party, "predict", guest="guest").allowance(next(runs).to_bytes(16, "big"))
        return run_local(*arguments, **options, allowances={"telecom": allowance})

    return run


@pytest.mark.parametrize("rows", [300, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_row_is_scored_once(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guest, hosts = frames(rows)
    model = trained(guest, hosts)
    truth = hosts_part(model, hosts)
    control = oracle(model, guest, hosts)  # nobody counts
    assert r2(control, truth) > 0.999
    monkeypatch.setattr(
        vfl.models.joint, "run_local", counting(Budgeted(tmp_path).party("telecom"), itertools.count(1))
    )
    once = scores(model, guest, hosts)
    with pytest.raises(
        DisclosureRefused, match=f"{rows} of the rows to be scored were scored .* policy.scores_per_row is 1"
    ) as caught:
        scores(model, guest.assign(a=guest["a"] + 1), hosts)
    assert caught.value.party == "telecom"
    with pytest.raises(DisclosureRefused):  # nor a single one of them
        scores(model, guest.assign(a=guest["a"] + 1).iloc[[7]], hosts)
    left = regressed(once, guest[COLUMNS].to_numpy())
    print(
        f"R^2 of the hosts' part: {r2(control, truth):.4f} by the oracle, {r2(left, truth):.3f} by least "
        f"squares on scores of real columns"
    )
    assert r2(left, truth) < 0.7


@pytest.mark.parametrize("rows", [300, pytest.param(1000, marks=pytest.mark.slow)])
def test_columns_of_the_guests_choice_tell_its_weights_from_one_score_per_row(rows: int) -> None:
    """What the threat model declares: columns drawn at random, scored once, and least squares."""
    guest, hosts = frames(rows)
    model = trained(guest, hosts)
    chosen = guest.assign(**{c: np.random.default_rng(k).choice([-3.0, 3.0], rows) for k, c in enumerate(COLUMNS)})
    left = regressed(scores(model, chosen, hosts), chosen[COLUMNS].to_numpy())
    print(f"R^2 of the hosts' part: {r2(left, hosts_part(model, hosts)):.3f}")
    assert r2(left, hosts_part(model, hosts)) > 0.95


def scored_twice(parties: Budgeted, rows: int) -> float:
    """R^2 of the hosts' part for a guest that is given the scores of the training, and predicts the same rows once,
    each with another own column moved by one."""
    guest, hosts = frames(rows)
    own, x = guest[COLUMNS].to_numpy(), hosts["telecom"][list("pqrs")].to_numpy()
    host = table("telecom", x)
    job = planned(LogisticRegression, link="taylor", max_iter=20, measure_train=True)
    done = parties.train(table("bank", own, guest["y"].to_numpy(np.float64)), host, job)
    bank, telecom, kept = done["bank"], done["telecom"], done["trustco"]
    before, after, which = np.empty(rows), np.empty(rows), np.arange(rows) % 3
    before[[int(name[1:]) for name in keys_of(bank.aligned)]] = np.ravel(bank.train_scores)
    moved = table("bank", own + np.eye(3)[which])
    shared = SharedWeights("trustco", kept.model_id, "logistic-regression", kept.shares)
    programs: dict[str, Any] = {
        "bank": partial(program.predict_guest, table=moved, part=bank.part, min_rows=10),
        "telecom": partial(program.predict_host, table=host, part=telecom.part, min_rows=10),
        "trustco": partial(program.predict_arbiter, part=shared, min_rows=10),
    }
    allowances = {}
    if parties.folder is not None:
        allowances["telecom"] = Budget(parties.party("telecom"), "predict", guest="bank").allowance(b"a prediction")
    at, scores, _ = run_local(ROLES, programs, Identity(), allowances=allowances)["bank"]
    after[at] = scores.ravel()
    weights = [float(np.mean((after - before)[which == k])) for k in range(3)]
    found = (telecom.part.shares.latest + kept.shares["telecom"].latest).view(np.int64)[0] / 2.0**24
    truth = np.asarray(telecom.part.standardiser.transform(host.features, "telecom") @ found)
    return r2(before - own @ weights, truth)


def test_a_score_of_the_training_is_the_one_score_of_a_row(tmp_path: Path) -> None:
    control = scored_twice(Budgeted(None), 300)
    print(f"R^2 of the hosts' part: {control:.4f} without a budget")
    assert control > 0.999
    with pytest.raises(
        DisclosureRefused, match=r"300 of the rows to be scored were scored .* policy.scores_per_row is 1"
    ) as caught:
        scored_twice(Budgeted(tmp_path), 300)
    assert caught.value.party == "telecom"
    assert "the training scored its held-out rows" in caught.value.remedy
