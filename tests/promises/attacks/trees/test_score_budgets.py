"""A host counts the score vectors that sealed trees open, and how often a row is scored, as it does of regressions;
where it does not agree nothing is opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.allowance import Allowance
from protocols.cipher import Identity
from protocols.errors import DisclosureRefused
from tests.harness import scores_some_rows

ROWS = 120
MODEL: dict[str, Any] = {"n_estimators": 2, "max_depth": 2, "min_bin_rows": 5}


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(3)
    x, ids = rng.normal(size=(ROWS, 4)), [f"c{k:03d}" for k in range(ROWS)]
    y = (x.sum(axis=1) + rng.logistic(size=ROWS) > 0).astype(int)
    return pd.DataFrame({"id": ids, "y": y, "a": x[:, 0], "b": x[:, 1]}), pd.DataFrame(
        {"id": ids, "c": x[:, 2], "d": x[:, 3]}
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What hosts ask before they open scores: how many vectors, or rows."""
    found: list[tuple[str, int]] = []

    def vectors(self: Allowance, model: bytes, count: int, columns: Sequence[str]) -> None:
        assert tuple(columns) == ("c", "d")
        found.append(("candidates" if not model else "vectors", count))

    def rows(self: Allowance, model: bytes, what: str, ids: Iterable[bytes]) -> None:
        assert len(model) == 16
        found.append((what, len(set(ids))))

    monkeypatch.setattr(Allowance, "score_vectors", vectors)
    monkeypatch.setattr(Allowance, "rows_scored", rows)
    return found


def federation(guest: pd.DataFrame, host: pd.DataFrame) -> vfl.Federation:
    return vfl.Federation.local(guest=guest, hosts={"telecom": host}, on="id", label="y", cipher=Identity(1024))


@scores_some_rows
def test_training_counts_what_it_measures_and_scoring_its_rows(asked: list[tuple[str, int]]) -> None:
    guest, host = tables()
    model = federation(guest, host).fit(vfl.BoostedTrees(**MODEL))
    assert asked == []  # nothing is opened
    model.predict(guest.drop(columns="y"), {"telecom": host.head(50)})
    assert asked == [("new rows", 50), ("vectors", 1)]
    federation(guest, host).fit(vfl.BoostedTrees(**MODEL), split=vfl.Split(test=0.3))
    (what, rows), one = asked[2:]
    assert (what, one) == ("held-out rows", ("vectors", 1))
    assert 0 < rows < ROWS / 2


def test_open_trees_count_none(asked: list[tuple[str, int]]) -> None:
    """Their directions tell more than any score: another permit."""
    guest, host = tables()
    model = federation(guest, host).fit(vfl.BoostedTrees(**MODEL, membership="open"))
    model.predict(guest.drop(columns="y"), {"telecom": host})
    assert asked == []


def test_a_host_that_does_not_agree_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    guest, host = tables()
    model = federation(guest, host).fit(vfl.BoostedTrees(**MODEL))

    def refuse(*args: Any) -> None:
        raise DisclosureRefused("telecom: too many", about="policy.score_vectors", remedy="Fewer", party="telecom")

    monkeypatch.setattr(Allowance, "score_vectors", refuse)
    with pytest.raises(DisclosureRefused):
        model.predict(guest.drop(columns="y"), {"telecom": host})
