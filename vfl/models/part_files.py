"""Model parts on disk: `manifest.json` (what it is) and `weights.safetensors` (numbers).  Neither can run code.

The manifest carries the format's version and the model's random name, which all parts of one model share; a part of
another model is refused when scoring starts (protocols/glm/scoring.py).  What else a part of each kind holds:
`vfl.models.registry`; what an arbiter keeps: vfl/models/shared_weights.py and leaf_values.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from protocols.errors import ModelError
from protocols.glm.shares import Moved, WeightShares
from vfl.data.schema import Schema
from vfl.models import shared_weights as shared
from vfl.models.content import ArbiterPart, Body, CorruptPartError, Head, Part, check
from vfl.models.registry import ARBITER_KINDS, KINDS
from vfl.models.shared_weights import SharedWeights
from vfl.storage.files import sync_folder, sync_tree, write_private, written
from vfl.transport.identity import Identity

FORMAT = 2  # 1: every party knew its weights
MANIFEST, NUMBERS = "manifest.json", "weights.safetensors"
RESTORE = "Restore it from a copy of the run's folder"


class DamagedPart(ModelError):
    """A folder lacks files of a model part, or they are damaged."""


def save_part(
    part: Part | ArbiterPart, folder: Path, *, kind: str, job_digest: bytes, identity: Identity | None = None
) -> None:
    """Writes the part of a model of this kind into `folder` (made, mode 0700); identity: of the arbiter, which seals
    its part.

    Raises ConfigError if it cannot be written."""
    body = _body(part, kind, identity)
    classes = [c.item() if isinstance(c, np.generic) else c for c in part.classes] if part.classes is not None else None
    schema = getattr(part, "schema", Schema())  # an arbiter's has none
    head = Head(FORMAT, kind, part.party, part.model_id.hex(), job_digest.hex(), list(part.columns), classes)
    head = msgspec.structs.replace(head, schema=schema if schema.types else None)
    manifest = msgspec.to_builtins(head) | body.rest
    with written(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        write_private(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        _write_numbers(folder, body)


def _body(part: Part | ArbiterPart, kind: str, identity: Identity | None) -> Body:
    if kind in ARBITER_KINDS:
        assert identity is not None
        return ARBITER_KINDS[kind].pack(part, identity)
    return KINDS[kind].pack(part)


def _write_numbers(folder: Path, body: Body) -> None:
    write_private(folder / NUMBERS, save({name: np.ascontiguousarray(array) for name, array in body.tensors.items()}))


def add_shares(folder: Path, moved: Mapping[str, Moved], identity: Identity) -> None:
    """Puts the shares of a scoring, by whose weights they are of, next to those that the part in `folder` has; on the
    disk when it returns.

    Raises ModelError, and ConfigError where the folder cannot be written."""
    _change_shares(folder, identity, lambda party, own: shared.moved_on(own, moved[party]) if party in moved else own)


def drop_shares(folder: Path, names: Mapping[str, frozenset[bytes]], identity: Identity) -> None:
    """Removes the shares of these names, by whose weights they are of, now that both holders have later ones.  Raises
    as `add_shares`."""
    _change_shares(folder, identity, lambda party, own: shared.without(own, names.get(party, frozenset())))


def _change_shares(folder: Path, identity: Identity, change: Callable[[str, WeightShares], WeightShares]) -> None:
    with written(folder), _alone(folder):
        part, head = load_part(folder, identity)
        if isinstance(part, SharedWeights):
            new: Any = shared.changed(part, {party: change(party, own) for party, own in part.shares.items()})
        else:
            new = dataclasses.replace(part, shares=change(part.party, part.shares))
        _write_numbers(folder, _body(new, head.kind, identity))
        with (folder / NUMBERS).open("rb") as file:
            os.fsync(file.fileno())
        sync_folder(folder)


def reseal_all(runs: Path, before: Identity, now: Identity) -> int:
    """Seals every arbiter's part in a run directory by another key of the same party; returns how many.  A part that is
    sealed by it already stays as it is.  Raises ModelError, ConfigError."""
    count = 0
    for manifest in sorted(runs.glob(f"*/model/{MANIFEST}")):
        folder = manifest.parent
        if (_content(manifest.read_bytes()) or {}).get("kind") not in ARBITER_KINDS:
            continue
        with written(folder), _alone(folder):
            with contextlib.suppress(ModelError):
                load_part(folder, now)
                continue
            part, head = load_part(folder, before)
            _write_numbers(folder, _body(part, head.kind, now))
            sync_tree(folder)
            count += 1
    return count


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process changes the part meanwhile."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def find_part(runs: Path, name: str) -> Path:
    """The folder of the part of the model called `name` (hexadecimal), inside its run's folder in a run directory.
    Raises ModelError where there is none."""
    for manifest in sorted(runs.glob(f"*/model/{MANIFEST}")):
        if (_content(manifest.read_bytes()) or {}).get("model_id") == name:
            return manifest.parent
    raise ModelError(
        f"no run in {runs} holds a part of the model {name}",
        remedy="Put the folder of the run that made it back there, or correct continue_from (vfl model show "
        "prints a model's name)",
    )


def load_part(folder: Path, identity: Identity | None = None) -> tuple[Any, Head]:
    """Reads a part back; identity: of the party, without which an arbiter's part comes without its shares.

    Raises ModelError for a missing, damaged or unknown one."""
    try:
        document = (folder / MANIFEST).read_bytes()
        tensors = load_file(folder / NUMBERS)
    except OSError:
        if (folder / MANIFEST).exists() or (folder / NUMBERS).exists():
            raise DamagedPart(f"a file of the model part in {folder} cannot be read", remedy=RESTORE) from None
        raise DamagedPart(
            f"{folder} holds no readable model part", remedy="Name the model folder inside a run's folder"
        ) from None
    except SafetensorError:
        raise DamagedPart(f"{folder / NUMBERS} is damaged", remedy=RESTORE) from None
    content = _content(document)
    if content is None:
        raise DamagedPart(f"{folder / MANIFEST} is damaged", remedy=RESTORE)
    if content.get("format") == 1:
        trees = content.get("kind") == "boosted-trees"
        why = (
            "whose trees let the guest work out the bins of hosts' rows"
            if trees
            else "in which every party knew the weights of its columns"
        )
        raise ModelError(
            f"{folder} was written by an earlier release, {why}",
            remedy="Train the model again, or score with the release that wrote it",
            expected=FORMAT,
            found=1,
        )
    if content.get("format") != FORMAT or content.get("kind") not in (*KINDS, *ARBITER_KINDS):
        raise ModelError(
            f"{folder} has a format that this release does not know",
            remedy="Use the release that wrote it",
            expected=FORMAT,
            found=content.get("format"),
        )
    try:
        head = msgspec.convert(content, Head)
        rest = {key: value for key, value in content.items() if key not in Head.__struct_fields__}
        if head.kind in ARBITER_KINDS:
            return ARBITER_KINDS[head.kind].unpack(head, rest, tensors, identity), head
        return _typed(KINDS[head.kind].unpack(head, rest, tensors), head.schema), head
    except msgspec.ValidationError:
        raise DamagedPart(f"{folder / MANIFEST} is damaged", remedy=RESTORE) from None
    except CorruptPartError:
        raise DamagedPart(f"{folder / NUMBERS} does not fit its manifest", remedy=RESTORE) from None


def schema_of(folder: Path) -> Schema | None:
    """The types of the columns of the part in a folder; None where it keeps none, or there is no part."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.convert(_content((folder / MANIFEST).read_bytes()), Head).schema
    return None


def _typed(part: Any, schema: Schema | None) -> Any:
    """A data party's part with the types of its inputs; raises CorruptPartError."""
    schema = Schema.of_earlier(part.inputs, part.categories) if schema is None else schema
    check(schema.fits(part.inputs), set(schema.categories) == set(part.categories))
    return dataclasses.replace(part, schema=schema)


def _content(document: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(document)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
