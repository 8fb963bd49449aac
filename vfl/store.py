"""Model parts on disk: `manifest.json` (what it is) and `weights.safetensors` (numbers).  Neither can run code.

The manifest carries the format's version and the model's random name, which all parts of one model share; a part of another model is refused when scoring
starts (protocols/glm/scoring.py).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from protocols.errors import ConfigError, ModelError
from vfl.model import LogisticPart
from vfl.preprocessing import Standardiser

FORMAT, KIND = 1, "logistic-regression"


class Manifest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The content of manifest.json."""

    format: int
    kind: str
    party: str
    model_id: str
    job_digest: str
    columns: list[str]
    clip: float
    link: str
    score_bits: int
    intercept: float | None
    classes: list[str | int | float | bool] | None


@contextlib.contextmanager
def written(folder: Path) -> Iterator[None]:
    """What is written to `folder` inside arrives, or ConfigError is raised (such as: the disk is full)."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"the results cannot be written to {folder} ({error.strerror})",
            remedy="Make room there, or correct [run] directory in the party file, and start all parties again",
        ) from None


def save_part(part: LogisticPart, folder: Path, *, job_digest: bytes) -> None:
    """Writes the part into `folder` (made, mode 0700).  Raises ConfigError if it cannot be written."""
    standardiser = part.standardiser
    classes = [c.item() if isinstance(c, np.generic) else c for c in part.classes] if part.classes is not None else None
    manifest = Manifest(
        FORMAT,
        KIND,
        part.party,
        part.model_id.hex(),
        job_digest.hex(),
        list(standardiser.columns),
        standardiser.clip,
        part.link,
        part.score_bits,
        part.intercept,
        classes,
    )
    tensors = {"weights": part.weights, "mean": standardiser.mean, "scale": standardiser.scale}
    with written(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        (folder / "weights.safetensors").write_bytes(save(tensors))


def load_part(folder: Path) -> tuple[LogisticPart, Manifest]:
    """Reads a part back; raises ModelError for a missing, damaged or unknown one."""
    try:
        document = (folder / "manifest.json").read_bytes()
        tensors = load_file(folder / "weights.safetensors")
    except (OSError, SafetensorError):
        raise ModelError(f"{folder} holds no readable model part", remedy="Name the model folder inside a run's folder") from None
    try:
        version = json.loads(document).get("format")
        manifest = msgspec.json.decode(document, type=Manifest) if version == FORMAT else None
    except (ValueError, AttributeError, msgspec.MsgspecError):
        raise ModelError(f"{folder / 'manifest.json'} is damaged", remedy="Restore it from a copy of the run's folder") from None
    if manifest is None or manifest.kind != KIND:
        raise ModelError(
            f"{folder} has a format that this release does not know", remedy="Use the release that wrote it", expected=FORMAT, found=version
        )
    width = len(manifest.columns)
    if any(
        name not in tensors or tensors[name].shape != (width,) or tensors[name].dtype != np.float64 for name in ("weights", "mean", "scale")
    ):
        raise ModelError(f"{folder / 'weights.safetensors'} does not fit its manifest", remedy="Restore it from a copy of the run's folder")
    try:
        model_id = bytes.fromhex(manifest.model_id)
    except ValueError:
        raise ModelError(f"{folder / 'manifest.json'} is damaged", remedy="Restore it from a copy of the run's folder") from None
    classes: Any = tuple(manifest.classes) if manifest.classes is not None else None
    standardiser = Standardiser(tuple(manifest.columns), tensors["mean"], tensors["scale"], manifest.clip)
    part = LogisticPart(
        manifest.party, model_id, standardiser, tensors["weights"], manifest.link, manifest.score_bits, manifest.intercept, classes
    )
    return part, manifest
