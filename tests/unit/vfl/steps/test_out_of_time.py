"""The split by the guest's dates: nothing is fitted on a later row, every part is measured, and hosts learn one bit a
row."""

from __future__ import annotations

import datetime
import tomllib
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols import alignment
from protocols.alignment import out_of_time
from protocols.channel import Tap
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError, RemoteProtocolError
from protocols.local import run_local
from protocols.session import Session
from tests.harness import TOY, ContextFree, Recording, Sent
from tests.promises.recovery.interrupted import Interrupted
from tests.unit.protocols.boosting.world import roles_of
from tests.unit.vfl.job.samples import MINIMAL, with_key
from vfl.data.keys import canonical_ids, split_rows
from vfl.data.labels import days
from vfl.job import Job, job_from
from vfl.metrics import binary_metrics
from vfl.steps import split as measured

CUT = "2025-03-01"
ESTIMATORS: dict[str, Any] = {
    "regression": vfl.LogisticRegression(max_iter=20, link="taylor"),
    "linear": vfl.LinearRegression(max_iter=12),
    "scorecard": vfl.Scorecard(max_iter=12, link="taylor", min_bin_rows=20),
    "trees": vfl.BoostedTrees(n_estimators=2, max_depth=2, max_bin=8, random_state=5),
    "open trees": vfl.BoostedTrees(n_estimators=2, max_depth=2, max_bin=8, membership="open"),
}


def frames(n: int = 500) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, 4))
    y = (z @ [1.0, -0.8, 0.6, 0.7] + rng.logistic(size=n) > 0).astype(int)
    ids, days = [f"c{k}" for k in range(n)], pd.date_range("2024-01-01", periods=n, freq="D")
    guest = pd.DataFrame({"id": ids, "bad": y, "a": z[:, 0], "b": z[:, 1], "opened": days})
    shifted = z[:, 2] + np.where(days >= CUT, 2.0, 0.0)
    return guest, {"telecom": pd.DataFrame({"id": ids, "c": shifted, "d": z[:, 3]}).sample(frac=1, random_state=1)}


def federation(guest: pd.DataFrame, hosts: dict[str, pd.DataFrame], **more: Any) -> vfl.Federation:
    return vfl.Federation.local(
        guest, hosts, on="id", label="bad", **({"date": "opened", "cipher": Identity()} | more), convergence=False
    )


def held_out(guest: pd.DataFrame, seed: int = 3) -> tuple[Any, Any]:
    """(test, out of time) of each row of the guest's table."""
    later = (guest["opened"] >= CUT).to_numpy()
    return split_rows(canonical_ids(guest, "guest", ["id"], {"id": "text"}), 0.25, seed) & ~later, later


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_every_part_is_measured_and_later_rows_are_a_part_of_their_own(kind: str) -> None:
    guest, hosts = frames()
    model = federation(guest, hosts).fit(ESTIMATORS[kind], split=vfl.Split(seed=3, out_of_time=CUT, train=True))
    told, theirs = model.reports_["guest"].result, model.reports_["telecom"]
    test, later = held_out(guest)
    rows = {"train": ~test & ~later, "test": test, "out_of_time": later}
    assert set(told["metrics"]) == set(rows)
    assert all(told["metrics"][part]["joint"]["n"] == which.sum() for part, which in rows.items())
    assert told["alignment"]["out_of_time_rows"] == later.sum()
    assert told["alignment"]["test_rows"] == test.sum()
    assert set(told["uplift"]) == {"test", "out_of_time"}
    drift = theirs.stability.set_index(["part", "column"])["psi"]
    assert drift["out_of_time", "c"] > 0.25 > drift["test", "c"]  # the host's column moved at the cut-off
    assert {"joint score", "a", "b"} == set(model.reports_["guest"].stability["column"])
    assert theirs.metrics.empty
    if kind != "linear":
        score = model.predict_score(guest.drop(columns=["bad", "opened"]), hosts).to_numpy()
        for part, which in rows.items():
            assert told["metrics"][part]["joint"]["auc"] == pytest.approx(
                binary_metrics(guest["bad"].to_numpy()[which], score[which])["auc"], abs=2e-3
            )


@pytest.mark.parametrize("label", ["classes", "counts"])
def test_other_labels_have_their_parts_too(label: str) -> None:
    guest, hosts = frames(240)
    rng = np.random.default_rng(1)
    counts = rng.poisson(np.exp(guest["a"] / 2))
    guest["bad"] = np.array(["x", "y", "z"])[np.minimum(counts, 2)] if label == "classes" else counts
    estimator: Any = (
        vfl.LogisticRegression(max_iter=5, link="taylor") if label == "classes" else vfl.PoissonRegression(max_iter=8)
    )
    report = (
        federation(guest, hosts).fit(estimator, split=vfl.Split(out_of_time="2024-06-01", train=True)).reports_["guest"]
    )
    later = (guest["opened"] >= "2024-06-01").sum()
    assert report.result["metrics"]["out_of_time"]["joint"]["n"] == later
    assert report.metrics.xs("n", axis=0)[:, "joint"].sum() == 240
    assert report.result["outcome"] == ("multiclass" if label == "classes" else "count")


