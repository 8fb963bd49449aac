"""A regression after the parties' own steps equals scikit-learn's pipeline on the joined table; held-out rows have no
say in what is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError
from protocols.local import run_local
from tests.harness import KNOWN, Recording, Sent, scores_some_rows
from tests.parts import keys_of
from tests.plans import planned
from tests.unit.vfl.models.scorecard.test_scorecard import federation, joined, made
from vfl.models.regression import program as glm
from vfl.preprocessing import Preprocessing
from vfl.steps.feature_tables import feature_tables

STEPS = Preprocessing(impute="median", encode="onehot", min_frequency=20)


@pytest.fixture(scope="module")
def model() -> vfl.FederatedModel:
    return federation(made()).fit(vfl.LogisticRegression(max_iter=60), preprocess=STEPS)


@scores_some_rows
def test_it_equals_scikit_learns_pipeline_on_the_joined_table(model: vfl.FederatedModel) -> None:
    rows = joined(made())
    y = (rows["default"] == "yes").to_numpy(int)
    numbers, town = rows[["income", "debt", "spend", "noise"]].to_numpy(), rows[["town"]].astype(object)
    imputer, hot = (
        SimpleImputer(strategy="median").fit(numbers),
        OneHotEncoder(min_frequency=20, sparse_output=False).fit(town),
    )
    x = np.column_stack([imputer.transform(numbers), hot.transform(town)])
    twin = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-10, max_iter=5000)).fit(x, y)
    names = [
        "income",
        "debt",
        "spend",
        "noise",
        *(f"town={c}" if c != "infrequent_sklearn" else "town is rare" for c in _categories(hot)),
    ]
    coef = pd.concat(list(model.coef_.values()))[names].to_numpy()
    assert np.abs(coef - twin[-1].coef_[0]).max() < 0.02 * np.abs(twin[-1].coef_[0]).max()

    new = made(seed=9)
    new[1]["bank"].loc[new[1]["bank"].index[:30], "town"] = "Atlantis"  # unseen: all zeros
    new = (
        new[0].drop(columns="default"),
        {"bank": new[1]["bank"][["town", "id", "debt"]], "shop": new[1]["shop"]},
    )  # in another order
    with pytest.warns(UserWarning, match="bank: column 'town': 30 of 400 rows hold a text that the model does not"):
        scores = model.decision_function(*new)
    fresh = new[0].merge(new[1]["bank"], on="id").merge(new[1]["shop"], on="id")
    hot.handle_unknown = "ignore"
    values = np.column_stack(
        [
            imputer.transform(fresh[["income", "debt", "spend", "noise"]].to_numpy()),
            hot.transform(fresh[["town"]].astype(object)),
        ]
    )
    assert scores[fresh["id"]].to_numpy() == pytest.approx(twin.decision_function(values), abs=0.05)


def _categories(hot: OneHotEncoder) -> list[str]:
    return [str(name).removeprefix("town_") for name in hot.get_feature_names_out(["town"])]


def test_weights_of_evidence_go_into_a_regression_too(model: vfl.FederatedModel) -> None:
    fed = federation(made())
    binned = fed.fit(
        vfl.LogisticRegression(max_iter=10, link="taylor"),
        preprocess=Preprocessing(encode="woe", min_bin_rows=20, min_iv=0.05),
    )
    card = fed.fit(vfl.Scorecard(min_bin_rows=20, min_iv=0.05, max_iter=10, link="taylor"))
    for party, part in card.parts.items():
        assert binned.parts[party].columns == part.columns
        scale = binned.parts[party].standardiser.scale
        assert binned.coef_[party].to_numpy() / scale == pytest.approx(part.weights, abs=0.02)


def test_iv_can_be_reported_to_the_guest_alone() -> None:
    """The model is that without the report; hosts receive nothing but ciphertexts for it, and the guest has the IV that
    a scorecard's parties find."""
    transcript: list[Sent] = []
    fed = federation(made())
    settings = Preprocessing(impute="median", encode="onehot", min_frequency=20, report_iv=True, min_bin_rows=20)
    job = planned(vfl.LogisticRegression, max_iter=5, link="taylor", preprocess=settings)
    own = {p: t.for_model("binary", missing=True, texts=True) for p, t in fed._tables.items()}
    programs: dict[str, Any] = {h: lambda s, h=h: glm.host(s, own[h], job) for h in ("bank", "shop")}
    programs |= {"guest": lambda s: glm.guest(s, own["guest"], job), "arbiter": lambda s: glm.arbiter(s, job)}
    found = run_local(fed.roles, programs, Identity(), taps={p: [Recording(p, transcript)] for p in fed.roles.all})
    to_hosts = {s.kind.permit for s in transcript if s.receiver in ("bank", "shop")}
    assert to_hosts == {None, "intersection-to-parties"}
    assert {s.kind.permit for s in transcript if s.receiver == "guest"} >= {"bin-events-to-guest"}
    binned = found["guest"].binned
    card = fed.fit(vfl.Scorecard(min_bin_rows=20, max_iter=5, link="taylor"))
    for host, columns in binned.hosts.items():
        assert [c.merged.iv for c in columns] == pytest.approx(
            card.iv()[host].set_index("column")["iv"][list(own[host].features)].tolist()
        )
    tables = feature_tables(found["guest"].part.standardiser.steps, binned)
    assert {line["column"] for line in tables["iv"]} == {"income"}
    assert len(tables["host_columns"]) == 4
    assert (
        found["bank"].part.columns
        == fed.fit(vfl.LogisticRegression(max_iter=5, link="taylor"), preprocess=STEPS).parts["bank"].columns
    )


