"""What the arbiter keeps of sealed trees: the kind `leaf-values`, their shape and leaf values, sealed on its disk.

sealed  uint8: joint.owner, joint.order (trees, 2^depth - 1) and joint.value (trees, 2^depth; in units that the guest
knows), rounding_key (32,) secret bytes, encrypted for the arbiter alone
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.boosting.params import MAX_DEPTH
from protocols.boosting.rounding import KEY
from protocols.boosting.sealed_parts import ArbiterTrees, Shape
from vfl.models.content import Body, Head, check, tensors_of
from vfl.models.kind import SCORES_NOT_ALONE, ArbiterKind
from vfl.models.sealing import sealed, unsealed
from vfl.models.trees.part import MOST_TREES
from vfl.models.trees.part_reading import checked_shape
from vfl.screen.shown import Shown
from vfl.transport.identity import Identity

WHAT = "leaf values"
MOST_CLASSES = 1000


@dataclass(frozen=True, eq=False, repr=False)
class LeafValues:
    """The arbiter's part of sealed trees: their shape and leaf values.  kind: of the model; count: how many trees,
    where they themselves were not unsealed.

    Its own kind on disk is "leaf-values".
    """

    STORED: ClassVar[str] = "leaf-values"

    party: str
    model_id: bytes
    kind: str
    trees: ArbiterTrees
    count: int
    columns: tuple[str, ...] = ()
    classes: None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {self.count} trees>"


class Rest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of manifest.json that leaf values add; of: the model's kind."""

    of: str
    trees: int
    depth: int
    hosts: int
    num_class: int
    score_bits: int


class LeafValuesKind(ArbiterKind):
    """The arbiter's shape and leaf values of sealed trees."""

    name: ClassVar[str] = LeafValues.STORED

    def pack(self, part: LeafValues, identity: Identity) -> Body:
        """As the module says."""
        trees = part.trees
        shape = trees.shape
        rest = Rest(
            part.kind, len(shape), shape.depth, int(shape.owner.max(initial=0)), trees.num_class, trees.score_bits
        )
        tensors = {"joint.owner": shape.owner, "joint.order": shape.order, "joint.value": trees.value}
        tensors["rounding_key"] = np.frombuffer(trees.rounding_key, dtype=np.uint8)
        return Body(msgspec.to_builtins(rest), sealed(tensors, identity, part.model_id, WHAT))

    def unpack(
        self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], identity: Identity | None
    ) -> LeafValues:
        """The part; without an identity, that is to show it, without its trees.  Raises CorruptPartError; ModelError
        for a part that another key sealed."""
        told = msgspec.convert(rest, Rest)
        check(
            1 <= told.depth <= MAX_DEPTH,
            told.hosts >= 0,
            1 <= told.num_class <= MOST_CLASSES,
            0 <= told.score_bits <= 20,
        )
        check(0 <= told.trees <= MOST_TREES, told.trees % told.num_class == 0, head.classes is None, not head.columns)
        encrypted = tensors_of(tensors, {"sealed": (np.uint8, [None])})["sealed"]
        nodes = (1 << told.depth) - 1
        if identity is None:
            empty = Shape.empty(told.depth)
            hidden = ArbiterTrees(
                head.name, told.num_class, told.score_bits, empty, np.zeros((0, nodes + 1), dtype=np.int64), b""
            )
            return LeafValues(head.party, head.name, told.of, hidden, told.trees)
        found = unsealed(encrypted, identity, head, WHAT)
        whole: dict[str, tuple[type[Any], list[int | None]]] = {
            "joint.owner": (np.int64, [told.trees, nodes]),
            "joint.order": (np.int64, [told.trees, nodes]),
            "joint.value": (np.int64, [told.trees, nodes + 1]),
            "rounding_key": (np.uint8, [KEY]),
        }
        arrays = tensors_of(found, whole)
        shape = checked_shape(told.depth, arrays["joint.owner"], arrays["joint.order"], told.hosts)
        key = arrays["rounding_key"].tobytes()
        trees = ArbiterTrees(head.name, told.num_class, told.score_bits, shape, arrays["joint.value"], key)
        return LeafValues(head.party, head.name, told.of, trees, told.trees)

    def shown(self, part: LeafValues) -> Shown:
        """How many trees, and what they are for."""
        what = "Leaf values and shape of sealed trees, encrypted for this party only.  They tell nothing about a row."
        return Shown(
            facts={"trees": f"{part.count}, of depth {part.trees.shape.depth} at most"}, notes=[what, SCORES_NOT_ALONE]
        )
