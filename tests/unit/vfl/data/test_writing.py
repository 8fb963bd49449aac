"""A table is written in the format that its file's suffix says, and read back the same."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.errors import ConfigError
from vfl.data.writing import WRITERS, check_out, write_table

READERS = {
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".feather": pd.read_feather,
    ".arrow": pd.read_feather,
}


def scores() -> pd.DataFrame:
    return pd.DataFrame({"id": ["a", "b", "c"], "score": [0.1 + 0.2, np.nan, 1 / 3]}, index=[7, 3, 5])


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_is_written_is_read_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"s{suffix}"
    check_out(path)
    write_table(scores(), path, suffix.upper())
    file = io.BytesIO()
    write_table(scores(), file, suffix)
    assert file.getvalue() == path.read_bytes()
    found = READERS[suffix](path)
    assert found["id"].tolist() == ["a", "b", "c"]
    assert found["score"].to_numpy().tobytes() == scores()["score"].to_numpy().tobytes()


@pytest.mark.parametrize("name", ["s.xlsx", "s", "s.csv.gz", ".csv"])
def test_an_unknown_suffix_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_out(Path(name))
    assert ".parquet, .feather or .arrow" in str(caught.value.remedy)


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    check_out(Path("s.csv"))
    with pytest.raises(ConfigError, match=r"writing \.parquet needs pyarrow.*pip install 'vfl.data.'"):
        check_out(Path("s.parquet"))
