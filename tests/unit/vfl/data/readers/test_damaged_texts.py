"""Files that are no CSV files, or were cut off, are refused by name; none of their words is shown."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from protocols.errors import DataError
from vfl.data import read_source
from vfl.data.form import Form
from vfl.data.source import read_stored

WHOLE = "id,x,y\n" + "".join(f"CANARY{k},{k},1\n" for k in range(3000))


def refused(path: Path, form: Form = Form()) -> str:  # noqa: B008
    with pytest.raises(DataError) as caught:
        read_source(path, form=form)
    assert "CANARY" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('[{"id": "CANARY1", "x": 2}, {"id": "CANARY2", "x": 4}]', "is JSON, not a table"),
        ('{"id": "CANARY1", "x": 2}\n{"id": "CANARY2", "x": 4}\n', "is JSON, not a table"),
        ('\n[\n  {"id": "CANARY1"}\n]', "is JSON, not a table"),
        ("<!DOCTYPE html><html><body>CANARY</body></html>", r"is a page (HTML or XML), not a table"),
        ("<html>\n<title>CANARY</title>", r"is a page (HTML or XML), not a table"),
        ('<?xml version="1.0"?><a b="CANARY"/>', r"is a page (HTML or XML), not a table"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:CANARY\n", "is a pointer of Git LFS"),
        ("sep=;\nid;x\na;1\n", "its first line names the separator, as Excel writes it"),
        ('"sep=,"\nid,x\na,1\n', "its first line names the separator, as Excel writes it"),
    ],
)
def test_what_is_no_table(body: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(body)
    assert said in refused(path)


@pytest.mark.parametrize("header", ["[id],[x]", "<id>,<x>", "separator,x", "version,x"])
def test_headers_that_begin_in_the_same_way(header: str, tmp_path: Path) -> None:
    """The control."""
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\na,1\n")
    assert list(read_source(path).columns) == header.split(",")


@pytest.mark.parametrize(
    "body", ["id,x,y\na,1,2\nb,2", 'id,x,y\na,1,2\n"b,c",2', "id,x\r\na,1\r\nb", "id,x\na,1\n\x1a"]
)
def test_a_file_that_is_cut_off(body: str, tmp_path: Path) -> None:
    for name, data in (("a.csv", body.encode()), ("a.csv.gz", gzip.compress(body.encode()))):
        (tmp_path / name).write_bytes(data)
        assert "ends in the middle of a row" in refused(tmp_path / name)


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("id,x,y\na,1,2\nb,2,3", 2),
        ("id,x,y\na,1,2\nb,2,\n", 2),
        ("id,x\n\na,1\n \nb,2\n\n", 2),
        ('id,x\na,"1\n2"\nb,5"\n', 2),
        ('id,x,y\na,1,2\n"b\nc",2,3', 2),
        ('id,x,y\na,1,2\nb,2,"c\nd"', 2),
        ("id\na\nb", 2),
        ("id,x\na,1\n  ", 1),
        ("id,x", 0),
    ],
)
def test_files_that_are_not(body: str, rows: int, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(body)
    assert len(read_source(tmp_path / "a.csv")) == rows
    (tmp_path / "b.csv").write_text(body, encoding="utf-16")
    assert len(read_source(tmp_path / "b.csv", form=Form(encoding="utf-16"))) == rows


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("id,x,y\na,1,2\nCANARY,2\nc,1,2\n", "row 2 (line 3)"),
        ("id,x,y\r\n\r\nCANARY,2\r\n", "row 1 (line 3)"),
        ('id,x,y\n"a\nb",1,2\n\n"CANARY,1",2\n', "row 2 (line 5)"),
        ('id,x,y\n"a",1,2\nCANARY\n"b",1,2\nCANARY,2\n', "row 2 (line 3)"),
        ('"id","x","y"\n"a",1,5"\n"CANARY\n",2\n', "row 2 (line 3)"),
        ("id,x,y\na,1,2\nCANARY,2\nCANARY,1,2", "row 2 (line 3)"),
    ],
)
def test_a_row_with_too_few_cells_is_refused_by_its_line(body: str, where: str, tmp_path: Path) -> None:
    """It may have lost a separator, so that its values stand in the wrong columns."""
    (tmp_path / "a.csv").write_text(body)
    assert f"{where} has fewer cells than the header" in refused(tmp_path / "a.csv")
    (tmp_path / "b.tsv").write_text(body.replace(",", "\t"), encoding="utf-16")
    assert f"{where} has fewer cells than the header" in refused(tmp_path / "b.tsv", Form(encoding="utf-16"))


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("id,x,y\na,1,2\nCANARY,1,2,3\n", "row 2 (line 3)"),
        ("id,x,y\r\n\r\nCANARY,1,2,\r\n", "row 1 (line 3)"),
        ('id,x,y\n"a\nb",1,2\n\n"CANARY",1,2,3\n', "row 2 (line 5)"),
    ],
)
def test_a_row_with_too_many_cells_is_refused_though_few_columns_are_read(
    body: str, where: str, tmp_path: Path
) -> None:
    """pandas cuts it then: the values after a separator in a number would stand in the wrong columns."""
    (tmp_path / "a.csv").write_text(body)
    for only in (None, ["id", "x"]):
        with pytest.raises(DataError, match="has more cells than the header") as raised:
            read_source(str(tmp_path / "a.csv"), keys=["id"], only=only)
        assert where in str(raised.value)
        assert "CANARY" not in str(raised.value)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_file_that_is_damaged_after_its_header(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    suffix = {gzip.compress: ".gz", bz2.compress: ".bz2", lzma.compress: ".xz"}[pack]
    path, whole = tmp_path / f"a.csv{suffix}", pack(WHOLE.encode())
    path.write_bytes(whole)
    assert len(read_source(path)) == 3000
    for cut in (len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:cut])
        assert f"is not a readable {suffix} file" in refused(path)
        with pytest.raises(DataError, match=f"is not a readable {suffix} file"):
            read_stored(path)
    if suffix == ".gz":  # others ignore what stands behind
        path.write_bytes(whole + b"CANARY")
        assert "is not a readable .gz file" in refused(path)
