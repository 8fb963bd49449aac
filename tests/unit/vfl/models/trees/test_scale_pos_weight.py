"""`scale_pos_weight` is xgboost's: the trees of a column of weights, which are the twin's, and what xgboost
predicts."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.boosting import open, twin
from protocols.boosting.ensemble import Rounds
from protocols.cipher import Identity
from protocols.errors import ConfigError, DisclosureRefused
from tests.harness import ContextFree
from tests.unit.protocols.boosting.world import TAKEN, same
from tests.unit.vfl.job.samples import with_key
from tests.unit.vfl.job.test_model_kinds import SEALED
from vfl.job import load_job
from vfl.job.plan import plan_of, roles_of
from vfl.models.registry import kind_of
from vfl.taps.policy import PolicyTap

TIMES = 4.0
TREES: dict[str, Any] = {"n_estimators": 3, "max_depth": 3, "max_bin": 16, "min_bin_rows": 2}


def tables(rows: int = 150) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A guest's table with few rows of the larger label and a column of weights, and a host's."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(rows, 4))
    y = np.where(x @ [1.0, -0.5, 0.8, 0.3] + rng.logistic(size=rows) > 1.5, "yes", "no")
    ids = [f"c{k}" for k in range(rows)]
    guest = pd.DataFrame({"id": ids, "y": y, "a": x[:, 0], "b": x[:, 1], "w": rng.choice([0.5, 1.0, 2.0], rows)})
    return guest, pd.DataFrame({"id": ids, "c": x[:, 2], "d": x[:, 3]})


def alike() -> dict[str, Any]:
    """Masks and orders that do not hang on the tables."""
    return {party: ContextFree(party) for party in ("guest", "shop", "arbiter")}


def fit(
    guest: pd.DataFrame, host: pd.DataFrame, spec: vfl.BoostedTrees, weight: str | None = None, **more: Any
) -> vfl.FederatedTrees:
    own = guest if weight else guest.drop(columns="w")
    federation = vfl.Federation.local(own, {"shop": host}, on="id", label="y", sample_weight=weight, cipher=Identity())
    model: vfl.FederatedTrees = federation.fit(spec, **more)
    return model


def scores(
    guest: pd.DataFrame, host: pd.DataFrame, spec: vfl.BoostedTrees, weight: str | None = None
) -> np.ndarray[Any, Any]:
    model = fit(guest, host, spec, weight, randomness=alike())
    return model.predict_score(guest.drop(columns=["y", "w"]), {"shop": host}).to_numpy()


@pytest.mark.parametrize("membership", ["sealed", "open"])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_a_column_of_weights(membership: str, weighted: bool) -> None:
    """Planted: the other class weighs more, and nothing weighs more; both differ."""
    guest, host = tables()
    spec = vfl.BoostedTrees(**TREES, membership=membership)
    own = guest["w"] if weighted else 1.0
    found = scores(
        guest, host, vfl.BoostedTrees(**TREES, membership=membership, scale_pos_weight=TIMES), "w" if weighted else None
    )

    def by_column(positive: float, negative: float) -> np.ndarray[Any, Any]:
        return scores(guest.assign(w=np.where(guest["y"] == "yes", positive, negative) * own), host, spec, "w")

    np.testing.assert_array_equal(found, by_column(TIMES, 1.0))
    for planted in ((1.0, TIMES), (1.0, 1.0)):
        assert np.abs(found - by_column(*planted)).max() > 0.05


def test_open_trees_are_the_twins() -> None:
    guest, host = tables()
    seen: dict[str, Any] = {}

    def watch(name: str) -> Any:
        real = getattr(open, name)

        def called(session: Any, binned: Any, p: Any, *rest: Any) -> Any:
            seen[name], seen["p"] = binned, p
            if name == "guest":
                seen["y"] = rest[0].y
            return real(session, binned, p, *rest)

        return patch.object(open, name, called)

    with watch("guest"), watch("host"):
        model = fit(guest, host, vfl.BoostedTrees(**TREES, membership="open", scale_pos_weight=TIMES))
    y, blocks = seen["y"], [seen["guest"], seen["host"]]
    names = ("owner", "left", "value")  # of a host's splits the guest holds handles in place of columns and cuts
    assert set(names) < set(TAKEN)
    trees = model.trees_.trees
    assert not isinstance(trees, int)
    rounds = Rounds(seen["p"], y, weight=np.where(y == 1, TIMES, 1.0))
    assert same(trees, twin.train(blocks, seen["p"], rounds), names)
    assert not same(
        trees, twin.train(blocks, seen["p"], Rounds(seen["p"], y, weight=np.where(y == 0, TIMES, 1.0))), names
    )


def test_xgboost_predicts_the_same() -> None:
    """On columns of few values, which both put into the same bins.  Planted: another weight."""
    xgb = pytest.importorskip("xgboost")
    guest, host = (frame.round(0) for frame in tables(600))
    x, y = guest[["a", "b"]].join(host[["c", "d"]]), guest["y"] == "yes"
    options = {
        "objective": "binary:logistic",
        "max_depth": 3,
        "max_bin": 64,
        "tree_method": "hist",
        "nthread": 1,
        "base_score": 0.5,
    }

    def theirs(times: float) -> np.ndarray[Any, Any]:
        model = xgb.train(options | {"scale_pos_weight": times}, xgb.DMatrix(x, y), 3)
        return np.asarray(model.predict(xgb.DMatrix(x)))

    spec = vfl.BoostedTrees(
        **TREES | {"max_bin": 64}, membership="open", gradient_bits=16, base_score=0.5, scale_pos_weight=TIMES
    )
    found = scores(guest, host, spec)
    assert np.abs(found - theirs(TIMES)).max() < 1e-6
    for planted in (1.0, 1 / TIMES):
        assert np.abs(found - theirs(planted)).mean() > 0.1


def test_the_guests_own_model_weighs_alike() -> None:
    guest, host = tables()
    split = vfl.Split(test=0.3)
    spec = vfl.BoostedTrees(**TREES, membership="open")
    weighed = guest.assign(w=np.where(guest["y"] == "yes", TIMES, 1.0))
    by_column = fit(weighed, host, spec, "w", split=split, randomness=alike()).reports_["guest"].metrics
    found = (
        fit(guest, host, spec.with_(scale_pos_weight=TIMES), split=split, randomness=alike()).reports_["guest"].metrics
    )
    same = [
        "auc",
        "ks",
    ]  # a factor for all events moves neither; other measures count the rows of `sample_weight` by it
    plain = fit(guest, host, spec, split=split, randomness=alike()).reports_["guest"].metrics
    assert found.loc[same, "guest_alone"].tolist() == pytest.approx(by_column.loc[same, "guest_alone"].tolist())
    assert not found["guest_alone"].equals(plain["guest_alone"])


def test_a_job_says_so_and_needs_the_permit_of_weighted_rows(tmp_path: Any) -> None:
    def load(lines: str, permit: bool = True) -> Any:
        text = with_key("model", lines, SEALED) if lines else SEALED
        if permit:
            text = text.replace('"scores-to-guest"', '"scores-to-guest", "label-scale-to-parties"')
        (tmp_path / "job.toml").write_text(text)
        return load_job(tmp_path / "job.toml")

    job = load("scale_pos_weight = 4")
    assert plan_of(job).spec.get_params() == vfl.BoostedTrees(scale_pos_weight=4).get_params()
    assert (
        job.model.params() == load("").model.params()
    )  # the protocols know of no such parameter: the guest weighs the rows
    told = kind_of(job.model).described(plan_of(job), roles_of(job))
    assert told["weights"] == "rows of the label's larger value weigh 4 times as much (scale_pos_weight), at bank"
    assert load("scale_pos_weight = 1.0").digest == load("").digest != job.digest
    assert "weights" not in kind_of(job.model).described(plan_of(load("")), roles_of(job))
    with pytest.raises(ConfigError, match="label-scale-to-parties"):
        load("scale_pos_weight = 4", permit=False)


def test_policy_keeps_the_scale_of_weights_from_leaving() -> None:
    guest, host = tables()
    allowed = (
        "intersection-to-parties",
        "bin-sums-to-arbiter",
        "wins-to-owners",
        "edge-count-to-arbiter",
        "scores-to-guest",
    )
    spec = vfl.BoostedTrees(**TREES, scale_pos_weight=TIMES)
    with pytest.raises(DisclosureRefused, match="Scale"):
        fit(guest, host, spec, taps={"guest": [PolicyTap(allowed, allowed)]})
    allowed = (*allowed, "label-scale-to-parties")
    assert fit(guest, host, spec, taps={"guest": [PolicyTap(allowed, allowed)]}).rounds_ == 3


def test_it_goes_with_two_classes_only() -> None:
    with pytest.raises(ConfigError, match="has no positive class"):
        vfl.BoostedTrees(objective="count:poisson", scale_pos_weight=2)
    with pytest.raises(ConfigError, match="scale_pos_weight = 0 is not possible"):
        vfl.BoostedTrees(scale_pos_weight=0)