@pytest.mark.parametrize("kind", ["regression", "scorecard", "trees"])
def test_nothing_is_fitted_on_a_row_that_is_held_out(kind: str) -> None:
    """Labels and columns of held-out rows change at both parties: what was fitted stays.  Planted: some training rows
    change, and it does not."""
    guest, hosts = frames()
    test, later = held_out(guest)
    new, theirs = guest.assign(opened=CUT), hosts["telecom"]

    def fitted(which: Any) -> Any:
        rows = guest["id"][which]
        own = guest.assign(bad=guest["bad"].where(~which, 1 - guest["bad"]), a=guest["a"].where(~which, 9.0))
        host = theirs.assign(c=theirs["c"].where(~theirs["id"].isin(rows), -7.0))
        same: Any = {
            p: ContextFree(p) for p in ("guest", "telecom", "arbiter")
        }  # masks and orders do not hang on the tables
        model = federation(own, {"telecom": host}).fit(
            ESTIMATORS[kind], split=vfl.Split(seed=3, out_of_time=CUT), randomness=same
        )
        return model.predict_score(new.drop(columns=["bad", "opened"]), hosts).to_numpy()

    first = fitted(np.zeros(len(guest), np.bool_))
    assert np.abs(fitted(test | later) - first).max() < 1e-12
    trained = np.flatnonzero(~test & ~later)[:40]
    assert np.abs(fitted(np.isin(np.arange(len(guest)), trained)) - first).max() > 6e-3


