"""Boosted trees from tables to probabilities: `vfl.BoostedTrees` in a local federation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.boosting.goss import SampledRows
from protocols.boosting.open import BinSums
from protocols.boosting.sealed import MaskedSums, Owners, Wins
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError, DisclosureRefused
from tests.harness import TOY, scores_some_rows
from vfl.models.trees import scores as tree_scores
from vfl.taps.policy import PolicyTap

SMALL = {"n_estimators": 3, "max_depth": 3, "max_bin": 8, "min_bin_rows": 2}
Tables = tuple[pd.DataFrame, dict[str, pd.DataFrame]]


def fit(tables: Tables, hosts: int = 2, **change: object) -> tuple[vfl.FederatedTrees, dict[str, pd.DataFrame]]:
    guest, frames = tables
    used = dict(list(frames.items())[:hosts])
    federation = vfl.Federation.local(guest, used, on="id", label="default", cipher=TOY)
    return federation.fit(vfl.BoostedTrees(**(SMALL | change))), used  # type: ignore[arg-type]


@pytest.mark.parametrize("hosts", [1, 2])
@pytest.mark.parametrize("membership", ["open", "sealed"])
@scores_some_rows
def test_from_tables_to_probabilities(small_tables: Tables, membership: str, hosts: int) -> None:
    model, used = fit(small_tables, hosts, membership=membership)
    guest = small_tables[0]
    scores = model.predict_score(guest.drop(columns="default"), used)
    assert scores.index.tolist() == guest["id"].tolist()
    assert scores.notna().sum() == model.intersection_ == (50 if hosts == 1 else 40)
    proba = model.predict_proba(guest, used)
    assert proba.columns.tolist() == model.classes_.tolist() == [0, 1]
    assert np.allclose(proba.sum(axis=1)[scores.notna()], 1)
    known = scores[scores.notna()]
    labels = guest.set_index("id")["default"][known.index]
    assert ((known > 0.5) == labels).mean() > 0.75
    assert (model.predict(guest, used)[known.index] == (known > 0.5)).all()
    splits = model.feature_importances()
    assert splits["guest"].index.tolist() == ["age", "limit"]
    assert sum(float(s.sum()) for s in splits.values()) > 0
    if membership == "sealed":
        with pytest.raises(ConfigError, match="computed from labels"):
            model.feature_importances("gain")
        assert model.leaf_values is not None
        return
    gain = model.feature_importances("gain")
    assert all((gain[p] > 0).tolist() == (splits[p] > 0).tolist() for p in gain)
    assert model.leaf_values is None


@scores_some_rows
def test_both_profiles_score_alike(small_tables: Tables) -> None:
    """Rounding is random, and scores of sealed trees lie on a grid: so only almost."""
    scores = []
    for membership in ("open", "sealed"):
        model, used = fit(small_tables, membership=membership, min_bin_rows=1, gradient_bits=12)
        scores.append(model.predict_score(small_tables[0], used))
    assert np.nanmax(np.abs(scores[0] - scores[1])) < 0.1


@scores_some_rows
def test_one_row_is_scored(small_tables: Tables) -> None:
    model, used = fit(small_tables, 1)
    every = model.predict_score(small_tables[0], used).dropna()
    one = small_tables[0][small_tables[0]["id"] == every.index[0]]
    assert model.predict_score(one, used).iloc[0] == every.iloc[0]
    turned = small_tables[0].iloc[::-1]
    assert model.predict_score(turned, used).dropna().sort_index().equals(every.sort_index())


@pytest.mark.parametrize("membership", ["open", "sealed"])
def test_early_stopping_keeps_the_best_round(membership: str) -> None:
    guest, host, z = drawn()
    federation = vfl.Federation.local(guest.assign(y=z > 1), {"shop": host}, on="id", label="y", cipher=Identity())
    options = SMALL | {
        "n_estimators": 30,
        "validation": 0.4,
        "early_stopping_rounds": 2,
        "learning_rate": 1.0,
        "membership": membership,
    }
    model = federation.fit(vfl.BoostedTrees(**options))  # type: ignore[arg-type]
    assert 0 <= model.best_iteration < 27


def test_too_few_rows_do_not_decide_when_sealed_training_ends(small_tables: Tables) -> None:
    with pytest.raises(DataError, match="too few to decide"):
        fit(small_tables, validation=0.4, early_stopping_rounds=2)


@pytest.mark.parametrize(
    "change",
    [
        {"validation": 0.2},
        {"early_stopping_rounds": 2},
        {"validation": 1.0, "early_stopping_rounds": 2},
        {"base_score": 1.0},
        {"objective": "count:poisson", "base_score": 0.0},
        {"objective": "multi:softprob", "base_score": 0.5},
        {"objective": "rank:pairwise"},
        {"key_bits": 1024},
        {"max_bin": 1},
        {"membership": "hidden"},
        {"top_rate": 0.2, "other_rate": 0.2},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        vfl.BoostedTrees(**change)  # type: ignore[arg-type]


def test_names_and_defaults_are_as_documented() -> None:
    defaults = vfl.BoostedTrees().get_params()
    told = {
        "n_estimators": 100,
        "max_depth": 5,
        "learning_rate": 0.3,
        "max_bin": 32,
        "reg_lambda": 1,
        "gamma": 0,
        "min_child_weight": 1,
    }
    told |= {"subsample": 1, "colsample_bytree": 1, "min_bin_rows": 10, "membership": "sealed", "key_bits": 3072}
    assert defaults | told == defaults


def test_a_missing_column_is_named(small_tables: Tables) -> None:
    model, used = fit(small_tables, 1)
    with pytest.raises(DataError, match="tenure"):
        model.predict_score(small_tables[0], {"telecom": used["telecom"].drop(columns="tenure")})
    with pytest.raises(ConfigError, match="each of its hosts"):
        model.predict_score(small_tables[0], {})
    with pytest.raises(ConfigError, match="kind = 'cover' is not possible"):
        model.feature_importances("cover")


def test_policy_keeps_bin_sums_from_leaving(small_tables: Tables) -> None:
    guest, hosts = small_tables
    federation = vfl.Federation.local(guest, {"telecom": hosts["telecom"]}, on="id", label="default", cipher=TOY)
    allowed = ("intersection-to-parties", "partition-to-hosts", "directions-to-guest")
    with pytest.raises(DisclosureRefused, match=BinSums.kind):
        federation.fit(vfl.BoostedTrees(**SMALL, membership="open"), taps={"telecom": [PolicyTap(allowed, allowed)]})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("party", "missing", "kind"),
    [
        ("telecom", "bin-sums-to-arbiter", MaskedSums.kind),
        ("guest", "bin-sums-to-arbiter", "RootSums"),
        ("arbiter", "wins-to-owners", f"{Owners.kind}|{Wins.kind}"),
        ("guest", "edge-count-to-arbiter", "EdgeShare"),
    ],
)
def test_policy_keeps_what_sealed_trees_disclose_from_leaving(
    small_tables: Tables, party: str, missing: str, kind: str
) -> None:
    guest, hosts = small_tables
    federation = vfl.Federation.local(guest, {"telecom": hosts["telecom"]}, on="id", label="default", cipher=TOY)
    every = (
        "intersection-to-parties",
        "bin-sums-to-arbiter",
        "wins-to-owners",
        "edge-count-to-arbiter",
        "intersection-sizes-to-arbiter",
    )
    allowed = tuple(permit for permit in every if permit != missing)
    with pytest.raises(DisclosureRefused, match=kind):
        federation.fit(vfl.BoostedTrees(**SMALL), taps={party: [PolicyTap(allowed, allowed)]})  # type: ignore[arg-type]
    assert federation.fit(vfl.BoostedTrees(**SMALL), taps={party: [PolicyTap(every, every)]}).best_iteration == 2  # type: ignore[arg-type]


def drawn(rows: int = 400) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """A guest's and a host's table with a column of texts each and missing values, and what their labels hang on."""
    rng = np.random.default_rng(3)
    ids = [f"c{k}" for k in range(rows)]
    area, trade = rng.choice(["north", "south", "west"], rows), rng.choice(list("abcdef"), rows)
    age, spend = rng.normal(size=rows), rng.normal(size=rows)
    z = age + spend + 2 * np.isin(trade, ["b", "e"]) - (area == "west")
    guest = pd.DataFrame({"id": ids, "age": age, "area": area})
    host = pd.DataFrame({"id": ids, "spend": np.where(rng.random(rows) < 0.1, np.nan, spend), "trade": trade})
    host.loc[::17, "trade"] = None
    return guest, host, z


@pytest.mark.parametrize("membership", ["open", "sealed"])
@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob", "reg:squarederror", "count:poisson"])
def test_labels_of_every_kind_with_texts_and_missing_values(objective: str, membership: str) -> None:
    guest, host, z = drawn()
    kinds = {"multi:softprob": np.array(["low", "mid", "top"])[np.digitize(z, [0, 1.5])], "binary:logistic": z > 1}
    label = kinds.get(objective, np.floor(np.exp(z / 2)) if objective == "count:poisson" else z)
    federation = vfl.Federation.local(guest.assign(y=label), {"shop": host}, on="id", label="y", cipher=Identity())
    rounds = {"n_estimators": 12, "max_depth": 3, "min_bin_rows": 3, "validation": 0.2, "early_stopping_rounds": 5}
    model = federation.fit(vfl.BoostedTrees(objective=objective, membership=membership, **rounds))  # type: ignore[arg-type]
    new = host.assign(trade=host["trade"].where(np.arange(len(host)) % 9 > 0, "never seen"))
    with pytest.warns(UserWarning, match="shop: column 'trade': 45 of 400 rows hold a text that the model does not"):
        found = model.predict(guest, {"shop": new})
    assert found.index.tolist() == guest["id"].tolist()
    if objective in kinds:
        assert (found.to_numpy() == label).mean() > 0.8
        proba = model.predict_proba(guest, {"shop": host})
        assert proba.columns.tolist() == model.classes_.tolist() == sorted(set(label.tolist()))
        assert np.allclose(proba.sum(axis=1), 1)
    else:
        assert np.corrcoef(found, label)[0, 1] > 0.8
        with pytest.raises(ConfigError, match="no classes"):
            model.predict_proba(guest, {"shop": host})
    assert list(model.parts["shop"].categories) == ["trade"]
    if objective != "binary:logistic":
        with pytest.raises(ConfigError, match="probability of one of two classes"):
            model.predict_score(guest, {"shop": host})


@pytest.mark.parametrize(
    ("objective", "label", "words"),
    [
        ("multi:softprob", [0, 1], "num_class"),
        ("binary:logistic", [0, 1, 2], "exactly two"),
        ("count:poisson", [0.5, 1, 2], "not counts"),
        ("reg:squarederror", ["x", "y"], "numeric"),
    ],
)
def test_labels_outside_the_objective_are_refused(objective: str, label: list[object], words: str) -> None:
    guest, host, _ = drawn(60)
    federation = vfl.Federation.local(
        guest.assign(y=label * (60 // len(label))), {"shop": host}, on="id", label="y", cipher=Identity()
    )
    with pytest.raises((ConfigError, DataError), match=words):
        federation.fit(vfl.BoostedTrees(objective=objective, **SMALL))  # type: ignore[arg-type]


def test_very_many_categories_are_refused_by_name() -> None:
    ids = [f"c{k}" for k in range(5000)]
    guest, host = (
        pd.DataFrame({"id": ids, "y": [0, 1] * 2500}),
        pd.DataFrame({"id": ids, "postcode": [f"p{k}" for k in range(5000)]}),
    )
    with pytest.raises(DataError, match="shop: feature column 'postcode' has too many categories"):
        vfl.Federation.local(guest, {"shop": host}, on="id", label="y", cipher=Identity()).fit(
            vfl.BoostedTrees(**SMALL)
        )  # type: ignore[arg-type]


@pytest.mark.parametrize("membership", ["open", "sealed"])
def test_a_model_is_continued_with_other_rows(membership: str) -> None:
    guest, host, z = drawn()
    guest = guest.assign(y=z > 1)

    def federation(rows: slice, **change: object) -> vfl.Federation:
        return vfl.Federation.local(
            guest[rows].assign(**change), {"shop": host[rows]}, on="id", label="y", cipher=Identity()
        )

    def trees(**change: object) -> vfl.BoostedTrees:
        return vfl.BoostedTrees(
            **({"n_estimators": 6, "max_depth": 3, "min_bin_rows": 3, "membership": membership} | change)
        )  # type: ignore[arg-type]

    first = federation(slice(0, 200)).fit(trees(n_estimators=3))
    model = federation(slice(200, 400)).fit(trees(), init_model=first)
    before, after = (m.predict_score(guest, {"shop": host}) for m in (first, model))
    assert (model.best_iteration, first.best_iteration) == (5, 2)
    assert np.mean((after - (z > 1)) ** 2) < np.mean((before - (z > 1)) ** 2)
    with pytest.warns(UserWarning, match="were trained on by the earlier rounds, unless they are new"):
        federation(slice(0, 200)).fit(trees(), init_model=first, split=vfl.Split(test=0.2))
    for changed, words in (({"max_depth": 4}, "max_depth"), ({"n_estimators": 3}, "all its rounds")):
        with pytest.raises(ConfigError, match=words):
            federation(slice(0, 200)).fit(trees(**changed), init_model=first)
    with pytest.raises(DataError, match="columns are not those"):
        federation(slice(0, 200), more=np.arange(200) % 7).fit(trees(), init_model=first)
    for change, words in (
        ({"area": np.arange(200) % 7}, "'area' holds numbers, and held categories in the model to continue"),
        ({"age": ["old", "young"] * 100}, "'age' holds categories, and held numbers in the model to continue"),
    ):
        with pytest.raises(DataError, match=words):
            federation(slice(0, 200), **change).fit(trees(), init_model=first)
    with pytest.raises(DataError, match="classes are not those"):
        federation(slice(0, 200), y=np.where(z[:200] > 1, "yes", "no")).fit(trees(), init_model=first)
    with pytest.raises(ConfigError, match="cannot continue"):
        federation(slice(0, 200)).fit(vfl.LogisticRegression(), init_model=first)  # type: ignore[call-overload]


@pytest.mark.parametrize("membership", ["open", "sealed"])
@pytest.mark.parametrize("new", ["a new one", None])
def test_a_category_that_has_no_bin_in_the_model_to_continue_is_refused(membership: str, new: str | None) -> None:
    """A row without a bin would be counted with another node's rows."""
    guest, host, z = drawn()
    guest, areas = guest.assign(y=z > 1), np.resize(["north", "south", "west"], len(guest))
    trees = {"max_depth": 3, "min_bin_rows": 3, "membership": membership}

    def federation(rows: slice, area: Any) -> vfl.Federation:
        own = host[rows].assign(area=area[rows])
        return vfl.Federation.local(guest[rows], {"shop": own}, on="id", label="y", cipher=Identity())

    first = federation(slice(0, 200), areas).fit(vfl.BoostedTrees(n_estimators=2, **trees))  # type: ignore[arg-type]
    again = vfl.BoostedTrees(n_estimators=4, **trees)  # type: ignore[arg-type]
    assert federation(slice(200, 400), areas).fit(again, init_model=first).best_iteration == 3
    changed = areas.astype(object)
    changed[260] = new
    with pytest.raises(DataError, match="shop: feature column 'area' has a category, or a missing value, that"):
        federation(slice(200, 400), changed).fit(again, init_model=first)


