"""A real PostgreSQL as a party's source: a throw-away cluster on a socket in a folder, gone after the test."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.errors import DataError
from vfl.data import read_source, table_from_frame

PROGRAMS = [shutil.which("initdb"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True))]
BIN = next((Path(p).parent for p in PROGRAMS if p and Path(p).with_name("pg_ctl").exists()), None)
DRIVER = next((d for d in ("psycopg", "psycopg2") if importlib.util.find_spec(d)), None)
pytestmark = [
    pytest.mark.skipif(BIN is None, reason="no PostgreSQL server on this machine"),
    pytest.mark.skipif(DRIVER is None, reason="no PostgreSQL driver is installed"),
    pytest.mark.skipif(importlib.util.find_spec("sqlalchemy") is None, reason="SQLAlchemy is not installed"),
]
TABLE = """
CREATE TABLE customers (national_id text, born date, age integer, income numeric(12, 2), joint boolean, limit_ real);
INSERT INTO customers VALUES ('007', '1980-02-03', 30, 1.50, true, 1e3), ('08', '1999-12-31', NULL, 2.25, false, 2.5e3);
"""


def account() -> str | None:
    """PostgreSQL does not start as root: another account that this machine has, None if we are not root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((n for n in ("postgres", "nobody") if n in names), None)


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The folder of the socket of a running server with TABLE in it."""
    user = account()
    folder = Path(tempfile.mkdtemp(prefix="vfl-pg-"))  # a socket's path is short
    assert BIN is not None

    def command(program: str, *arguments: str, text: str | None = None) -> None:
        subprocess.run(
            [BIN / program, *arguments], input=text, check=True, text=True, cwd=folder, user=user, timeout=60,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    if user:
        shutil.chown(folder, user)
    data, options = str(folder / "data"), f"-c listen_addresses='' -c fsync=off -k {folder}"
    try:
        command("initdb", "-D", data, "-U", "vfl", "-A", "trust", "--no-sync")
        command("postgres", "--single", "-D", data, "postgres", text=TABLE.replace("\n", " ").replace("; ", ";\n"))
        command("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield folder
        finally:
            command("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def address(server: Path) -> str:
    """An SQLAlchemy address of it, for the driver that is here."""
    return f"postgresql+{DRIVER}://vfl@/postgres?host={server}"


def test_its_types_arrive_as_a_partys_table(address: str) -> None:
    frame = read_source(address, "SELECT * FROM customers ORDER BY national_id DESC", keys=["national_id"])
    table = table_from_frame(
        frame,
        party="bank",
        keys=[["national_id", "born"]],
        normalise={"national_id": "text", "born": "date"},
        duplicates="error",
        label=None,
        columns=["income", "joint", "limit_"],
    )
    assert table.features.to_numpy().tolist() == [[2.25, 0.0, 2500.0], [1.5, 1.0, 1000.0]]
    assert table.index.tolist() == ["08", "007"]
    with pytest.raises(DataError, match="'age' has missing values in row 1"):
        table_from_frame(
            frame, party="bank", keys=["national_id"], normalise={}, duplicates="error", label=None, columns=["age"]
        )


@pytest.mark.parametrize(
    "query", ["SELECT CANARY FROM customers", "SELECT 'CANARY'::int", "SELEC CANARY", "SELECT 1/0 -- CANARY"]
)
def test_what_it_refuses_is_said_without_query_address_or_cell(address: str, query: str) -> None:
    secret = address.replace("vfl@", "vfl:CANARY@")
    with pytest.raises(DataError, match="did not answer the query") as caught:
        read_source(secret, query)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


def test_nothing_that_a_query_changes_is_kept(address: str) -> None:
    read_source(address, "DELETE FROM customers RETURNING national_id")
    assert len(read_source(address, "SELECT national_id FROM customers")) == 2
