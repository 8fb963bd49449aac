"""The archive of a pack: the same files give the same bytes, on every system and in every release of Python.

Files are stored in the order of their names, uncompressed (what a compressor writes depends on its release), with one
fixed time and mode.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows
MODE = 0o100644 << 16
UNIX = 3
MOST_BYTES = 2**30
Files = dict[str, bytes]


class ArchiveDamaged(ValueError):
    """Bytes that are no archive as `packed` makes it; `name`: the file in it that is concerned, "" for none."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def packed(files: Mapping[str, bytes]) -> bytes:
    """The archive's bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, TIME)
            entry.create_system, entry.external_attr = UNIX, MODE
            archive.writestr(entry, files[name])
    return out.getvalue()


def unpacked(data: bytes) -> Files:
    """The files in an archive, each as its checksum says.  Raises ArchiveDamaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            files = Files()
            for entry in entries:
                if entry.compress_type != zipfile.ZIP_STORED or entry.filename in files:
                    raise ArchiveDamaged(entry.filename)
                files[entry.filename] = _content(archive, entry)
            return files
    except ArchiveDamaged:
        raise
    except Exception:  # whatever zipfile raises on damaged bytes
        raise ArchiveDamaged("") from None


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(entry)
    except Exception:  # a checksum, a header, a length
        raise ArchiveDamaged(entry.filename) from None


def differs_at(data: bytes, files: Mapping[str, bytes]) -> str | None:
    """The file whose place in the archive differs from what `packed` gives for the same files; "" for the directory at
    the end; None if all bytes are the same."""
    wanted = packed(files)
    if data == wanted:
        return None
    first = next((k for k, (a, b) in enumerate(zip(data, wanted, strict=False)) if a != b), min(len(data), len(wanted)))
    with zipfile.ZipFile(io.BytesIO(wanted)) as archive:
        if first >= archive.start_dir:
            return ""
        return max((e for e in archive.infolist() if e.header_offset <= first), key=lambda e: e.header_offset).filename