def test_policy_keeps_samples_of_rows_from_leaving(small_tables: Tables) -> None:
    guest, hosts = small_tables
    federation = vfl.Federation.local(guest, {"telecom": hosts["telecom"]}, on="id", label="default", cipher=Identity())
    allowed = ("intersection-to-parties", "partition-to-hosts", "directions-to-guest", "bin-sums-to-guest")
    trees = vfl.BoostedTrees(**SMALL, membership="open", top_rate=0.3, other_rate=0.3)  # type: ignore[arg-type]
    with pytest.raises(DisclosureRefused, match=SampledRows.kind):
        federation.fit(trees, taps={"guest": [PolicyTap(allowed, allowed)]})
    allowed = (*allowed, "sampled-rows-to-hosts")
    assert federation.fit(trees, taps={"guest": [PolicyTap(allowed, allowed)]}).best_iteration == 2


@pytest.mark.parametrize("membership", ["open", "sealed"])
def test_rows_of_small_weight_hardly_count(membership: str) -> None:
    """Half of the rows say the opposite of the others; weights decide whom the model believes."""
    guest, host, z = drawn()
    liar = np.arange(400) % 2 == 0
    guest = guest.assign(y=(z > 1) ^ liar)
    scores = []
    for low in (liar, ~liar):
        weighted = guest.assign(w=np.where(low, 0.01, 1.0))
        federation = vfl.Federation.local(
            weighted, {"shop": host}, on="id", label="y", sample_weight="w", cipher=Identity()
        )
        model = federation.fit(vfl.BoostedTrees(n_estimators=8, max_depth=3, min_bin_rows=3, membership=membership))  # type: ignore[arg-type]
        scores.append(model.predict_score(weighted.drop(columns=["y", "w"]), {"shop": host}).to_numpy())
    assert np.corrcoef(scores[0], z > 1)[0, 1] > 0.4 > -0.4 > np.corrcoef(scores[1], z > 1)[0, 1]


