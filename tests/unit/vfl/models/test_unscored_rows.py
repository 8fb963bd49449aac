"""Rows that a party does not know have no score, and every prediction says so once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.promises.predictions.kinds import each, fitted, tables

KINDS = ("logistic", "classes", "linear", "known points", "sealed trees", "search")
UNKNOWN = "100 of 120 rows have no score: not known to all parties"
USED = "score is of 20 of 120 rows: the others have no score"


def said(call: Callable[..., Any], *args: Any) -> list[str]:
    """The warnings of a call; each names this file's line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(*args)
    assert {one.filename for one in caught} <= {__file__}
    return [str(one.message) for one in caught]


@pytest.mark.parametrize("name", each(KINDS))
def test_rows_that_a_host_does_not_know_are_said_once(name: str) -> None:
    labels = {"classes": "classes", "linear": "number"}
    guest, hosts = tables(labels.get(name, "binary"), texts=name in ("known points", "sealed trees"))
    few = {"telecom": hosts["telecom"].head(20)}
    model = fitted(name)
    calls = [model.predict, model.score]
    calls += [] if name == "linear" else [model.predict_proba, model.predict_log_proba]
    calls += [] if name in ("linear", "classes") else [model.predict_score]
    for call in calls:
        assert said(call, guest, few) == ([UNKNOWN, USED] if call == model.score else [UNKNOWN])
        assert said(call, guest, hosts) == []


def test_a_host_without_a_value_is_not_said_to_know_nobody() -> None:
    guest, hosts = tables("binary", texts=False)
    gap = hosts["telecom"].copy()
    gap.loc[:9, "bill"] = np.nan
    assert said(fitted("logistic").predict_score, guest, {"telecom": gap}) == [
        "telecom: 10 of 120 rows have no score, because values are missing: 'bill' (10)",
        "10 of 120 rows have no score: not known to all parties, or without a value at a host",
    ]
    own = guest.copy()
    own.loc[:9, "age"] = np.nan  # at the guest itself: known to all, so this is not said
    assert said(fitted("logistic").score, own, hosts) == [
        "guest: 10 of 120 rows have no score, because values are missing: 'age' (10)",
        "score is of 110 of 120 rows: the others have no score",
    ]
