"""The guest's own trees, which a training keeps for the time when a partner does not answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.boosting.sealed_parts import alone
from protocols.errors import ModelError
from tests.promises.predictions.kinds import CASES, fitted, tables
from vfl.models.fallback import FILE
from vfl.models.trees import fallback
from vfl.models.trees.fallback import TreesFallback

NAME = "sealed trees"


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    """A folder with the fallback of a small model, whose trees are those of the guest alone; and the guest's part."""
    model = fitted(NAME)
    part, (guest, _) = model.parts["guest"], tables(CASES[NAME].label, CASES[NAME].texts)
    features = model._learned.reader.read(guest, model._kind, part, {}).table.features
    own = part.trees.own
    kept = TreesFallback.of(part.model_id, own)
    kept.save(tmp_path)
    return tmp_path, part, own, features


def test_what_is_read_scores_as_what_was_kept(saved: Any) -> None:
    folder, part, own, features = saved
    found = fallback.load(folder, part)
    assert found is not None
    assert np.array_equal(alone(found, part.binned(features)), alone(own, part.binned(features)))
    assert fallback.load(folder / "elsewhere", part) is None


CHANGES: dict[str, Any] = {
    "no JSON": lambda _: b"{",
    "another format": lambda told: told | {"format": 2},
    "outputs": lambda told: told | {"base": [0.0, 0.0]},
    "a field less": lambda told: told | {"trees": [{"owner": [-1]}]},
    "a host's split": lambda told: told | {"trees": [tree(owner=[1, -1, -1])]},
    "a child that is none": lambda told: told | {"trees": [tree(left=[2, -1, -1])]},
    "a column that is none": lambda told: told | {"trees": [tree(feature=[99, 0, 0])]},
    "half a bin": lambda told: told | {"trees": [tree(cut=[0.5, 0, 0])]},
    "another model": lambda told: told | {"model_id": "00" * 16},
}


def tree(**changed: list[float]) -> dict[str, Any]:
    """One split and two leaves."""
    plain = {"owner": [0, -1, -1], "feature": [0, 0, 0], "cut": [0, 0, 0], "missing_left": [False] * 3}
    return plain | {"left": [1, -1, -1], "gain": [0.0] * 3, "value": [0.0, 1.0, 2.0]} | changed


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_damaged_is_refused(saved: Any, change: str) -> None:
    folder, part, *_ = saved
    told = json.loads((folder / FILE).read_bytes())
    (folder / FILE).write_bytes(json.dumps(told | {"trees": [tree()]}).encode())
    assert fallback.load(folder, part) is not None, "the control"
    changed = CHANGES[change](told)
    (folder / FILE).write_bytes(changed if isinstance(changed, bytes) else json.dumps(changed).encode())
    with pytest.raises(ModelError, match=r"fallback\.json"):
        fallback.load(folder, part)
