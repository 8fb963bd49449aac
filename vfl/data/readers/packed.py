"""Files of text that are packed: .gz, .bz2, .xz, .zst, and .zip with one file in it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, Any, cast

from protocols.errors import DataError
from vfl.data.extras import needed

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError)
MAGIC = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ": ".xz", b"\x28\xb5\x2f\xfd": ".zst", b"PK\x03\x04": ".zip"}


def _zst(file: IO[bytes], label: str) -> Any:
    return needed("pyarrow", f"{label}: a packed file").CompressedInputStream(file, "zstd")


def _zip(file: IO[bytes], label: str) -> Any:
    archive = zipfile.ZipFile(file)
    members = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise DataError(
            f"{label}: holds {len(members)} files, and a table is one",
            remedy="Pack one, or unpack them into a folder",
        )
    if members[0].flag_bits & 1:
        raise DataError(f"{label}: is encrypted", remedy="Unpack it")
    return archive.open(members[0])


OPENERS: dict[str, Callable[[IO[bytes], str], Any]] = {
    ".gz": lambda file, _: gzip.GzipFile(fileobj=file),
    ".bz2": lambda file, _: bz2.BZ2File(file),
    ".xz": lambda file, _: lzma.LZMAFile(file),  # noqa: SIM115
    ".zst": _zst,
    ".zip": _zip,
}


def unpacked(file: IO[bytes], packing: str, label: str) -> IO[bytes]:
    """What a packed file holds; packing: one of `OPENERS`, or "" for a file that is not packed.

    Raises DataError, ConfigError; reading from it raises one of `DAMAGED` where the file is.
    """
    return cast("IO[bytes]", OPENERS[packing](file, label)) if packing else file


def packing_of(head: bytes) -> str:
    """How a file is packed, by its first bytes; "" if it is not."""
    return next((suffix for magic, suffix in MAGIC.items() if head.startswith(magic)), "")
