"""Errors in Python name what Python takes: no section of a job file, and what was passed instead."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, VFLError

X = np.random.default_rng(0).normal(size=(60, 4))
BANK = pd.DataFrame({"id": range(60), "bad": X.sum(axis=1) > 0, "age": X[:, 0], "limit": X[:, 1]})
TELECOM = pd.DataFrame({"id": range(60), "bill": X[:, 2], "late": X[:, 3]})
SECTIONS = re.compile(r"\[(align|run|data|model|preprocess|policy|predict)\]|party file|job|\bquery\b")


def made(guest: pd.DataFrame = BANK, hosts: Any = None, **more: Any) -> vfl.Federation:
    given: dict[str, Any] = {"on": "id", "label": "bad", "cipher": Identity()} | more
    return vfl.Federation.local(guest, {"telecom": TELECOM} if hosts is None else hosts, **given)


def fitted(**more: Any) -> Any:
    return made().fit(vfl.LogisticRegression(link="taylor", max_iter=5), verbose=0, **more)


def first(column: str, value: object) -> pd.DataFrame:
    return BANK.astype({column: object}).assign(**{column: [value, *BANK[column][1:]]})


def fit(guest: pd.DataFrame) -> object:
    return made(guest).fit(vfl.LogisticRegression(link="taylor"))


TWICE = pd.concat([BANK, BANK[:1]])
CASES: list[tuple[Callable[[], object], str]] = [
    (lambda: made(TWICE), 'Remove them, or agree on duplicates = "first"'),
    (lambda: made(BANK[:0]), "guest: the table has no rows. Pass a frame with rows"),
    (lambda: made(hosts=[TELECOM]), "hosts is a list: it holds a table by name of each host. Pass"),
    (lambda: made(hosts=TELECOM), "hosts is a DataFrame: it holds a table by name"),
    (lambda: made(hosts={}), "hosts is empty"),
    (lambda: made(min_intersection=0), "min_intersection = 0 is not possible"),
    (lambda: made(label="id"), "guest: the label 'id' is a key column, named in `on`"),
    (lambda: made(label="badd"), "label column 'badd' is not in the table"),
    (lambda: made().fit(LogisticRegression()), "not a LogisticRegression of sklearn. Use vfl.LogisticRegression"),
    (lambda: made().fit(LogisticRegression), "not the class LogisticRegression of sklearn. Use vfl.Log"),
    (lambda: made().fit(GradientBoostingClassifier()), "of sklearn. Pass an estimator of vfl"),
    (lambda: made().fit("logistic"), "not a str. Pass"),
    (lambda: vfl.LogisticRegression().fit(X, X), "has no fit of its own. Pass it to Federation.fit: model = fed.fit"),
    (lambda: vfl.BoostedTrees().predict(X), "a BoostedTrees has no predict of its own"),
    (lambda: vfl.LogisticRegression().coef_, "has no coef_ of its own"),
    (lambda: vfl.GridSearchCV(vfl.LogisticRegression(), {}).best_params_, "a GridSearchCV has no best_params_"),
    (lambda: fit(first("age", None)), 'missing values in row 1. .* use vfl.Preprocessing\\(impute="median"\\)'),
    (lambda: fit(BANK.assign(age="a")), 'as vfl.Preprocessing\\(encode="onehot"\\) does'),
    (lambda: fit(first("age", 1e308).assign(limit=[-1e308, *X[1:, 1]])), "guest: columns? 'age'.* too large to stand"),
    (lambda: fitted().reports_["guest"], "was fitted without a split, so it has no report. Pass split="),
    (
        lambda: fitted(split=vfl.Split(test=0.3)).reports_["gest"],
        "no report of 'gest'. There are those of guest",
    ),
    (lambda: fitted().predict(BANK, {}), r"expected telecom, found none"),
]


@pytest.mark.parametrize(("call", "words"), CASES, ids=[words[:30] for _, words in CASES])
@pytest.mark.filterwarnings("ignore")
def test_what_python_says(call: Callable[[], object], words: str) -> None:
    with pytest.raises(VFLError, match=words) as caught:
        call()
    assert not SECTIONS.search(str(caught.value))


def test_planted_fault_a_section_of_a_job_file_is_noticed() -> None:
    assert SECTIONS.search('agree on duplicates = "first" in [align]')
    assert SECTIONS.search("Check the source and the query")


def test_an_estimator_stays_an_object_as_python_expects() -> None:
    """`hasattr`, copies and pickles work, and an unknown name is no advice to fit."""
    one = vfl.LogisticRegression(C=2.0)
    assert not hasattr(one, "fit")
    assert not hasattr(one, "nothing")
    with pytest.raises(AttributeError) as caught:
        _ = one.nothing  # type: ignore[attr-defined]
    assert not isinstance(caught.value, VFLError)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one


@pytest.mark.filterwarnings("ignore")
def test_a_missing_report_is_a_key_error_too() -> None:
    model = fitted()
    assert "guest" not in model.reports_
    assert model.reports_.get("guest") is None
    with pytest.raises(KeyError):
        _ = model.reports_["guest"]


def test_a_report_that_cannot_be_written_says_so_without_sections(tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="Free space there, or choose another folder") as caught:
        vfl.evaluate([0, 1], [0.2, 0.7]).save(tmp_path / "file" / "below")
    assert not SECTIONS.search(str(caught.value))
