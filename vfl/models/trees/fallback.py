"""The guest's own trees on its own columns alone, which answer while a partner does not: `fallback.json` next to its
part."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from protocols.boosting.ensemble import Ensemble
from protocols.boosting.tree import GUEST, LEAF, Tree
from protocols.errors import ModelError
from vfl.models.content import CorruptPartError, check
from vfl.models.fallback import FILE
from vfl.models.trees.part import NODES, TreesPart
from vfl.models.trees.part_reading import check_tree
from vfl.storage.files import write_private, written

FORMAT = 1


class TreesFallback(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """base (outputs,); trees: of each what its nodes are, by the name of a field of `Tree`."""

    format: int
    model_id: str
    base: list[float]
    trees: list[dict[str, list[float | int | bool]]]

    @classmethod
    def of(cls, model_id: bytes, own: Ensemble) -> TreesFallback:
        """Of trees on the guest's columns alone."""
        each = [{f.name: getattr(tree, f.name).tolist() for f in fields(Tree)} for tree in own.trees]
        return cls(FORMAT, model_id.hex(), own.base.tolist(), each)

    def save(self, folder: Path) -> None:
        """Raises ConfigError."""
        with written(folder):
            write_private(folder / FILE, msgspec.json.encode(self) + b"\n")


def load(folder: Path, part: TreesPart) -> Ensemble | None:
    """What a training left in the folder of the guest's part; None where it left none.  Raises ModelError."""
    path, params = folder / FILE, part.trees.params
    try:
        found = msgspec.json.decode(path.read_bytes(), type=TreesFallback)
        check(found.format == FORMAT, len(found.base) == params.num_class, len(found.trees) % params.num_class == 0)
        trees = tuple(_tree(one) for one in found.trees)
        for tree in trees:
            check(np.isin(tree.owner, (GUEST, LEAF)))
            check_tree(tree, params, part.binner)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, OverflowError, TypeError):
        raise ModelError(f"{path} is damaged", remedy="Restore it from a copy of the run's folder") from None
    if found.model_id != part.model_id.hex():
        raise ModelError(f"{path} does not belong to this model", remedy="Restore it from a copy of the run's folder")
    return Ensemble(params, part.model_id, np.array(found.base), trees)


def _tree(given: dict[str, Any]) -> Tree:
    """Raises CorruptPartError."""
    check(given.keys() == NODES.keys(), len({len(values) for values in given.values()}) == 1)
    arrays = {name: np.array(given[name]) for name in NODES}
    for name, kind in NODES.items():
        whole = arrays[name].astype(kind)
        if not len(whole) or not np.array_equal(whole, arrays[name]):
            raise CorruptPartError
        arrays[name] = whole
    return Tree(**arrays)