def test_hosts_learn_a_bit_a_row_and_only_where_the_job_says_so() -> None:
    for cut, wanted in ((CUT, 1), (None, 0)):
        transcript: list[Sent] = []
        taps: dict[str, list[Tap]] = {p: [Recording(p, transcript)] for p in ("guest", "telecom", "arbiter")}
        federation(*frames()).fit(ESTIMATORS["regression"], split=vfl.Split(out_of_time=cut), taps=taps)
        sent = [s for s in transcript if s.kind is out_of_time.LaterRows]
        assert [(s.sender, s.receiver) for s in sent] == [("guest", "telecom")] * wanted
        assert all(len(s.data) < 500 // 8 + 40 for s in sent)
        assert not any(word in s.data for s in transcript for word in (b"2025", b"2024", b"opened"))


def test_two_hosts_and_no_drawn_part() -> None:
    guest, hosts = frames()
    both = {"telecom": hosts["telecom"][["id", "c"]], "shop": hosts["telecom"][["id", "d"]]}
    for kind in ("regression", "trees"):
        told = (
            federation(guest, both)
            .fit(ESTIMATORS[kind], split=vfl.Split(test=0, out_of_time=datetime.date(2025, 3, 1)))
            .reports_
        )
        assert set(told["guest"].result["metrics"]) == {"out_of_time"}
        assert set(told["shop"].stability["part"]) == {"out_of_time"}
        assert len(told["guest"].uplift) > 0
        assert "out of time" in repr(told["guest"]).replace("_", " ")


def test_what_cannot_be_split_is_refused() -> None:
    guest, hosts = frames()
    fit = partial(federation(guest, hosts).fit, ESTIMATORS["regression"])
    for cut, words in (
        ("2030-01-01", "no common row is out of time"),
        ("2024-01-01", "no common row is left to train on"),
    ):
        with pytest.raises(DataError, match=words):
            fit(split=vfl.Split(out_of_time=cut))
    with pytest.raises(DataError, match="common rows are left to train on, and this job wants at least 450"):
        federation(guest, hosts, min_intersection=450).fit(ESTIMATORS["regression"], split=vfl.Split(out_of_time=CUT))
    with pytest.raises(ConfigError, match="the guest no dates"):
        federation(guest.drop(columns="opened"), hosts, date=None).fit(
            ESTIMATORS["regression"], split=vfl.Split(out_of_time=CUT)
        )
    with pytest.raises(ConfigError, match="split is a float"):
        fit(split=0.3)


@pytest.mark.parametrize(
    "wrong",
    [{"test": 1.0}, {"test": 0}, {"seed": -1}, {"train": 1}, {"out_of_time": "soon"}, {"out_of_time": 20250301}],
)
def test_impossible_splits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Split"):
        vfl.Split(**wrong)


def test_days_are_read_from_dates_time_stamps_and_texts() -> None:
    def read(values: list[Any]) -> list[str]:
        return [str(d) for d in days(pd.Series(values), "bank", "opened", np.arange(1, len(values) + 1))]

    late = pd.Timestamp("2026-01-31 23:30", tz="Europe/Berlin")
    assert read(["2026-01-31", " 2026-01-31 ", "2026-01-31T23:59:00+05:00"]) == ["2026-01-31"] * 3
    assert read([late, late]) == ["2026-01-31"] * 2  # its own day, not that of Greenwich
    assert read([datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, 12)]) == ["2026-01-31"] * 2
    for values, words in (
        (["2026-01-31", "31.01.2026"], "holds no date in row 2"),
        ([20260131, 20260131], "holds no date in rows 1 and 2|holds no date in rows 1, 2"),
        (["2026-01-31", None], "has missing values in row 2"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            read(values)
        assert "31.01.2026" not in str(caught.value)


def test_a_bitmap_of_another_length_is_refused() -> None:
    def guest(session: Session) -> None:
        out_of_time.guest(session, np.ones(9, np.bool_))

    with pytest.raises(RemoteProtocolError, match="bitmap"):
        run_local(
            roles_of(1),
            {"guest": guest, "host1": lambda s: out_of_time.host(s, 8), "arbiter": lambda s: None},
            Identity(),
        )


def test_an_interrupted_run_tells_the_same_rows_again() -> None:
    """Stopped before any message: the same bytes under each number, the same rows held out in the end."""
    roles, ids = roles_of(1), [b"id %d" % k for k in range(30)]
    guest, host = ([f"id {k}" for k in range(30)], [f"id {k}" for k in range(5, 30)])
    common: dict[str, Any] = {"on": "id", "label": "y"}
    one = vfl.Federation.local(
        pd.DataFrame({"id": guest, "y": 0, "opened": pd.date_range("2025-01-01", periods=30)}),
        {"host1": pd.DataFrame({"id": host, "x": 1.0})},
        date="opened",
        **common,
        convergence=False,
    )._tables
    assert len(ids) == len(one["guest"])

    def program(session: Session, party: str) -> Any:
        found = alignment.align(session, one[party].keys, 1)
        held, later = measured.hold_out(session, one[party].aligned(found), 0.3, 1, "2025-01-20", 1)
        session.once(lambda: None, lambda _: {}, lambda _: None)
        return held.tolist(), later.tolist()

    def arbiter(session: Session) -> None:
        alignment.serve(session, 1)
        session.once(lambda: None, lambda _: {}, lambda _: None)

    programs: dict[str, Any] = {p: partial(program, party=p) for p in ("guest", "host1")} | {"arbiter": arbiter}
    undisturbed = Interrupted(roles, programs, TOY)
    expected = undisturbed.attempt()
    assert expected is not None
    assert expected["guest"] == expected["host1"]
    assert sum(expected["guest"][1]) == 11
    messages = {party: killer.seen for party, killer in undisturbed.killers.items()}
    for party, most in messages.items():
        for at in range(1, most + 1):
            run = Interrupted(roles, programs, TOY)
            assert run.attempt(party, at) is None
            assert run.attempt() == expected, (party, at)
            assert run.hashes == undisturbed.hashes, (party, at)


def job(day: str = "2026-01-01", permit: bool = True) -> Job:
    allowed = (
        MINIMAL.replace('"scores-to-guest"]', '"scores-to-guest", "out-of-time-rows-to-hosts"]') if permit else MINIMAL
    )
    return job_from(tomllib.loads(with_key("split", f"out_of_time = {day}", allowed)))


def test_a_job_names_the_day_and_what_it_reveals() -> None:
    assert job().split.out_of_time == "2026-01-01"
    assert job().digest == job('"2026-01-01"').digest != job("2026-01-02").digest
    with pytest.raises(ConfigError, match="out-of-time-rows-to-hosts"):
        job(permit=False)
    for wrong in ("2026", '"next year"', "2026-01-01T10:00:00", "true"):
        with pytest.raises(ConfigError, match="out_of_time"):
            job(wrong)


@pytest.mark.parametrize(
    "day", [pd.Timestamp("2026-02-01"), np.datetime64("2026-02-01"), datetime.datetime(2026, 2, 1), "2026-02-01"]
)
def test_any_day_is_one_and_the_repr_says_what_else_is_held_out(day: object) -> None:
    split = vfl.Split(out_of_time=day)
    assert split.cut_off == "2026-02-01"
    assert repr(split).startswith("Split(test=0.25, ")
    assert "2026-02-01" in repr(split)
    assert repr(vfl.Split(test=0.1, out_of_time=day)).count("test=") == 1
    assert "test=0.0," in repr(vfl.Split(test=0, out_of_time=day))
    for wrong in (pd.Timestamp("2026-02-01 12:00"), pd.NaT, np.datetime64("NaT"), 20260201):
        with pytest.raises(ConfigError):
            vfl.Split(out_of_time=wrong)


def test_a_part_without_a_row_is_no_evaluation() -> None:
    """At every party, so that none goes on; a report without measures was the same as a host's."""
    guest, hosts = frames(60)
    guest = guest.drop(columns="opened")
    fed = vfl.Federation.local(guest, hosts, on="id", label="bad", cipher=Identity(), convergence=False)
    estimator = vfl.LogisticRegression(link="taylor", max_iter=5)
    with pytest.raises(DataError, match="no common row is held out, so that nothing would be evaluated"):
        fed.fit(estimator, split=vfl.Split(test=1e-6))
    assert fed.fit(estimator, split=vfl.Split(test=0.2)).reports_["guest"].metrics.loc["n", "joint"] > 0
