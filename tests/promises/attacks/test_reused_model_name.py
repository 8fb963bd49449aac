"""A guest that gives every model the name of the first one, so that a host counts the score vectors of one model
only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from protocols.randomness import Seed
from protocols.session import Session
from tests.promises.attacks.budgeted import Budgeted
from tests.promises.attacks.test_columns_from_scores import attack, columns_of
from vfl.models.regression.part import GlmPart
from vfl.run.budget import spread_of

COLUMNS = 6


@pytest.fixture(autouse=True)
def one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Session.seed

    def seed(self: Session, label: str, *rest: Any, **named: Any) -> Seed:
        return Seed(self.me, b"m" * 32) if label == "model id" else honest(self, label, *rest, **named)

    monkeypatch.setattr(Session, "seed", seed)


def test_models_of_one_name_are_counted_each(tmp_path: Path) -> None:
    x = columns_of(200, COLUMNS, mixed=False)
    found, done = attack(Budgeted(tmp_path), 0, x, COLUMNS)
    print(f"{done} models, R^2 {found.mean():.3f}")
    assert done == spread_of(pd.DataFrame(x)).most
    assert found.mean() < 0.55


def test_a_host_that_counts_by_the_guests_name_loses_its_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault; how often a row is scored is left out, which would notice the name too."""
    monkeypatch.setattr(GlmPart, "own_name", property(lambda part: part.model_id))
    parties = Budgeted(tmp_path)
    parties.party("telecom")
    file = tmp_path / "telecom" / "party.toml"
    file.write_text(file.read_text().replace("scores_per_row = 1\n", "scores_per_row = 1000\n"))
    found, done = attack(parties, 0, columns_of(200, COLUMNS, mixed=False), COLUMNS)
    print(f"{done} models, R^2 {found.mean():.3f}")
    assert done == COLUMNS
    assert found.min() > 0.999
