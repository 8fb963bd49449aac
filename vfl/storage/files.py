"""Files of a run: private to this account, and whole or refused."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from protocols.errors import ConfigError

OF_A_RUN = "Make room there, or correct [run] directory in the party file, and start all parties again"


@contextlib.contextmanager
def written(folder: Path, remedy: str = OF_A_RUN) -> Iterator[None]:
    """What is written to `folder` inside arrives, or ConfigError is raised (such as: the disk is full)."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"the results cannot be written to {folder} ({error.strerror})", remedy=remedy) from None


@contextlib.contextmanager
def out_written(out: Path) -> Iterator[None]:
    """As `written`, of the file that a command's --out names."""
    if out.is_dir() or not out.name:
        raise ConfigError(f"--out {out} is a folder", remedy="Name a file in it")
    with written(out.parent, "Make room there, or name another file with --out"):
        yield


def private(path: Path) -> Path:
    """`path`, a new and empty file that only this account can read, whatever was there."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    return path


def write_private(path: Path, data: bytes) -> None:
    """The file `path`, readable by this account only, appears whole or not at all."""
    draft = private(path.with_name(f".{path.name}.part"))
    draft.write_bytes(data)
    os.replace(draft, path)


def copy_private(source: Path, path: Path) -> None:
    """As `write_private`, of what stands in a file, which is never whole in memory; it is on the disk then."""
    draft = private(path.with_name(f".{path.name}.part"))
    with source.open("rb") as content, draft.open("r+b") as file:
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def appended(path: Path, data: bytes) -> None:
    """Adds `data` to a file that only this account can read.  Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Returns when the folder's own entries are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Returns when everything in `folder` is on the disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)
