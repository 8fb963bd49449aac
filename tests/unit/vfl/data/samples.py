"""A good table to start from."""

import numpy as np
import pandas as pd

from vfl.data import Table, table_from_frame

CANARY = "CANARY"


def good(rows: int = 6) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"{CANARY}{i}" for i in range(rows)],
            "limit": np.arange(rows) * 1.5,
            "age": np.arange(rows) + 20,
            "default": np.arange(rows) % 2,
        }
    )


def build(frame: pd.DataFrame, **options) -> Table:
    asked = {
        "party": "bank",
        "keys": ["id"],
        "normalise": {},
        "duplicates": "error",
        "label": "default",
        "columns": None,
    }
    return table_from_frame(frame, **(asked | options))
