"""The generated hospitals: the same columns, different patients."""

from __future__ import annotations

import pandas as pd
import pytest

from protocols.errors import ConfigError
from vfl.demo.hospitals import hospitals_sim


def test_hospitals_have_the_same_columns_and_differ_in_size_and_patients() -> None:
    tables = hospitals_sim()
    assert len(tables) == 12
    assert len({tuple(table.columns) for table in tables.values()}) == 1
    sizes = [len(table) for table in tables.values()]
    assert (min(sizes), max(sizes)) == (80, 1200)
    every = pd.concat(tables.values())
    assert 0.1 < every["back"].mean() < 0.25
    ages = [table["age"].mean() for table in tables.values()]
    assert max(ages) - min(ages) > 8


def test_a_seed_gives_the_same_tables_again() -> None:
    one, same, other = hospitals_sim(3), hospitals_sim(3), hospitals_sim(3, seed=6)
    assert all(one[name].equals(same[name]) for name in one)
    assert not one["hospital-01"].equals(other["hospital-01"])
    with pytest.raises(ConfigError, match="hospitals"):
        hospitals_sim(0)