@pytest.mark.parametrize("planted", [False, True])
def test_a_row_scores_the_same_whichever_key_matches_it(planted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first key never matches; the second one does, until the host loses it.  A build that rounds by the id that
    matched, planted, rounds again."""
    if planted:
        monkeypatch.setattr(tree_scores, "names_in", lambda table: table.ids)
    rng, rows = np.random.default_rng(5), 60
    x = rng.normal(size=(rows, 4))
    keys = {key: [f"{key}{k}" for k in range(rows)] for key in ("card", "phone", "mail")}
    guest = pd.DataFrame(keys | {"a": x[:, 0], "b": x[:, 1], "y": (x.sum(axis=1) > 0).astype(int)})
    host = pd.DataFrame(keys | {"c": x[:, 2], "d": x[:, 3]}).assign(card=[f"other{k}" for k in range(rows)])
    federation = vfl.Federation.local(
        guest, {"shop": host}, on=[["card"], ["phone"], ["mail"]], label="y", cipher=Identity(1024)
    )
    model = federation.fit(vfl.BoostedTrees(n_estimators=2, max_depth=2, min_bin_rows=2))
    first = model.decision_function(guest, {"shop": host})
    second = model.decision_function(guest, {"shop": host.assign(phone=None)})
    assert first.notna().all()
    assert second.notna().all()
    assert first.equals(second) is not planted
