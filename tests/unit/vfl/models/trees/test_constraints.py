"""`monotone_constraints` of trees, from tables to probabilities: xgboost's, by column or by party and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.boosting import twin
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError, DisclosureRefused
from vfl.models.content import CorruptPartError, Head
from vfl.models.registry import kind_of
from vfl.models.trees.constraints import in_words
from vfl.models.trees.part import pack
from vfl.models.trees.part_reading import unpack
from vfl.taps.policy import PolicyTap

TREES: dict[str, Any] = {"n_estimators": 4, "max_depth": 3, "max_bin": 12, "min_bin_rows": 2}
SIGNS = {"income": -1, "bill": 1}


def tables(rows: int = 400) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labels that move to and fro with both constrained columns."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(rows, 4))
    z = 2 * np.sin(3 * x[:, 0]) - x[:, 0] + 0.5 * x[:, 1] + 2 * np.cos(3 * x[:, 2]) + x[:, 2]
    ids = [f"c{k}" for k in range(rows)]
    guest = pd.DataFrame({"id": ids, "y": z + rng.logistic(size=rows) > 0.5, "income": x[:, 0], "age": x[:, 1]})
    return guest, pd.DataFrame({"id": ids, "bill": x[:, 2], "late": x[:, 3], "area": rng.choice(["a", "b"], rows)})


def federation(rows: slice = slice(None), **change: Any) -> vfl.Federation:
    guest, host = tables()
    return vfl.Federation.local(
        guest[rows].assign(**change), {"shop": host[rows]}, on="id", label="y", cipher=Identity()
    )


def trees(**change: Any) -> vfl.BoostedTrees:
    return vfl.BoostedTrees(**(TREES | {"monotone_constraints": SIGNS} | change))


def against(model: vfl.FederatedTrees, column: str, sign: int) -> float:
    """How far scores of a customer move against the sign at most, when this column rises."""
    guest, host = tables()
    few, values = 20, np.linspace(-3, 3, 25)
    guest, host = (frame.head(few).loc[lambda f: f.index.repeat(len(values))].reset_index() for frame in (guest, host))
    names = [f"n{k}" for k in range(len(guest))]
    guest, host = guest.assign(id=names), host.assign(id=names)
    (guest if column in guest else host)[column] = np.tile(values, few)
    margin = model.decision_function(guest.drop(columns=["y", "index"]), {"shop": host.drop(columns="index")})
    return float(-(sign * np.diff(margin.to_numpy().reshape(few, -1), axis=1)).min())


@pytest.mark.parametrize("membership", ["sealed", "open"])
def test_scores_move_one_way(membership: str) -> None:
    """Opened scores of sealed trees lie on a grid, so neighbours may change places by a step of it.  Planted: no
    constraints."""
    step = 2.0**-10 if membership == "sealed" else 1e-12
    model = federation().fit(trees(membership=membership))
    free = federation().fit(trees(membership=membership, monotone_constraints=None))
    for column, sign in SIGNS.items():
        assert against(model, column, sign) <= step
        assert against(free, column, sign) > 0.1
    assert free.estimator == vfl.BoostedTrees(**TREES, membership=membership)


def test_columns_are_found_at_their_party() -> None:
    for given in (SIGNS, {"guest": {"income": -1}, "shop": {"bill": 1}}, {"income": -1, "shop": {"bill": 1}}):
        model = federation().fit(trees(monotone_constraints=given, membership="open", n_estimators=1))
        assert {party: part.monotone for party, part in model.parts.items()} == {"guest": (-1, 0), "shop": (1, 0, 0)}
    assert federation().fit(trees(monotone_constraints={"age": 0}, n_estimators=1)).parts["guest"].monotone == ()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((1, 0), "columns of several parties have names, not numbers"),
        ("(1,0)", "columns of several parties have names, not numbers"),
        ({"income": 2}, "gives 2 to"),
        ({"income": True}, "gives True to"),
        ({"income": 1.0}, "gives 1.0 to"),
        ({"guest": {"income": pd.NA}}, "gives a NAType to"),
        ({"guest": {"income": "1"}}, "gives '1' to"),
        ({0: 1}, "names 0, which is no column"),
        ({}, "names no column"),
    ],
)
def test_an_impossible_value_is_refused(given: object, says: str) -> None:
    with pytest.raises(ConfigError, match="monotone_constraints") as refused:
        trees(monotone_constraints=given)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"wealth": 1}, ConfigError, "names 'wealth', which is no feature column of any party"),
        ({"shop": {"income": 1}}, ConfigError, "names 'income', which is no feature column of shop"),
        ({"bank": {"income": 1}}, ConfigError, "names 'bank', which is no party"),
        ({"y": 1}, ConfigError, "names 'y', which is no feature column of any party"),
        (True, ConfigError, "says nothing of any column"),
        ({"area": 1}, DataError, "shop: feature column 'area' holds categories, which have no order"),
    ],
)
def test_a_column_that_cannot_be_constrained_is_refused(given: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match="monotone") as refused:
        federation().fit(trees(monotone_constraints=given))
    assert says in str(refused.value)


def test_a_column_of_two_parties_needs_its_party() -> None:
    with pytest.raises(ConfigError, match="names 'bill', which guest and shop have") as refused:
        federation(bill=1.0).fit(trees())
    assert '{"guest": {"bill": 1}}' in str(refused.value)


def test_numpy_and_scikit_learn_take_it() -> None:
    from sklearn.base import clone

    spec = trees(monotone_constraints={"income": np.int64(-1), "bill": np.int8(1)})
    assert spec == trees()
    assert clone(spec).get_params() == spec.get_params()
    assert clone(spec).set_params(monotone_constraints=None).monotone_constraints is False
    with pytest.raises(ConfigError, match="whose probabilities depend on all scores"):
        trees(objective="multi:softprob")


@pytest.mark.parametrize("membership", ["sealed", "open"])
def test_a_model_is_continued_with_its_own(membership: str) -> None:
    first = federation().fit(trees(membership=membership, n_estimators=2))
    model = federation().fit(trees(membership=membership), init_model=first)
    assert model.rounds_ == 4
    for column, sign in SIGNS.items():
        assert against(model, column, sign) <= 2.0**-10
    for other in (None, {"income": -1}, {"income": 1, "bill": 1}):
        with pytest.raises(ConfigError, match="continued with its own monotone_constraints"):
            federation().fit(trees(membership=membership, monotone_constraints=other), init_model=first)


def test_with_early_stopping_weights_and_a_held_out_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the guest's own model, which is compared, keeps the guest's constraints."""
    alone, honest = list[Any](), twin.train
    monkeypatch.setattr(twin, "train", lambda blocks, p, rounds: honest(alone.append(blocks[0]) or blocks, p, rounds))
    guest, host = tables()
    fed = vfl.Federation.local(
        guest.assign(w=1.0 + (guest["age"] > 0)),
        {"shop": host},
        on="id",
        label="y",
        sample_weight="w",
        cipher=Identity(),
    )
    spec = trees(early_stopping_rounds=2, validation=0.3, n_estimators=12, guest_only_trees=1)
    model = fed.fit(spec, split=vfl.Split(test=0.2))
    assert 1 <= model.rounds_ <= 12
    assert model.estimator == spec.with_(sample_weight=True)
    for column, sign in SIGNS.items():
        assert against(model, column, sign) <= 2.0**-10
    assert alone
    assert all(block.monotone.tolist() == [-1, 0] for block in alone)


