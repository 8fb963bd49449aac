"""Model parts on disk: `manifest.json` (what it is) and `weights.safetensors` (numbers).  Neither can run code.

The manifest carries the format's version and the model's random name, which all parts of one model share; a part of another model is refused when scoring
starts (protocols/glm/scoring.py).  What a part of each kind holds beside that: `vfl.kinds`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from protocols.errors import ModelError
from vfl.files import write_private, written
from vfl.kinds import KINDS, Part
from vfl.kinds.parts import Damaged, Head

FORMAT = 1
MANIFEST, NUMBERS = "manifest.json", "weights.safetensors"
RESTORE = "Restore it from a copy of the run's folder"


def save_part(part: Part, folder: Path, *, kind: str, job_digest: bytes) -> None:
    """Writes the part of a model of this kind into `folder` (made, mode 0700).  Raises ConfigError if it cannot be written."""
    body = KINDS[kind].pack(part)
    classes = [c.item() if isinstance(c, np.generic) else c for c in part.classes] if part.classes is not None else None
    head = Head(FORMAT, kind, part.party, part.model_id.hex(), job_digest.hex(), list(part.columns), classes)
    manifest = msgspec.to_builtins(head) | body.rest
    with written(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        write_private(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        write_private(folder / NUMBERS, save({name: np.ascontiguousarray(array) for name, array in body.tensors.items()}))


def find_part(runs: Path, name: str) -> Path:
    """The folder of the part of the model called `name` (hexadecimal), inside its run's folder in a run directory.  Raises ModelError where there is none."""
    for manifest in sorted(runs.glob(f"*/model/{MANIFEST}")):
        if (_content(manifest.read_bytes()) or {}).get("model_id") == name:
            return manifest.parent
    raise ModelError(
        f"no run in {runs} holds a part of the model {name}",
        remedy="Put the folder of the run that made it back there, or correct continue_from (vfl model show prints a model's name)",
    )


def load_part(folder: Path) -> tuple[Part, Head]:
    """Reads a part back; raises ModelError for a missing, damaged or unknown one."""
    try:
        document = (folder / MANIFEST).read_bytes()
        tensors = load_file(folder / NUMBERS)
    except (OSError, SafetensorError):
        raise ModelError(f"{folder} holds no readable model part", remedy="Name the model folder inside a run's folder") from None
    content = _content(document)
    if content is None:
        raise ModelError(f"{folder / MANIFEST} is damaged", remedy=RESTORE)
    if content.get("format") != FORMAT or content.get("kind") not in list(KINDS):
        raise ModelError(
            f"{folder} has a format that this release does not know",
            remedy="Use the release that wrote it",
            expected=FORMAT,
            found=content.get("format"),
        )
    try:
        head = msgspec.convert(content, Head)
        rest = {key: value for key, value in content.items() if key not in Head.__struct_fields__}
        return KINDS[head.kind].unpack(head, rest, tensors), head
    except msgspec.ValidationError:
        raise ModelError(f"{folder / MANIFEST} is damaged", remedy=RESTORE) from None
    except Damaged:
        raise ModelError(f"{folder / NUMBERS} does not fit its manifest", remedy=RESTORE) from None


def _content(document: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(document)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
