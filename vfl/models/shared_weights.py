"""What an arbiter keeps of a model whose weights stay shared: the kind `shared-weights`, sealed on its disk.

`vfl predict` moves the shares on.  A data party and the arbiter write their new shares next to those that they had, and
drop these when all parties have done so: wherever a run is interrupted, both hold a share of one name
(protocols/glm/shares.py).  Runs of one model may overlap.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.glm.shares import MOST_NAMES, NAME, Moved, WeightShares
from vfl.models.content import Body, Head, Tensors, check
from vfl.models.kind import SCORES_NOT_ALONE, ArbiterKind
from vfl.models.sealing import sealed, unsealed
from vfl.screen.shown import Heading, Shown, Table
from vfl.transport.identity import Identity

WHAT = "shared weights"


@dataclass(frozen=True, eq=False, repr=False)
class SharedWeights:
    """The arbiter's part of a regression or scorecard: by data party its shares of the weights that were not revealed.
    Alone they say nothing.

    kind: of the model.  counts: how many weights each party shares, where the shares themselves were not unsealed.  Its
    own kind on disk is "shared-weights".
    """

    STORED: ClassVar[str] = "shared-weights"

    party: str
    model_id: bytes
    kind: str
    shares: Mapping[str, WeightShares]
    counts: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    classes: None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {len(self.shares)} parties>"


class Rest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of manifest.json that the arbiter's part adds: the model's kind, and how many weights each party
    shares."""

    of: str
    weights: dict[str, int]


def tensors_of_shares(shares: WeightShares) -> Tensors:
    """`shares` (k, models, width) uint64 and `share_names` (k, 16) uint8; weights that are known have no name."""
    names = np.frombuffer(b"".join(shares.names), np.uint8).reshape(-1, NAME)
    return {"shares": shares.values, "share_names": names}


def shares_from(tensors: Mapping[str, NDArray[Any]], *, known: bool | None = None) -> WeightShares:
    """The same read back; known: whether they must be weights that are known.  Raises CorruptPartError."""
    check({"shares", "share_names"} <= set(tensors))
    values, names = tensors["shares"], tensors["share_names"]
    check(values.dtype == np.uint64, values.ndim == 3, names.dtype == np.uint8, names.ndim == 2)
    check(names.shape[1] == NAME, len(values) == max(1, len(names)), len(names) <= MOST_NAMES, min(values.shape) >= 1)
    check(known is None or known == (len(names) == 0))
    found = tuple(row.tobytes() for row in names)
    check(len(set(found)) == len(found))
    return WeightShares(found, values)


def moved_on(shares: WeightShares, moved: Moved) -> WeightShares:
    """With the share of a scoring in addition to the earlier ones."""
    if moved.name in shares.names:
        return shares
    return WeightShares((*shares.names, moved.name), np.concatenate([shares.values, moved.words[np.newaxis]]))


def without(shares: WeightShares, names: frozenset[bytes]) -> WeightShares:
    """Without those of these names, unless none would be left."""
    left = [k for k, name in enumerate(shares.names) if name not in names]
    return WeightShares(tuple(shares.names[k] for k in left), shares.values[left]) if left else shares


def changed(part: SharedWeights, shares: Mapping[str, WeightShares]) -> SharedWeights:
    return dataclasses.replace(part, shares=dict(shares))


class SharedWeightsKind(ArbiterKind):
    """The arbiter's shares of the weights of a regression or scorecard."""

    name: ClassVar[str] = SharedWeights.STORED

    def pack(self, part: SharedWeights, identity: Identity) -> Body:
        """`sealed` uint8: the tensors of every party's shares, encrypted for the arbiter alone."""
        plain = {
            f"{name} {party}": array
            for party, one in part.shares.items()
            for name, array in tensors_of_shares(one).items()
        }
        rest = Rest(part.kind, {party: int(np.prod(one.latest.shape)) for party, one in part.shares.items()})
        return Body(msgspec.to_builtins(rest), sealed(plain, identity, part.model_id, WHAT))

    def unpack(
        self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], identity: Identity | None
    ) -> SharedWeights:
        """The part; without an identity, that is to show it, without its shares.  Raises CorruptPartError; ModelError
        for a part that another key sealed."""
        told = msgspec.convert(rest, Rest)
        check(
            set(tensors) == {"sealed"},
            tensors["sealed"].dtype == np.uint8,
            tensors["sealed"].ndim == 1,
            head.columns == [],
            bool(told.weights),
        )
        if identity is None:
            return SharedWeights(head.party, head.name, told.of, {}, told.weights)
        arrays = unsealed(tensors["sealed"], identity, head, WHAT)
        shares = {
            party: shares_from(
                {name: arrays[f"{name} {party}"] for name in ("shares", "share_names") if f"{name} {party}" in arrays},
                known=False,
            )
            for party in told.weights
        }
        check(
            len(arrays) == 2 * len(shares),
            all(int(np.prod(one.latest.shape)) == told.weights[p] for p, one in shares.items()),
        )
        check(len({one.latest.shape[0] for one in shares.values()}) == 1)
        return SharedWeights(head.party, head.name, told.of, shares)

    def shown(self, part: SharedWeights) -> Shown:
        """How many weights of whom."""
        what = (
            f"Shares of the weights of a {part.kind}: uniform numbers, sealed by this party's key, "
            f"which tell nothing by themselves."
        )
        table = Table([Heading("shared with"), Heading("weights", ",")], [[p, n] for p, n in part.counts.items()])
        return Shown(tables=[table], notes=[what, SCORES_NOT_ALONE])
