"""What a party says of its own table is declared once, and refused in the voice of its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError

BANK = pd.DataFrame({"id": [f"i{k}" for k in range(60)], "y": [0, 1] * 30, "age": np.arange(60.0) % 23})
SHOP = pd.DataFrame(
    {
        "KUNDENNR": BANK["id"],
        "row": range(60),
        "branch": [1, 2, 3] * 20,
        "price": [*(f"{k}.5" for k in range(59)), "-"],
    }
)
OPTIONS: dict[str, Any] = {
    "types": {"branch": "category", "price": "number"},
    "missing": ["-"],
    "exclude": ["row"],
    "id_columns": {"id": "KUNDENNR"},
}


def fed(options: Any) -> vfl.Federation:
    return vfl.Federation.local(
        BANK, {"shop": SHOP}, on="id", label="y", cipher=Identity(), options=options, convergence=False
    )


def test_the_options_of_a_host_in_python(tmp_path: Path) -> None:
    model = fed({"shop": vfl.TableOptions(**OPTIONS)}).fit(
        vfl.BoostedTrees(n_estimators=1, max_depth=1, max_bin=8, min_bin_rows=5)
    )
    part = model.parts["shop"]
    assert part.schema.types == {"branch": "code", "price": "number"}
    assert "-" in part.schema.missing
    new = BANK.drop(columns="y")
    scores = model.predict_score(new, {"shop": SHOP})
    loaded = vfl.load_model(model.save(tmp_path / "model"), cipher=Identity())
    pd.testing.assert_series_equal(scores, loaded.predict_score(new, {"shop": SHOP}))
    pd.testing.assert_series_equal(
        scores, model.predict_score(new, {"shop": SHOP.assign(branch=SHOP["branch"].astype(str))})
    )


def test_without_options_each_of_them_is_missed() -> None:
    for name, says in (
        ("types", "feature column 'price' holds numbers as text"),
        ("missing", "feature column 'price' is not numeric in row 60"),
        ("id_columns", "id column 'id' is not in the table"),
    ):
        with pytest.raises(DataError, match=says):
            fed({"shop": vfl.TableOptions(**{k: v for k, v in OPTIONS.items() if k != name})})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "options is a list"),
        ({"bank": vfl.TableOptions()}, "options names 'bank', which is no party"),
        ({"shop": {"types": {}}}, "options of shop is a dict"),
    ],
)
def test_wrong_options(options: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        fed(options)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"types": {"x": "text"}}, 'types is "text", which is not known'),
        ({"types": ["x"]}, "TableOptions: types"),
        ({"missing": ["-", "-"]}, 'missing names "-" twice'),
        ({"id_columns": {"a": "k", "b": "k"}}, 'id_columns gives "k" to two keys'),
        ({"kinds": {}}, "no parameter kinds"),
    ],
)
def test_wrong_parameters(params: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        vfl.TableOptions(**params)