def test_a_search_keeps_them_and_does_not_choose_them() -> None:
    grid = vfl.GridSearchCV(trees(n_estimators=2), {"max_depth": [1, 3]}, cv=2)
    model = federation().fit(grid)
    assert model.best_estimator_.estimator.monotone_constraints == SIGNS
    with pytest.raises(ConfigError, match="monotone_constraints cannot be searched"):
        vfl.GridSearchCV(trees(), {"monotone_constraints": [SIGNS, {}]})


def test_a_saved_model_keeps_them(tmp_path: Path) -> None:
    model = federation().fit(trees(n_estimators=2))
    model.save(tmp_path / "model")
    again = vfl.load_model(tmp_path / "model", cipher=Identity())
    assert {party: part.monotone for party, part in again.parts.items()} == {"guest": (-1, 0), "shop": (1, 0, 0)}
    assert again.estimator == model.estimator
    more = federation().fit(trees(), init_model=again)
    assert more.rounds_ == 4


def test_a_part_shows_its_own_and_a_damaged_one_is_refused() -> None:
    model = federation().fit(trees(n_estimators=1))
    kind = kind_of(model.estimator)
    for party, words in (("guest", "never rises with income"), ("shop", "never falls with bill")):
        part = model.parts[party]
        assert in_words(part.columns, part.monotone) == words
        shown = kind.shown(part)
        assert shown.facts["score"] == words
        body = pack(part)
        head = Head(
            1, "boosted-trees", party, part.model_id.hex(), "", list(part.columns), part.classes and list(part.classes)
        )
        assert unpack(head, body.rest, body.tensors).monotone == part.monotone
        for wrong in ([1], [2, 0], [2, 0, 0], [0] * 9):
            with pytest.raises(CorruptPartError):
                unpack(head, body.rest | {"monotone": wrong}, body.tensors)


def test_policy_keeps_signs_from_leaving() -> None:
    always = ("intersection-to-parties", "bin-sums-to-arbiter", "wins-to-owners", "edge-count-to-arbiter")
    allowed = (*always, "scores-to-guest")
    for party in ("guest", "shop"):
        with pytest.raises(DisclosureRefused, match="SignsToArbiter"):
            federation().fit(trees(), taps={party: [PolicyTap(allowed, allowed)]})
    allowed = (*allowed, "constraint-signs-to-arbiter")
    taps = {party: [PolicyTap(allowed, allowed)] for party in ("guest", "shop", "arbiter")}
    assert federation().fit(trees(), taps=taps).rounds_ == 4
