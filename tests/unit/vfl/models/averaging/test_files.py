"""An averaged model in a folder: it comes back bit for bit, holds no row, and what is damaged is refused."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, ModelError
from tests.unit.vfl.api.test_members import frame, members

LABELS = {"logistic": "event", "linear": "number", "poisson": "count", "mlp": "event"}


@cache
def fitted(estimator: str) -> vfl.AveragedModel:
    spec = vfl.Averaging(estimator=estimator, rounds=3, learning_rate=0.1)
    return members(10, LABELS[estimator]).fit(spec, split=vfl.Split(test=0.2), leaves={"m3": 2})


@pytest.mark.parametrize("estimator", LABELS)
def test_it_comes_back_bit_for_bit(estimator: str, tmp_path: Path) -> None:
    model, new = fitted(estimator), frame(50, seed=7)
    folder = model.save(tmp_path / "models" / "risk")
    back = vfl.load_model(folder)
    assert (type(back), repr(back), back.left_) == (vfl.AveragedModel, repr(model), model.left_)
    assert (back.estimator, back.feature_names_in_) == (model.estimator, model.feature_names_in_)
    pd.testing.assert_series_equal(back.predict_score(new), model.predict_score(new), check_exact=True)
    pd.testing.assert_frame_equal(back.rounds_, model.rounds_)
    pd.testing.assert_frame_equal(back.by_member_, model.by_member_, check_exact=True)
    assert back.fairness_ == model.fairness_


def test_only_this_account_reads_it_and_it_holds_no_row(tmp_path: Path) -> None:
    folder = fitted("linear").save(tmp_path / "m")
    assert sorted(os.listdir(folder)) == ["members.json", "model.json"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    written = "".join(path.read_text() for path in folder.iterdir())
    rows = [repr(float(cell)) for cell in frame()[["a", "b", "c", "number"]].to_numpy().ravel()]
    assert not any(cell in written for cell in rows)
    assert repr(fitted("linear").weights_[0].item()) in written  # so a cell would have been found


def test_what_a_local_run_knows_of_members_may_be_left_out(tmp_path: Path) -> None:
    folder = fitted("logistic").save(tmp_path / "m")
    (folder / "members.json").unlink()
    back = vfl.load_model(folder)
    assert len(back.by_member_) == 0
    assert back.fairness_ == {}
    assert (back.weights_ == fitted("logistic").weights_).all()


def test_an_existing_folder_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="never overwritten"):
        fitted("logistic").save(tmp_path)
    folder = fitted("logistic").save(tmp_path / "m")
    for given in ({"cipher": Identity()}, {"passphrase": "secret"}):
        with pytest.raises(ConfigError, match="no cipher and no key"):
            vfl.load_model(folder, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format": 2}, "a format that this release does not know"),
        ({"kind": "forest"}, "does not know|is damaged"),
        ({"weights": [1.0]}, "is damaged"),
        ({"weights": "none"}, "is damaged"),
        ({"columns": ["a", "a", "c"]}, "is damaged"),
        ({"columns": []}, "is damaged"),
        ({"means": [0.0]}, "is damaged"),
        ({"deviations": [1.0, 0.0, 1.0]}, "is damaged"),
        ({"label_deviation": 0.0}, "is damaged"),
        ({"rounds": {}}, "is damaged"),
        ({"rounds": {"members": [3], "rows": []}}, "is damaged"),
        ({"parameters": {"estimator": "forest"}}, "is damaged"),
        ({"more": 1}, "is damaged"),
    ],
)
def test_a_file_that_was_changed(change: dict[str, Any], match: str, tmp_path: Path) -> None:
    folder = fitted("logistic").save(tmp_path / "m")
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(content | change))
    with pytest.raises(ModelError, match=match):
        vfl.load_model(folder)


def test_damaged_bytes_end_in_a_typed_error_or_in_a_model(tmp_path: Path) -> None:
    folder, rng = fitted("mlp").save(tmp_path / "m"), np.random.default_rng(0)
    refused = 0
    for name in ("model.json", "members.json"):
        good = (folder / name).read_bytes()
        for _ in range(150):
            at = int(rng.integers(len(good)))
            (folder / name).write_bytes(good[:at] + bytes([rng.integers(256)]) + good[at + 1 :])
            try:
                assert isinstance(vfl.load_model(folder), vfl.AveragedModel)
            except ModelError:
                refused += 1
        (folder / name).write_bytes(good)
    assert refused > 50
    with pytest.raises(ModelError, match="holds no saved model"):
        vfl.load_model(tmp_path / "nothing")
