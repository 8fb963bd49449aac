"""Keys of [data] that say how a file is written."""

from __future__ import annotations

import shutil
import sys
import traceback
from pathlib import Path

import pandas as pd
import pytest

from protocols.errors import ConfigError, DataError
from tests.unit.vfl.job.test_party_file import GUEST
from vfl.data import read_source
from vfl.data.form import Form
from vfl.job import Party, check_files, load_party
from vfl.run.new_table import new_data


def party(tmp_path: Path, *lines: str, source: str = "customers.csv") -> Party:
    text = GUEST.replace('source = "customers.csv"', "\n".join([f'source = "{source}"', *lines]))
    (tmp_path / "party.toml").write_text(text)
    return load_party(tmp_path / "party.toml")


def test_the_keys_reach_the_reader(tmp_path: Path) -> None:
    lines = ('separator = ";"', 'decimal = ","', 'encoding = "latin-1"', 'format = "csv.gz"')
    data = party(tmp_path, *lines, source="export.2026").data
    assert data is not None
    assert data.form == Form("csv.gz", ";", ",", "latin-1")
    frame = pd.DataFrame({"id": ["007", "08"], "ort": ["Köln", "Ulm"], "x": [1.5, -2.25]})
    frame.to_csv(data.source, sep=";", decimal=",", encoding="latin-1", compression="gzip", index=False)
    found = read_source(data.source, data.query, keys=["id"], form=data.form)
    assert found.to_dict("list") == frame.to_dict("list")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('separator = ";;"', "data.separator is \";;\", which cannot separate columns"),
        ('separator = "a"', "which cannot separate columns"),
        ('separator = "."', "which cannot separate columns"),
        ('separator = ""', "which cannot separate columns"),
        ('decimal = ";"', 'data.decimal is ";", which is not known. Use "." or ","'),
        ('encoding = "utf-9"', 'data.encoding is "utf-9", which is not known'),
        ('encoding = "base64"', 'data.encoding is "base64", which is not known'),
        ('format = "xlsx"', 'data.format is "xlsx", which is not known. Use "csv", "tsv", "parquet"'),
        ('format = ".csv"', 'data.format is ".csv", which is not known'),
        ("separator = 1", "data.separator"),
    ],
)  # fmt: skip
def test_what_is_no_form(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        party(tmp_path, line)
    assert says in str(caught.value).replace(" (line 13)", "")


@pytest.mark.parametrize(
    ("lines", "source", "key"),
    [
        (['separator = ";"'], "t.parquet", "separator"),
        (['decimal = ","'], "t.feather", "decimal"),
        (['encoding = "cp1252"'], "s3://bucket/t.parquet", "encoding"),
        (['encoding = "cp1252"', 'format = "arrow"'], "t", "encoding"),
        (['separator = ";"', 'query = "SELECT 1"'], "sqlite:///t.db", "separator"),
        (['format = "csv"', 'query = "SELECT 1"'], "sqlite:///t.db", "format"),
    ],
)
def test_a_key_that_would_do_nothing_is_refused(tmp_path: Path, lines: list[str], source: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.{key} \(line 13\) does nothing"):
        party(tmp_path, *lines, source=source)
    assert party(tmp_path, 'separator = ";"', source="folder").data is not None  # what it holds is not known yet


@pytest.mark.parametrize("source", ["s3://bucket/t.csv", "memory://t.csv", "https://host/t.csv?x=1", "gs://b/t"])
def test_an_address_of_files_needs_no_query(tmp_path: Path, source: str) -> None:
    data = party(tmp_path, source=source).data
    assert data is not None
    assert (data.source, data.is_database) == (source, False)
    with pytest.raises(ConfigError, match=r"data\.query \(line 13\) does nothing: the source is a file"):
        party(tmp_path, 'query = "SELECT 1"', source=source)
    with pytest.raises(ConfigError, match=r"data\.query \(line \d+\) is missing"):
        party(tmp_path, source="sqlite:///t.db")


def with_files(tmp_path: Path, source: str) -> Party:
    found = party(tmp_path, source=source)
    for file in (
        found.identity.key,
        found.identity.certificate,
        *(file for p in found.peers.values() for file in p.certificate),
    ):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    return found


def test_the_files_are_tried_where_they_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "t.csv").touch()
    for source in ("folder", (tmp_path / "t.csv").as_uri(), "t.csv"):
        check_files(with_files(tmp_path, source))
    (tmp_path / "t.csv").unlink()
    with pytest.raises(ConfigError, match=r"data\.source: the file .*t\.csv cannot be read"):
        check_files(with_files(tmp_path, (tmp_path / "t.csv").as_uri()))
    shutil.rmtree(tmp_path / "folder")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ConfigError, match=r"data\.source needs fsspec, which comes with the extra 'files'"):
        check_files(with_files(tmp_path, "s3://bucket/t.csv"))


def test_another_source_of_rows_keeps_the_form_but_for_the_format(tmp_path: Path) -> None:
    own = party(tmp_path, 'separator = ";"', 'format = "csv"', source="export")
    for source, format in (("new.parquet", None), ("new.csv.gz", None), ("new", "csv"), ("s3://b/new.tsv", None)):
        data = new_data(own, source)
        assert data is not None
        assert (data.source, data.format, data.separator) == (source, format, ";")
    with pytest.raises(ConfigError, match="is a database address"):
        new_data(own, "sqlite:///t.db")


@pytest.mark.parametrize(
    "source",
    ["postgresql:/scott:CANARY@db/x", "postgresql:scott:CANARY@db/x", "s3:/bucket/CANARY?key=CANARY", "//u:CANARY@h/x"],
)
def test_a_mistyped_address_is_not_quoted(tmp_path: Path, source: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.source: the source \(not shown: .* cannot be read") as caught:
        check_files(with_files(tmp_path, source))
    with pytest.raises(DataError, match=r"not shown.* cannot be read") as direct:
        read_source(source, None, keys=["id"])
    for error in (caught, direct):
        assert "CANARY" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("source", ["missing.csv", "C:/data/missing.csv", "folder/missing.csv"])
def test_a_path_is_quoted(tmp_path: Path, source: str) -> None:
    with pytest.raises(ConfigError, match=r"the file .*missing\.csv cannot be read"):
        check_files(with_files(tmp_path, source))


def test_an_address_that_cannot_be_parsed_is_a_typed_error(tmp_path: Path) -> None:
    for source in ("file://[CANARY", "file://[CANARY]/t.csv", "file://CANARY]/t.csv"):
        with pytest.raises(ConfigError, match=r"a file:// address (cannot be read|names another)") as caught:
            check_files(with_files(tmp_path, source))
        assert "three slashes" in caught.value.remedy
        assert "CANARY" not in "".join(traceback.format_exception(caught.value))
