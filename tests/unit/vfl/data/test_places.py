"""A table is read wherever it lies; no message holds an address."""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib.util
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from protocols.errors import ConfigError, DataError, VFLError
from vfl.data import places, read_source
from vfl.data.form import Form
from vfl.data.places import place_of, size_of
from vfl.data.source import read_stored

BODY = "id,x\n007,1.5\n08,2\n"
EXPECTED = {"id": ["007", "08"], "x": [1.5, 2.0]}
SECRET = "CANARY"


@pytest.fixture
def memory() -> Iterator[str]:
    """A folder in fsspec's memory."""
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.pipe({"/bank/t.csv": BODY.encode(), "/bank/parts/b.csv": b"id,x\n9,3\n", "/bank/parts/a.csv": BODY.encode()})
    system.pipe("/bank/parts/_SUCCESS", b"")
    yield "memory://bank"
    system.rm("/bank", recursive=True)


def refusal(source: str, query: str | None = None) -> VFLError:
    with pytest.raises((DataError, ConfigError)) as caught:
        read_source(source, query, keys=["id"])
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("customers.csv", "here"), ("/data/c.csv", "here"), ("file:///data/c.csv", "here"), ("C:\\c.csv", "here"),
        ("s3://b/k.csv", "files"), ("gs://b/k", "files"), ("abfss://c@a/k", "files"), ("https://h/t.csv", "files"),
        ("memory://t.csv", "files"), ("zip://a.csv::s3://b/k.zip", "files"), ("simplecache::s3://b/k.csv", "files"),
        ("sqlite:///b.db", "database"), ("postgresql+psycopg://u@h/d", "database"), ("duckdb:///x.db", "database"),
        ("snowflake://u:p@a/d", "database"), ("unknown://x", "database"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("installed", [True, False])
def test_the_scheme_decides(source: str, place: str, installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not installed:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert place_of(source) == place


def test_file_addresses(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / "t.csv").write_text(BODY)
    assert read_source((folder / "t.csv").as_uri(), keys=["id"]).to_dict("list") == EXPECTED
    assert read_source(f"file://{folder}/t.csv", keys=["id"]).to_dict("list") == EXPECTED
    assert size_of((folder / "t.csv").as_uri()) == size_of(str(folder)) == len(BODY)
    assert "names another machine" in str(refusal("file://CANARY/t.csv"))
    assert "cannot be read (No such file" in str(refusal(f"file://{folder}/u.csv"))


def test_files_in_memory(memory: str) -> None:
    assert read_source(f"{memory}/t.csv", keys=["id"]).to_dict("list") == EXPECTED
    assert read_source(f"{memory}/t.csv", keys=["id"], form=Form(format="csv")).to_dict("list") == EXPECTED
    assert read_stored(f"{memory}/t.csv", rows=pd.Series([False, True]).to_numpy()).frame()["id"].tolist() == ["08"]
    assert read_source(f"{memory}/parts/", keys=["id"])["id"].tolist() == ["007", "08", "9"]
    assert size_of(f"{memory}/t.csv") == 0


def test_a_mixed_column_reads_the_copy_twice(memory: str) -> None:
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.pipe("/bank/big.csv", ("id,code\n" + "1,01\n" * 70_000 + "2,A\n").encode())
    codes = read_source(f"{memory}/big.csv")["code"]
    assert (codes[0], codes.iloc[-1], len(codes)) == ("01", "A", 70_001)


def test_a_parquet_file_in_memory(memory: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame(EXPECTED).to_parquet(tmp_path / "t.parquet")
    pytest.importorskip("fsspec").filesystem("memory").pipe("/bank/t.parquet", (tmp_path / "t.parquet").read_bytes())
    assert read_source(f"{memory}/t.parquet", only=["x"]).to_dict("list") == {"x": [1.5, 2.0]}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A server that sends whole files only."""
    (tmp_path / "t.csv").write_text(BODY)
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_files_of_a_web_server(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    assert read_source(f"{web}/t.csv?signature=CANARY", keys=["id"]).to_dict("list") == EXPECTED
    error = refusal(f"{web}/CANARY.csv?token=CANARY")
    assert str(error).startswith("the http:// source cannot be read (FileNotFoundError)")
    assert "credentials" in str(error.remedy)


@pytest.mark.parametrize(
    ("source", "library"),
    [
        ("s3://CANARY:CANARY@bucket/t.csv", "s3fs"), ("gs://CANARY/t.csv", "gcsfs"), ("abfs://CANARY/t.csv", "adlfs"),
        ("sftp://u:CANARY@h/t.csv", "paramiko"),
    ],
)  # fmt: skip
def test_a_store_whose_library_is_not_installed(source: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"fsspec.implementations.{library}", raising=False)
    error = refusal(source)
    assert "needs a library of its own that is not installed" in str(error)
    assert f"pip install {library}" in str(error.remedy)


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    error = refusal("s3://u:CANARY@bucket/t.csv")
    assert str(error).startswith("the s3:// source needs fsspec, which comes with the extra 'files'")
    assert "pip install 'vfl[files]'" in str(error.remedy)


def test_an_unknown_scheme_is_neither() -> None:
    for query in (None, "SELECT CANARY"):
        error = refusal("canaries://u:CANARY@h/d", query)
        assert "neither one of files that fsspec knows nor one of a database that SQLAlchemy knows" in str(error)
    assert "a database address needs a query" in str(refusal("sqlite:///CANARY.db"))
    assert "a file takes no query" in str(refusal("s3://b/CANARY.csv", "SELECT 1"))


def test_nothing_is_left_of_a_copy(memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[list[Path]] = []
    opened = places.Part.open

    def watched(part: places.Part) -> object:
        seen.append(list(tmp_path.iterdir()))
        return opened(part)

    monkeypatch.setattr(places.Part, "open", watched)
    read_source(f"{memory}/t.csv", keys=["id"])
    assert seen  # while it is read, too
    assert not any(seen)


def test_planted_fault_an_error_with_an_address_is_found() -> None:
    with pytest.raises(AssertionError), contextlib.suppress(ImportError):
        refusal("/nowhere/CANARY.csv")  # a path is no secret, and is named
