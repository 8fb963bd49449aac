"""Columns that are kept as they came are read again as they were, and a file that is written from their blocks is the
one that is written from all rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols import parts
from protocols.kept import in_memory
from vfl.data.kept_frame import KeptFrame, block_of, packed, type_of
from vfl.data.writing import WRITERS, write_blocks, write_table

FRAME = pd.DataFrame(
    {
        "id": pd.Series(["=1+1", "ü", None, "", "a,b", 'say "x"', "-5"], dtype=object),
        "number": np.array([3, -1, 2**62, 0, 5, 6, 7]),
        "share": [0.1, np.nan, 1e300, -0.0, 2.0, 3.5, 1 / 3],
        "flag": [True, False, True, True, False, False, True],
        "none": pd.Series([None] * 6 + ["late"], dtype=object),
        "points": pd.array([1, None, 3, 4, None, 6, 7], dtype="Int64"),
    }
)
KEPT = ["id", "number", "share", "flag", "none"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 3)


def kept(frame: pd.DataFrame) -> KeptFrame:
    types = {name: type_of(frame[name]) for name in frame}
    return KeptFrame(len(frame), types, {name: [in_memory(one) for one in packed(frame[name])] for name in frame})


def test_each_block_is_as_it_was() -> None:
    found = kept(FRAME[KEPT])
    for part in parts.parts(len(FRAME)):
        pd.testing.assert_frame_equal(found.block(part), block_of(FRAME[KEPT], part))
    assert found.block(parts.parts(7)[0])["id"].tolist() == ["=1+1", "ü", None]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["a", 1], dtype=object),
        pd.Series(["a", 1.5], dtype=object),
        pd.Series([1, None], dtype="Int64"),
        pd.Series(pd.to_datetime(["2020-01-01", "2021-01-01"])),
        pd.Series(["a", "b"], dtype="category"),
    ],
)
def test_what_would_not_be_the_same_again_is_refused(column: pd.Series) -> None:
    with pytest.raises(TypeError):
        list(packed(column))


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("returns", [False, True])
def test_a_file_of_blocks_is_that_of_all_rows(tmp_path: Path, suffix: str, returns: bool) -> None:
    """A carriage return in the last block quotes the texts of the first."""
    frame = FRAME.assign(id=[*FRAME["id"][:6], "a\rb" if returns else "ab"])

    def blocks() -> Iterator[pd.DataFrame]:
        return (block_of(frame, part) for part in parts.parts(len(frame)))

    one, other = (tmp_path / f"{name}{suffix}" for name in ("whole", "blocks"))
    write_table(frame, one, suffix)
    write_blocks(blocks, other, suffix)
    if suffix == ".csv":
        assert one.read_bytes() == other.read_bytes()
        return
    read = pd.read_parquet if suffix == ".parquet" else pd.read_feather
    pd.testing.assert_frame_equal(read(one), read(other))
