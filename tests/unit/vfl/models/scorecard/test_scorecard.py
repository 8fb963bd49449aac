"""Scorecards of a local federation: the points reproduce every row's score, and equal the joined table's bins and
regression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import vfl
from protocols.binning.merging import merge
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError
from protocols.local import run_local
from tests.harness import KNOWN, TOY, Recording, Sent, scores_some_rows
from tests.plans import planned
from tests.unit.protocols.binning.test_woe_bins import formula
from vfl.models.scorecard import program as scorecard
from vfl.models.scorecard.points import Scale
from vfl.models.scorecard.spec import Scorecard
from vfl.preprocessing import Fitting, Preprocessing

Tables = tuple[pd.DataFrame, dict[str, pd.DataFrame]]
SETTINGS: dict[str, Any] = {"min_bin_rows": 20, "max_iter": 40}


def made(n: int = 400, seed: int = 2) -> Tables:
    """A guest and two hosts with texts, gaps and a special code; 20 customers each unknown to the others."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4))
    town = np.where(z[:, 3] > 0.6, "York", np.where(z[:, 3] > -0.2, "Bath", np.where(z[:, 3] > -1.8, "Ely", "Wells")))
    y = (z @ [1.0, -0.8, 0.6, 0.7] - 1 + rng.logistic(size=n) > 0).astype(int)
    ids = [f"c{k}" for k in range(n)]
    guest = pd.DataFrame({"id": ids, "default": np.where(y, "yes", "no"), "income": z[:, 0]})
    bank = pd.DataFrame({"id": ids, "debt": np.where(rng.random(n) < 0.2, np.nan, z[:, 1]), "town": town})
    shop = pd.DataFrame(
        {"id": ids, "spend": np.where(rng.random(n) < 0.15, -1.0, np.exp(z[:, 2])), "noise": rng.normal(size=n)}
    )
    return guest.iloc[20:], {"bank": bank.sample(frac=1, random_state=1), "shop": shop.iloc[:-20]}


def federation(tables: Tables, cipher: Any = None, hosts: tuple[str, ...] = ("bank", "shop")) -> vfl.Federation:
    return vfl.Federation.local(
        tables[0],
        {h: tables[1][h] for h in hosts},
        on="id",
        label="default",
        cipher=cipher or Identity(),
        reveal=KNOWN,
        convergence=False,
    )


@pytest.fixture(scope="module")
def model() -> vfl.FederatedScorecard:
    return federation(made()).fit(vfl.Scorecard(special_codes=(-1.0,), **SETTINGS))


def joined(tables: Tables) -> pd.DataFrame:
    return tables[0].merge(tables[1]["bank"], on="id").merge(tables[1]["shop"], on="id")


@scores_some_rows
def test_the_points_table_reproduces_every_rows_score_exactly(model: vfl.FederatedScorecard) -> None:
    """Looked up by hand from the printed tables, on new rows with gaps and a town that training has not seen."""
    guest, hosts = made(seed=9)
    hosts["bank"].loc[hosts["bank"].index[:30], "town"] = "Atlantis"
    scores = model.predict_points(guest.drop(columns="default"), hosts)
    rows = joined((guest, hosts)).set_index("id")
    total = pd.Series(model.base_points_, index=rows.index)
    for party, table in model.points().items():
        part = model.parts[party]
        for column in part.bins:
            own = table[table["column"] == column.name].set_index("bin")["points"]
            labels = [*column.labels(), "anything else"]
            total += [int(own[labels[k]]) for k in column.bin_of(rows[column.name])]
    assert scores.dropna().index.isin(rows.index).all()
    assert (scores[rows.index] == total).all()
    assert scores[guest["id"][~guest["id"].isin(rows.index)]].isna().all()


