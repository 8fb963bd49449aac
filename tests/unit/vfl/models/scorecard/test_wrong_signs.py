"""A column whose points run against its bins is named to its owner: in Python, in the terminal and in the report."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from tests.harness import KNOWN
from vfl.models.registry import KINDS
from vfl.report.words import cautions

N = 600
CARD = vfl.Scorecard(min_bin_rows=20, link="taylor")


def fit(twin: bool, **options: Any) -> Any:
    """twin: whether the host has nearly the guest's column, whose weight then turns over."""
    rng = np.random.default_rng(1)
    a, b, noise = rng.normal(size=(3, N))
    z = 2.0 * a - 1.5 * (a + 0.3 * noise) if twin else a + b
    y = (rng.random(N) < 1 / (1 + np.exp(-2 * z))).astype(int)
    guest = pd.DataFrame({"id": range(N), "y": y, "a": a})
    host = pd.DataFrame({"id": range(N), "b": a + 0.3 * noise if twin else b})
    given = {"on": "id", "label": "y", "cipher": Identity(), "reveal": KNOWN} | options
    fed = vfl.Federation.local(guest, {"h": host}, **given)
    return fed.fit(CARD, split=vfl.Split(test=0.2))


def test_a_wrong_sign_is_told_to_its_owner_everywhere() -> None:
    with pytest.warns(UserWarning, match="h: b: together with the other columns, points run against"):
        card = fit(twin=True)
    assert card.coef_["h"]["b"] > 0
    theirs, own = card.reports_["h"].result["model"], card.reports_["guest"].result["model"]
    assert theirs["wrong_signs"] == ["b"]
    assert any("wrong sign" in said for said in cautions(theirs))
    assert "wrong_signs" not in own
    (caution,) = KINDS["scorecard"].shown(card.parts["h"]).cautions
    assert caution.startswith("b: together with the other columns")


def test_right_signs_and_shared_weights_are_not() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        card = fit(twin=False)
        assert (card.coef_["h"] < 0).all()
        fit(twin=True, reveal=())  # nobody knows a weight, so nobody can be told
