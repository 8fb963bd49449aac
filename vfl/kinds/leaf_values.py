"""The arbiter's part of sealed trees on disk: their shape and leaf values.

arbiter  joint.owner, joint.order (trees, 2^depth - 1); joint.value (trees, 2^depth), in units that the guest knows
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.boosting.params import MAX_DEPTH
from protocols.boosting.sealed_parts import ArbiterTrees
from vfl.kinds.parts import Body, Head, check, tensors_of
from vfl.kinds.trees_part import checked_shape
from vfl.model import LeafValues

KIND = "leaf-values"
MOST_CLASSES = 1000


class Rest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of manifest.json that leaf values add."""

    depth: int
    hosts: int
    num_class: int
    score_bits: int


def pack(part: LeafValues) -> Body:
    """As the module says."""
    trees = part.trees
    rest = Rest(trees.shape.depth, int(trees.shape.owner.max(initial=0)), trees.num_class, trees.score_bits)
    return Body(msgspec.to_builtins(rest), {"joint.owner": trees.shape.owner, "joint.order": trees.shape.order, "joint.value": trees.value})


def unpack(head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> LeafValues:
    """The part; raises Damaged."""
    told = msgspec.convert(rest, Rest)
    check(1 <= told.depth <= MAX_DEPTH, told.hosts >= 0, 1 <= told.num_class <= MOST_CLASSES, 0 <= told.score_bits <= 20)
    check(head.classes is None, not head.columns)
    nodes = (1 << told.depth) - 1
    arrays = tensors_of(
        tensors,
        {
            "joint.owner": (np.int64, [None, nodes]),
            "joint.order": (np.int64, [None, nodes]),
            "joint.value": (np.int64, [None, nodes + 1]),
        },
    )
    shape = checked_shape(told.depth, arrays["joint.owner"], arrays["joint.order"], told.hosts)
    check(len(arrays["joint.value"]) == len(shape), len(shape) % told.num_class == 0)
    return LeafValues(head.party, head.name, ArbiterTrees(head.name, told.num_class, told.score_bits, shape, arrays["joint.value"]))