@scores_some_rows
def test_bins_points_and_probabilities_are_the_joined_tables(model: vfl.FederatedScorecard) -> None:
    tables = made()
    rows = joined(tables)
    y = (rows["default"] == "yes").to_numpy(int)
    x = rows.drop(columns=["id", "default"])
    x["town"] = x["town"].astype(object)
    fitting = Fitting.start(x, Preprocessing(encode="woe", min_bin_rows=20, special_codes=(-1.0,)), "all")
    merged = [
        merge(fitting.settings.rule, n, np.array([y[b == k].sum() for k in range(len(n))]), apart=a, ordered=o)
        for b, n, a, o in zip(
            fitting.bins.bins.T, fitting.bins.rows, fitting.bins.apart, fitting.bins.ordered, strict=True
        )
    ]
    central = fitting.finish(merged)
    assert central.woe is not None
    expected = {c.name: c for c in central.woe.columns}
    for part in model.parts.values():
        for column in part.bins:
            assert column == expected[column.name]
            woe, iv = formula(list(column.rows), list(column.events))
            assert column.woe == pytest.approx(woe, abs=1e-9)
            assert column.iv == pytest.approx(iv, abs=1e-9)
    w = central.transform(x, "all").to_numpy()
    z = (w - w.mean(0)) / w.std(0)
    best = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(z, y)
    coef = pd.concat(list(model.coef_.values()))[list(central.columns)].to_numpy()
    assert coef == pytest.approx(best.coef_[0] / w.std(0), abs=0.05 * np.abs(best.coef_[0] / w.std(0)).max())
    probability = model.predict_score(tables[0], tables[1])[rows["id"]].to_numpy()
    assert np.abs(probability - best.predict_proba(z)[:, 1]).max() < 0.05
    assert abs(roc_auc_score(y, probability) - roc_auc_score(y, best.predict_proba(z)[:, 1])) < 0.003


def test_reasons_are_the_points_lost_in_ones_own_columns(model: vfl.FederatedScorecard) -> None:
    guest, hosts = made(seed=9)
    found = model.reasons(guest, hosts, most=1)
    for party, part in model.parts.items():
        frame = {"guest": guest, **hosts}[party].set_index("id")
        lost = pd.DataFrame(
            {c.name: p[:-1].max() - p[c.bin_of(frame[c.name])] for c, p in zip(part.bins, part.points, strict=True)},
            index=frame.index,
        )
        for name in frame.index[:50]:
            told = found[party][name]
            assert len(told) == (lost.loc[name].max() > 0)
            for column, label, points in told:
                assert points == lost.loc[name, column] == lost.loc[name].max()
                assert label in [*part.bins[part.columns.index(column)].labels(), "anything else"]


def test_test_rows_cannot_leak_into_what_is_fitted() -> None:
    """Held-out rows change (label, numbers, texts): every bin, weight and point stays; a training row changes:
    something moves."""

    def parts(tables: Tables) -> dict[str, Any]:
        fed = federation(tables)
        job = planned(Scorecard, min_bin_rows=20, max_iter=10, test=0.3, seed=1, reveal=KNOWN)
        own = {p: t.for_model("binary", missing=True, texts=True) for p, t in fed._tables.items()}
        programs: dict[str, Any] = {h: lambda s, h=h: scorecard.host(s, own[h], job) for h in ("bank", "shop")}
        programs |= {
            "guest": lambda s: scorecard.guest(s, own["guest"], job),
            "arbiter": lambda s: scorecard.arbiter(s, job),
        }
        found = run_local(fed.roles, programs, Identity())
        held_out = found["guest"].aligned.index[found["guest"].held_out]
        return {"held_out": set(held_out)} | {p: found[p] for p in ("guest", "bank", "shop")}

    tables = made()
    first = parts(tables)
    held_out = first["held_out"]
    assert held_out

    def changed(which: Any) -> Tables:
        guest, hosts = made()
        flip = guest["id"].isin(which)
        guest = guest.assign(default=guest["default"].where(~flip, guest["default"].map({"yes": "no", "no": "yes"})))
        guest["income"] = guest["income"].where(~flip, guest["income"] * -1e6)
        hosts["bank"]["debt"] = hosts["bank"]["debt"].where(~hosts["bank"]["id"].isin(which), 1e9)
        hosts["bank"]["town"] = hosts["bank"]["town"].where(~hosts["bank"]["id"].isin(which), "Atlantis")
        hosts["shop"]["noise"] = hosts["shop"]["noise"].where(~hosts["shop"]["id"].isin(which), np.nan)
        return guest, hosts

    again = parts(changed(held_out))
    for party in ("guest", "bank", "shop"):
        assert again[party].preprocessor == first[party].preprocessor
        assert (
            np.abs(again[party].part.weights - first[party].part.weights).max() < 0.02
        )  # the masks differ: rounding of shares
    trained = set(tables[0]["id"]) - held_out
    moved = parts(changed(set(sorted(trained)[:60])))
    assert moved["bank"].preprocessor != first["bank"].preprocessor  # planted: the comparison has power


