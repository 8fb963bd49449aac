"""Columns of a file of texts have one type, wherever the pieces of the file end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vfl.data import read_source
from vfl.data.doubts.written import NOTES
from vfl.data.readers import delimited

COLUMNS = {
    "code": ["01", "02", "", "07", "A1", "TRUE"],
    "number": ["1", "2.5", "", "4", "1e3", "6"],
    "whole": ["1", "2", "3", "4", "5", "6"],
    "truth": ["TRUE", "FALSE", "", "True", "false", "TRUE"],
    "late": ["1", "2", "3", "4", "5", "x"],
    "mixed": ["1", "2", "TRUE", "4", "5", "6"],
    "gap": ["", "NA", "", "null", "", ""],
    "text": ["a", "b", "'=c", "NA", "", "1"],
}
MEANT = COLUMNS | {
    "code": ["01", "02", None, "07", "A1", "TRUE"],
    "number": [1.0, 2.5, None, 4.0, 1000.0, 6.0],
    "whole": [1, 2, 3, 4, 5, 6],
    "truth": [True, False, None, True, False, True],
    "gap": [None] * 6,
    "text": ["a", "b", "=c", None, None, "1"],
}


def table(path: Path) -> Path:
    lines = [",".join(COLUMNS), *(",".join(cells) for cells in zip(*COLUMNS.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("step", [1, 2, 5, 6, 100])
def test_pieces_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(delimited, "STEP", step)
    frame = read_source(table(tmp_path / "t.csv"))
    assert list(frame.columns) == list(COLUMNS)
    for name, wanted in MEANT.items():
        found = [None if v is None or v != v else v for v in frame[name].tolist()]
        assert found == wanted, name
    assert frame["whole"].dtype == np.int64
    assert frame["number"].dtype == np.float64
    assert frame["gap"].dtype == np.float64


def test_what_is_asked_for_decides(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv")
    frame = read_source(path, keys=["gap"], texts=["whole", "number", "truth"], missing=["A1", "4"])
    assert frame["gap"].tolist() == ["", "NA", "", "null", "", ""]  # a key: as written
    assert frame["whole"].tolist()[:3] == ["1", "2", "3"]
    assert frame["truth"].dropna().tolist() == ["TRUE", "FALSE", "True", "false", "TRUE"]
    assert frame["whole"].isna().tolist() == [False, False, False, True, False, False]
    assert frame["code"].isna().tolist() == [False, False, True, False, True, False]


@pytest.mark.parametrize("step", [1, 2, 100])
def test_whole_numbers_with_leading_zeros_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(delimited, "STEP", step)
    coded = {
        "code": ["01", "12", "7"],
        "agency": ["9", "", "007"],
        "zeros": ["00", "1", "2"],
        "day": ["0.5", "01.5", "2"],
    }
    plain = {
        "flag": ["0", "1", "0"], "amount": ["0.5", "1.5", "2"], "ten": ["10", "100", "-0"], "text": ["01", "x", "2"],
        "truth": ["TRUE", "FALSE", "TRUE"], "gap": ["", "", ""], "key": ["01", "02", "03"],
        "category": ["01", "2", "3"],
    }  # fmt: skip
    columns = coded | plain
    lines = [",".join(columns), *(",".join(cells) for cells in zip(*columns.values(), strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    frame = read_source(tmp_path / "t.csv", keys=["key"], texts=["category"])
    rows = {"code": [1, 1], "agency": [1, 3], "zeros": [1, 1], "day": [1, 2]}
    assert frame.attrs[NOTES] == {name: {"zeros": at} for name, at in rows.items()}
    assert [frame[name].iloc[0] for name in coded] == [1, 9, 0, 0.5]  # they are read as numbers all the same
