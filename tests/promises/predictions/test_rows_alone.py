"""Each row of a batch has the score that it has alone; rows that miss a value have none, where the model needs it, and
texts that training did not have are told of."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, d2_tweedie_score, r2_score

import vfl
from protocols.cipher import Identity
from protocols.errors import DataError
from protocols.local import run_local
from tests.harness import Recording, Sent, scores_some_rows
from tests.promises.predictions import kinds
from tests.promises.predictions.kinds import CASES, each, fitted, scored, tables
from vfl.models import joint
from vfl.models.new_rows import ENOUGH

NEW = 24
MEASURES = {"number": r2_score, "count": partial(d2_tweedie_score, power=1)}
NO_IMPUTATION = [name for name, case in CASES.items() if not case.takes_missing]
TEXTS = [name for name, case in CASES.items() if case.texts]


def batch(name: str) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """New rows with gaps at both parties, a new text, and customers that one of them does not know; in no order."""
    case = CASES[name]
    guest, hosts = tables(case.label, case.texts)
    guest, host = guest.drop(columns="outcome").tail(NEW).copy(), hosts["telecom"].tail(NEW + 30).copy()
    guest.iloc[3, 1], guest.iloc[4, 2], guest.iloc[5, 1:] = np.nan, np.nan, np.nan
    host.iloc[-1, 1], host.iloc[-2, 2] = np.nan, np.nan
    if case.texts:
        host.iloc[-6, 3] = "atlantis"
    guest.iloc[10, 0] = "CANARY-new"
    return guest.sample(frac=1, random_state=2), {
        "telecom": host.drop(index=host.index[-8]).sample(frac=1, random_state=3)
    }


def told(model: Any, guest: pd.DataFrame, hosts: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[str], set[str]]:
    """What is predicted, the warnings that come with it, and the files whose lines they name."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = scored(model, guest, hosts)
    return found, [str(one.message) for one in caught], {one.filename for one in caught}


