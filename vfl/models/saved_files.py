"""What saved models of every kind share on disk: a new folder that appears whole, and files of JSON that are checked
when they are read."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from protocols.errors import ConfigError, ModelError
from vfl.models.part_files import RESTORE
from vfl.report.page import as_plain
from vfl.storage.files import sync_tree, write_private

FORMAT, NAME = 1, "model.json"
T = TypeVar("T", bound=msgspec.Struct)


class Kind(msgspec.Struct, frozen=True):
    """What every model.json has."""

    format: int
    kind: str


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A draft to write a model into, which becomes the folder `target`.  Raises ConfigError."""
    if target.exists():
        raise ConfigError(f"{target} exists: a saved model is never overwritten", remedy="Name a new folder")
    draft = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        yield draft
        sync_tree(draft)
        draft.rename(target)
    except OSError as error:
        raise ConfigError(
            f"the model cannot be written to {target} ({error.strerror})", remedy="Name a folder that can be written"
        ) from None


def read_kind(folder: Path) -> str:
    """Of the model in a folder.  Raises ModelError where there is none, or of a format that this release does not
    know."""
    found = read(folder / NAME, Kind)
    if found.format != FORMAT:
        raise unknown(folder, found.format)
    return found.kind


def read(file: Path, kind: type[T]) -> T:
    """A file that `write` wrote.  Raises ModelError."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except OSError:
        raise ModelError(f"{file.parent} holds no saved model", remedy="Name a folder that model.save wrote") from None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise damaged(file.parent) from None


def write(file: Path, content: msgspec.Struct) -> None:
    """Content as JSON, readable by this account only."""
    write_private(file, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def stored(value: Any) -> Any:
    """A parameter as JSON; a mapping, whose keys may be numbers, as its items."""
    return {"items": [[k, as_plain(v)] for k, v in value.items()]} if isinstance(value, Mapping) else as_plain(value)


def restored(value: Any) -> Any:
    """A parameter from what `stored` made of it."""
    return dict(value["items"]) if isinstance(value, Mapping) else value


def damaged(folder: Path) -> ModelError:
    """The error for a model that does not fit itself."""
    return ModelError(f"the model in {folder} is damaged", remedy=RESTORE.replace("the run's folder", "it"))


def unknown(folder: Path, found: int) -> ModelError:
    """The error for a later, or an invented, format."""
    return ModelError(
        f"{folder} has a format that this release does not know",
        remedy="Use the release that wrote it",
        expected=FORMAT,
        found=found,
    )