def test_the_transcript_holds_what_is_declared() -> None:
    transcript: list[Sent] = []
    tables = made()
    fed = federation(tables, TOY, ("bank",))
    fed.fit(
        vfl.Scorecard(min_bin_rows=20, max_iter=5, link="taylor"),
        taps={p: [Recording(p, transcript)] for p in fed.roles.all},
    )
    permits = {s.kind.permit for s in transcript if s.kind.permit}
    assert permits == {
        "intersection-to-parties",
        "bin-events-to-guest",
        "woe-to-host",
        "guest-weights-to-guest",
        "host-weights-to-host",
    }


@scores_some_rows
def test_selection_leaves_columns_out_at_their_owner(model: vfl.FederatedScorecard) -> None:
    tables = made()
    picked = federation(tables).fit(
        vfl.Scorecard(min_iv=0.1, open_names=True, special_codes=(-1.0,), min_bin_rows=20, max_iter=5, link="taylor")
    )
    assert picked.parts["shop"].columns == ("spend",)
    table = picked.iv()["shop"].set_index("column")
    assert table.loc["noise", "iv"] < 0.1
    assert "IV" in table.loc["noise", "dropped"]
    new = made(seed=9)
    without = {
        "bank": new[1]["bank"],
        "shop": new[1]["shop"].drop(columns="noise"),
    }  # a column that was left out need not come again
    assert picked.predict_points(new[0], without).notna().sum() > 300
    with pytest.raises(DataError, match="spend"):
        picked.predict_points(new[0], {"bank": new[1]["bank"], "shop": new[1]["shop"].drop(columns="spend")})


def test_scales() -> None:
    scale = Scale(600, 50, 20)
    assert scale.log_odds(np.array([600.0, 620.0, 580.0])) == pytest.approx(-np.log([50, 100, 25]))
    assert scale.points(-np.log(np.array([2.0, 4.0, 1.0]))).tolist() == [20, 40, 0]
    for wrong in ({"pdo": 0}, {"base_odds": 0}, {"base_score": float("nan")}):
        with pytest.raises(ConfigError):
            vfl.Scorecard(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{"C": 0}, {"max_iter": 2}, {"min_bin_size": 1}, {"max_vif": 0.5}, {"key_bits": 512}, {"monotonic_trend": "up"}],
)
def test_impossible_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        vfl.Scorecard(**wrong)


def test_texts_are_refused_by_other_models() -> None:
    with pytest.raises(DataError, match="'town' is not numeric"):
        federation(made()).fit(vfl.LogisticRegression(max_iter=5))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_uci_credit_equals_the_centralised_scorecard(data_folder: Path) -> None:
    """Bank 5 columns, partner 18, all 30,000 rows: equal bins; AUC on a held-out quarter within 0.003 of the joined
    table's scorecard."""
    table = pd.read_csv(data_folder / "uci_credit_card.csv").rename(
        columns={"ID": "id", "default.payment.next.month": "default"}
    )
    own = ["LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"]
    rest = [c for c in table.columns if c not in ("id", "default", *own)]
    test = np.random.default_rng(0).random(len(table)) < 0.25
    train = table[~test]
    fed = vfl.Federation.local(
        train[["id", "default", *own]],
        {"partner": train[["id", *rest]]},
        on="id",
        label="default",
        cipher=Identity(),
        convergence=False,
    )
    model = fed.fit(vfl.Scorecard(max_iter=30))
    new = table[test]
    score = model.predict_score(new[["id", *own]], {"partner": new[["id", *rest]]})[new["id"]].to_numpy()

    y, x = train["default"].to_numpy(), train[[*own, *rest]].astype(float)
    fitting = Fitting.start(x, Preprocessing(encode="woe"), "all")
    merged = [
        merge(fitting.settings.rule, n, np.bincount(b, weights=y, minlength=len(n)).astype(int), apart=a, ordered=o)
        for b, n, a, o in zip(
            fitting.bins.bins.T, fitting.bins.rows, fitting.bins.apart, fitting.bins.ordered, strict=True
        )
    ]
    central = fitting.finish(merged)
    assert central.woe is not None
    expected = {c.name: c for c in central.woe.columns}
    assert all(column == expected[column.name] for part in model.parts.values() for column in part.bins)
    w, v = central.transform(x, "all").to_numpy(), central.transform(new[[*own, *rest]].astype(float), "all").to_numpy()
    best = LogisticRegression(C=1.0, max_iter=5000).fit((w - w.mean(0)) / w.std(0), y)
    reference = best.predict_proba((v - w.mean(0)) / w.std(0))[:, 1]
    auc, wanted = (roc_auc_score(new["default"], s) for s in (score, reference))
    print(f"AUC {auc:.4f}, centralised {wanted:.4f}")
    assert abs(auc - wanted) < 0.003
