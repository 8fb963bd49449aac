"""Where a table lies: files here, files at an address that fsspec reads, or a database that SQLAlchemy does.

No message holds an address: it may hold a password, and what a store signs for one reader is one.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from protocols.errors import ConfigError, DataError
from vfl.data.extras import needed

# of fsspec, so that a missing library is named; it knows more where it is installed
SCHEMES = (
    *("abfs", "abfss", "adl", "az", "dropbox", "ftp", "gcs", "gdrive", "github", "gs", "hdfs", "http", "https"),
    *("local", "memory", "oci", "oss", "s3", "s3a", "sftp", "smb", "ssh", "webhdfs", "zip"),
)
SLASHES = "Write file:///folder/customers.csv, with three slashes, or the path alone"
HIDDEN = (".", "_")  # what a folder holds besides its table: _SUCCESS, .crc files


def place_of(source: str) -> Literal["here", "files", "database"]:
    """What a source is, by its scheme: "here" of a path or file://, "files" of an address of files elsewhere."""
    if "://" not in source:
        return "here"
    scheme = source.partition("://")[0].rpartition("::")[2].lower()
    if scheme == "file":
        return "here"
    if scheme in SCHEMES:
        return "files"
    if importlib.util.find_spec("fsspec") is not None:
        return "files" if scheme in importlib.import_module("fsspec").available_protocols() else "database"
    return "database"


def local_path(source: str | Path) -> Path:
    """The path of a source that is here.  Raises ConfigError for file:// at another machine."""
    if not str(source).startswith("file://"):
        return Path(source)
    try:
        parts = urlsplit(str(source))
    except ValueError:  # a bracket that is not closed, or holds no address; its words quote it
        raise ConfigError("a file:// address cannot be read", remedy=SLASHES) from None
    if parts.netloc not in ("", "localhost"):
        raise ConfigError("a file:// address names another machine", remedy=SLASHES)
    return Path(url2pathname(parts.path))


def named(path: Path) -> str:
    """A path for a message; not one that could be a mistyped address, which may hold a password."""
    text = str(path)
    if "@" in text or re.search(r"\w\w:/", text):  # C:/ is a drive
        return "the source (not shown: it could be an address)"
    return text


def size_of(source: str) -> int:
    """Bytes of the files of a source that is here, 0 of others."""
    if place_of(source) != "here":
        return 0
    path = local_path(source)
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


@dataclass(frozen=True, repr=False)
class Part:
    """One file of a table; label: as messages call it; name: its own, which says the format."""

    label: str
    name: str
    path: Path | None = None
    copy: IO[bytes] | None = None  # of a file elsewhere

    def open(self) -> IO[bytes]:
        """The file, from its beginning.  Raises OSError."""
        if self.path is not None:
            return self.path.open("rb")
        assert self.copy is not None
        os.lseek(self.copy.fileno(), 0, os.SEEK_SET)
        return io.BufferedReader(io.FileIO(self.copy.fileno(), closefd=False))


@contextmanager
def parts_of(source: str | Path) -> Iterator[list[Part]]:
    """The files of a table that is no database's, while it is read: one, or those of a folder by name.  Raises
    DataError, ConfigError."""
    with ExitStack() as stack:
        yield _elsewhere(str(source), stack) if place_of(str(source)) == "files" else _here(local_path(source))


def _here(path: Path) -> list[Part]:
    try:
        if path.is_dir():
            return _of_folder(path)
        with path.open("rb"):
            return [Part(str(path), path.name, path)]
    except OSError as error:
        raise DataError(
            f"{named(path)}: cannot be read ({error.strerror})",
            remedy="Check the path and that this account may read it; an address has :// after its scheme"
            if named(path) != str(path)
            else "Check the path and that this account may read it",
        ) from None


def _of_folder(path: Path) -> list[Part]:
    found = sorted(p for p in path.iterdir() if not p.name.startswith(HIDDEN))
    if folders := [p.name for p in found if p.is_dir()]:
        raise DataError(
            f"{path}: holds the folder {folders[0]}, and a table is the files of one folder",
            remedy="Name that folder, or write the table without partitions",
        )
    if not found:
        raise DataError(f"{path}: the folder holds no file", remedy="Check the path")
    for one in found:
        with one.open("rb"):
            pass
    return [Part(str(one), one.name, one) for one in found]


def _elsewhere(address: str, stack: ExitStack) -> list[Part]:
    scheme = address.partition("://")[0].lower()
    what = f"the {scheme}:// source"
    fsspec = needed("fsspec", what)
    failed: str
    try:
        system, path = fsspec.core.url_to_fs(address)
        names = sorted(system.ls(path, detail=False)) if address.endswith("/") else [path]
        shown = [PurePosixPath(urlsplit(name).path if scheme.startswith("http") else name).name for name in names]
        wanted = [(name, at) for name, at in zip(names, shown, strict=True) if at and not at.startswith(HIDDEN)]
        if wanted:
            many = len(wanted) > 1
            return [_copied(stack, system, name, f"{what} ({at})" if many else what, at) for name, at in wanted]
        failed = "there is no file"
    except ImportError as error:
        raise ConfigError(
            f"{what} needs a library of its own that is not installed",
            remedy=_install(error, scheme),
        ) from None
    except Exception as error:  # the libraries of stores raise many types, and quote addresses
        failed = type(error).__name__
    raise DataError(
        f"{what} cannot be read ({failed})",
        remedy="Check source in [data], and the credentials of this account for the store",
    )


def _install(error: ImportError, scheme: str) -> str:
    library = LIBRARIES.get(scheme, error.name or "the library that fsspec names for it")
    return f"Install it in this environment: pip install {library}"


LIBRARIES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "az", "adl"), "adlfs"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    "smb": "smbprotocol",
}


def _copied(stack: ExitStack, system: Any, path: str, label: str, name: str) -> Part:
    """Its bytes in a file without a name, which is gone when it is closed: they are fetched once, whoever reads them
    how often."""
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    with system.open(path, "rb") as there:
        shutil.copyfileobj(there, copy, 1 << 20)
    copy.flush()
    return Part(label, name, copy=copy)
