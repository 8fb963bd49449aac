"""The files of a prediction are the same, byte for byte, whether rows and their ids are held or kept in blocks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from protocols import parts
from protocols.kept import in_memory
from tests.unit.vfl.data.samples import build, good
from vfl.data import Table
from vfl.data.kept_frame import KeptFrame, packed, type_of
from vfl.data.kept_ids import Every, KeptIds
from vfl.data.kept_table import KeptColumn, KeptTable, Pieces
from vfl.data.table import ColumnsOf
from vfl.models.new_rows import NewRows
from vfl.run import predict

ROWS, SCORED = 11, np.array([7, 0, 9, 3, 4, 10])  # in the order of the alignment


class Model:
    """Two columns for each score, and a reason for each row."""

    def predictions(self, part: object, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return scores / 2

    def columns(self, part: object, scores: NDArray[np.float64]) -> dict[str, Any]:
        return {"points": pd.array(scores.astype(np.int64), dtype="Int64")}

    def explained(self, part: object, features: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"reason": [f"age {value}" for value in features["age"]]})


def kept(table: Table) -> KeptTable:
    every = Every(len(table))
    columns = {name: KeptColumn.keeping(in_memory, table.column(name), every[:]) for name in table.columns}
    pieces = Pieces(in_memory, KeptIds.keeping(in_memory, table.ids, every), None, columns, None, None, None)
    return KeptTable.read(pieces, every, table.party, None, 0, table.schema, table.settings)


def files(folder: Path, table: Table, features: pd.DataFrame | ColumnsOf, ids: pd.DataFrame | KeptFrame) -> list[bytes]:
    folder.mkdir()
    new = NewRows("bank", table, np.arange(ROWS), features, table.index, {}, {})
    ready = SimpleNamespace(job=SimpleNamespace(model=None))
    scoring = cast("Any", SimpleNamespace(ids=ids, new=new, part=SimpleNamespace(classes=None), out=None, ready=ready))
    meeting = cast("Any", SimpleNamespace(folder=folder, draft=folder))
    predict._write_scores(scoring, meeting, SCORED, np.arange(6) + 0.25)
    predict._write_reasons(scoring, meeting)
    return [(folder / name).read_bytes() for name in ("scores.csv", "reasons.csv")]


def test_files_of_rows_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 4)
    monkeypatch.setattr(predict, "kind_of", lambda spec: Model())
    frame = good(ROWS)
    table, ids = build(frame), frame[["id"]].astype(object)
    blocks = KeptFrame(ROWS, {"id": type_of(ids["id"])}, {"id": [in_memory(one) for one in packed(ids["id"])]})
    due = files(tmp_path / "held", table, table.features, ids)
    assert files(tmp_path / "kept", kept(table), ColumnsOf(kept(table)), blocks) == due
    scores = pd.read_csv(tmp_path / "kept" / "scores.csv")
    assert np.flatnonzero(scores["score"].notna()).tolist() == sorted(SCORED)
    assert scores["points"][7] == 0
    assert len(pd.read_csv(tmp_path / "kept" / "reasons.csv")) == ROWS
