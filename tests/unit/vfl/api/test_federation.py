"""The Python face: what a notebook does, against numpy and pandas; and every bad input ends in a typed error before
anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError
from tests.harness import KNOWN, TOY, Recording, Sent, scores_some_rows

Tables = tuple[pd.DataFrame, dict[str, pd.DataFrame]]


def local(tables: Tables, hosts: int = 2, **changes: Any) -> vfl.Federation:
    guest, others = tables
    settings = {"on": "id", "label": "default", "cipher": Identity(), "reveal": KNOWN} | changes
    return vfl.Federation.local(guest, dict(list(others.items())[:hosts]), **settings, convergence=False)


def joined(tables: Tables, hosts: int) -> tuple[pd.DataFrame, list[str]]:
    guest, others = tables
    table = guest
    for frame in list(others.values())[:hosts]:
        table = table.merge(frame, on="id")
    return table, [c for c in table.columns if c not in ("id", "default")]


def optimum(x: NDArray[np.float64], y: NDArray[np.float64], C: float, link: str = "taylor") -> NDArray[np.float64]:
    if link == "exact":
        model = LogisticRegression(C=C, tol=1e-10, max_iter=20_000).fit(x, y)
        return np.r_[model.coef_[0], model.intercept_]
    x = np.column_stack([x, np.ones(len(y))])
    return np.linalg.solve(C * x.T @ x / 4 + np.diag([1.0] * (x.shape[1] - 1) + [0.0]), C * x.T @ (y - 0.5))


def standardised(table: pd.DataFrame) -> NDArray[np.float64]:
    values = table.to_numpy(float)
    return np.asarray((values - values.mean(0)) / values.std(0))


def coefficients(model: vfl.FederatedModel) -> NDArray[np.float64]:
    return np.concatenate([*(c.to_numpy() for c in model.coef_.values()), [model.intercept_]])


@pytest.mark.parametrize("link", ["exact", "taylor"])
@pytest.mark.parametrize("hosts", [1, 2])
@scores_some_rows
def test_fit_equals_the_joined_table_and_predicts_by_id(small_tables: Tables, hosts: int, link: Any) -> None:
    model = local(small_tables, hosts).fit(vfl.LogisticRegression(C=2.0, max_iter=150, link=link))
    table, columns = joined(small_tables, hosts)
    best = optimum(standardised(table[columns]), table["default"].to_numpy(float), 2.0, link)
    assert np.abs(coefficients(model) - best).max() <= 1e-3 * np.abs(best).max()
    assert model.intersection_ == len(table)

    guest, others = small_tables
    new_hosts = {h: others[h] for h in list(others)[:hosts]}
    scores = model.decision_function(guest.drop(columns="default"), new_hosts)
    assert list(scores.index) == list(guest["id"])
    assert scores.index.name == "id"
    assert set(scores.dropna().index) == set(table["id"])
    z = standardised(table[columns]) @ best[:-1] + best[-1]
    assert np.abs(scores[table["id"]].to_numpy() - z).max() < 0.02
    proba = model.predict_proba(guest, new_hosts)
    assert list(proba.columns) == [0, 1] == list(model.classes_)
    assert np.allclose(proba.dropna().sum(axis=1), 1)
    assert np.allclose(proba[1].dropna(), 1 / (1 + np.exp(-scores.dropna())))
    assert model.predict_score(guest, new_hosts).equals(proba[1].rename("score"))
    labels = model.predict(guest, new_hosts)
    assert labels.isna().equals(scores.isna())
    assert (labels.dropna() == (scores.dropna() > 0)).all()


def test_revealed_weights_are_rounded(small_tables: Tables) -> None:
    """More bits come nearer to the optimum; the revealed share is a multiple of 2^-weight_bits, so that the error is at
    most half of that."""
    table, columns = joined(small_tables, 1)
    best = optimum(standardised(table[columns]), table["default"].to_numpy(float), 1.0)
    errors = []
    for bits in (4, 10, 20):
        model = local(small_tables, 1).fit(vfl.LogisticRegression(max_iter=200, link="taylor", weight_bits=bits))
        errors.append(np.abs(coefficients(model) - best).max())
        assert errors[-1] <= 0.5**bits / 2 + 2e-4
    assert errors[0] > 4 * errors[1] > 4 * errors[2]


def test_too_few_rows_for_the_columns_are_refused(small_tables: Tables) -> None:
    guest, hosts = small_tables
    few = {"telecom": hosts["telecom"].iloc[:5]}
    with pytest.raises(DataError, match="too few for"):
        local((guest.assign(default=np.arange(len(guest)) % 2), few), 1).fit(vfl.LogisticRegression())


def test_raw_coefficients_are_a_unit_of_the_column(small_tables: Tables) -> None:
    model = local(small_tables, 1).fit(vfl.LogisticRegression(max_iter=60))
    table, _ = joined(small_tables, 1)
    scale = table["limit"].to_numpy(float).std()
    assert model.coef_raw_["guest"]["limit"] == pytest.approx(model.coef_["guest"]["limit"] / scale)
    assert list(model.coef_["telecom"].index) == ["bill", "late", "tenure"]


@scores_some_rows
def test_labels_of_any_two_values_and_composite_dirty_keys(small_tables: Tables) -> None:
    guest, hosts = small_tables
    guest = guest.assign(default=np.where(guest["default"] == 1, "yes", "no"), a=guest["id"].str.upper() + "  ", b=7)
    telecom = hosts["telecom"].assign(a=" " + hosts["telecom"]["id"], b="7")
    fed = vfl.Federation.local(
        guest.drop(columns="id"),
        {"telecom": telecom.drop(columns="id")},
        on=["a", "b"],
        label="default",
        cipher=Identity(),
        convergence=False,
    )
    model = fed.fit(vfl.LogisticRegression(max_iter=20))
    assert list(model.classes_) == ["no", "yes"]
    assert model.intersection_ == 50
    assert set(model.predict(guest, {"telecom": telecom}).dropna()) == {"no", "yes"}


def test_paillier_through_the_front_door(small_tables: Tables) -> None:
    """The toy cipher computes what the identity cipher does, to the link's interpolation error (equal masks give equal
    integers: test_glm.py)."""
    fits = [local(small_tables, 1, cipher=c).fit(vfl.LogisticRegression(max_iter=8)) for c in (TOY, Identity())]
    assert np.abs(coefficients(fits[0]) - coefficients(fits[1])).max() <= 1.1 / 2**10
    assert TOY.bits < 2048


def test_a_full_size_key_end_to_end(small_tables: Tables) -> None:
    with pytest.warns(UserWarning, match="112-bit"):
        model = local(small_tables, 1, cipher=None).fit(vfl.LogisticRegression(max_iter=5, key_bits=2048))
    reference = local(small_tables, 1).fit(vfl.LogisticRegression(max_iter=5))
    assert np.abs(coefficients(model) - coefficients(reference)).max() <= 1.1 / 2**10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g, h: (g.drop(columns="id"), h), "id"),
        (lambda g, h: (g, h.drop(columns="id")), "telecom"),
        (lambda g, h: (pd.concat([g, g.iloc[:2]]), h), "guest"),
        (lambda g, h: (g, h.assign(id=[None, *h["id"][1:]])), "telecom"),
        (lambda g, h: (g.drop(columns="default"), h), "default"),
        (lambda g, h: (g.assign(default=1), h), "default"),
        (lambda g, h: (g.assign(default=np.arange(len(g))), h), "default"),
        (lambda g, h: (g, h.assign(bill="high")), "bill"),
        (lambda g, h: (g.assign(age=[np.inf, *g["age"][1:]]), h), "age"),
        (lambda g, h: (g.assign(age=[np.nan, *g["age"][1:]]), h), "age"),
        (lambda g, h: (g, h[["id"]]), "telecom"),
        (lambda g, h: (g.iloc[:0], h), "guest"),
    ],
)
def test_bad_tables_are_refused_before_anything_is_sent(small_tables: Tables, change: Any, words: str) -> None:
    guest, telecom = change(small_tables[0], small_tables[1]["telecom"])
    with pytest.raises(DataError, match=words) as caught:
        vfl.Federation.local(guest, {"telecom": telecom}, on="id", label="default", convergence=False).fit(
            vfl.LogisticRegression()
        )
    assert "c0" not in str(caught.value)  # no id in an error


def test_no_overlap_and_too_little(small_tables: Tables) -> None:
    guest, hosts = small_tables
    strangers = {"telecom": hosts["telecom"].assign(id=[f"x{i}" for i in range(50)])}
    transcript: list[Sent] = []
    fed = vfl.Federation.local(guest, strangers, on="id", label="default", cipher=TOY, convergence=False)
    with pytest.raises(DataError, match="no id is common"):
        fed.fit(vfl.LogisticRegression(), taps={p: [Recording(p, transcript)] for p in fed.roles.all})
    assert {s.kind.kind for s in transcript} <= {"PublicKeyOffer", "BlindedIds", "SortedTags", "IntersectionSize"}
    with pytest.raises(DataError, match="only 50 ids are"):
        local(small_tables, 1, min_intersection=51).fit(vfl.LogisticRegression())


def test_a_label_that_is_constant_among_common_rows(small_tables: Tables) -> None:
    guest, hosts = small_tables
    common = guest["id"].isin(hosts["telecom"]["id"])
    guest = guest.assign(default=np.where(common, 1, 0))
    with pytest.raises(DataError, match="same label"):
        local((guest, hosts), 1).fit(vfl.LogisticRegression())


@pytest.mark.parametrize(
    "params",
    [
        {"C": 0},
        {"C": -1.0},
        {"C": float("nan")},
        {"max_iter": 4},
        {"max_iter": 1.5},
        {"link": "sealed"},
        {"clip": 0},
        {"weight_bits": 3},
        {"weight_bits": 25},
        {"score_bits": 21},
        {"key_bits": 1024},
        {"key_bits": 2047},
    ],
)
def test_impossible_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        vfl.LogisticRegression(**params)
    assert next(iter(params)) in str(caught.value)
    assert caught.value.remedy


def test_odd_key_sizes_are_refused_at_fit(small_tables: Tables) -> None:
    with pytest.raises(ConfigError, match=r"2048, 3072 .*or 4096"):
        local(small_tables, 1, cipher=None).fit(vfl.LogisticRegression(key_bits=2050))


def test_misnamed_hosts(small_tables: Tables) -> None:
    guest, hosts = small_tables
    for bad in ({}, {"arbiter": hosts["telecom"]}, {"guest": hosts["telecom"]}):
        with pytest.raises(ConfigError):
            vfl.Federation.local(guest, bad, on="id", label="default", convergence=False)
    model = local(small_tables, 1).fit(vfl.LogisticRegression(max_iter=5))
    with pytest.raises(ConfigError, match="expected telecom"):
        model.predict(guest, hosts)
    with pytest.raises(DataError, match="tenure"):
        model.predict(guest, {"telecom": hosts["telecom"].drop(columns="tenure")})


def test_reprs_and_params(small_tables: Tables) -> None:
    assert vfl.LogisticRegression(C=3.0).get_params()["C"] == 3.0
    assert "telecom" in repr(local(small_tables, 1))
    assert "common rows" in repr(local(small_tables, 1).fit(vfl.LogisticRegression(max_iter=5)))


REAL = {
    "uci-1-taylor": 60,
    "uci-2-taylor": 120,
    "breast-1-taylor": 350,
    "breast-2-taylor": 350,
    "breast-1-exact": 400,
    "breast-2-exact": 400,
    "uci-1-exact": 60,
    "uci-2-exact": 120,
}


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[] if c == "breast-1-taylor" else [pytest.mark.slow]) for c in REAL]
)
def test_real_tables_reach_the_optimum(data_folder: Path, case: str) -> None:
    """Full size, identity cipher (that Paillier gives equal integers is proven elsewhere): max |w - w*| <= 1e-3 max |w*|."""  # noqa: E501
    name, hosts, link = case.split("-")
    fed, table, columns, label = real(data_folder, name, int(hosts))
    model = fed.fit(vfl.LogisticRegression(C=1.0, max_iter=REAL[case], link=link))  # type: ignore[arg-type]
    best = optimum(standardised(table[columns]), table[label].to_numpy(float), 1.0, link)
    assert np.abs(coefficients(model) - best).max() <= 1e-3 * np.abs(best).max()


def real(data_folder: Path, name: str, hosts: int) -> tuple[vfl.Federation, pd.DataFrame, list[str], str]:
    """UCI credit default ("uci") or breast cancer between a guest and `hosts`, in the clear; the joined table, its
    features in the parties' order, its label."""
    if name == "uci":
        table = pd.read_csv(data_folder / "uci_credit_card.csv")
        key, label, own = "ID", "default.payment.next.month", ["LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"]
    else:
        guest, host = (pd.read_csv(data_folder / f"breast_hetero_{side}.csv") for side in ("guest", "host"))
        table, key, label = guest.merge(host, on="id", suffixes=("_guest", "_host")), "id", "y"
        own = [c for c in table.columns if c.endswith("_guest")]
    rest = [c for c in table.columns if c not in (key, label, *own)]
    parts = {f"host{i}": table[[key, *columns]] for i, columns in enumerate(np.array_split(rest, hosts))}
    fed = vfl.Federation.local(
        table[[key, label, *own]], parts, on=key, label=label, cipher=Identity(), reveal=KNOWN, convergence=False
    )
    return fed, table, [*own, *rest], label


@scores_some_rows
def test_a_guest_with_labels_only_trains_and_scores(small_tables: Tables) -> None:
    guest, hosts = small_tables
    telecom = {"telecom": hosts["telecom"]}
    model = local((guest[["id", "default"]], telecom), 1).fit(vfl.LogisticRegression(max_iter=20))
    assert model.predict_score(guest[["id"]], telecom).notna().sum() == 50


def test_tiny_and_huge_columns(small_tables: Tables) -> None:
    guest, hosts = small_tables
    reference = local(small_tables, 1).fit(vfl.LogisticRegression(max_iter=20))
    tiny = local((guest.assign(age=guest["age"] * 1e-15), hosts), 1).fit(vfl.LogisticRegression(max_iter=20))
    assert abs(tiny.coef_["guest"]["age"] - reference.coef_["guest"]["age"]) < 2 / 2**10
    with (
        pytest.raises(DataError, match="guest: column 'age' holds values that are too large"),
        pytest.warns(UserWarning, match="so far out"),
    ):
        local((guest.assign(age=guest["age"] * 1e200), hosts), 1).fit(vfl.LogisticRegression(max_iter=20))