def quietly(model: Any, guest: pd.DataFrame, hosts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return told(model, guest, hosts)[0]


@pytest.mark.parametrize("name", each(CASES))
def test_a_row_scores_alone_as_in_its_batch(name: str) -> None:
    model, (guest, hosts) = fitted(name), batch(name)
    whole = quietly(model, guest, hosts)
    assert list(whole.index) == list(guest["customer"])
    empty = 2 if CASES[name].takes_missing else 2 + 3 + 2  # unknown to one of both; guest's gaps; the host's
    assert whole.isna().any(axis=1).sum() == empty
    assert whole.isna().all(axis=1).sum() == empty
    pieces = [guest.iloc[:1], guest.iloc[1:2], guest.iloc[2:9], guest.iloc[9:10], guest.iloc[10:]]
    turned = {"telecom": hosts["telecom"][[*reversed(hosts["telecom"].columns)]]}
    parts = [quietly(model, piece[[*reversed(piece.columns)]], turned) for piece in pieces]
    pd.testing.assert_frame_equal(pd.concat(parts), whole, check_exact=True)


@pytest.mark.parametrize("name", each(NO_IMPUTATION))
def test_rows_without_a_value_are_told_to_their_owner_alone(name: str) -> None:
    model, (guest, hosts) = fitted(name), batch(name)
    _, said, files = told(model, guest, hosts)
    assert "guest: 3 of 24 rows have no score, because values are missing: 'age' (2) and 'limit' (2)" in said
    assert "telecom: 2 of 53 rows have no score, because values are missing: 'bill' (1) and 'late' (1)" in said
    assert not any("CANARY" in one for one in said)
    assert files == {kinds.__file__}


def test_a_row_that_a_host_cannot_score_looks_like_one_that_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same messages, in the same sizes, cross for a customer without a value and for one that is not in the table:
    no message says which it is, and the list is shorter by it.  The control is a customer with a value."""

    def sizes(host: pd.DataFrame) -> list[tuple[str, str, int]]:
        sent: list[Sent] = []
        model, (guest, _) = fitted("known weights"), batch("known weights")
        taps = {party: [Recording(party, sent)] for party in model.roles.all}
        with monkeypatch.context() as patch:
            patch.setattr(joint, "run_local", partial(run_local, taps=taps))
            quietly(model, guest, {"telecom": host})
        return sorted((one.sender, one.kind.__name__, len(one.data)) for one in sent)

    _, hosts = batch("known weights")
    host = hosts["telecom"].dropna()
    gap = host.assign(bill=host["bill"].where(host["customer"] != "CANARY-0110"))
    assert gap["bill"].isna().sum() == 1
    assert sizes(gap) == sizes(gap.dropna()) != sizes(host)


@pytest.mark.parametrize("name", each(NO_IMPUTATION))
def test_a_column_without_any_value_is_refused_by_name(name: str) -> None:
    model, (guest, hosts) = fitted(name), batch(name)
    for rows in (ENOUGH, len(guest)):
        with pytest.raises(DataError, match=r"guest: feature column 'limit' has no value in any of the \d+ new rows"):
            quietly(model, guest.head(rows).assign(limit=np.nan), hosts)
    with pytest.raises(DataError, match="telecom: feature column 'late' has no value in any of the 53 new rows"):
        quietly(model, guest, {"telecom": hosts["telecom"].assign(late=np.nan)})
    assert quietly(model, guest.head(ENOUGH - 1).assign(limit=np.nan), hosts).isna().all(axis=None)


@pytest.mark.parametrize("name", each(TEXTS))
def test_texts_that_training_did_not_have_are_told_of(name: str) -> None:
    """One of them is scored, and its owner is told; a column of nothing else is refused by name."""
    model, (guest, hosts) = fitted(name), batch(name)
    assert (
        "telecom: column 'town': 1 of 53 rows hold a text that the model does not know" in told(model, guest, hosts)[1]
    )
    other = {"telecom": hosts["telecom"].assign(town="atlantis")}
    with pytest.raises(DataError, match="telecom: feature column 'town': the model knows none of the texts of the 53"):
        quietly(model, guest, other)
    empty = {"telecom": hosts["telecom"].assign(town=None)}  # as the remedy says
    assert quietly(model, guest, empty).notna().any(axis=None)


@pytest.mark.parametrize("name", ["imputed", "scorecard", "sealed trees"])
def test_a_column_may_be_empty_where_missing_values_are_scored(name: str) -> None:
    model, (guest, hosts) = fitted(name), batch(name)
    found, said, _ = told(model, guest.assign(age=np.nan), hosts)
    assert "guest: column 'age': every value is missing in the new rows" in said
    assert found.notna().all(axis=1).sum() == NEW - 2


def test_every_row_may_lack_a_value() -> None:
    model, (guest, hosts) = fitted("logistic"), batch("logistic")

    def lacking(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
        odd = np.arange(len(table)) % 2 == 1
        return table.assign(**{c: table[c].where(odd == bool(k)) for k, c in enumerate(columns)})

    assert quietly(model, lacking(guest, "age", "limit"), hosts).isna().all(axis=None)
    host = lacking(hosts["telecom"], "bill", "late")
    assert quietly(model, guest, {"telecom": host}).isna().all(axis=None)


@pytest.mark.parametrize("name", each(CASES))
@scores_some_rows
def test_every_model_is_scored_as_scikit_learn_does(name: str) -> None:
    """On the rows that have a prediction: accuracy, R^2 or the explained deviance, by scikit-learn's own functions."""
    model, case = fitted(name), CASES[name]
    guest, hosts = tables(case.label, case.texts)
    new = {"telecom": hosts["telecom"].iloc[20:]}
    found, y = model.predict(guest, new)[20:], guest["outcome"].to_numpy()[20:]
    numbers = case.label in ("number", "count")
    found = found.to_numpy(np.float64 if numbers else y.dtype)
    assert model.score(guest, new) == pytest.approx(MEASURES.get(case.label, accuracy_score)(y, found))
    with pytest.raises(DataError, match="no column 'outcome' to score against"):
        model.score(guest.drop(columns="outcome"), new)
    with pytest.raises(DataError, match="no row has a score"):
        model.score(guest.assign(customer=guest["customer"] + "x"), new)
    gap = guest["outcome"].astype(object).where(np.arange(len(guest)) != 30)
    with pytest.raises(DataError, match="guest: label column 'outcome' has missing values in row 31"):
        model.score(guest.assign(outcome=gap), new)
    if numbers:
        with pytest.raises(DataError, match="guest: label column 'outcome' is not numeric"):
            model.score(guest.assign(outcome="much"), new)


def test_two_hosts_know_other_customers_and_miss_other_values() -> None:
    """What one of several hosts does not know, or cannot score, has no score."""
    guest, hosts = tables("binary", False)
    shop = hosts["telecom"].rename(columns={"bill": "spent", "late": "visits"})
    fed = vfl.Federation.local(guest, hosts | {"shop": shop}, "customer", "outcome", cipher=Identity())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = fed.fit(CASES["logistic"].estimator)
    batch = guest.drop(columns="outcome").head(6)
    telecom = hosts["telecom"].assign(bill=hosts["telecom"]["bill"].where(np.arange(len(guest)) != 1))
    found = quietly(model, batch, {"telecom": telecom, "shop": shop.drop(index=3)})
    assert found.isna().any(axis=1).tolist() == [False, True, False, True, False, False]
    assert quietly(model, batch, {"telecom": telecom, "shop": shop.tail(9)}).isna().all(axis=None)