def test_held_out_rows_have_no_say() -> None:
    """Their numbers, gaps and texts change: what is fitted stays.  A training row changes: it does not."""

    def fitted(change: Any) -> dict[str, Any]:
        tables = made()
        change(tables[1]["bank"])
        fed = federation(tables)
        job = planned(
            vfl.LogisticRegression, max_iter=5, link="taylor", test=0.3, seed=1, preprocess=STEPS, reveal=KNOWN
        )
        own = {p: t.for_model("binary", missing=True, texts=True) for p, t in fed._tables.items()}
        programs: dict[str, Any] = {h: lambda s, h=h: glm.host(s, own[h], job) for h in ("bank", "shop")}
        programs |= {"guest": lambda s: glm.guest(s, own["guest"], job), "arbiter": lambda s: glm.arbiter(s, job)}
        return run_local(fed.roles, programs, Identity())

    first = fitted(lambda bank: None)
    rows, held_out = np.array(keys_of(first["bank"].aligned)), first["bank"].held_out

    def spoil(ids: Any) -> Any:
        def change(bank: pd.DataFrame) -> None:
            touched = bank["id"].astype(str).isin(ids)
            bank["debt"] = bank["debt"].where(~touched, 1e9)
            bank["town"] = bank["town"].where(~touched, "Atlantis")

        return change

    again, moved = fitted(spoil(rows[held_out])), fitted(spoil(rows[~held_out][:60]))
    before = first["bank"].part.standardiser
    for standardiser, same in ((again["bank"].part.standardiser, True), (moved["bank"].part.standardiser, False)):
        assert (standardiser.steps == before.steps) == same
        assert (
            standardiser.columns == before.columns and np.allclose(standardiser.mean, before.mean, rtol=1e-12)
        ) == same  # rows come in another order


def test_what_does_not_go_together_is_refused() -> None:
    fed = federation(made())
    for estimator in (vfl.BoostedTrees(), vfl.Scorecard()):
        with pytest.raises(ConfigError, match="bins every column itself"):
            fed.fit(estimator, preprocess=STEPS)  # type: ignore[call-overload]
    with pytest.raises(DataError, match="'town' is not numeric"):
        fed.fit(vfl.LogisticRegression(max_iter=5), preprocess=Preprocessing(impute="mean"))
    guest, hosts = made()
    counts = federation((guest.assign(default=np.arange(len(guest)) % 3), hosts))
    with pytest.raises(ConfigError, match="two values has weights of evidence"):
        counts.fit(vfl.LinearRegression(max_iter=5), preprocess=Preprocessing(encode="woe"))
    with pytest.raises(DataError, match="'debt' has missing values"):
        fed.fit(vfl.LogisticRegression(max_iter=5), preprocess=Preprocessing(encode="onehot"))


@scores_some_rows
def test_new_rows_that_no_step_fills_have_no_score(model: vfl.FederatedModel) -> None:
    guest, hosts = made(seed=9)
    plain = federation((guest, {h: t[["id", c]] for (h, t), c in zip(hosts.items(), ("town", "spend"), strict=True)}))
    fitted = plain.fit(vfl.LogisticRegression(max_iter=5, link="taylor"), preprocess=Preprocessing(encode="onehot"))
    hosts["shop"].loc[hosts["shop"].index[40:], "spend"] = np.nan
    with pytest.warns(UserWarning, match="shop: 340 of 380 rows have no score, because values are missing: 'spend'"):
        assert fitted.predict_score(guest, hosts).notna().sum() <= 40
    with pytest.raises(DataError, match="'town' is not in the table"):
        fitted.predict_score(guest, {"bank": hosts["bank"].drop(columns="town"), "shop": hosts["shop"]})
