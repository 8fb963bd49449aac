"""Fixtures that every folder of tests uses."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

# A shell starts what it runs in the background with SIGINT ignored, and its children inherit that: tests send SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real tables, given by VFL_TEST_DATA."""
    folder = os.environ.get("VFL_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("VFL_TEST_DATA names no folder of real tables")
    return Path(folder)


@pytest.fixture(scope="session")
def small_tables() -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """A guest (60 rows, 2 columns, label) and two hosts (3 and 1 columns) that share 40 customers."""
    rng = np.random.default_rng(5)
    n = 60
    x = rng.normal(size=(n, 6))
    y = (x @ [1.0, -0.5, 0.8, 0.3, 0.0, -0.7] + rng.logistic(size=n) > 0).astype(int)
    ids = [f"c{i:03d}" for i in range(n)]
    guest = pd.DataFrame({"id": ids, "default": y, "age": 40 + 9 * x[:, 0], "limit": 1000 + 300 * x[:, 1]})
    telecom = (
        pd.DataFrame({"id": ids, "bill": x[:, 2], "late": x[:, 3], "tenure": x[:, 4]})
        .iloc[10:]
        .sample(frac=1, random_state=1)
    )
    shop = pd.DataFrame({"id": ids, "spend": x[:, 5]}).iloc[:50].sample(frac=1, random_state=2)
    return guest, {"telecom": telecom.reset_index(drop=True), "shop": shop.reset_index(drop=True)}
