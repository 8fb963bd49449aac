"""Every usual form of a table gives the same table; what is unclear is refused with the key that says it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from protocols.errors import ConfigError, DataError, VFLError
from vfl.data import read_source, table_from_frame
from vfl.data.form import Form
from vfl.data.source import FILES, known_formats, read_stored

pa = pytest.importorskip("pyarrow")
from pyarrow import feather, ipc, parquet  # noqa: E402

BODY = "id,y,town,x\n007,0,Köln,1.5\n08,1,Ulm,-2\n9,1,,0.25\n"


def zipped(body: bytes, names: tuple[str, ...] = ("a.csv",)) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, body)
    return file.getvalue()


def zst(body: bytes) -> bytes:
    return bytes(pa.compress(body, codec="zstd", asbytes=True))


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zst,
    ".zip": zipped,
}


def read(tmp_path: Path, name: str, body: str | bytes, **form: str) -> pd.DataFrame:
    path = tmp_path / name
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return read_source(path, keys=["id"], form=Form(**form))


def cells(frame: pd.DataFrame) -> dict[str, list[object]]:
    return {str(n): [None if pd.isna(v) else v for v in frame[n].tolist()] for n in frame.columns}


EXPECTED = {"id": ["007", "08", "9"], "y": [0, 1, 1], "town": ["Köln", "Ulm", None], "x": [1.5, -2.0, 0.25]}


def refusal(tmp_path: Path, name: str, body: str | bytes, **form: str) -> VFLError:
    with pytest.raises((DataError, ConfigError)) as caught:
        read(tmp_path, name, body, **form)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("packing", PACKED)
def test_packed_files(packing: str, tmp_path: Path) -> None:
    packed = PACKED[packing](BODY.encode())
    assert cells(read(tmp_path, f"t.csv{packing}", packed)) == EXPECTED
    assert cells(read(tmp_path, f"T.CSV{packing.upper()}", packed)) == EXPECTED
    assert cells(read(tmp_path, f"t.tsv{packing}", PACKED[packing](BODY.replace(",", "\t").encode()))) == EXPECTED
    assert cells(read(tmp_path, "t.2026", packed, format=f"csv{packing}")) == EXPECTED


@pytest.mark.parametrize("packing", PACKED)
def test_a_damaged_or_falsely_named_packed_file(packing: str, tmp_path: Path) -> None:
    packed = PACKED[packing](("CANARY," * 4000 + "\n").encode())
    assert "is not a readable" in str(refusal(tmp_path, f"t.csv{packing}", b"CANARY,x\n1,2\n"))
    assert "is not a readable" in str(refusal(tmp_path, f"u.csv{packing}", packed[: len(packed) // 2]))
    error = refusal(tmp_path, "t.csv", packed)
    assert f"is packed as {packing} files are" in str(error)
    assert f'data.format = "csv{packing}"' in str(error.remedy)


def test_a_zip_holds_one_file(tmp_path: Path) -> None:
    two = zipped(BODY.encode(), ("a.csv", "b.csv"))
    assert "holds 2 files, and a table is one" in str(refusal(tmp_path, "t.csv.zip", two))
    beside = zipped(BODY.encode(), ("folder/", "folder/a.csv", "__MACOSX/folder/._a.csv"))
    assert cells(read(tmp_path, "u.csv.zip", beside)) == EXPECTED


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_separator(separator: str, tmp_path: Path) -> None:
    body = BODY.replace(",", separator)
    assert cells(read(tmp_path, "t.csv", body, separator=separator)) == EXPECTED
    error = refusal(tmp_path, "u.csv", body.replace("Köln", "CANARY"))
    assert "its header separates columns by" in str(error)
    assert {";": 'data.separator = ";"', "\t": 'data.separator = "\\t"', "|": 'data.separator = "|"'}[separator] in str(
        error.remedy
    )
    assert 'data.separator = ","' in str(refusal(tmp_path, "v.csv", BODY, separator=separator).remedy)


def test_a_separator_in_names_is_none(tmp_path: Path) -> None:
    assert list(read(tmp_path, "t.csv", '"a;b;c;d",x\n1,2\n')) == ["a;b;c;d", "x"]
    assert list(read(tmp_path, "u.csv", "limit;max,x\n1,2\n")) == ["limit;max", "x"]
    assert list(read(tmp_path, "v.csv", "id\n1\n")) == ["id"]
    assert "semicolons" in str(refusal(tmp_path, "w.csv", "id;limit,EUR;y;z\n1;2,5;3;4\n"))


def test_decimal_commas(tmp_path: Path) -> None:
    body = BODY.replace(",", ";").replace(".", ",")
    assert cells(read(tmp_path, "t.csv", body, separator=";", decimal=",")) == EXPECTED
    quoted = 'id,x,town\n1,"1,5","a,b"\n2,"-0,25e2",c\n'
    assert cells(read(tmp_path, "u.csv", quoted, decimal=",")) == {
        "id": ["1", "2"], "x": [1.5, -25.0], "town": ["a,b", "c"],
    }  # fmt: skip
    assert cells(read(tmp_path, "v.csv", "id;x\n1,5;1\n", separator=";", decimal=","))["id"] == ["1,5"]  # as written


@pytest.mark.parametrize("rows", ["1,5 1.500 2,5", "1.500 1.200 2,5", "1.5 2.5 3.5"])
def test_points_among_decimal_commas_are_refused(rows: str, tmp_path: Path) -> None:
    body = "id;x\n" + "".join(f"{k};{cell}\n" for k, cell in enumerate(rows.split()))
    error = refusal(tmp_path, "t.csv", body, separator=";", decimal=",")
    numbers = [str(k) for k, cell in enumerate(rows.split(), 1) if "." in cell]
    assert "column 'x' has numbers with a point in row" in str(error)
    assert all(number in str(error) for number in numbers)
    texts = read(tmp_path, "u.csv", body + "9;a\n9;2.0-b\n", separator=";", decimal=",")["x"]
    assert texts.tolist()[-2:] == ["a", "2.0-b"]  # a column of texts, such as versions


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-8-sig", "utf-32"])
def test_an_encoding(encoding: str, tmp_path: Path) -> None:
    assert cells(read(tmp_path, "t.csv", BODY.encode(encoding), encoding=encoding)) == EXPECTED
    assert cells(read(tmp_path, "t.csv.gz", gzip.compress(BODY.encode(encoding)), encoding=encoding)) == EXPECTED


@pytest.mark.parametrize(
    ("body", "form", "says", "remedy"),
    [
        (BODY.encode("latin-1"), {}, "is not UTF-8 text in line 2", 'data.encoding = "cp1252"'),
        (BODY.encode("utf-16"), {}, "is UTF-16 text", 'data.encoding = "utf-16"'),
        (BODY.encode("utf-16-be"), {"encoding": "utf-16"}, "has no byte order mark", 'data.encoding = "utf-16-le"'),
        (BODY.encode("utf-8-sig"), {"encoding": "latin-1"}, "is UTF-8 text", 'data.encoding = "utf-8"'),
        (BODY.encode("gbk", "replace") + "北京,1,a,2\n".encode("gbk"), {}, "is not UTF-8 text in line 5", "encoding"),
        (b"PAR1CANARY", {}, "is a .parquet file", 'data.format = "parquet"'),
        (b"ARROW1CANARY", {}, "is a .feather file", 'data.format = "feather"'),
    ],
)
def test_what_the_bytes_tell(body: bytes, form: dict[str, str], says: str, remedy: str, tmp_path: Path) -> None:
    error = refusal(tmp_path, "t.csv", body, **form)
    assert says in str(error)
    assert remedy in str(error.remedy)


@pytest.mark.parametrize("body", ["\n\n" + BODY, BODY.replace("\n", "\r\n"), BODY.replace("\n", "\r")])
def test_line_ends_and_empty_first_lines(body: str, tmp_path: Path) -> None:
    assert cells(read(tmp_path, "t.csv", body)) == EXPECTED


def test_a_title_above_the_header_and_a_comma_too_many(tmp_path: Path) -> None:
    assert "its first line has one cell, and the next one 4" in str(
        refusal(tmp_path, "t.csv", "CANARY of May\n" + BODY)
    )
    assert "more cells than the header" in str(refusal(tmp_path, "u.csv", "id,x\nCANARY,1,\nb,2\n"))


def frame() -> pd.DataFrame:
    return pd.DataFrame({"id": ["007", "08", "9"], "y": [0, 1, 1], "town": ["Köln", "Ulm", None], "x": [1.5, -2, 0.25]})


def stream(table: object, path: Path) -> None:
    with ipc.new_stream(path, table.schema) as writer:  # type: ignore[attr-defined]
        writer.write_table(table)


ARROW: dict[str, Callable[[object, Path], None]] = {
    "t.feather": feather.write_feather,
    "t.arrow": stream,
    "u.arrow": feather.write_feather,
    "t.parquet": parquet.write_table,
}


@pytest.mark.parametrize("name", ARROW)
def test_arrow_files(name: str, tmp_path: Path) -> None:
    ARROW[name](pa.Table.from_pandas(frame()), tmp_path / name)
    assert cells(read_source(tmp_path / name)) == EXPECTED
    assert list(read_source(tmp_path / name, only=["id", "x"])) == ["id", "x"]
    (tmp_path / name).rename(tmp_path / "part-0000")
    format = name.rpartition(".")[2]
    assert cells(read_source(tmp_path / "part-0000", form=Form(format=format))) == EXPECTED
    (tmp_path / name).write_bytes((tmp_path / "part-0000").read_bytes()[:-30])
    with pytest.raises(DataError, match="is not a readable"):
        read_source(tmp_path / name)


def test_a_name_that_says_nothing(tmp_path: Path) -> None:
    error = refusal(tmp_path, "t.xlsx", b"CANARY")
    assert all(suffix in str(error) for suffix in FILES)
    assert 'data.format = "csv"' in str(error.remedy)
    assert cells(read(tmp_path, "t.dat", BODY, format="csv")) == EXPECTED
    assert "Unpack it" in str(refusal(tmp_path, "t.parquet.gz", b"CANARY").remedy)
    assert {"csv", "csv.gz", "tsv.zip", "parquet", "feather"} <= set(known_formats())
    assert "parquet.gz" not in known_formats()


KINDS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
    ".csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    ".parquet": lambda frame, path: frame.to_parquet(path),
    ".feather": lambda frame, path: frame.to_feather(path),
}


@pytest.mark.parametrize("suffix", KINDS)
def test_a_folder_is_one_table(suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / "customers"
    folder.mkdir()
    rows = pd.concat([frame()] * 30, ignore_index=True).assign(n=range(90))
    for k in range(9):
        piece = rows[10 * k : 10 * k + 10].reset_index(drop=True)
        KINDS[suffix](piece if k % 2 == 0 else piece[["n", "x", "town", "y", "id"]], folder / f"part-{k}{suffix}")
    (folder / "_SUCCESS").touch()
    (folder / ".part-0.crc").touch()
    found = read_source(str(folder), keys=["id"])
    assert list(found) == ["id", "y", "town", "x", "n"]
    assert found["n"].tolist() == list(range(90))
    assert cells(found[["id", "y", "town", "x"]]) == cells(rows[["id", "y", "town", "x"]])
    kept = read_stored(folder, rows=(rows["n"] % 7 == 0).to_numpy()).frame()
    assert [int(n) for n in kept["n"]] == list(range(0, 90, 7))


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("change", ["drop", "add", "rename"])
def test_a_file_with_other_columns_is_named(suffix: str, change: str, tmp_path: Path) -> None:
    KINDS[suffix](frame(), tmp_path / f"a{suffix}")
    KINDS[suffix](frame(), tmp_path / f"b{suffix}")
    other = {
        "drop": frame().drop(columns="x"), "add": frame().assign(z=1), "rename": frame().rename(columns={"x": "X"}),
    }[change]  # fmt: skip
    KINDS[suffix](other, tmp_path / f"c{suffix}")
    says = {"drop": "no column 'x'", "add": "a column 'z'", "rename": "no column 'x'"}[change]
    with pytest.raises(DataError, match=rf"c{suffix}: has {says}"):
        read_source(tmp_path)


def test_files_of_other_types_or_formats_are_named(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "a.parquet")
    frame().assign(town=None).to_parquet(tmp_path / "b.parquet")  # no value at all: fits any type
    assert read_source(tmp_path)["town"].tolist()[:2] == ["Köln", "Ulm"]
    frame().assign(y=[0.5, 1, 1]).to_parquet(tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r"c\.parquet: column 'y' is of the type double, and int64 in a\.parquet"):
        read_source(tmp_path)
    (tmp_path / "c.parquet").rename(tmp_path / "c.csv")
    with pytest.raises(DataError, match=r"c\.csv: is of another format than a\.parquet"):
        read_source(tmp_path)
    (tmp_path / "c.csv").unlink()
    (tmp_path / "part=1").mkdir()
    with pytest.raises(DataError, match="holds the folder part=1"):
        read_source(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no file"):
        read_source(tmp_path / "empty")


def test_types_of_a_folder_of_csv_are_those_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,code\n1,01\n2,02\n")
    (tmp_path / "b.csv").write_text("id,code\n3,A1\n")
    assert read_source(tmp_path)["code"].tolist() == ["01", "02", "A1"]
    (tmp_path / "b.csv").write_bytes(b"id,code\n3,\xff\n")
    with pytest.raises(DataError, match=r"b\.csv: is not UTF-8 text in line 2"):
        read_source(tmp_path)


@pytest.mark.parametrize("texts", [True, False])
def test_a_decimal_comma_is_suspected_whatever_the_model_takes(texts: bool, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id;x\n" + "".join(f"{k};{k},5\n" for k in range(20)))
    asked = {"keys": ["id"], "normalise": {}, "duplicates": "error", "label": None, "columns": None}
    found = read_source(tmp_path / "t.csv", keys=["id"], form=Form(separator=";"))
    with pytest.raises(DataError) as caught:
        table_from_frame(found, party="bank", texts=texts, **asked)
    assert "bank: feature column 'x'" in str(caught.value)
    assert "rows 1, 2, 3, 4, 5 and 15 more" in str(caught.value)
    assert 'data.decimal = ","' in str(caught.value.remedy)
    found = read_source(tmp_path / "t.csv", keys=["id"], form=Form(separator=";", decimal=","))
    table = table_from_frame(found, party="bank", texts=texts, **asked)
    assert table.features["x"].tolist() == [k + 0.5 for k in range(20)]
